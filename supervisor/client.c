/* supervisor/client.c - see supervisor/client.h. Every terminal answer goes through answer_send(): it answers the asker and those
 * who joined by a client_token, and closes the open request. Whoever has gone is not found and misses nothing else. answer() also
 * ends the action; who only wanted to know that it was accepted has had his answer when that happens. */
#include "supervisor/client.h"

#include "base/log.h"
#include "base/text.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/control.h"
#include "supervisor/replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool principal_sees(const struct principal *who, const Berth__Meta *object)
{
	return principal_sees_all(who) || (object->project && !strcmp(object->project, who->project));
}

/* The answer without its addressee, for its client_token. */
static void answer_replay(struct supervisor *sv, struct replay *t, const Berth__Envelope *env, bool refused)
{
	Berth__Envelope view = *env;
	AUTO_FREE void *data = NULL;
	size_t len;

	view.has_id = false;
	len = berth__envelope__get_packed_size(&view);
	data = malloc(len ? len : 1);
	if (data)
		berth__envelope__pack(&view, data);
	/* Without memory for the answer the client_token is forgotten: a repetition is then a new request, as it would be without one. */
	if (data && !refused)
		replay_finish(sv, t, data, len);
	else
		replay_drop(sv, t, data, data ? len : 0);
}

/* An answer which says that nothing was begun, and that a second try may end otherwise: not worth remembering for an hour. */
static bool answer_is_refusal(const Berth__Envelope *env)
{
	if (env->body_case != BERTH__ENVELOPE__BODY_ERROR)
		return false;
	switch (env->error->code) {
	case BERTH__ERROR__CODE__EXHAUSTED:
	case BERTH__ERROR__CODE__UNAVAILABLE:
	case BERTH__ERROR__CODE__DENIED:
		return true;
	default:
		return false;
	}
}

static void answer_client(struct open *o, Berth__Envelope *env, const int *fds, unsigned n_fds)
{
	int r;

	env->has_id = true;
	env->id = o->parked.request;
	env->has_more = false;
	r = client_send(o->client, env, fds, n_fds);
	if (r < 0 && r != -ENOBUFS) {
		char text[100];

		/* Too large or no memory: the asker must not wait for ever. */
		snprintf(text, sizeof text, "the answer cannot be sent: %s", strerror(-r));
		log_warn("client %s: %s", o->client->who.name, text);
		client_refuse(o->client, o->parked.request, BERTH__ERROR__CODE__INTERNAL, NULL, "%s", text);
	}
}

static void done_fill(struct supervisor *sv, Berth__Envelope *env, Berth__Done *done, const char *uuid)
{
	berth__done__init(done);
	done->has_revision = true;
	done->revision = supervisor_revision(sv);
	done->uuid = (char *)(uintptr_t)uuid; /* only packed */
	berth__envelope__init(env);
	env->body_case = BERTH__ENVELOPE__BODY_DONE;
	env->done = done;
}

static void answer_send(struct supervisor *sv, struct parked p, Berth__Envelope *env, const int *fds, unsigned n_fds)
{
	struct open *o = control_open_find(sv, p);
	struct replay *t = o ? o->replay : NULL;
	Berth__Envelope done_env;
	Berth__Done done;

	if (!o)
		return;
	if (o->begun_is_done && env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_REPLY) { /* it was so already */
		done_fill(sv, &done_env, &done, env->container_reply->container->meta->uuid);
		env = &done_env;
	}
	o->replay = NULL;
	if (o->client)
		answer_client(o, env, fds, n_fds);
	control_open_end(sv, o);
	if (t)
		answer_replay(sv, t, env, answer_is_refusal(env));
}

static void answer(struct supervisor *sv, struct parked p, Berth__Envelope *env, const int *fds, unsigned n_fds)
{
	bool ok = env->body_case != BERTH__ENVELOPE__BODY_ERROR;

	audit_finish(sv, p.action, ok, ok ? NULL : env->error->text);
	answer_send(sv, p, env, fds, n_fds);
}

void reply(struct supervisor *sv, struct parked p, Berth__Envelope *body, const int *fds, unsigned n_fds)
{
	answer(sv, p, body, fds, n_fds);
}

void reply_accepted(struct supervisor *sv, struct parked p, Berth__Envelope *body)
{
	answer_send(sv, p, body, NULL, 0);
}

void reply_done(struct supervisor *sv, struct parked p, const char *uuid)
{
	Berth__Envelope env;
	Berth__Done done;

	done_fill(sv, &env, &done, uuid);
	answer(sv, p, &env, NULL, 0);
}

void reply_said(struct supervisor *sv, struct parked p, const char *uuid, const char *text)
{
	Berth__Envelope env;
	Berth__Done done;

	done_fill(sv, &env, &done, uuid);
	done.text = (char *)(uintptr_t)text; /* only packed */
	answer(sv, p, &env, NULL, 0);
}

void reply_begun(struct supervisor *sv, struct parked p, const char *uuid)
{
	Berth__Envelope env;
	Berth__Done done;

	done_fill(sv, &env, &done, uuid);
	answer_send(sv, p, &env, NULL, 0);
}

static void answer_error(struct supervisor *sv, struct parked p, Berth__Error *error)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	error->has_code = true;
	error->has_sys_errno = error->sys_errno != 0;
	if (error->step && !*error->step)
		error->step = NULL;
	if (error->field && !*error->field)
		error->field = NULL;
	env.body_case = BERTH__ENVELOPE__BODY_ERROR;
	env.error = error;
	answer(sv, p, &env, NULL, 0);
}

void reply_error(struct supervisor *sv, struct parked p, Berth__Error__Code code, const char *field, const char *fmt,
		 ...)
{
	Berth__Error error = BERTH__ERROR__INIT;
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	text_clean(text);
	error.code = code;
	error.field = (char *)(uintptr_t)field; /* only packed, as below */
	error.text = text;
	answer_error(sv, p, &error);
}

/* Where the kernel said no, its word belongs into the text; where we did, our text is complete. */
static bool code_is_kernels(Berth__Error__Code code)
{
	return code == BERTH__ERROR__CODE__START_FAILED || code == BERTH__ERROR__CODE__INTERNAL;
}

/* What this host, or this asker, cannot have, or somebody else has: the step is the field, if it looks like one. */
static bool code_is_ours(Berth__Error__Code code)
{
	return code == BERTH__ERROR__CODE__UNSUPPORTED || code == BERTH__ERROR__CODE__DENIED ||
	       code == BERTH__ERROR__CODE__CONFLICT || code == BERTH__ERROR__CODE__EXISTS;
}

void reply_store_full(struct supervisor *sv, struct parked p)
{
	reply_error(sv, p, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the store takes no more for now");
}

void reply_err(struct supervisor *sv, struct parked p, Berth__Error__Code code, const struct err *e)
{
	Berth__Error error = BERTH__ERROR__INIT;
	char text[600], step[sizeof e->step];

	if (code_is_kernels(code))
		err_format(e, text, sizeof text);
	else
		snprintf(text, sizeof text, "%s", e->text);
	snprintf(step, sizeof step, "%s", e->step);
	error.code = code;
	error.text = text;
	if (code == BERTH__ERROR__CODE__INVALID || (code_is_ours(code) && strchr(step, '.')))
		error.field = step;
	else
		error.step = step;
	error.sys_errno = code == BERTH__ERROR__CODE__INVALID || code == BERTH__ERROR__CODE__DENIED ? 0 : e->code;
	answer_error(sv, p, &error);
}

void reply_net_err(struct supervisor *sv, struct parked p, const struct err *e)
{
	Berth__Error__Code code = error_code_of(e);
	struct err whole = *e;

	if (!code_is_kernels(code) && !strchr(e->step, '.'))
		err_format(e, whole.text, sizeof whole.text);
	reply_err(sv, p, code, &whole);
}

int reply_more(struct supervisor *sv, struct parked p, Berth__Envelope *body)
{
	struct open *o = control_open_find(sv, p);

	if (!o || !o->client)
		return 0;
	body->has_id = body->has_more = body->more = true;
	body->id = p.request;
	return client_send(o->client, body, NULL, 0);
}

bool parked_alive(const struct supervisor *sv, struct parked p)
{
	return control_open_find(sv, p) != NULL;
}

int parked_on_gone(struct supervisor *sv, struct parked p, void (*fn)(void *arg, bool cancelled), void *arg)
{
	struct open *o = control_open_find(sv, p);

	if (!o || !o->client)
		return -ENOENT;
	o->on_gone = fn;
	o->on_gone_arg = arg;
	return 0;
}

Berth__Error__Code error_code_of(const struct err *e)
{
	switch (e->code) {
	case EINVAL:
	case ERANGE:
	case ENAMETOOLONG:
		return BERTH__ERROR__CODE__INVALID;
	case ENOENT:
		return BERTH__ERROR__CODE__NOT_FOUND;
	case EEXIST:
		return BERTH__ERROR__CODE__EXISTS;
	case ENOTUNIQ:
		return BERTH__ERROR__CODE__AMBIGUOUS;
	case EBUSY:
		return BERTH__ERROR__CODE__CONFLICT;
	case EPERM:
	case EACCES:
		return BERTH__ERROR__CODE__DENIED;
	case ENOTSUP:
	case ENOSYS:
		return BERTH__ERROR__CODE__UNSUPPORTED;
	case ENOSPC:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
	case EDQUOT:
	case EROFS:
		return BERTH__ERROR__CODE__EXHAUSTED;
	case ETIMEDOUT:
		return BERTH__ERROR__CODE__TIMEOUT;
	case ESTALE:
		return BERTH__ERROR__CODE__STALE;
	default:
		return BERTH__ERROR__CODE__INTERNAL;
	}
}

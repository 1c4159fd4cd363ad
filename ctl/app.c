/* ctl/app.c - what the commands share (ctl/command.h): asking, and saying what went wrong. */
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/field.h"
#include "ctl/spec_flags.h"
#include "ctl/time_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void __attribute__((format(printf, 1, 0))) vsay(const char *fmt, va_list ap)
{
	fflush(stdout); /* in order, when both go to one place */
	fputs("berth: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

int app_usage(const struct app *app, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	return app->usage;
}

int app_fail(const struct app *app, const struct err *e)
{
	char text[600];

	say("%s", err_format(e, text, sizeof text));
	return app->failure;
}

/* A field of the request that berthd does not take is a word of the command line. As shells and Docker: 127 when the program is not
 * there, 126 when it cannot be executed. */
static int refusal_status(const struct app *app, const Berth__Error *error)
{
	if (error->code == BERTH__ERROR__CODE__INVALID && error->field && *error->field)
		return app->usage;
	if (app->failure != 125 || error->code != BERTH__ERROR__CODE__START_FAILED || !error->step ||
	    strcmp(error->step, "exec") != 0)
		return app->failure;
	return error->sys_errno == ENOENT || error->sys_errno == ENOTDIR ? 127 : 126;
}

int app_refused(const struct app *app, const Berth__Error *error, const struct spec_opts *spec)
{
	const char *field = error->field ? error->field : "";
	AUTO_FREE char *flag = *field ? spec_flag_of_field(spec, app->flags, field) : NULL;
	const char *text = error->text && *error->text ? error->text : "refused without a reason";

	if (!flag && str_starts(field, "filters"))
		flag = mem_text("--filter");
	if (flag)
		say("%s: %s", flag, text);
	else if (*field && error->code == BERTH__ERROR__CODE__INVALID && !str_starts(field, "spec.") &&
		 !strstr(text, field)) /* of a spec all but the operands has a flag */
		say("%s: %s", field, text);
	else
		say("%s", text);
	return refusal_status(app, error);
}

int app_connect(struct app *app)
{
	struct err e;

	/* A connection that was there before and is lost is made again with patience, by client_ask. */
	if (app->connected || client_open(&app->client, &e) == 0) {
		app->connected = true;
		return 0;
	}
	return app_fail(app, &e);
}

int app_ask_raw(struct app *app, struct ask *a)
{
	struct err e;
	int r = app_connect(app);

	if (r || client_ask(&app->client, a, &e) == 0)
		return r;
	return a->lost ? app->failure : app_fail(app, &e);
}

int app_ask(struct app *app, struct ask *a, const struct spec_opts *spec)
{
	int r = app_ask_raw(app, a);

	return !r && ask_error(a) ? app_refused(app, ask_error(a), spec) : r;
}

int app_confirm(const struct app *app, const char *fmt, ...)
{
	char line[16];
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" [y/N] ", stderr);
	if (fgets(line, sizeof line, stdin) && (!strcasecmp(line, "y\n") || !strcasecmp(line, "yes\n")))
		return 0;
	say("nothing was done (--force asks nothing)");
	return app->failure;
}

void *request_new(Berth__Envelope__BodyCase body_case, const char *ref)
{
	const ProtobufCFieldDescriptor *body =
		protobuf_c_message_descriptor_get_field(&berth__envelope__descriptor, body_case);
	ProtobufCMessage *m = message_new(body->descriptor);
	struct err e;

	field_set(m, m->descriptor->fields[0].name, ref, &e); /* a text: any will do */
	return m;
}

/* What was done, if it says so. */
static const char *done_text(const Berth__Envelope *reply, const char *ref)
{
	const Berth__Done *done = reply->body_case == BERTH__ENVELOPE__BODY_DONE ? reply->done : NULL;

	return done && done->text && *done->text ? done->text : ref;
}

static int each(struct app *app, Berth__Envelope__BodyCase body_case, void (*fill)(void *body, const void *opts),
		const void *opts, char **refs, unsigned n, bool missing_is_fine)
{
	struct err e = {0};
	struct ask *asks;
	int status = app_connect(app);

	if (status)
		return status;
	asks = mem_zero(n * sizeof *asks);
	for (unsigned i = 0; i < n; i++) {
		void *body = request_new(body_case, refs[i]);

		if (fill)
			fill(body, opts);
		ask_init(&asks[i], body_case, body);
	}
	if (client_ask_all(&app->client, asks, n, &e) < 0)
		status = app_fail(app, &e);
	for (unsigned i = 0; i < n; i++) {
		const Berth__Error *error = ask_error(&asks[i]);

		if (error && !(missing_is_fine && error->code == BERTH__ERROR__CODE__NOT_FOUND))
			status = app_refused(app, error, NULL);
		else if (!error && asks[i].reply)
			puts(done_text(asks[i].reply, refs[i]));
		protobuf_c_message_free_unpacked((ProtobufCMessage *)asks[i].env.hello, NULL);
		ask_fini(&asks[i]);
	}
	free(asks);
	return status;
}

int app_each(struct app *app, Berth__Envelope__BodyCase body_case, void (*fill)(void *body, const void *opts),
	     const void *opts, char **refs, unsigned n)
{
	return each(app, body_case, fill, opts, refs, n, false);
}

const struct flag remove_flags[] = {
	{'f', "force", NULL, "one that is not there is no error", flag_bool, offsetof(struct remove_opts, force)},
	{0},
};

int app_remove(struct app *app, Berth__Envelope__BodyCase body_case, const struct remove_opts *opts, char **refs,
	       unsigned n)
{
	return each(app, body_case, NULL, NULL, refs, n, opts->force);
}

int app_filters(const struct app *app, const struct strings *texts, ProtobufCMessage *request)
{
	for (size_t i = 0; i < texts->n; i++) {
		char *eq = strchr(texts->v[i], '=');
		Berth__Filter *f;

		if (!eq || eq == texts->v[i])
			return app_usage(app, "--filter: \"%s\" is not KEY=VALUE", texts->v[i]);
		f = (Berth__Filter *)field_add(request, "filters");
		f->key = mem_textn(texts->v[i], (size_t)(eq - texts->v[i]));
		f->value = mem_text(eq + 1);
	}
	return 0;
}

int app_time(const struct app *app, const char *flag, const char *text, protobuf_c_boolean *ret_has, int64_t *ret)
{
	if (!text)
		return 0;
	*ret_has = true;
	if (time_parse(text, wall_ns(), ret) == 0)
		return 0;
	return app_usage(app,
			 "%s: \"%s\" is not a time (such as 2026-11-22T10:00:00Z, 2026-11-22, a unix time, or how long "
			 "ago: 10m)",
			 flag, text);
}

/* gateway/call.c - see gateway/call.h and calls.h */
#include "gateway/calls.h"

#include "base/log.h"
#include "base/own.h"
#include "gateway/memory.h"
#include "gateway/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_S 2
#define TOKEN_MAX     255
#define OUT_SMALL     4096 /* an answer that is never refused for want of memory: connections have a ceiling too */

struct call_inside {
	void *owner;
	call_done_fn *done;
	char *target;	   /* owned; cut at the '?' */
	const char *query; /* NULL: none */
	struct path path;
	struct path_args path_args;
	const struct header *headers;
	unsigned n_headers;
	struct buf body;
	size_t charged_body, charged_out; /* gateway/memory.h */
	uint64_t began_ns;
	char base[300];
	struct call_answer answer;
	struct question question;
	unsigned asked; /* questions so far: each that changes something is one of its own */
	call_reply_fn *reply;
	void (*who_done)(struct call *c);
	void (*refused)(struct call *c, const Berth__Error *error);
	struct stream stream;
	call_stream_fn *stream_done;
	bool failing; /* fail() of the dialect is at work */
};

struct whole {
	struct call call;
	struct call_inside in;
};

/* ---------------------------------------------------------------- life */

struct call *call_new(struct gateway *gw, const char *target, call_done_fn *done, void *owner)
{
	struct whole *w = calloc(1, sizeof *w);
	char uuid[UUID_SIZE];
	char *query;

	if (!w)
		return NULL;
	w->call.gw = gw;
	w->call.in = &w->in;
	w->in.owner = owner;
	w->in.stream = STREAM_NULL;
	w->in.done = done;
	w->in.target = strdup(target);
	buf_init(&w->in.body, CALL_BODY_MAX);
	jw_init(&w->call.out, CALL_OUT_MAX);
	if (!w->in.target) {
		call_free(&w->call);
		return NULL;
	}
	uuid_make(uuid);
	snprintf(w->call.id, sizeof w->call.id, "req-%s", uuid);
	query = strchr(w->in.target, '?');
	if (query) {
		*query = 0;
		w->in.query = query + 1;
	}
	return &w->call;
}

static void call_cleanup(struct call *c)
{
	void (*cleanup)(struct call *) = take_ptr(c->cleanup);

	question_drop(&c->in->question);
	stream_close(&c->in->stream);
	if (cleanup)
		cleanup(c);
}

static void body_forget(struct call_inside *in)
{
	buf_fini(&in->body);
	memory_give(in->charged_body);
	in->charged_body = 0;
}

void call_free(struct call *c)
{
	struct call_inside *in = c->in;

	call_cleanup(c);
	json_decref(c->args);
	free(c->state);
	free(in->target);
	path_free(&in->path);
	body_forget(in);
	memory_give(in->charged_out);
	jw_fini(&c->out);
	for (unsigned i = 0; i < in->answer.n_headers; i++) {
		free((char *)(uintptr_t)in->answer.header[i].name);
		free((char *)(uintptr_t)in->answer.header[i].value);
	}
	free(container_of(c, struct whole, call));
}

const struct call_answer *call_answer(const struct call *c)
{
	return &c->in->answer;
}

void *call_owner(const struct call *c)
{
	return c->in->owner;
}

/* ---------------------------------------------------------------- what was asked */

const char *call_header(const struct call *c, const char *name)
{
	for (unsigned i = 0; i < c->in->n_headers; i++)
		if (!strcasecmp(c->in->headers[i].name, name))
			return c->in->headers[i].value ? c->in->headers[i].value : "";
	return NULL;
}

char *call_param(const struct call *c, const char *name)
{
	const struct path_args *a = &c->in->path_args;

	for (unsigned i = 0; i < a->n; i++)
		if (strlen(name) == a->arg[i].name_len && !memcmp(name, a->arg[i].name, a->arg[i].name_len))
			return a->arg[i].value;
	return NULL;
}

const char *call_path(const struct call *c)
{
	return c->in->target;
}

/* What a Host header may consist of; it comes back in links, so it must not bring anything else along. */
static bool is_host(const char *s)
{
	return *s && strlen(s) < 256 &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")] == 0;
}

const char *call_base(struct call *c)
{
	const char *host = call_header(c, "Host");

	if (*c->gw->cfg.base_url)
		return c->gw->cfg.base_url;
	if (!*c->in->base)
		snprintf(c->in->base, sizeof c->in->base, "http://%s", host && is_host(host) ? host : "localhost");
	return c->in->base;
}

/* ---------------------------------------------------------------- the answer */

static bool is_clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

void call_set(struct call *c, const char *name, const char *fmt, ...)
{
	struct call_answer *a = &c->in->answer;
	AUTO_FREE char *value = NULL;
	char *own_name;
	unsigned i;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		value = NULL;
		return;
	}
	for (i = 0; i < a->n_headers && strcasecmp(a->header[i].name, name); i++)
		;
	own_name = strdup(name);
	if (!own_name || !is_clean(value) || i == ARRAY_SIZE(a->header)) {
		log_warn("%s: header %s of the answer is left out", c->id, name);
		free(own_name);
		return;
	}
	if (i < a->n_headers) {
		free((char *)(uintptr_t)a->header[i].name);
		free((char *)(uintptr_t)a->header[i].value);
	} else {
		a->n_headers++;
	}
	a->header[i] = (struct header){own_name, take_ptr(value)};
}

static bool header_is_set(const struct call *c, const char *name)
{
	const struct call_answer *a = &c->in->answer;

	for (unsigned i = 0; i < a->n_headers; i++)
		if (!strcasecmp(a->header[i].name, name))
			return true;
	return false;
}

/* The answer's memory is its own until its reader has taken it. */
static bool out_charge(struct call *c)
{
	size_t n = c->out.buf.size;

	memory_give(c->in->charged_out);
	c->in->charged_out = 0;
	if (!memory_take(n)) {
		if (n > OUT_SMALL && !server_relieve(c->gw->server, n))
			return false;
		memory_force(n);
	}
	c->in->charged_out = n;
	return true;
}

static bool out_check(struct call *c, struct fault *f)
{
	if (c->in->failing)
		return out_charge(c) || true; /* refusals are short */
	if (c->out.buf.failed)
		return fault_set(f, FAULT_INTERNAL, NULL, "the answer is too large, or memory ran out");
	return out_charge(c) ||
	       fault_set(f, FAULT_BUSY, NULL, "too much is under way to be answered; ask for less, or later");
}

static void answer_record(struct call *c, int status)
{
	uint64_t ns = now_ns() - c->in->began_ns;

	metrics_answer(&c->gw->metrics, c->dialect, c->route, status, ns);
	if (c->gw->cfg.log_requests)
		log_info("%s %s %s: %d in %.1f ms", c->id, c->method, c->in->target, status, (double)ns / 1e6);
}

void call_reply(struct call *c, int status)
{
	struct call_inside *in = c->in;
	struct fault f = {0};

	if (in->answer.done)
		return; /* a dialect's fault, harmless to the client */
	if (!out_check(c, &f)) {
		call_fail(c, &f);
		return;
	}
	in->answer.status = status;
	in->answer.done = true;
	if (c->out.buf.len && !header_is_set(c, "Content-Type"))
		call_set(c, "Content-Type", "application/json");
	if (c->dialect && c->dialect->finish)
		c->dialect->finish(c, status);
	else
		call_set(c, "X-Openstack-Request-Id", "%s", c->id); /* so far everybody who asks knows that name */
	call_cleanup(c);
	answer_record(c, status);
	in->done(c);
}

static int fail_plainly(struct call *c, const struct fault *f)
{
	jw_object(&c->out, NULL);
	jw_object(&c->out, "error");
	jw_int(&c->out, "code", f->status);
	jw_str(&c->out, "title", fault_title(f->status));
	jw_fmt(&c->out, "message", "%s%s%s", f->field, *f->field ? ": " : "", f->text);
	jw_end(&c->out);
	jw_end(&c->out);
	return f->status;
}

void call_fail(struct call *c, const struct fault *f)
{
	int status;

	if (c->in->answer.done)
		return;
	/* What was written so far may be large. */
	jw_fini(&c->out);
	jw_init(&c->out, CALL_OUT_MAX);
	if (f->status == 503)
		call_set(c, "Retry-After", "%d", RETRY_AFTER_S);
	c->in->failing = true;
	status = c->dialect && c->dialect->fail ? c->dialect->fail(c, f) : fail_plainly(c, f);
	call_reply(c, status);
}

void call_refuse(struct call *c, int status, int code, const char *fmt, ...)
{
	struct fault f = {.kind = FAULT_DIALECT, .status = status, .code = code};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof f.text, fmt, ap);
	va_end(ap);
	call_fail(c, &f);
}

/* ---------------------------------------------------------------- the request, step by step */

/* How many characters of the longest root the path is below; -1: none. */
static int dialect_reach(const struct dialect *d, const struct path *p)
{
	int best = -1;

	for (const char *const *root = d->roots; *root; root++)
		if (path_below(p, *root) && (int)strlen(*root) > best)
			best = (int)strlen(*root);
	return best;
}

static const struct dialect *dialect_find(const struct gateway *gw, const struct path *p)
{
	const struct dialect *found = NULL;
	int best = -1;

	for (const struct dialect *const *d = gw->dialects; *d; d++) {
		int reach = dialect_reach(*d, p);

		if (reach > best) {
			best = reach;
			found = *d;
		}
	}
	return found;
}

static bool token_is_clean(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (s[i] <= 0x20 || s[i] > 0x7e)
			return false;
	return len > 0 && len <= TOKEN_MAX;
}

bool call_token(struct call *c, const char *token)
{
	c->token = token_is_clean(token) ? token : NULL;
	return c->token;
}

/* The token of a header; NULL: it is not one that carries any. */
static const char *token_of(const struct header *h)
{
	if (!strcasecmp(h->name, "X-Auth-Token"))
		return h->value ? h->value : "";
	if (!strcasecmp(h->name, "Authorization") && h->value && !strncasecmp(h->value, "Bearer ", 7))
		return h->value + 7 + strspn(h->value + 7, " ");
	return NULL;
}

/* Whose request it is must not depend on which header is read first, here or by a proxy before us. The same token in both ways is well. */
static bool token_find(struct call *c, struct fault *f)
{
	const char *token = NULL;
	unsigned own = 0;

	for (unsigned i = 0; i < c->in->n_headers; i++) {
		const struct header *h = &c->in->headers[i];
		const char *t = token_of(h);

		if (!t)
			continue;
		own += !strcasecmp(h->name, "X-Auth-Token");
		if (own > 1 || (token && strcmp(t, token)))
			return fault_set(f, FAULT_SYNTAX, NULL, "there must be one token");
		token = t;
	}
	if (token)
		call_token(c, token);
	return true;
}

static bool begin(struct call *c, const struct fault *wrong, struct fault *f)
{
	struct call_inside *in = c->in;
	char allow[128];
	const char *length;
	uint64_t n;
	bool clean = path_parse(&in->path, in->target, strlen(in->target), f);

	/* Also a bad path is refused in the words of the dialect that it begins with. */
	c->dialect = dialect_find(c->gw, &in->path);
	if (clean && !c->dialect)
		return fault_set(f, FAULT_ROUTE, NULL, "there is nothing of this path");
	if (c->dialect && c->dialect->begin && !c->dialect->begin(c, f))
		return false;
	if (wrong)
		*f = *wrong;
	if (wrong || !clean)
		return false;
	c->route = route_find(c->dialect->routes, c->method, &in->path, c->version, &in->path_args, allow, sizeof allow,
			      f);
	if (!c->route) {
		if (f->kind == FAULT_METHOD)
			call_set(c, "Allow", "%s", allow);
		return false;
	}
	if (!c->token && !(c->route->flags & ROUTE_PUBLIC))
		return fault_set(f, FAULT_TOKEN, NULL, "a token is needed");
	/* Said before it is read, to those who ask (Expect). */
	length = call_header(c, "Content-Length");
	if (length && (str_to_u64(length, &n) < 0 || n > CALL_BODY_MAX))
		return fault_set(f, FAULT_BODY_SIZE, NULL, "a body may have %u bytes", CALL_BODY_MAX);
	return true;
}

void call_head(struct call *c, const char *method, const struct header *headers, unsigned n_headers,
	       const struct fault *wrong)
{
	struct fault f = {0}, doubt = {0};

	c->method = method;
	c->in->headers = headers;
	c->in->n_headers = n_headers;
	if (!token_find(c, &doubt) && !wrong)
		wrong = &doubt;
	c->in->began_ns = now_ns();
	if (!begin(c, wrong, &f))
		call_fail(c, &f);
}

bool call_body(struct call *c, const void *data, size_t len)
{
	struct call_inside *in = c->in;
	struct fault f = {0};

	if (in->answer.done)
		return false;
	if (len > CALL_BODY_MAX - in->body.len)
		fault_set(&f, FAULT_BODY_SIZE, NULL, "a body may have %u bytes", CALL_BODY_MAX);
	else if (!memory_take(len))
		fault_set(&f, FAULT_BUSY, NULL, "too much is under way to take a body of this size");
	if (!f.kind) {
		in->charged_body += len;
		buf_add(&in->body, data, len);
		if (!in->body.failed)
			return true;
		fault_set(&f, FAULT_BUSY, NULL, "no memory for the body");
	}
	body_forget(in);
	call_fail(c, &f);
	return false;
}

static bool type_is_json(const char *type)
{
	static const char json[] = "application/json";

	return type && !strncasecmp(type, json, sizeof json - 1) && strchr("; \t", type[sizeof json - 1]);
}

/* NULL without a fault: there is none. */
static json_t *body_read(struct call *c, struct fault *f)
{
	const char *type = call_header(c, "Content-Type");
	const struct buf *body = &c->in->body;
	bool wanted = c->route->flags & ROUTE_JSON;
	json_t *value;

	if (c->route->flags & ROUTE_NO_BODY || !strcmp(c->method, "GET") || !strcmp(c->method, "HEAD"))
		return NULL;
	if (wanted ? !type_is_json(type) : body->len && type && !type_is_json(type)) {
		fault_set(f, FAULT_BODY_TYPE, NULL, "Content-Type must be application/json");
		return NULL;
	}
	if (!body->len)
		return NULL;
	value = params_json(body->data, body->len, f);
	if (value && !json_is_object(value) && !json_is_null(value))
		fault_set(f, FAULT_SYNTAX, NULL, "the body must be a JSON object");
	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

static bool args_read(struct call *c, struct fault *f)
{
	json_t *query = NULL, *body = NULL;

	if (!c->route->args)
		return true;
	query = params_query(c->in->query, f);
	if (query && !f->kind)
		body = body_read(c, f);
	if (!f->kind)
		c->args = params_read(c->route->args, c->version, query, body, f);
	json_decref(query);
	json_decref(body);
	body_forget(c->in);
	return c->args;
}

static void on_who(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_TOKEN_REPLY && reply->token_reply->token) {
		const Berth__AccessToken *t = reply->token_reply->token;

		snprintf(c->who.project, sizeof c->who.project, "%s", t->project ? t->project : "");
		snprintf(c->who.user, sizeof c->who.user, "%s", t->user ? t->user : "");
		c->who.admin = t->role == BERTH__ACCESS_TOKEN__ROLE__ADMIN;
		c->who.expires_at = t->expires_at;
	}
	c->in->who_done(c);
}

void call_who(struct call *c, void (*fn)(struct call *c))
{
	Berth__TokenCheck m = BERTH__TOKEN_CHECK__INIT;

	c->in->who_done = fn;
	call_ask(c, BERTH__ENVELOPE__BODY_TOKEN_CHECK, &m, on_who);
}

static void admin_only(struct call *c)
{
	struct fault f = {0};

	if (c->who.admin || !(c->route->flags & ROUTE_ADMIN)) {
		c->route->handle(c);
		return;
	}
	fault_set(&f, FAULT_ADMIN, NULL, "only an admin's token may do this");
	call_fail(c, &f);
}

void call_end_of_body(struct call *c)
{
	struct fault f = {0};

	if (c->in->answer.done)
		return;
	c->in->began_ns = now_ns();
	if (!args_read(c, &f)) {
		call_fail(c, &f);
		return;
	}
	c->state = calloc(1, c->route->state + 1);
	if (!c->state) {
		fault_set(&f, FAULT_BUSY, NULL, "no memory");
		call_fail(c, &f);
	} else if (c->route->flags & (ROUTE_WHO | ROUTE_ADMIN)) {
		call_who(c, admin_only);
	} else {
		c->route->handle(c);
	}
}

/* ---------------------------------------------------------------- questions to berthd */

static int error_status(const Berth__Error *error)
{
	switch (error->code) {
	case BERTH__ERROR__CODE__INVALID:
	case BERTH__ERROR__CODE__UNSUPPORTED:
		return 400;
	case BERTH__ERROR__CODE__NOT_FOUND:
		return 404;
	case BERTH__ERROR__CODE__DENIED:
		return 403;
	case BERTH__ERROR__CODE__EXISTS:
	case BERTH__ERROR__CODE__CONFLICT:
	case BERTH__ERROR__CODE__AMBIGUOUS:
	case BERTH__ERROR__CODE__START_FAILED:
		return 409;
	case BERTH__ERROR__CODE__STALE:
		return 412;
	case BERTH__ERROR__CODE__EXHAUSTED:
	case BERTH__ERROR__CODE__UNAVAILABLE:
		return 503;
	case BERTH__ERROR__CODE__TIMEOUT:
		return 504;
	default:
		return 500;
	}
}

static void refused(struct call *c, const Berth__Error *error)
{
	struct fault f = {0};

	if (error->code == BERTH__ERROR__CODE__UNAUTHENTICATED) {
		fault_set(&f, FAULT_TOKEN, NULL, "the token is unknown, expired or revoked");
		call_fail(c, &f);
		return;
	}
	fault_set(&f, FAULT_REFUSED, error->field, "%s", error->text ? error->text : "berthd refused");
	f.status = error_status(error);
	f.error = error;
	call_fail(c, &f);
}

static void on_answered(struct question *q, const Berth__Envelope *reply, struct wire_fds *fds)
{
	struct call *c = &container_of(q, struct whole, in.question)->call;

	if (reply->body_case != BERTH__ENVELOPE__BODY_ERROR)
		c->in->reply(c, reply, fds);
	else
		c->in->refused(c, reply->error);
}

static void on_failed(struct question *q, enum upstream_failure why)
{
	struct call *c = &container_of(q, struct whole, in.question)->call;
	struct fault f = {0};

	if (why == UPSTREAM_LATE)
		fault_set(&f, FAULT_TIMEOUT, NULL, "berthd did not answer in time");
	else if (why == UPSTREAM_LOST)
		fault_set(&f, FAULT_UPSTREAM, NULL, "berthd went away meanwhile; whether it was done is not known");
	else
		fault_set(&f, FAULT_UPSTREAM, NULL, "berthd is not there now");
	call_fail(c, &f);
}

static const struct question_ops question_ops = {on_answered, on_failed};

/* Requests that change nothing need no client_token: asking them again is harmless. */
static bool body_changes(Berth__Envelope__BodyCase body)
{
	switch (body) {
	case BERTH__ENVELOPE__BODY_CONTAINER_WAIT:
	case BERTH__ENVELOPE__BODY_CONTAINER_INSPECT:
	case BERTH__ENVELOPE__BODY_CONTAINER_LIST:
	case BERTH__ENVELOPE__BODY_CONTAINER_LOGS:
	case BERTH__ENVELOPE__BODY_CONTAINER_TOP:
	case BERTH__ENVELOPE__BODY_CONTAINER_DIFF:
	case BERTH__ENVELOPE__BODY_CONTAINER_STATS:
	case BERTH__ENVELOPE__BODY_ACTIONS:
	case BERTH__ENVELOPE__BODY_POD_INSPECT:
	case BERTH__ENVELOPE__BODY_POD_LIST:
	case BERTH__ENVELOPE__BODY_IMAGE_LIST:
	case BERTH__ENVELOPE__BODY_IMAGE_INSPECT:
	case BERTH__ENVELOPE__BODY_VOLUME_LIST:
	case BERTH__ENVELOPE__BODY_INFO:
	case BERTH__ENVELOPE__BODY_CHECK:
	case BERTH__ENVELOPE__BODY_TOKEN_CHECK:
		return false;
	default:
		return true;
	}
}

void call_ask_with(struct call *c, Berth__Envelope__BodyCase body_case, const void *body, call_reply_fn *fn,
		   const struct ask_options *o)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	unsigned deadline_ms = o->deadline_ms ? o->deadline_ms : UPSTREAM_DEADLINE_MS;
	char client_token[sizeof c->id + 12];
	struct fault f = {0};
	int r;

	/* Only packed, never written. */
	env.token = (char *)(uintptr_t)c->token;
	env.project = (char *)(uintptr_t)o->project;
	env.request_id = c->id;
	snprintf(client_token, sizeof client_token, "%s.%u", c->id, c->in->asked++);
	env.client_token = body_changes(body_case) && !o->once ? client_token : NULL;
	env.has_accept = env.accept = o->accept;
	env.has_exact = env.exact = true; /* a cut uuid in a path is a mistake: it must not find something to delete */
	env.has_deadline_ms = true;
	env.deadline_ms = deadline_ms;
	env.body_case = body_case;
	env.hello = (void *)(uintptr_t)body;
	c->in->reply = fn;
	c->in->refused = o->refused ? o->refused : refused;
	c->in->question.ops = &question_ops;
	c->in->question.once = o->once;
	r = upstream_ask(&c->gw->upstream, &c->in->question, &env, now_ns() + deadline_ms * NS_PER_MS);
	if (r == 0)
		return;
	if (r == -E2BIG)
		fault_set(&f, FAULT_BODY_SIZE, NULL, "the request is larger than berthd takes");
	else
		fault_set(&f, FAULT_BUSY, NULL, "too many requests wait for berthd");
	call_fail(c, &f);
}

void call_ask(struct call *c, Berth__Envelope__BodyCase body_case, const void *body, call_reply_fn *fn)
{
	call_ask_with(c, body_case, body, fn, &(const struct ask_options){0});
}

/* ---------------------------------------------------------------- descriptors */

static void on_stream(struct stream *s)
{
	struct call *c = &container_of(s, struct whole, in.stream)->call;
	struct fault f = {0};

	if (s->end != STREAM_FULL) {
		c->in->stream_done(c, s);
		return;
	}
	fault_set(&f, FAULT_BUSY, NULL, "too much is under way to be read; ask for less, or later");
	call_fail(c, &f);
}

void call_stream(struct call *c, int fd, enum stream_kind kind, size_t max, uint32_t deadline_ms, call_stream_fn *fn)
{
	uint64_t deadline_ns = now_ns() + (deadline_ms ? deadline_ms : UPSTREAM_DEADLINE_MS) * NS_PER_MS;
	struct fault f = {0};
	int r;

	c->in->stream_done = fn;
	r = stream_open(&c->in->stream, &c->gw->loop, fd, kind, max, deadline_ns, on_stream);
	if (r == 0)
		return;
	fault_set(&f, FAULT_INTERNAL, NULL, "the stream of the container: %s", strerror(-r));
	call_fail(c, &f);
}

/* gateway/call.h - one HTTP request, from its head to its answer: all that a handler sees of it. It knows no socket: server.c makes
 * calls of what comes in, tests make them of nothing. */
#pragma once

#include "base/list.h"
#include "base/str.h"
#include "gateway/fault.h"
#include "gateway/json.h"
#include "gateway/params.h"
#include "gateway/route.h"
#include "gateway/stream.h"
#include "gateway/upstream.h"
#include "proto/berth.pb-c.h"
#include "proto/wire.h"

struct call;
struct dialect;
struct gateway;

/* berthd's answer: never an Error. fds that are not taken (wire_fds_take) are closed afterwards. */
typedef void call_reply_fn(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds);

struct call {
	struct gateway *gw;
	const struct dialect *dialect;
	const struct route *route; /* NULL until it is found */
	const char *method;	   /* "GET" */
	const char *token;	   /* NULL: none came */
	char id[sizeof "req-" + UUID_SIZE];
	unsigned version; /* set by the dialect's begin(), 0 before */
	json_t *args;	  /* an object; see params.h */
	void *state;	  /* route->state bytes, zeroed at first, freed with the call */
	struct {	  /* with ROUTE_WHO or ROUTE_ADMIN, or after call_who: whose token it is */
		char project[256], user[256];
		bool admin;
		int64_t expires_at; /* 0: never */
	} who;
	struct jw out; /* the answer's body */

	/* May be set by the handler: called once when the call ends, answered or given up, to undo what the handler has in the loop. */
	void (*cleanup)(struct call *c);

	struct call_inside *in; /* call.c's: calls.h */
};

/* Of the request; NULL when absent. Names of headers in any case. */
const char *call_header(const struct call *c, const char *name);
char *call_param(const struct call *c,
		 const char *name);	     /* what {name} of the route's path stood for; not to be written */
const char *call_path(const struct call *c); /* as it came, without query */
/* "http://HOST", by the Host header or the setting base_url, for links. */
const char *call_base(struct call *c);

/* Acts with this token from now on: for routes where it comes by other ways than a header. False: that is no token at all. */
bool call_token(struct call *c, const char *token);

/* A header of the answer; one of the same name is replaced. */
void call_set(struct call *c, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The answer: c->out is its body, application/json unless Content-Type was set. Nothing may be done with c afterwards. */
void call_reply(struct call *c, int status);
/* The answer is a refusal, written by the dialect's fail(). */
void call_fail(struct call *c, const struct fault *f);
/* The same from here: a FAULT_DIALECT with this status, code and text. */
void call_refuse(struct call *c, int status, int code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Asks berthd; fn gets its reply. body is the message of that case, packed before this returns. One question at a time. */
void call_ask(struct call *c, Berth__Envelope__BodyCase body_case, const void *body, call_reply_fn *fn);

/* Asks whose c->token is: then fn, with c->who filled. ROUTE_WHO does it before the handler. */
void call_who(struct call *c, void (*fn)(struct call *c));

struct ask_options {
	/* Called instead of the dialect's fail() when berthd refuses. */
	void (*refused)(struct call *c, const Berth__Error *error);
	bool accept;	      /* Envelope.accept: the reply comes when it was begun, not when it has ended */
	bool once;	      /* must not be asked again when berthd goes away before it answered (exec) */
	uint32_t deadline_ms; /* 0: 30 s */
	const char *project;  /* of an admin's question: another project than the token's */
};
void call_ask_with(struct call *c, Berth__Envelope__BodyCase body_case, const void *body, call_reply_fn *fn,
		   const struct ask_options *o);

/* Reads a descriptor of an answer to its end, at most max bytes of it (stream.h), for deadline_ms (0: 30 s); then fn, whatever the end. */
typedef void call_stream_fn(struct call *c, struct stream *s);
void call_stream(struct call *c, int fd, enum stream_kind kind, size_t max, uint32_t deadline_ms, call_stream_fn *fn);

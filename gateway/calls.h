/* gateway/calls.h - the life of a call, for those who make them: server.c and tests. Handlers see call.h alone. */
#pragma once

#include "gateway/call.h"
#include "gateway/gateway.h"

#define CALL_BODY_MAX (1u << 20)
#define CALL_OUT_MAX  (32u << 20)

struct header {
	const char *name, *value;
};

/* The answer is ready: status and c->out are final. May come from within call_head and call_end_of_body. */
typedef void call_done_fn(struct call *c);

struct call_answer {
	int status;
	struct header header[16]; /* owned */
	unsigned n_headers;
	bool done;
};

/* target is path and query as they came. NULL: out of memory. */
struct call *call_new(struct gateway *gw, const char *target, call_done_fn *done, void *owner);
/* The head is complete. The headers are borrowed until the end of the call. Then call->route is known or it is answered. wrong: what HTTP
 * has against the head already (NULL: nothing), to be said in the dialect's words. */
void call_head(struct call *c, const char *method, const struct header *headers, unsigned n_headers,
	       const struct fault *wrong);
/* False: too much; it is answered. */
bool call_body(struct call *c, const void *data, size_t len);
void call_end_of_body(struct call *c); /* the handler runs */
void call_free(struct call *c);	       /* answered or not: what it had under way is dropped */

const struct call_answer *call_answer(const struct call *c);
void *call_owner(const struct call *c);

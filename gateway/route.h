/* gateway/route.h - a dialect's table of routes, and which of them a path and method mean. Pure. */
#pragma once

#include "gateway/fault.h"
#include "gateway/params.h"

struct call;

enum {
	ROUTE_PUBLIC = 1,   /* needs no token */
	ROUTE_ADMIN = 2,    /* the token's role must be admin: asked of berthd before the handler */
	ROUTE_WHO = 4,	    /* c->who is asked of berthd before the handler: project, user, role of the token */
	ROUTE_JSON = 8,	    /* Content-Type must be application/json (415) even when there is no body */
	ROUTE_NO_BODY = 16, /* a body is not looked at (GET and HEAD never have one) */
};

struct route {
	const char *method;
	/* "/v1/containers/{id}/start". {name} is one segment, not empty. What stands in [ ] at the beginning may be left out:
	 * "[/v1]/containers". Doubled and trailing slashes do not count. */
	const char *path;
	void (*handle)(struct call *c);
	const struct schema *args; /* NULL: none are looked at */
	unsigned flags;
	unsigned since, until; /* versions of the dialect that have it; 0: all */
	const char *name;      /* in metrics; NULL: the path */
	size_t state;	       /* bytes for the handler at c->state, zeroed */
	const void *extra;     /* for the dialect */
};

#define ROUTE_PARAMS_MAX   8
#define ROUTE_SEGMENTS_MAX 32

/* A path in its decoded segments. */
struct path {
	char *text; /* owned; the segments lie in it */
	char *segment[ROUTE_SEGMENTS_MAX];
	unsigned n;
};

/* Splits before decoding, so that %2F does not separate. False with f set: bad escapes, NULs, bad UTF-8, too many segments; p then
 * has the segments before. */
bool path_parse(struct path *p, const char *raw, size_t len, struct fault *f);
void path_free(struct path *p);
bool path_below(const struct path *p, const char *root); /* root is "/", "/v3" … */

/* What the {names} of a pattern stood for. */
struct path_args {
	struct {
		const char *name; /* in the pattern, name_len bytes */
		unsigned name_len;
		char *value;
	} arg[ROUTE_PARAMS_MAX];
	unsigned n;
};

/* The row, the first that fits method, path and version; or NULL with f set: FAULT_ROUTE, FAULT_VERSION, or FAULT_METHOD with `allow`
 * filled ("GET, POST"). A path that no row has may still be of a row without a method (NULL): that takes any method. */
const struct route *route_find(const struct route *routes, const char *method, const struct path *path,
			       unsigned version, struct path_args *args, char *allow, size_t allow_size,
			       struct fault *f);

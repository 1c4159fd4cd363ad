/* gateway/fault.h - why a request is refused: what the core knows of it, before a dialect puts it into its own words. */
#pragma once

#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_ROUTE,	   /* 404: no such path */
	FAULT_METHOD,	   /* 405: the path has no such method; Allow is set */
	FAULT_VERSION,	   /* 406: not in this version of the dialect (route.since, until), or a bad version */
	FAULT_TOKEN,	   /* 401: no token, or berthd does not know it */
	FAULT_ADMIN,	   /* 403: the route is for admins (ROUTE_ADMIN) */
	FAULT_BODY_TYPE,   /* 415 */
	FAULT_BODY_SIZE,   /* 413 */
	FAULT_HEAD_SIZE,   /* 431 */
	FAULT_SYNTAX,	   /* 400: no JSON, no object, bad escapes in path or query */
	FAULT_ARG_UNKNOWN, /* 400: `field` is not known here */
	FAULT_ARG_MISSING, /* 400: `field` is required */
	FAULT_ARG_VALUE,   /* 400: `field` has a bad `value` */
	FAULT_ARG_VERSION, /* 400: `field` is not in this version (param.since, until) */
	FAULT_REFUSED,	   /* berthd said no: `error`; the status is by its code */
	FAULT_BUSY,	   /* 503: the gateway has too much to do; Retry-After is set */
	FAULT_UPSTREAM,	   /* 503: no berthd; Retry-After is set */
	FAULT_TIMEOUT,	   /* 504: berthd did not answer in time */
	FAULT_INTERNAL,	   /* 500 */
	FAULT_DIALECT,	   /* the dialect's own: status and text by it, `code` as it likes */
	FAULT_N_,
};

struct fault {
	enum fault_kind kind;
	int status;		   /* HTTP */
	int code;		   /* FAULT_DIALECT: a number of the dialect's own */
	bool in_query;		   /* the argument came in the query, else in the body */
	char field[128];	   /* path of the argument: "nets[0].network"; "" */
	char value[64];		   /* of it, as text, cut; "" */
	char text[512];		   /* one line for a person, without the field: "2 is less than the minimum of 4" */
	const Berth__Error *error; /* FAULT_REFUSED: berthd's words */
};

/* Fills f with the kind's own status and this text. Returns false, so that checks can `return fault_set(…)`. */
bool fault_set(struct fault *f, enum fault_kind kind, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The text alone: for param.check, where the rest is filled already. Returns false. */
bool fault_text(struct fault *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fault_status(enum fault_kind kind);
const char *fault_title(int status); /* "Not Found" */

/* gateway/params.h - what a route may be given, as a table; and the arguments read by it.
 *
 * Query and JSON body become one object of arguments. params_read() refuses what the table does not allow, names the field, and
 * leaves values of exactly the type that the table says, so that a handler needs no checks: arg_int(c->args, "timeout", 10). */
#pragma once

#include "gateway/fault.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum param_type {
	P_ANY,	  /* whatever JSON it is */
	P_STRING, /* min..max bytes */
	P_INT,	  /* min..max */
	P_NUMBER, /* min..max; the argument is a real */
	P_BOOL,
	P_ARRAY,  /* of `item`, min..max of them; in a query: that one item */
	P_MAP,	  /* an object with any keys and values as `item` says */
	P_OBJECT, /* an object as `inner` says */
};

enum {
	P_REQUIRED = 1,
	P_NULL = 2,  /* null is the same as absent; otherwise it is refused */
	P_QUERY = 4, /* only in the query … */
	P_BODY = 8,  /* … or only in the body; neither flag: in both */
	P_TEXT = 16, /* in JSON too a number or boolean may be written as a string: "128" (in a query it always is) */
	P_STRINGIFY = 32, /* numbers and booleans become strings */
	P_IGNORE = 64,	  /* may be given, is not read */
};

struct param {
	const char *name;
	enum param_type type;
	unsigned flags;
	double min, max;		/* both 0: no limits */
	unsigned since, until;		/* versions of the dialect that know it; 0: all */
	const char *words;		/* P_STRING: one of these; "tcp udp" */
	const char *yes, *no;		/* P_BOOL as text: these words; default "true True" and "false False" */
	bool (*fits)(const char *text); /* P_STRING: more to ask of it … */
	const char *shape;		/* … and what to say when it does not fit: "must be a name" */
	const struct param *item;
	const struct schema *inner;
	/* Last word: may replace *value (json_decref the old one), or refuse: false with f->text set (fault_text). */
	bool (*check)(const struct param *p, json_t **value, struct fault *f);
};

struct schema {
	const struct param *params; /* the last one has no name */
	bool open;		    /* names that it does not know are ignored, not refused */
};

/* Both may be NULL (none given); neither is consumed nor changed. The arguments (caller: json_decref), or NULL with f set. */
json_t *params_read(const struct schema *s, unsigned version, json_t *query, json_t *body, struct fault *f);

/* "a=1&b=x%20y" -> {"a": "1", "b": "x y"}; a name given twice, bad escapes, NULs and bad UTF-8 are refused: NULL with f set. */
json_t *params_query(const char *text, struct fault *f);
/* A JSON text -> its value, NULL with f set (line and column). Duplicate keys are refused. */
json_t *params_json(const char *text, size_t len, struct fault *f);

static inline bool arg_given(const json_t *args, const char *name)
{
	return json_object_get(args, name) != NULL;
}
/* The fallback is for what was not given. Strings live as long as the arguments and are not to be written: they are char * because
 * the fields of messages are. */
char *arg_str(const json_t *args, const char *name); /* NULL */
int64_t arg_int(const json_t *args, const char *name, int64_t fallback);
double arg_real(const json_t *args, const char *name, double fallback);
bool arg_bool(const json_t *args, const char *name, bool fallback);
json_t *arg_any(const json_t *args, const char *name); /* array, map, object: NULL */

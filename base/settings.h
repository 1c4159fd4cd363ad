/* base/settings.h - a file of settings into a struct, by a table of its fields.
 *
 * The file is lines of `key = value`; `#` begins a comment, a value may stand in double quotes. An error names file and line; an
 * unknown key, one given twice or a bad value is refused, and the struct is then as it was. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
	SETTING_PATH,	      /* absolute and clean; char[] as the two below */
	SETTING_PATH_OR_NONE, /* or empty */
	SETTING_NAME_OR_NONE, /* as str_is_name, or empty */
	SETTING_TEXT,
	SETTING_DURATION, /* uint64_t, ns */
	SETTING_NUMBER,	  /* uint32_t or uint64_t */
	SETTING_BYTES,	  /* the same, as "64m" */
	SETTING_BOOL,
};

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset, size; /* of the field */
	uint64_t min, max;   /* of numbers and durations */
};

#define SETTING_AS(key, owner, field, t, lo, hi)                                                                       \
	{                                                                                                              \
		.name = key, .type = t, .offset = offsetof(owner, field), .size = sizeof(((owner *)0)->field),         \
		.min = lo, .max = hi                                                                                   \
	}

struct settings {
	const struct setting *table;
	unsigned n; /* at most 64 */
	size_t object_size;
};

/* One setting by name, as in the file: also for the command line. e->step = the key. */
int settings_set(const struct settings *s, void *object, const char *key, const char *value, struct err *e);
int settings_parse(const struct settings *s, void *object, const char *file, const char *text, size_t len,
		   struct err *e);
/* A missing file is fine unless must_exist. */
int settings_load(const struct settings *s, void *object, const char *path, bool must_exist, struct err *e);

/* gateway/json.c - see gateway/json.h */
#include "gateway/json.h"

#include "proto/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 63

void jw_init(struct jw *j, size_t max)
{
	*j = (struct jw){0};
	buf_init(&j->buf, max);
}

void jw_fini(struct jw *j)
{
	buf_fini(&j->buf);
}

void jw_reset(struct jw *j)
{
	buf_reset(&j->buf);
	j->arrays = 0;
	j->depth = 0;
	j->more = false;
}

/* Comma and key of the value that comes next. */
static struct buf *next(struct jw *j, const char *key)
{
	if (j->more)
		buf_addc(&j->buf, ',');
	j->more = true;
	if (key) {
		json_quote(&j->buf, key);
		buf_addc(&j->buf, ':');
	}
	return &j->buf;
}

static void enter(struct jw *j, const char *key, bool array)
{
	buf_addc(next(j, key), array ? '[' : '{');
	if (j->depth == DEPTH_MAX) {
		j->buf.failed = true;
		return;
	}
	j->depth++;
	j->arrays = array ? j->arrays | 1ull << j->depth : j->arrays & ~(1ull << j->depth);
	j->more = false;
}

void jw_object(struct jw *j, const char *key)
{
	enter(j, key, false);
}

void jw_array(struct jw *j, const char *key)
{
	enter(j, key, true);
}

void jw_end(struct jw *j)
{
	if (!j->depth) {
		j->buf.failed = true;
		return;
	}
	buf_addc(&j->buf, j->arrays >> j->depth & 1 ? ']' : '}');
	j->depth--;
	j->more = true;
}

void jw_str(struct jw *j, const char *key, const char *value)
{
	json_quote(next(j, key), value);
}

void jw_fmt(struct jw *j, const char *key, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	jw_str(j, key, text);
}

void jw_text(struct jw *j, const char *key, const char *value, size_t len)
{
	struct buf *b = next(j, key);

	json_quote_bytes(b, value, len);
}

void jw_int(struct jw *j, const char *key, int64_t value)
{
	buf_printf(next(j, key), "%" PRId64, value);
}

void jw_uint(struct jw *j, const char *key, uint64_t value)
{
	buf_printf(next(j, key), "%" PRIu64, value);
}

/* The shortest of the usual forms that reads back as the same number, and as a real: 1.0, not 1. */
void jw_real(struct jw *j, const char *key, double value)
{
	char text[40];
	int digits = 15;

	if (!isfinite(value)) {
		jw_null(j, key);
		return;
	}
	do
		snprintf(text, sizeof text - 2, "%.*g", digits, value);
	while (digits++ < 17 && strtod(text, NULL) != value);
	if (!strpbrk(text, ".e"))
		strcat(text, ".0");
	buf_adds(next(j, key), text);
}

void jw_bool(struct jw *j, const char *key, bool value)
{
	buf_adds(next(j, key), value ? "true" : "false");
}

void jw_null(struct jw *j, const char *key)
{
	buf_adds(next(j, key), "null");
}

void jw_raw(struct jw *j, const char *key, const char *json, size_t len)
{
	buf_add(next(j, key), json, len);
}

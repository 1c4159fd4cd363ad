/* gateway/json.h - a small writer of JSON text onto a buffer: no tree, no allocation but the buffer's.
 *
 *	jw_object(j, NULL);
 *	jw_str(j, "name", "web");
 *	jw_array(j, "ports");
 *	jw_int(j, NULL, 80);
 *	jw_end(j);
 *	jw_end(j);			-> {"name":"web","ports":[80]}
 *
 * The key is NULL for items of an array and for the outermost value. Text that is not UTF-8 gets U+FFFD in its place. What went
 * wrong (no memory, over the buffer's cap) is in buf.failed, asked once at the end. (jansson owns the prefix json_.) */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct jw {
	struct buf buf;
	uint64_t arrays; /* a bit a level: that level is an array */
	uint8_t depth;	 /* at most 64 */
	bool more;	 /* a value stands before in this level: a comma comes first */
};

void jw_init(struct jw *j, size_t max);
void jw_fini(struct jw *j);
void jw_reset(struct jw *j); /* as if nothing had been written */

void jw_object(struct jw *j, const char *key);
void jw_array(struct jw *j, const char *key);
void jw_end(struct jw *j); /* of the object or array that was opened last */

void jw_str(struct jw *j, const char *key, const char *value); /* NULL is null */
void jw_fmt(struct jw *j, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void jw_text(struct jw *j, const char *key, const char *value, size_t len); /* any bytes, NULs included */
void jw_int(struct jw *j, const char *key, int64_t value);
void jw_uint(struct jw *j, const char *key, uint64_t value);
void jw_real(struct jw *j, const char *key, double value); /* 1.0 stays 1.0; what is not finite is null */
void jw_bool(struct jw *j, const char *key, bool value);
void jw_null(struct jw *j, const char *key);
void jw_raw(struct jw *j, const char *key, const char *json, size_t len); /* JSON that another writer has made */

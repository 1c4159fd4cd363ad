/* base/buf.h - growing byte buffer with a cap; what cannot be appended marks it failed, checked once at the end. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* always followed by a NUL once anything was appended */
	size_t len, size;
	size_t max;  /* 0 = no cap */
	bool failed; /* out of memory or over the cap: content is cut */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b); /* empty again, memory kept */

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Room for at least len more bytes at data+len, or NULL (failed is set). The caller adds to len what it used. */
char *buf_room(struct buf *b, size_t len);
void buf_drop(struct buf *b, size_t len); /* from the front */
char *buf_take(struct buf *b);		  /* the caller frees it; NULL if failed; "" if nothing was added */

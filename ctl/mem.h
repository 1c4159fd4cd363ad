/* ctl/mem.h - memory for a program that lives for one command: what cannot be had ends it with a message. */
#pragma once

#include <stddef.h>

struct strings {
	char **v; /* NULL after the last, so that it can be an argv */
	size_t n;
};

void *mem_zero(size_t size);
char *mem_text(const char *s);
char *mem_textn(const char *s, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Room for one more element at the end of an array of n; the new one is zeroed. */
void *mem_grow(void *array, size_t n, size_t element_size);

void strings_add(struct strings *l, const char *s); /* a copy */
void strings_fini(struct strings *l);

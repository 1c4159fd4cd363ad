/* ctl/mem.c - see ctl/mem.h */
#include "ctl/mem.h"

#include "base/own.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *mem_check(void *p)
{
	if (!p) {
		fputs("berth: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_zero(size_t size)
{
	return mem_check(calloc(1, size));
}

char *mem_text(const char *s)
{
	return mem_check(strdup(s));
}

char *mem_textn(const char *s, size_t len)
{
	return mem_check(strndup(s, len));
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return mem_check(n < 0 ? NULL : s);
}

void *mem_grow(void *array, size_t n, size_t element_size)
{
	char *p = mem_check(reallocarray(array, n + 1, element_size));

	memset(p + n * element_size, 0, element_size);
	return p;
}

void strings_add(struct strings *l, const char *s)
{
	l->v = mem_grow(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = mem_text(s);
	l->v[l->n] = NULL;
}

void strings_fini(struct strings *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct strings){0};
}

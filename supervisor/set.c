/* supervisor/set.c - see supervisor/set.h */
#include "supervisor/set.h"

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void set_null(char **text)
{
	if (*text != protobuf_c_empty_string)
		free(*text);
	*text = NULL;
}

void set_text(char **text, const char *fmt, ...)
{
	char *fresh = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&fresh, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	set_null(text);
	*text = fresh;
}

int strings_add(char ***list, size_t *n, const char *text)
{
	char **grown = realloc(*list, (*n + 1) * sizeof *grown);
	char *copy = strdup(text);

	if (grown)
		*list = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	grown[(*n)++] = copy;
	return 0;
}

void strings_free(char ***list, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		set_null(&(*list)[i]);
	free(*list);
	*list = NULL;
	*n = 0;
}

int strings_copy(char ***list, size_t *n, char *const *from, size_t n_from)
{
	char **fresh = NULL;
	size_t n_fresh = 0;

	for (size_t i = 0; i < n_from; i++)
		if (strings_add(&fresh, &n_fresh, from[i]) < 0) {
			strings_free(&fresh, &n_fresh);
			return -ENOMEM;
		}
	strings_free(list, n);
	*list = fresh;
	*n = n_fresh;
	return 0;
}

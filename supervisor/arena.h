/* supervisor/arena.h - memory for one message that is built, packed and forgotten: everything is freed at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *head;
	bool failed; /* something could not be had: what was built is not complete */
};
#define ARENA_INIT ((struct arena){0})

void arena_fini(struct arena *a);
void *arena_alloc(struct arena *a, size_t size); /* zeroed; NULL and failed */
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

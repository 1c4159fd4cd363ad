/* shim/arena.c - see shim/arena.h */
#include "shim/arena.h"

#include <errno.h>
#include <sys/mman.h>

static void *arena_alloc(void *data, size_t size)
{
	struct arena *a = data;
	size_t rounded = (size + 15) & ~(size_t)15;
	void *taken = a->base + a->used;

	if (rounded < size || rounded > a->size - a->used)
		return NULL;
	a->used += rounded;
	return taken;
}

static void arena_free(void *data, void *ptr)
{
	(void)data; /* all of it goes at once */
	(void)ptr;
}

void arena_init_on(struct arena *a, void *base, size_t size)
{
	*a = (struct arena){.allocator = {arena_alloc, arena_free, a}, .base = base, .size = size};
}

int arena_init(struct arena *a, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED) {
		*a = (struct arena){0};
		return -errno;
	}
	arena_init_on(a, base, size);
	a->mapped = size;
	return 0;
}

void arena_fini(struct arena *a)
{
	if (a->mapped)
		munmap(a->base, a->mapped);
	*a = (struct arena){0};
}

/* gateway/memory.c - see gateway/memory.h */
#include "gateway/memory.h"

#include <jansson.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

static size_t used, max = SIZE_MAX, tree_max = SIZE_MAX;
static bool refused;

static bool take(size_t n, size_t ceiling)
{
	if (used >= ceiling || n > ceiling - used)
		return false;
	used += n;
	return true;
}

bool memory_take(size_t n)
{
	return take(n, max - max / 8);
}

void memory_force(size_t n)
{
	used += n;
}

void memory_give(size_t n)
{
	used = n < used ? used - n : 0;
}

size_t memory_used(void)
{
	return used;
}

size_t memory_max(void)
{
	return max;
}

/* ---------------------------------------------------------------- jansson's */

static void *json_alloc(size_t n)
{
	void *p = NULL;

	if (n <= tree_max && used + n <= tree_max && take(n, max))
		p = malloc(n);
	else
		refused = true;
	if (!p)
		return NULL;
	/* What malloc gave is what free will see. */
	used += malloc_usable_size(p) - n;
	return p;
}

static void json_free(void *p)
{
	if (!p)
		return;
	memory_give(malloc_usable_size(p));
	free(p);
}

void memory_init(size_t ceiling)
{
	max = ceiling;
	/* Large pieces go back when they are freed. By default the first large one freed would move this limit up. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	json_set_alloc_funcs(json_alloc, json_free);
}

void memory_tree_begin(size_t size)
{
	tree_max = used + size;
	refused = false;
}

bool memory_tree_end(void)
{
	tree_max = SIZE_MAX;
	return refused;
}

/* supervisor/names.c - see supervisor/names.h */
#include "supervisor/names.h"

#include "supervisor/container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct names {
	uint32_t n_buckets; /* a power of two */
	struct container *bucket[];
};

static uint32_t hash(const struct names *n, const char *name)
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211ull;
	return (uint32_t)(h ^ h >> 32) & (n->n_buckets - 1);
}

int names_new(uint32_t capacity, struct names **ret)
{
	uint32_t n_buckets = 64;
	struct names *n;

	while (n_buckets < capacity && n_buckets < 1u << 20)
		n_buckets *= 2;
	n = calloc(1, sizeof *n + n_buckets * sizeof *n->bucket);
	if (!n)
		return -ENOMEM;
	n->n_buckets = n_buckets;
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	free(n);
}

void names_add(struct names *n, struct container *c)
{
	struct container **bucket = &n->bucket[hash(n, c->obj->meta->name)];

	c->next_name = *bucket;
	*bucket = c;
}

void names_del(struct names *n, struct container *c)
{
	struct container **at = &n->bucket[hash(n, c->obj->meta->name)];

	while (*at && *at != c)
		at = &(*at)->next_name;
	if (*at)
		*at = c->next_name;
	c->next_name = NULL;
}

struct container *names_find(const struct names *n, const char *project, const char *name, unsigned *ret_n)
{
	struct container *first = NULL;

	*ret_n = 0;
	for (struct container *c = n->bucket[hash(n, name)]; c; c = c->next_name)
		if (!strcmp(c->obj->meta->name, name) && (!project || !strcmp(c->obj->meta->project, project))) {
			first = first ? first : c;
			++*ret_n;
		}
	return first;
}

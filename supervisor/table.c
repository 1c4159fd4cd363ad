/* supervisor/table.c - see supervisor/table.h. Buckets are as many as the capacity at init: no growing, no pause. */
#include "supervisor/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t uuid_hash(const char *uuid)
{
	uint32_t h = 2166136261u; /* FNV-1a; uuids are random, nobody outside chooses them */

	for (; *uuid; uuid++)
		h = (h ^ (unsigned char)*uuid) * 16777619u;
	return h;
}

static struct table_node **table_bucket(const struct table *t, const char *uuid)
{
	return &t->bucket[uuid_hash(uuid) & (t->n_buckets - 1)];
}

int table_init(struct table *t, uint32_t capacity)
{
	uint32_t n = 64;

	while (n < capacity && n < 1u << 20)
		n *= 2;
	*t = (struct table){.capacity = capacity, .n_buckets = n, .bucket = calloc(n, sizeof *t->bucket)};
	list_init(&t->all);
	return t->bucket ? 0 : -ENOMEM;
}

void table_fini(struct table *t)
{
	free(t->bucket);
	*t = (struct table){0};
	list_init(&t->all);
}

int table_add(struct table *t, struct table_node *n)
{
	struct table_node **bucket;

	if (table_find(t, n->uuid))
		return -EEXIST;
	if (t->n >= t->capacity)
		return -ENOSPC;
	bucket = table_bucket(t, n->uuid);
	n->next = *bucket;
	*bucket = n;
	list_push(&t->all, &n->link);
	t->n++;
	return 0;
}

void table_del(struct table *t, struct table_node *n)
{
	struct table_node **at;

	for (at = table_bucket(t, n->uuid); *at; at = &(*at)->next) {
		if (*at != n)
			continue;
		*at = n->next;
		n->next = NULL;
		list_del(&n->link);
		t->n--;
		return;
	}
}

struct table_node *table_find(const struct table *t, const char *uuid)
{
	struct table_node *n;

	if (!t->bucket)
		return NULL;
	for (n = *table_bucket(t, uuid); n; n = n->next)
		if (!strcmp(n->uuid, uuid))
			return n;
	return NULL;
}

/* "0a1b2c3d4e5f" fits "0a1b2c3d-4e5f-…": people copy the twelve digits that lists show. */
bool table_uuid_begins(const char *uuid, const char *prefix)
{
	for (; *prefix; uuid++) {
		if (*uuid == '-' && *prefix != '-')
			continue;
		if (*uuid != *prefix)
			return false;
		prefix++;
	}
	return true;
}

struct table_node *table_find_prefix(const struct table *t, const char *prefix,
				     bool (*sees)(const void *arg, const struct table_node *n), const void *arg,
				     bool *ret_many)
{
	struct table_node *n, *found = NULL;

	*ret_many = false;
	if (!*prefix || *prefix == '-' || !t->all.next)
		return NULL;
	list_each (n, &t->all, link) {
		if (!table_uuid_begins(n->uuid, prefix) || (sees && !sees(arg, n)))
			continue;
		if (found) {
			*ret_many = true;
			return NULL;
		}
		found = n;
	}
	return found;
}

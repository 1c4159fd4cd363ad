/* supervisor/table.h - objects by uuid: a hash table of embedded nodes that also keeps the order of creation. */
#pragma once

#include "base/list.h"
#include "base/str.h"

#include <stdint.h>

struct table_node {
	struct list link;	 /* table.all, oldest first */
	struct table_node *next; /* same bucket */
	char uuid[UUID_SIZE];
	uint64_t id;
};

struct table {
	struct list all;
	struct table_node **bucket;
	uint32_t n, n_buckets, capacity;
};

int table_init(struct table *t, uint32_t capacity);   /* -ENOMEM */
void table_fini(struct table *t);		      /* does not free the objects */
int table_add(struct table *t, struct table_node *n); /* -EEXIST, -ENOSPC at capacity */
void table_del(struct table *t, struct table_node *n);
struct table_node *table_find(const struct table *t, const char *uuid);
/* By unambiguous uuid prefix (at least 1 character; the dashes may be left out) among those that arg may see. NULL with *ret_many true
 * when several fit. sees NULL: all. */
struct table_node *table_find_prefix(const struct table *t, const char *prefix,
				     bool (*sees)(const void *arg, const struct table_node *n), const void *arg,
				     bool *ret_many);
bool table_uuid_begins(const char *uuid, const char *prefix); /* as above */

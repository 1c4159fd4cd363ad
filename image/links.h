/* image/links.h - files with more names than one, and the first name under which each was seen: what keeps hard links together in
 * whatever walks a tree. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct links {
	struct link_seen *slot; /* owned; a hash table, size a power of two */
	size_t n, size;
};

const char *links_find(const struct links *l, dev_t dev, ino_t ino);	/* NULL: not seen yet */
int links_add(struct links *l, dev_t dev, ino_t ino, const char *path); /* of one that is not there; -ENOMEM */
void links_free(struct links *l);

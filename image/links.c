/* image/links.c - see image/links.h */
#include "image/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct link_seen {
	dev_t dev;
	ino_t ino;
	char *path; /* owned; NULL: a free slot */
};

static struct link_seen *slot_of(const struct links *l, dev_t dev, ino_t ino)
{
	size_t at = (size_t)((ino ^ dev) * 0x9e3779b97f4a7c15ull >> 20) & (l->size - 1);

	while (l->slot[at].path && (l->slot[at].dev != dev || l->slot[at].ino != ino))
		at = (at + 1) & (l->size - 1);
	return &l->slot[at];
}

static int grow(struct links *l)
{
	struct links old = *l;

	l->size = l->size ? 2 * l->size : 64;
	l->slot = calloc(l->size, sizeof *l->slot);
	if (!l->slot) {
		*l = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.size; i++)
		if (old.slot[i].path)
			*slot_of(l, old.slot[i].dev, old.slot[i].ino) = old.slot[i];
	free(old.slot);
	return 0;
}

const char *links_find(const struct links *l, dev_t dev, ino_t ino)
{
	return l->n ? slot_of(l, dev, ino)->path : NULL;
}

int links_add(struct links *l, dev_t dev, ino_t ino, const char *path)
{
	struct link_seen *s;

	if (2 * l->n >= l->size && grow(l) < 0)
		return -ENOMEM;
	s = slot_of(l, dev, ino);
	*s = (struct link_seen){dev, ino, strdup(path)};
	if (!s->path)
		return -ENOMEM;
	l->n++;
	return 0;
}

void links_free(struct links *l)
{
	for (size_t i = 0; i < l->size; i++)
		free(l->slot[i].path);
	free(l->slot);
	*l = (struct links){0};
}

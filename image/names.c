/* image/names.c - see image/names.h */
#include "image/names.h"

#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_fini(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i]);
	free(l->item);
	*l = (struct names){0};
}

static int add(struct names *l, size_t *size, const char *name)
{
	if (l->n == *size) {
		size_t more = *size ? 2 * *size : 32;
		char **grown = realloc(l->item, more * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		l->item = grown;
		*size = more;
	}
	l->item[l->n] = strdup(name);
	if (!l->item[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

int names_read(int dir_fd, struct names *ret)
{
	int own = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = own < 0 ? NULL : fdopendir(own);
	struct names l = {0};
	struct dirent *entry;
	size_t size = 0;

	if (!dir) {
		r = -errno;
		close_fd(&own);
		return r;
	}
	while (!r && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = add(&l, &size, entry->d_name);
	if (!r && errno)
		r = -errno;
	closedir(dir);
	if (r < 0) {
		names_fini(&l);
		return r;
	}
	if (l.n)
		qsort(l.item, l.n, sizeof *l.item, compare);
	*ret = l;
	return 0;
}

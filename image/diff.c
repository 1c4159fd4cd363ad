/* image/diff.c - see image/diff.h. Overlayfs copies every folder up in which something changes: those are told when something below them
 * is, or when they differ themselves. */
#include "image/diff.h"

#include "base/own.h"
#include "image/names.h"
#include "image/node.h"
#include "image/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

struct diff {
	const struct diff_how *how;
	struct err *e;
	char path[PATH_MAX];
	size_t len;
	unsigned depth;
	size_t end[PACK_DEPTH_MAX + 1]; /* of the paths of the folders that we are in */
	bool told[PACK_DEPTH_MAX + 1];
};

static int fail(struct diff *d, const char *what)
{
	return err_set(d->e, errno, "diff", "%s /%.300s", what, d->path);
}

/* After the folders that it is in. */
static int tell(struct diff *d, enum diff_kind kind)
{
	int r = 0;

	for (unsigned i = 1; !r && i < d->depth; i++) {
		char saved = d->path[d->end[i]];

		if (d->told[i])
			continue;
		d->told[i] = true;
		d->path[d->end[i]] = 0;
		r = d->how->put(d->how->arg, DIFF_CHANGED, d->path, d->e);
		d->path[d->end[i]] = saved;
	}
	return r ? r : d->how->put(d->how->arg, kind, d->path, d->e);
}

static bool is_opaque(int fd)
{
	char value;

	return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static bool attributes_differ(const struct diff *d, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		return true;
	if (d->how->touched && d->how->touched(d->how->arg, d->path))
		return false;
	return a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

/* A part more of the path; false: it is too long. */
static bool path_push(struct diff *d, const char *name)
{
	size_t len = d->len;
	int n = snprintf(d->path + len, sizeof d->path - len, "%s%s", len ? "/" : "", name);

	if ((size_t)n >= sizeof d->path - len) {
		d->path[len] = 0;
		return false;
	}
	d->len += (size_t)n;
	return true;
}

static int folder_diff(struct diff *d, int upper, int lower);

static int open_folder(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* lower -1: there is nothing below here. */
static int entry_diff(struct diff *d, int upper_dir, int lower_dir, const char *name)
{
	struct stat upper, lower;
	bool below = lower_dir >= 0 && fstatat(lower_dir, name, &lower, AT_SYMLINK_NOFOLLOW) == 0;
	bool both;
	AUTO_FD upper_fd = -1;
	AUTO_FD lower_fd = -1;
	int r;

	if (fstatat(upper_dir, name, &upper, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(d, "look at");
	if (node_is_whiteout(&upper))
		return below ? tell(d, DIFF_DELETED) : 0;
	if (!S_ISDIR(upper.st_mode))
		return tell(d, below ? DIFF_CHANGED : DIFF_ADDED);
	both = below && S_ISDIR(lower.st_mode);
	upper_fd = open_folder(upper_dir, name);
	if (upper_fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : fail(d, "open");
	if (both && (lower_fd = open_folder(lower_dir, name)) < 0)
		return fail(d, "open");
	if (d->depth >= PACK_DEPTH_MAX)
		return err_set(d->e, ELOOP, "diff", "%.300s: more than %d folders within each other", d->path,
			       PACK_DEPTH_MAX);
	d->told[d->depth] = false;
	if (!both || attributes_differ(d, &upper, &lower)) {
		r = tell(d, below ? DIFF_CHANGED : DIFF_ADDED);
		d->told[d->depth] = true;
		if (r < 0)
			return r;
	}
	d->end[d->depth] = d->len;
	return folder_diff(d, upper_fd, lower_fd);
}

static int name_diff(struct diff *d, int upper, int lower, const char *name, bool gone)
{
	size_t len = d->len;
	int r = 0;

	if (!path_push(d, name))
		return err_set(d->e, ENAMETOOLONG, "diff", "%.300s…", d->path);
	if (!d->how->skip || !d->how->skip(d->how->arg, d->path))
		r = gone ? tell(d, DIFF_DELETED) : entry_diff(d, upper, lower, name);
	d->len = len;
	d->path[len] = 0;
	return r;
}

/* Both lists in one order. Of an opaque folder all that only the layers below have is gone. */
static int names_diff(struct diff *d, int upper, int lower, const struct names *above, const struct names *below)
{
	size_t a = 0, b = 0;
	int r = 0;

	while (!r && (a < above->n || b < below->n)) {
		int order = a == above->n ? 1 : b == below->n ? -1 : strcmp(above->item[a], below->item[b]);

		r = name_diff(d, upper, lower, order > 0 ? below->item[b] : above->item[a], order > 0);
		a += order <= 0;
		b += order >= 0;
	}
	return r;
}

static int folder_diff(struct diff *d, int upper, int lower)
{
	struct names above = {0}, below = {0};
	int r = names_read(upper, &above);

	if (!r && lower >= 0 && is_opaque(upper))
		r = names_read(lower, &below);
	d->depth++;
	if (r < 0) {
		errno = -r;
		r = fail(d, "read");
	} else {
		r = names_diff(d, upper, lower, &above, &below);
	}
	d->depth--;
	names_fini(&above);
	names_fini(&below);
	return r;
}

int tree_diff(const struct diff_how *how, int upper_fd, int lower_fd, struct err *e)
{
	struct diff d = {.how = how, .e = e};

	return folder_diff(&d, upper_fd, lower_fd);
}

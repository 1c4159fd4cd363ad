/* image/merge.c - see image/merge.h. Every folder of the layer is in the table, since nothing else makes folders in it; folders
 * that only lower layers have enter it when a path leads through them. Which lower layers show through a folder follows from
 * its parent's: overlayfs looks for a name in each of them from the top, merges folders, and stops at an opaque folder, at a
 * whiteout, and at anything that is not a folder. */
#include "image/merge.h"

#include "base/file.h"
#include "base/own.h"
#include "image/node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define SYMLINKS_MAX 40 /* as the kernel's */

static int open_beneath(int fd, const char *path, int flags)
{
	return path_open(fd, *path ? path : ".", (uint64_t)flags | O_NOFOLLOW,
			 RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/* ---------------------------------------------------------------- the table */

static uint32_t path_hash(const char *path)
{
	uint32_t h = 2166136261u;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 16777619u;
	return h;
}

static void dir_free(struct merge_dir *d)
{
	if (!d)
		return;
	free(d->path);
	free(d->lower);
	free(d);
}

static unsigned slot_find(const struct merge *m, const char *path)
{
	unsigned i = path_hash(path) & (m->n_slots - 1);

	while (m->slot[i] && strcmp(m->slot[i]->path, path))
		i = (i + 1) & (m->n_slots - 1);
	return i;
}

static int table_grow(struct merge *m)
{
	struct merge grown = {.n_slots = m->n_slots ? m->n_slots * 2 : 256};

	grown.slot = calloc(grown.n_slots, sizeof(struct merge_dir *));
	if (!grown.slot)
		return -ENOMEM;
	for (unsigned i = 0; i < m->n_slots; i++)
		if (m->slot[i])
			grown.slot[slot_find(&grown, m->slot[i]->path)] = m->slot[i];
	free(m->slot);
	m->slot = grown.slot;
	m->n_slots = grown.n_slots;
	return 0;
}

static size_t dir_bytes(const struct merge *m, const struct merge_dir *d)
{
	return sizeof *d + strlen(d->path) + m->n_lower + 64; /* what malloc and the slots add */
}

/* Takes d. */
static int dir_insert(struct merge *m, struct merge_dir *d, struct err *e)
{
	if (m->n_dirs == MERGE_DIRS_MAX || m->bytes + dir_bytes(m, d) > MERGE_BYTES_MAX) {
		dir_free(d);
		return err_set(e, E2BIG, "unpack", "table of folders");
	}
	if ((2 * m->n_dirs >= m->n_slots && table_grow(m) < 0)) {
		dir_free(d);
		return err_set(e, ENOMEM, "unpack", "table of folders");
	}
	m->slot[slot_find(m, d->path)] = d;
	m->n_dirs++;
	m->bytes += dir_bytes(m, d);
	return 0;
}

static struct merge_dir *dir_new(const char *path, unsigned lower_room)
{
	struct merge_dir *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->path = strdup(path);
	d->lower = malloc(lower_room ? lower_room : 1);
	if (!d->path || !d->lower) {
		dir_free(d);
		return NULL;
	}
	return d;
}

static int path_join(char buf[MERGE_PATH_SIZE], const struct merge_dir *dir, const char *name, size_t len,
		     struct err *e)
{
	int n = snprintf(buf, MERGE_PATH_SIZE, "%s%s%.*s", dir->path, *dir->path ? "/" : "", (int)len, name);

	return n >= MERGE_PATH_SIZE ? err_set(e, ENAMETOOLONG, "unpack", "%.100s…", buf) : 0;
}

struct merge_dir *merge_lookup(struct merge *m, struct merge_dir *parent, const char *name)
{
	char path[MERGE_PATH_SIZE];

	return path_join(path, parent, name, strlen(name), NULL) < 0 ? NULL : m->slot[slot_find(m, path)];
}

int merge_init(struct merge *m, int fd, const int *lower_fd, unsigned n_lower, struct err *e)
{
	struct merge_dir *root;

	*m = (struct merge){.fd = fd, .lower_fd = lower_fd, .n_lower = n_lower};
	if (n_lower > UINT8_MAX)
		return err_set(e, 0, "unpack", "too many layers");
	root = dir_new("", n_lower);
	if (!root)
		return err_set(e, ENOMEM, "unpack", "table of folders");
	root->made = true;
	for (; root->n_lower < n_lower; root->n_lower++)
		root->lower[root->n_lower] = (uint8_t)root->n_lower;
	return dir_insert(m, root, e);
}

void merge_fini(struct merge *m)
{
	for (unsigned i = 0; i < m->n_slots; i++)
		dir_free(m->slot[i]);
	free(m->slot);
	*m = (struct merge){.fd = -1};
}

static bool is_below(const struct merge_dir *d, const char *path, size_t len)
{
	return *d->path && (!len || (!strncmp(d->path, path, len) && d->path[len] == '/'));
}

/* Takes out path and what is below it; with only_unmade what is below it and not in the layer. It walks over the whole table:
 * this is rare. */
static int table_filter(struct merge *m, const char *path, bool only_unmade, struct err *e)
{
	struct merge kept = {.n_slots = m->n_slots, .slot = calloc(m->n_slots, sizeof(struct merge_dir *))};
	size_t len = strlen(path);

	if (!kept.slot)
		return err_set(e, ENOMEM, "unpack", "table of folders");
	for (unsigned i = 0; i < m->n_slots; i++) {
		struct merge_dir *d = m->slot[i];
		bool out;

		if (!d)
			continue;
		out = only_unmade ? is_below(d, path, len) && !d->made
				  : is_below(d, path, len) || !strcmp(d->path, path);
		if (out) {
			dir_free(d);
		} else {
			kept.slot[slot_find(&kept, d->path)] = d;
			kept.n_dirs++;
			kept.bytes += dir_bytes(m, d);
		}
	}
	free(m->slot);
	m->slot = kept.slot;
	m->n_dirs = kept.n_dirs;
	m->bytes = kept.bytes;
	return 0;
}

int merge_drop(struct merge *m, struct merge_dir *parent, const char *name, struct err *e)
{
	char path[MERGE_PATH_SIZE];
	int r = path_join(path, parent, name, strlen(name), e);

	if (r < 0)
		return r;
	return m->slot[slot_find(m, path)] ? table_filter(m, path, false, e) : 0;
}

int merge_opaque(struct merge *m, struct merge_dir *dir, struct err *e)
{
	size_t len = strlen(dir->path);

	dir->opaque = true;
	dir->n_lower = 0;
	/* What those layers have below it is hidden too. */
	for (unsigned i = 0; i < m->n_slots; i++)
		if (m->slot[i] && is_below(m->slot[i], dir->path, len))
			m->slot[i]->n_lower = 0;
	return table_filter(m, dir->path, true, e);
}

/* ---------------------------------------------------------------- the layers below */

static bool is_opaque(int fd)
{
	char value;

	return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/* What lower layer i has at path; *ret_fd opened with O_PATH when it is not a folder, O_RDONLY when it is one. */
static enum merge_type lower_look(const struct merge *m, unsigned i, const char *path, int *ret_fd)
{
	AUTO_FD fd = open_beneath(m->lower_fd[i], path, O_PATH);
	struct stat st;

	*ret_fd = -1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return MERGE_NONE;
	if (!S_ISDIR(st.st_mode)) {
		*ret_fd = take_fd(&fd);
		return MERGE_OTHER;
	}
	*ret_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? MERGE_NONE : MERGE_FOLDER;
}

static bool is_whiteout(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

/* What shows at path, a name in dir. child (may be NULL) gets the layers that show through it. */
static enum merge_type lower_find(const struct merge *m, const struct merge_dir *dir, const char *path,
				  struct merge_dir *child, int *ret_fd)
{
	enum merge_type found = MERGE_NONE;

	*ret_fd = -1;
	for (unsigned i = 0; i < dir->n_lower; i++) {
		AUTO_FD fd = -1;
		enum merge_type type = lower_look(m, dir->lower[i], path, &fd);
		bool last;

		if (type == MERGE_NONE)
			continue;
		if (type == MERGE_OTHER) {
			if (found == MERGE_NONE && !is_whiteout(fd)) {
				*ret_fd = take_fd(&fd);
				found = MERGE_OTHER;
			}
			break;
		}
		last = is_opaque(fd);
		if (found == MERGE_NONE)
			*ret_fd = take_fd(&fd);
		found = MERGE_FOLDER;
		if (child)
			child->lower[child->n_lower++] = dir->lower[i];
		if (last || !child)
			break;
	}
	return found;
}

enum merge_type merge_lower(struct merge *m, struct merge_dir *dir, const char *name, int *ret_fd)
{
	char path[MERGE_PATH_SIZE];
	enum merge_type type;
	AUTO_FD fd = -1;

	if (path_join(path, dir, name, strlen(name), NULL) < 0)
		return MERGE_NONE;
	type = lower_find(m, dir, path, NULL, &fd);
	if (ret_fd)
		*ret_fd = type == MERGE_OTHER ? take_fd(&fd) : -1;
	return type;
}

/* ---------------------------------------------------------------- folders of the layer */

int merge_open(struct merge *m, const struct merge_dir *dir, struct err *e)
{
	int fd = open_beneath(m->fd, dir->path, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? err_set(e, errno, "unpack", "%.200s", *dir->path ? dir->path : "/") : fd;
}

int merge_made(struct merge *m, struct merge_dir *parent, const char *name, bool opaque, struct merge_dir **ret,
	       struct err *e)
{
	char path[MERGE_PATH_SIZE];
	struct merge_dir *d;
	int r = path_join(path, parent, name, strlen(name), e);

	if (r < 0)
		return r;
	d = m->slot[slot_find(m, path)];
	if (!d) {
		AUTO_FD fd = -1;

		d = dir_new(path, parent->n_lower);
		if (!d)
			return err_set(e, ENOMEM, "unpack", "table of folders");
		if (!opaque)
			lower_find(m, parent, path, d, &fd);
		if ((r = dir_insert(m, d, e)) < 0)
			return r;
	}
	d->made = true;
	d->opaque |= opaque;
	*ret = d;
	return 0;
}

/* Makes in the layer a folder that only lower layers have: with their attributes, as overlayfs copies one up. */
static int folder_copy_up(struct merge *m, int parent_fd, const char *name, struct merge_dir *parent,
			  struct merge_dir *d, struct err *e)
{
	AUTO_FD from = -1;
	AUTO_FD fd = -1;
	struct stat st;

	if (lower_find(m, parent, d->path, NULL, &from) != MERGE_FOLDER || fstat(from, &st) < 0)
		return err_set(e, ENOENT, "unpack", "%.200s", d->path);
	if (mkdirat(parent_fd, name, 0700) < 0)
		return err_set(e, errno, "unpack", "folder %.200s", d->path);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
		return err_set(e, errno, "unpack", "folder %.200s", d->path);
	if (node_copy_xattrs(from, fd, d->path, e) < 0)
		return -EIO;
	d->made = true;
	d->mtime = st.st_mtim;
	return 0;
}

/* Makes dir in the layer, its parents first. The path holds no symlinks, so each prefix is a folder in the table. */
static int folder_make(struct merge *m, struct merge_dir *dir, struct err *e)
{
	struct merge_dir *parent = m->slot[slot_find(m, "")];
	char path[MERGE_PATH_SIZE];
	size_t start = 0;

	if (dir->made)
		return 0;
	snprintf(path, sizeof path, "%s", dir->path);
	for (size_t end; path[start]; start = end) {
		struct merge_dir *d;
		bool last;
		int r;

		end = start + strcspn(path + start, "/");
		last = !path[end];
		path[end] = 0;
		d = m->slot[slot_find(m, path)];
		if (!d)
			return err_set(e, ENOENT, "unpack", "%.200s", path);
		if (!d->made) {
			AUTO_FD fd = merge_open(m, parent, e);

			if (fd < 0 || (r = folder_copy_up(m, fd, path + start, parent, d, e)) < 0)
				return -EIO;
		}
		parent = d;
		if (last)
			break;
		path[end++] = '/';
	}
	return 0;
}

/* ---------------------------------------------------------------- the walk */

struct route { /* what is still to be walked */
	char left[2 * MERGE_PATH_SIZE];
	unsigned symlinks, depth;
	struct merge_dir *at;
};

static struct merge_dir *root_of(const struct merge *m)
{
	return m->slot[slot_find(m, "")];
}

static struct merge_dir *parent_of(const struct merge *m, const struct merge_dir *d)
{
	char path[MERGE_PATH_SIZE], *slash;

	snprintf(path, sizeof path, "%s", d->path);
	slash = strrchr(path, '/');
	*(slash ? slash : path) = 0;
	return m->slot[slot_find(m, path)];
}

/* Puts a symlink's target before what is left. */
static int route_turn(struct merge *m, struct route *route, int link_fd, int dir_fd, const char *name, const char *rest,
		      struct err *e)
{
	char target[MERGE_PATH_SIZE], joined[sizeof route->left];
	ssize_t n = readlinkat(dir_fd >= 0 ? dir_fd : link_fd, dir_fd >= 0 ? name : "", target, sizeof target - 1);
	int len;

	if (n <= 0)
		return err_set(e, n < 0 ? errno : ENOENT, "unpack", "symlink %.200s", name);
	target[n] = 0;
	if (++route->symlinks > SYMLINKS_MAX)
		return err_set(e, ELOOP, "unpack", "%.200s", name);
	len = snprintf(joined, sizeof joined, "%s/%s", target, rest);
	if (len < 0 || (size_t)len >= sizeof joined)
		return err_set(e, ENAMETOOLONG, "unpack", "symlink %.200s", name);
	if (target[0] == '/')
		route->at = root_of(m);
	memcpy(route->left, joined, (size_t)len + 1);
	return 0;
}

/* A folder that nobody has: 0755 root, of no time (an archive that leaves it out says nothing about it). */
static int folder_invent(struct merge *m, struct merge_dir *parent, const char *name, bool opaque,
			 struct merge_dir **ret, struct err *e)
{
	AUTO_FD fd = -1;
	AUTO_FD made = -1;
	int r = folder_make(m, parent, e);

	if (r < 0)
		return r;
	fd = merge_open(m, parent, e);
	if (fd < 0)
		return fd;
	if (mkdirat(fd, name, 0755) < 0)
		return err_set(e, errno, "unpack", "folder %.200s", name);
	made = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0 || fchown(made, 0, 0) < 0 || fchmod(made, 0755) < 0 || (opaque && node_set_opaque(made) < 0))
		return err_set(e, errno, "unpack", "folder %.200s", name);
	return merge_made(m, parent, name, opaque, ret, e);
}

/* One step from route->at to the folder name, or to where a symlink of that name leads. make: what is missing is made. */
static int route_step(struct merge *m, struct route *route, const char *name, const char *rest, bool make,
		      struct err *e)
{
	struct merge_dir *d = merge_lookup(m, route->at, name);
	char path[MERGE_PATH_SIZE];
	AUTO_FD fd = -1;
	AUTO_FD dir_fd = -1;
	struct stat st;
	bool hidden = false;

	if (d) {
		route->at = d;
		return 0;
	}
	if (path_join(path, route->at, name, strlen(name), e) < 0)
		return -ENAMETOOLONG;
	if (route->at->made) {
		dir_fd = merge_open(m, route->at, e);
		if (dir_fd < 0)
			return dir_fd;
		if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (S_ISLNK(st.st_mode))
				return route_turn(m, route, -1, dir_fd, name, rest, e);
			if (!S_ISCHR(st.st_mode) || st.st_rdev)
				return err_set(e, ENOTDIR, "unpack", "%.200s", path);
			/* A whiteout of this layer, and now something below it: a new folder that hides the old one. */
			hidden = true;
			if (make && unlinkat(dir_fd, name, 0) < 0)
				return err_set(e, errno, "unpack", "%.200s", path);
		}
	}
	if (!hidden) {
		d = dir_new(path, route->at->n_lower);
		if (!d)
			return err_set(e, ENOMEM, "unpack", "table of folders");
		switch (lower_find(m, route->at, path, d, &fd)) {
		case MERGE_FOLDER:
			route->at = d;
			return dir_insert(m, d, e);
		case MERGE_OTHER:
			dir_free(d);
			if (fstat(fd, &st) == 0 && S_ISLNK(st.st_mode))
				return route_turn(m, route, fd, -1, name, rest, e);
			return err_set(e, ENOTDIR, "unpack", "%.200s", path);
		case MERGE_NONE:
			dir_free(d);
		}
	}
	if (!make)
		return err_set(e, ENOENT, "unpack", "%.200s", path);
	return folder_invent(m, route->at, name, hidden, &route->at, e);
}

static int route_walk(struct merge *m, struct route *route, bool make, struct err *e)
{
	char name[NAME_MAX + 1], rest[sizeof route->left];

	while (route->left[0]) {
		size_t len = strcspn(route->left, "/");
		int r = 0;

		if (len > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "unpack", "%.100s…", route->left);
		memcpy(name, route->left, len);
		name[len] = 0;
		snprintf(rest, sizeof rest, "%s", route->left + len + (route->left[len] == '/'));
		memcpy(route->left, rest, strlen(rest) + 1);
		if (!strcmp(name, ".."))
			route->at = parent_of(m, route->at);
		else if (len && strcmp(name, "."))
			r = route_step(m, route, name, rest, make, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int path_check(const char *path, struct err *e)
{
	unsigned depth = 0;

	if (strlen(path) >= MERGE_PATH_SIZE)
		return err_set(e, ENAMETOOLONG, "unpack", "%.100s…", path);
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && !memcmp(p, "..", 2))
			return err_set(e, 0, "unpack", "'%.200s': an entry may not contain '..'", path);
		if (len > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "unpack", "%.100s…", path);
		depth += len && !(len == 1 && *p == '.');
		p += len + (p[len] == '/');
	}
	if (depth > MERGE_DEPTH_MAX)
		return err_set(e, 0, "unpack", "'%.100s…': folders nested deeper than %d", path, MERGE_DEPTH_MAX);
	return 0;
}

int merge_parent(struct merge *m, const char *path, bool make, struct merge_dir **ret, const char **ret_name,
		 struct err *e)
{
	struct route route = {.at = root_of(m)};
	const char *slash = strrchr(path, '/');
	int r = path_check(path, e);

	if (r < 0)
		return r;
	*ret_name = slash ? slash + 1 : path;
	snprintf(route.left, sizeof route.left, "%.*s", slash ? (int)(slash - path) : 0, path);
	if ((r = route_walk(m, &route, make, e)) < 0 || (make && (r = folder_make(m, route.at, e)) < 0))
		return r;
	*ret = route.at;
	return 0;
}

int merge_times(struct merge *m, struct err *e)
{
	for (unsigned i = 0; i < m->n_slots; i++) {
		struct merge_dir *d = m->slot[i];
		struct timespec times[2];
		AUTO_FD fd = -1;

		if (!d || !d->made)
			continue;
		fd = merge_open(m, d, e);
		if (fd < 0)
			return fd;
		times[0] = times[1] = d->mtime;
		if (futimens(fd, times) < 0)
			return err_set(e, errno, "unpack", "times of %.200s", d->path);
	}
	return 0;
}

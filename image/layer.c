/* image/layer.c - see image/layer.h. Two imports of one layer meet at the flock of tmp/<chain hex>.lock: the second finds it
 * done. */
#include "image/layer.h"

#include "base/file.h"
#include "base/own.h"
#include "image/damaged.h"
#include "image/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DEPTH_MAX 512 /* deeper than any that was unpacked: a guard for the recursion */

static void layer_path(char buf[96], const char *folder, const char *chain_id, const char *suffix)
{
	snprintf(buf, 96, "%s/%.64s%s", folder, chain_id + 7, suffix);
}

int layer_look(struct image_store *s, const char *chain_id)
{
	char path[96];

	layer_path(path, "layers", chain_id, "");
	return openat(s->dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens it, unless it is damaged, and renews its times, so that a sweep whose list is older leaves it alone. Changing the mode to what it is touches
 * the ctime and nothing else. -1: not there. */
static int layer_open(struct image_store *s, const char *chain_id)
{
	AUTO_FD fd = layer_look(s, chain_id);
	struct stat st;

	if (fd < 0 || damaged_is(s, DAMAGED_LAYER, chain_id) || fstat(fd, &st) < 0 ||
	    fchmod(fd, st.st_mode & 07777) < 0)
		return -1;
	return take_fd(&fd);
}

bool layer_is_there(struct image_store *s, const char *chain_id)
{
	AUTO_FD fd = layer_open(s, chain_id);

	return fd >= 0;
}

/* The lock's file goes with the import that held it: whoever waited for one that is gone by then starts again. */
static int lock_take(struct image_store *s, const char *path, struct err *e)
{
	for (;;) {
		AUTO_FD fd = openat(s->dir_fd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat mine, named;

		if (fd < 0)
			return err_set(e, errno, "layer", "%s", path);
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return err_set(e, errno, "layer", "%s", path);
		if (fstat(fd, &mine) == 0 && fstatat(s->dir_fd, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    mine.st_ino == named.st_ino)
			return take_fd(&fd);
	}
}

static void lock_drop(struct image_store *s, const char *path, int *fd)
{
	unlinkat(s->dir_fd, path, 0);
	close_fd(fd);
}

/* A new empty folder as a layer's root is when its archive does not say otherwise. */
int layer_begin(struct image_store *s, const char *path, struct err *e)
{
	AUTO_FD fd = -1;
	int r = dir_remove_all(s->dir_fd, path); /* of a job that was killed */

	if (r < 0)
		return err_set(e, r, "layer", "%s", path);
	if (mkdirat(s->dir_fd, path, 0700) < 0)
		return err_set(e, errno, "layer", "%s", path);
	fd = openat(s->dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, 0, 0) < 0 || fchmod(fd, 0755) < 0)
		return err_set(e, errno, "layer", "%s", path);
	return take_fd(&fd);
}

static int folder_end(struct image_store *s, int fd, const char *tmp, const char *chain_id, struct err *e)
{
	char path[96];
	AUTO_FD layers = openat(s->dir_fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool damaged = damaged_is(s, DAMAGED_LAYER, chain_id);

	layer_path(path, "layers", chain_id, "");
	/* One syncfs instead of an fsync for each of thousands of files. */
	if (syncfs(fd) < 0)
		return err_set(e, errno, "layer", "syncfs");
	if (damaged) {
		int r = damaged_replace(s, tmp, chain_id, e);

		if (r < 0)
			return r;
	} else if (renameat(s->dir_fd, tmp, s->dir_fd, path) < 0)
		return err_set(e, errno, "layer", "%s", path);
	if (layers < 0 || fsync(layers) < 0)
		return err_set(e, errno, "layer", "fsync of layers");
	if (damaged)
		damaged_forget(s, DAMAGED_LAYER, chain_id);
	return 0;
}

/* Under the lock. */
static int layer_make_locked(struct image_store *s, const char *chain_id, const char *diff_id,
			     const struct source_part *blob, const int *lower_fd, unsigned n_lower, struct err *e)
{
	AUTO_FD fd = layer_open(s, chain_id);
	struct unpack_result result;
	char tmp[96];
	int r;

	if (fd >= 0)
		return take_fd(&fd);
	layer_path(tmp, "tmp", chain_id, "");
	fd = layer_begin(s, tmp, e);
	if (fd < 0)
		return fd;
	r = layer_unpack(blob, diff_id, fd, lower_fd, n_lower, &result, e);
	if (r == 0)
		r = folder_end(s, fd, tmp, chain_id, e);
	if (r == 0)
		return take_fd(&fd);
	/* What cannot be removed now goes with the next sweep; the reason of the failure matters more. */
	(void)dir_remove_all(s->dir_fd, tmp);
	return r;
}

int layer_make(struct image_store *s, const char *chain_id, const char *diff_id, const struct source_part *blob,
	       const int *lower_fd, unsigned n_lower, struct err *e)
{
	int fd = layer_open(s, chain_id), lock;
	char path[96];

	if (fd >= 0)
		return fd;
	layer_path(path, "tmp", chain_id, ".lock");
	lock = lock_take(s, path, e);
	if (lock < 0)
		return lock;
	fd = layer_make_locked(s, chain_id, diff_id, blob, lower_fd, n_lower, e);
	lock_drop(s, path, &lock);
	return fd;
}

/* Takes dir_fd. */
static int size_walk(int dir_fd, unsigned depth, uint64_t *bytes, uint64_t *blocks)
{
	DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!dir) {
		r = -errno;
		close_fd(&dir_fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			r = -errno;
			break;
		}
		if (S_ISREG(st.st_mode))
			*bytes += (uint64_t)st.st_size / st.st_nlink;
		*blocks += (uint64_t)st.st_blocks / (S_ISDIR(st.st_mode) ? 1 : st.st_nlink);
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = size_walk(openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				      depth + 1, bytes, blocks);
	}
	closedir(dir);
	return r;
}

int layer_size(int fd, uint64_t *bytes, uint64_t *blocks)
{
	*bytes = *blocks = 0;
	return size_walk(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, bytes, blocks);
}

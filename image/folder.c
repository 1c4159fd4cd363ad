/* image/folder.c - see image/folder.h. A folder's own attributes come last: making entries changes its times. An owner comes before the
 * mode and the xattrs, since chown takes set-user-id and file capabilities away. */
#include "image/folder.h"

#include "base/own.h"
#include "image/links.h"
#include "image/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_DEPTH_MAX 260 /* layers have folders of MERGE_DEPTH_MAX within each other */

struct copy {
	int top_fd; /* of the copy */
	char path[4096];
	size_t len;
	unsigned depth;
	struct links links;
	struct err *e;
};

static int fail(struct copy *c, const char *what)
{
	return err_set(c->e, errno, "copy", "%s %.300s", what, c->len ? c->path : "the folder");
}

/* ---------------------------------------------------------------- hard links */

/* 1: it was made as another name of one that is there. 0: it is the first. */
static int link_make(struct copy *c, const struct stat *st, int to, const char *name)
{
	const char *first = st->st_nlink < 2 ? NULL : links_find(&c->links, st->st_dev, st->st_ino);

	if (first)
		return linkat(c->top_fd, first, to, name, 0) < 0 ? fail(c, "link") : 1;
	if (st->st_nlink > 1 && links_add(&c->links, st->st_dev, st->st_ino, c->path) < 0)
		return err_set(c->e, ENOMEM, "copy", "no memory for hard links");
	return 0;
}

/* ---------------------------------------------------------------- one entry */

static int attributes_copy(struct copy *c, int from, int to, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	int r;

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return fail(c, "owner and mode of");
	r = node_copy_xattrs(from, to, c->len ? c->path : "the folder", c->e);
	if (r < 0)
		return r;
	return futimens(to, times) < 0 ? fail(c, "times of") : 0;
}

static int bytes_copy(struct copy *c, int from, int to, off_t at, off_t end)
{
	if (lseek(to, at, SEEK_SET) < 0)
		return fail(c, "write");
	while (at < end) {
		ssize_t n = sendfile(to, from, &at, (size_t)(end - at));

		if (n < 0 && errno != EINTR)
			return fail(c, "copy");
		if (n == 0) /* shorter than it was: nothing of ours changes an image's files */
			break;
	}
	return 0;
}

static int file_content_copy(struct copy *c, int from, int to, off_t size)
{
	off_t at = 0;
	int r = 0;

	while (!r && at < size) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO) /* nothing but a hole */
			break;
		if (data < 0)
			return fail(c, "read");
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return fail(c, "read");
		r = bytes_copy(c, from, to, data, hole);
		at = hole;
	}
	return r ? r : ftruncate(to, size) < 0 ? fail(c, "write") : 0;
}

static int file_copy(struct copy *c, int from_dir, int to_dir, const char *name, const struct stat *st)
{
	AUTO_FD from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	AUTO_FD to = from < 0 ? -1 : openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return fail(c, "open");
	r = file_content_copy(c, from, to, st->st_size);
	return r ? r : attributes_copy(c, from, to, st);
}

static int symlink_copy(struct copy *c, int from_dir, int to_dir, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from_dir, name, target, sizeof target - 1);

	if (n < 0)
		return fail(c, "read");
	target[n] = 0;
	return symlinkat(target, to_dir, name) < 0 ? fail(c, "make") : 0;
}

/* Links, devices, pipes and sockets: what has no content and is not opened. */
static int special_copy(struct copy *c, int from_dir, int to_dir, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	int r = 0;

	if (S_ISLNK(st->st_mode))
		r = symlink_copy(c, from_dir, to_dir, name);
	else if (mknodat(to_dir, name, st->st_mode & S_IFMT, st->st_rdev) < 0)
		r = fail(c, "make");
	if (r)
		return r;
	if (fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0) ||
	    utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, "owner and mode of");
	return 0;
}

/* ---------------------------------------------------------------- folders */

static int entries_copy(struct copy *c, int from, int to);

static int folder_enter(struct copy *c, int from_dir, int to_dir, const char *name)
{
	AUTO_FD from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD to = -1;

	if (from < 0)
		return fail(c, "open");
	if (c->depth >= COPY_DEPTH_MAX)
		return err_set(c->e, ELOOP, "copy", "more than %d folders within each other", COPY_DEPTH_MAX);
	if (mkdirat(to_dir, name, 0700) < 0)
		return fail(c, "make");
	to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return to < 0 ? fail(c, "open") : entries_copy(c, from, to);
}

static int entry_copy(struct copy *c, int from, int to, const char *name)
{
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, "look at");
	if (S_ISDIR(st.st_mode))
		return folder_enter(c, from, to, name);
	r = link_make(c, &st, to, name);
	if (r)
		return r < 0 ? r : 0;
	return S_ISREG(st.st_mode) ? file_copy(c, from, to, name, &st) : special_copy(c, from, to, name, &st);
}

static int entries_copy(struct copy *c, int from, int to)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t len = c->len;
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		r = fail(c, "read");
		close_fd(&fd);
		return r;
	}
	c->depth++;
	while (!r && (errno = 0, entry = readdir(dir))) {
		int n;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		n = snprintf(c->path + len, sizeof c->path - len, "%s%s", len ? "/" : "", entry->d_name);
		if ((size_t)n >= sizeof c->path - len) {
			errno = ENAMETOOLONG;
			r = fail(c, "copy");
		} else {
			c->len = len + (size_t)n;
			r = entry_copy(c, from, to, entry->d_name);
		}
		c->len = len;
	}
	c->path[len] = 0;
	if (!r && errno)
		r = fail(c, "read");
	c->depth--;
	closedir(dir);
	if (!r && fstat(from, &st) < 0)
		r = fail(c, "look at");
	return r ? r : attributes_copy(c, from, to, &st);
}

int folder_copy(int from_fd, int to_fd, struct err *e)
{
	struct copy c = {.top_fd = to_fd, .e = e};
	int r = entries_copy(&c, from_fd, to_fd);

	links_free(&c.links);
	return r;
}

int folder_copy_attributes(int from_fd, int to_fd, struct err *e)
{
	struct copy c = {.e = e};
	struct stat st;

	return fstat(from_fd, &st) < 0 ? fail(&c, "look at") : attributes_copy(&c, from_fd, to_fd, &st);
}

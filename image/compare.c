/* image/compare.c - see image/compare.h */
#include "image/compare.h"

#include "base/own.h"
#include "image/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define BLOCK_SIZE  (1u << 18)
#define XATTR_MAX   65536u
#define PATH_SIZE   8192u
#define DEPTH_LIMIT 600u /* deeper than any that was unpacked */

struct walk {
	struct compare *c;
	char path[PATH_SIZE];
	char *block[2]; /* owned, BLOCK_SIZE each */
	char *names[2]; /* owned, XATTR_MAX each: of extended attributes */
	unsigned depth;
};

static void differs(struct walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void differs(struct walk *w, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	w->c->differs(w->c->arg, w->path, text);
}

/* ---------------------------------------------------------------- one node */

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a folder";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

static bool stat_same(struct walk *w, const struct stat *a, const struct stat *b)
{
	if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT)) {
		differs(w, "is %s, should be %s", kind_of(a->st_mode), kind_of(b->st_mode));
		return false;
	}
	if (a->st_mode != b->st_mode)
		differs(w, "has mode %04o, should have %04o", a->st_mode & 07777, b->st_mode & 07777);
	if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		differs(w, "belongs to %u:%u, should to %u:%u", a->st_uid, a->st_gid, b->st_uid, b->st_gid);
	/* A whiteout says that something is gone: when it was made means nothing, and no archive says it. */
	if (!node_is_whiteout(b) &&
	    (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec))
		differs(w, "was changed at %lld.%09ld, should be at %lld.%09ld", (long long)a->st_mtim.tv_sec,
			a->st_mtim.tv_nsec, (long long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
	if (!S_ISDIR(a->st_mode) && a->st_nlink != b->st_nlink)
		differs(w, "has %lu links, should have %lu", (unsigned long)a->st_nlink, (unsigned long)b->st_nlink);
	if ((S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) && a->st_rdev != b->st_rdev)
		differs(w, "is device %u:%u, should be %u:%u", major(a->st_rdev), minor(a->st_rdev), major(b->st_rdev),
			minor(b->st_rdev));
	if (S_ISREG(a->st_mode) && a->st_size != b->st_size) {
		differs(w, "has %lld bytes, should have %lld", (long long)a->st_size, (long long)b->st_size);
		return false;
	}
	return true;
}

/* Those that a security module adds by itself say nothing of the layer. */
static bool is_of_the_host(const char *name)
{
	return !strcmp(name, "security.selinux") || !strcmp(name, "security.ima") || !strcmp(name, "security.evm") ||
	       !strncmp(name, "security.SMACK64", 16);
}

static size_t names_count(const char *names, ssize_t len)
{
	size_t n = 0;

	for (const char *p = names; p < names + len; p += strlen(p) + 1)
		n += !is_of_the_host(p);
	return n;
}

/* A node that is only looked at (O_PATH) has its attributes by this way alone. */
static const char *proc_path(int fd, char buf[40])
{
	snprintf(buf, 40, "/proc/self/fd/%d", fd);
	return buf;
}

static ssize_t value_get(int fd, const char *name, char *buf)
{
	char path[40];

	return getxattr(proc_path(fd, path), name, buf, BLOCK_SIZE);
}

static int xattrs_same(struct walk *w, int a, int b, struct err *e)
{
	char path[40];
	ssize_t n[2];

	n[0] = listxattr(proc_path(a, path), w->names[0], XATTR_MAX);
	n[1] = listxattr(proc_path(b, path), w->names[1], XATTR_MAX);
	if (n[1] < 0)
		return errno == ENOTSUP || errno == EPERM ? 0
							  : err_set(e, errno, "verify", "attributes of %s", w->path);
	if (n[0] < 0) {
		differs(w, "has extended attributes that cannot be read: %s", strerror(errno));
		return 0;
	}
	if (names_count(w->names[0], n[0]) != names_count(w->names[1], n[1])) {
		differs(w, "has %zu extended attributes, should have %zu", names_count(w->names[0], n[0]),
			names_count(w->names[1], n[1]));
		return 0;
	}
	for (const char *p = w->names[1]; p < w->names[1] + n[1]; p += strlen(p) + 1) {
		ssize_t len[2];

		if (is_of_the_host(p))
			continue;
		len[0] = value_get(a, p, w->block[0]);
		len[1] = value_get(b, p, w->block[1]);
		if (len[1] < 0)
			return err_set(e, errno, "verify", "%s of %s", p, w->path);
		if (len[0] != len[1] || memcmp(w->block[0], w->block[1], (size_t)len[1]) != 0)
			differs(w, "has another extended attribute %.100s than it should", p);
	}
	return 0;
}

static ssize_t block_read(int fd, char *buf)
{
	size_t at = 0;

	while (at < BLOCK_SIZE) {
		ssize_t n = read(fd, buf + at, BLOCK_SIZE - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

static int content_same(struct walk *w, int dir_a, int dir_b, const char *name, struct err *e)
{
	AUTO_FD a = openat(dir_a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD b = openat(dir_b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t at = 0;

	if (b < 0)
		return err_set(e, errno, "verify", "%s", w->path);
	if (a < 0) {
		differs(w, "cannot be opened: %s", strerror(errno));
		return 0;
	}
	for (;;) {
		ssize_t n = block_read(a, w->block[0]), want = block_read(b, w->block[1]);

		if (want < 0)
			return err_set(e, (int)-want, "verify", "%s", w->path);
		if (n < 0) {
			differs(w, "cannot be read: %s", strerror((int)-n));
			return 0;
		}
		if (n != want || memcmp(w->block[0], w->block[1], (size_t)n) != 0) {
			differs(w, "has another content, in its bytes %llu to %llu", (unsigned long long)at,
				(unsigned long long)(at + BLOCK_SIZE));
			return 0;
		}
		if (!n)
			break;
		at += (uint64_t)n;
		w->c->bytes += (uint64_t)n;
		if (w->c->tick)
			w->c->tick(w->c->arg, w->c->bytes);
	}
	return 0;
}

static int link_same(struct walk *w, int dir_a, int dir_b, const char *name, struct err *e)
{
	char a[4097] = "", b[4097] = "";

	if (readlinkat(dir_b, name, b, sizeof b - 1) < 0)
		return err_set(e, errno, "verify", "%s", w->path);
	if (readlinkat(dir_a, name, a, sizeof a - 1) < 0)
		differs(w, "cannot be read: %s", strerror(errno));
	else if (strcmp(a, b) != 0)
		differs(w, "leads to '%.100s', should to '%.100s'", a, b);
	return 0;
}

/* ---------------------------------------------------------------- folders */

struct names {
	char **name; /* owned, sorted */
	size_t n;
};

static void names_free(struct names *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->name[i]);
	free(list->name);
	*list = (struct names){0};
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Negative errno. */
static int names_read(int dir_fd, struct names *ret)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t size = 0;

	*ret = (struct names){0};
	if (!dir) {
		r = -errno;
		close_fd(&fd);
		return r;
	}
	for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (ret->n == size) {
			char **more = realloc(ret->name, (size ? size *= 2 : (size = 64)) * sizeof *more);

			if (!more) {
				r = -ENOMEM;
				break;
			}
			ret->name = more;
		}
		ret->name[ret->n] = strdup(entry->d_name);
		if (!ret->name[ret->n])
			r = -ENOMEM;
		else
			ret->n++;
	}
	if (r == 0 && errno)
		r = -errno;
	closedir(dir);
	if (r < 0)
		names_free(ret);
	else if (ret->n)
		qsort(ret->name, ret->n, sizeof *ret->name, name_compare);
	return r;
}

static int folder_compare(struct walk *w, int a, int b, struct err *e);

static int folder_enter(struct walk *w, int dir_a, int dir_b, const char *name, struct err *e)
{
	AUTO_FD a = openat(dir_a, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD b = openat(dir_b, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (b < 0)
		return err_set(e, errno, "verify", "%s", w->path);
	if (a < 0 || ++w->depth > DEPTH_LIMIT) {
		differs(w, "cannot be opened: %s", a < 0 ? strerror(errno) : "too deep");
		return 0;
	}
	r = folder_compare(w, a, b, e);
	w->depth--;
	return r;
}

static int node_compare(struct walk *w, int dir_a, int dir_b, const char *name, struct err *e)
{
	AUTO_FD a = openat(dir_a, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD b = openat(dir_b, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st_a, st_b;
	int r = 0;

	if (b < 0 || fstat(b, &st_b) < 0)
		return err_set(e, errno, "verify", "%s", w->path);
	if (a < 0 || fstat(a, &st_a) < 0) {
		differs(w, "cannot be looked at: %s", strerror(errno));
		return 0;
	}
	if (!stat_same(w, &st_a, &st_b))
		return 0;
	if (!S_ISLNK(st_a.st_mode)) /* a link's cannot be asked for in this way, and berth unpacks none */
		r = xattrs_same(w, a, b, e);
	if (r == 0 && S_ISREG(st_a.st_mode))
		r = content_same(w, dir_a, dir_b, name, e);
	else if (r == 0 && S_ISLNK(st_a.st_mode))
		r = link_same(w, dir_a, dir_b, name, e);
	else if (r == 0 && S_ISDIR(st_a.st_mode))
		r = folder_enter(w, dir_a, dir_b, name, e);
	return r;
}

/* The node below the folder that w->path names; only one side has it, or both. */
static int name_visit(struct walk *w, int a, int b, const char *name, int side, struct err *e)
{
	size_t len = strlen(w->path), more = strlen(name);
	int r = 0;

	if (len + more + 2 > sizeof w->path)
		return err_set(e, ENAMETOOLONG, "verify", "%.100s…", w->path);
	snprintf(w->path + len, sizeof w->path - len, "%s%s", len ? "/" : "", name);
	if (side < 0)
		differs(w, "should not be there");
	else if (side > 0)
		differs(w, "is missing");
	else
		r = node_compare(w, a, b, name, e);
	w->path[len] = 0;
	return r;
}

static int folder_compare(struct walk *w, int a, int b, struct err *e)
{
	struct names in_a, in_b;
	size_t i = 0, k = 0;
	int r = names_read(b, &in_b);

	if (r < 0)
		return err_set(e, r, "verify", "%s", w->path);
	r = names_read(a, &in_a);
	if (r < 0) {
		differs(w, "cannot be read: %s", strerror(-r));
		names_free(&in_b);
		return 0;
	}
	while (r == 0 && (i < in_a.n || k < in_b.n)) {
		int side = i == in_a.n ? 1 : k == in_b.n ? -1 : strcmp(in_a.name[i], in_b.name[k]);

		r = name_visit(w, a, b, side > 0 ? in_b.name[k] : in_a.name[i], side, e);
		i += side <= 0;
		k += side >= 0;
	}
	names_free(&in_a);
	names_free(&in_b);
	return r;
}

int tree_compare(struct compare *c, int first_fd, int second_fd, struct err *e)
{
	struct walk *w = calloc(1, sizeof *w);
	int r = 0;

	if (!w)
		return err_set(e, ENOMEM, "verify", "compare");
	w->c = c;
	for (int i = 0; i < 2 && r == 0; i++) {
		w->block[i] = malloc(BLOCK_SIZE);
		w->names[i] = malloc(XATTR_MAX);
		if (!w->block[i] || !w->names[i])
			r = err_set(e, ENOMEM, "verify", "compare");
	}
	if (r == 0) {
		struct stat a, b;

		if (fstat(first_fd, &a) < 0 || fstat(second_fd, &b) < 0)
			r = err_set(e, errno, "verify", "compare");
		else if (stat_same(w, &a, &b))
			r = xattrs_same(w, first_fd, second_fd, e);
	}
	if (r == 0)
		r = folder_compare(w, first_fd, second_fd, e);
	for (int i = 0; i < 2; i++) {
		free(w->block[i]);
		free(w->names[i]);
	}
	free(w);
	return r;
}

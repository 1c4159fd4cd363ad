/* base/file.c - see base/file.h */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* 6.3 */
#endif

/* ---------------------------------------------------------------- reading and writing */

/* Up to size bytes: the length, which is size also when there is more. */
static ssize_t read_full(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int fd_write_all(int fd, const void *all, size_t len)
{
	const char *data = all;

	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t file_read(int dir_fd, const char *path, char *buf, size_t size)
{
	AUTO_FD fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read_full(fd, buf, size);
	if (len < 0)
		return len;
	if ((size_t)len == size)
		return -EFBIG;
	buf[len] = 0;
	return len;
}

static ssize_t fd_read_all(int fd, size_t max, char **ret)
{
	AUTO_FREE char *data = NULL;
	size_t len = 0, size = 4096;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* proc and sysfs say 0: the size is only where to begin. */
	if (st.st_size > 0 && (uintmax_t)st.st_size < max)
		size = (size_t)st.st_size + 2;
	for (;;) {
		char *more = realloc(data, size);
		ssize_t n;

		if (!more)
			return -ENOMEM;
		data = more;
		n = read_full(fd, data + len, size - 1 - len);
		if (n < 0)
			return n;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
		if (len < size - 1)
			break;
		size *= 2;
	}
	data[len] = 0;
	*ret = take_ptr(data);
	return (ssize_t)len;
}

ssize_t file_read_all(int dir_fd, const char *path, size_t max, char **ret)
{
	AUTO_FD fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd_read_all(fd, max, ret);
}

static int kind_check(const struct stat *st, const char *path, const char *step, struct err *e)
{
	mode_t mode = st->st_mode;

	if (S_ISREG(mode))
		return 0;
	return err_set(e, 0, step, "%s is %s, and must be a regular file", path,
		       S_ISDIR(mode)	? "a folder"
		       : S_ISFIFO(mode) ? "a pipe"
		       : S_ISSOCK(mode) ? "a socket"
					: "a device");
}

/* Looked at before it is opened, which may do something to a device, and after, when it cannot be exchanged any more. */
ssize_t file_read_regular(int dir_fd, const char *path, size_t max, char **ret, const char *step, struct err *e)
{
	struct stat st;
	ssize_t n;
	int r;

	if (fstatat(dir_fd, path, &st, 0) < 0)
		return err_set(e, errno, step, "%s", path);
	if ((r = kind_check(&st, path, step, e)) < 0)
		return r;
	AUTO_FD fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, step, "%s", path);
	if ((r = kind_check(&st, path, step, e)) < 0)
		return r;
	n = fd_read_all(fd, max, ret);
	return n < 0 ? err_set(e, (int)-n, step, "%s", path) : n;
}

int file_write(int dir_fd, const char *path, const char *data, size_t len)
{
	AUTO_FD fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int file_writes(int dir_fd, const char *path, const char *text)
{
	return file_write(dir_fd, path, text, strlen(text));
}

/* The folder that holds path, and the name in it. Trailing slashes do not count. -EINVAL for "", "/", "." and "..". */
static int parent_open(int dir_fd, const char *path, char name[256])
{
	size_t len = strlen(path), start;
	char parent[PATH_MAX]; /* no malloc: it would cost each shim a page */
	int fd;

	while (len && path[len - 1] == '/')
		len--;
	for (start = len; start && path[start - 1] != '/'; start--)
		;
	if (len == start)
		return -EINVAL;
	if (len - start > 255)
		return -ENAMETOOLONG;
	memcpy(name, path + start, len - start);
	name[len - start] = 0;
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	if (start >= sizeof parent)
		return -ENAMETOOLONG;
	memcpy(parent, start ? path : ".", start ? start : 1);
	parent[start ? start : 1] = 0;
	fd = openat(dir_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The name bears the thread's id: two writers never share a file, and what a killed one left is replaced by its successor. */
static int tmp_create(int dir, const char *name, char tmp[300], mode_t mode)
{
	snprintf(tmp, 300, ".%.240s.%d.tmp", name, (int)syscall(SYS_gettid));
	for (int tries = 0; tries < 2; tries++) {
		int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

		if (fd >= 0)
			return fd;
		if (errno != EEXIST || unlinkat(dir, tmp, 0) < 0)
			break;
	}
	return -errno;
}

int file_write_atomic(int dir_fd, const char *path, const void *data, size_t len, mode_t mode, bool sync)
{
	char name[256], tmp[300];
	AUTO_FD dir = parent_open(dir_fd, path, name);
	AUTO_FD fd = -1;
	int r;

	if (dir < 0)
		return dir;
	fd = tmp_create(dir, name, tmp, mode);
	if (fd < 0)
		return fd;
	r = fd_write_all(fd, data, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) || renameat(dir, tmp, dir, name) < 0))
		r = -errno;
	if (r < 0) {
		unlinkat(dir, tmp, 0);
		return r;
	}
	return sync && fsync(dir) < 0 ? -errno : 0;
}

/* ---------------------------------------------------------------- folders */

static int dir_make_one(int dir_fd, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdirat(dir_fd, path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dir_fd, path, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int path_open(int dir_fd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};

	return (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
}

int path_create(int dir_fd, const char *path, mode_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, .mode = mode, .resolve = resolve};

	return (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
}

#define RESOLVE_TRIES 1000

int path_open_in(int root_fd, const char *path, uint64_t flags, uint64_t resolve)
{
	int fd = -1;

	for (unsigned i = 0; i < RESOLVE_TRIES; i++) {
		fd = path_open(root_fd, *path ? path : ".", flags, resolve);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

int dir_make_in(int root_fd, const char *path, mode_t mode, uint64_t resolve)
{
	AUTO_FREE char *prefix = strdup(path);
	AUTO_FD dir = path_open_in(root_fd, "", O_PATH | O_DIRECTORY, resolve);
	size_t at = 0;

	if (!prefix)
		return -ENOMEM;
	at += strspn(prefix, "/");
	while (dir >= 0 && prefix[at]) {
		size_t end = at + strcspn(prefix + at, "/");
		char after = prefix[end];
		int fd;

		prefix[end] = 0;
		fd = path_open_in(root_fd, prefix, O_PATH | O_DIRECTORY, resolve);
		if (fd < 0 && errno == ENOENT) {
			if (mkdirat(dir, prefix + at, mode) < 0 && errno != EEXIST)
				return -errno;
			fd = path_open_in(root_fd, prefix, O_PATH | O_DIRECTORY, resolve);
		}
		close_fd(&dir);
		dir = fd;
		prefix[end] = after;
		at = end + strspn(prefix + end, "/");
	}
	return dir < 0 ? -errno : take_fd(&dir);
}

int dir_make(int dir_fd, const char *path, mode_t mode)
{
	AUTO_FREE char *part = NULL;
	int r = dir_make_one(dir_fd, path, mode);

	if (r != -ENOENT || !*path)
		return r;
	part = strdup(path);
	if (!part)
		return -ENOMEM;
	for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		r = dir_make_one(dir_fd, part, mode);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return dir_make_one(dir_fd, path, mode);
}

/* Removing a tree that a container made: as deep as it liked, with any names, perhaps with mounts. Each level costs one
 * descriptor, so what lies deeper than this is moved up into the first folder and found there by the next pass. */
#define REMOVE_DEPTH_MAX 32

struct remove {
	int top;
	unsigned moved, moved_name;
	int error; /* the first; the rest of the tree is removed all the same */
};

static void remove_content(struct remove *rm, int dir, int depth);

static void remove_failed(struct remove *rm, int error)
{
	if (!rm->error)
		rm->error = error;
}

static int dir_open_beneath(int dir, const char *name)
{
	int fd = path_open(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK,
			   RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);

	if (fd < 0)
		return errno == EXDEV ? -EBUSY : -errno;
	return fd;
}

static void remove_move_up(struct remove *rm, int dir, const char *name)
{
	char up[32];
	long r;

	do {
		snprintf(up, sizeof up, ".deep-%u", rm->moved_name++);
		r = syscall(SYS_renameat2, dir, name, rm->top, up, RENAME_NOREPLACE);
	} while (r < 0 && errno == EEXIST);
	if (r == 0)
		rm->moved++;
	else if (errno != ENOENT)
		remove_failed(rm, -errno);
}

static void remove_dir(struct remove *rm, int dir, const char *name, int depth)
{
	AUTO_FD fd = -1;

	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return;
	if (errno != ENOTEMPTY && errno != EEXIST) {
		remove_failed(rm, -errno);
		return;
	}
	if (depth == REMOVE_DEPTH_MAX) {
		remove_move_up(rm, dir, name);
		return;
	}
	fd = dir_open_beneath(dir, name);
	if (fd < 0) {
		if (fd != -ENOENT)
			remove_failed(rm, fd);
		return;
	}
	remove_content(rm, fd, depth + 1);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		remove_failed(rm, -errno);
}

static void remove_entry(struct remove *rm, int dir, const struct dirent *entry, int depth)
{
	if (entry->d_type != DT_DIR) {
		if (unlinkat(dir, entry->d_name, 0) == 0 || errno == ENOENT)
			return;
		if (errno != EISDIR) {
			remove_failed(rm, -errno);
			return;
		}
	}
	remove_dir(rm, dir, entry->d_name, depth);
}

static void remove_content(struct remove *rm, int dir, int depth)
{
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!d) {
		remove_failed(rm, -errno);
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((errno = 0, entry = readdir(d)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove_entry(rm, dir, entry, depth);
	if (errno)
		remove_failed(rm, -errno);
	closedir(d);
}

int dir_is_empty(int dir_fd)
{
	int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 1;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!d) {
		r = -errno;
		close_fd(&copy);
		return r;
	}
	while (r > 0 && (errno = 0, entry = readdir(d)))
		r = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	if (r > 0 && errno)
		r = -errno;
	closedir(d);
	return r;
}

int dir_remove_all(int dir_fd, const char *path)
{
	char name[256];
	AUTO_FD parent = parent_open(dir_fd, path, name);
	AUTO_FD top = -1;
	struct remove rm = {0};

	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	top = dir_open_beneath(parent, name);
	if (top < 0)
		return top == -ENOENT ? 0 : top;
	rm.top = top;
	do {
		rm.moved = 0;
		rm.error = 0;
		lseek(top, 0, SEEK_SET);
		remove_content(&rm, top, 1);
	} while (rm.moved);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return rm.error ? rm.error : -errno;
	return 0;
}

/* ---------------------------------------------------------------- sealed memory */

int memfd_sealed(const char *name, const void *data, size_t len)
{
	AUTO_FD fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	int r;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, len);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return take_fd(&fd);
}

int memfd_map(int fd, size_t max, const void **ret_data, size_t *ret_len)
{
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *data;

	/* Unsealed it could be cut under our reading (SIGBUS) or changed between check and use. */
	if (seals < 0 || (seals & need) != need)
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return -ENODATA;
	if ((uintmax_t)st.st_size > max)
		return -EFBIG;
	/* Private: a shared mapping of a write-sealed file is refused before 6.7, be it read-only. */
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	*ret_data = data;
	*ret_len = (size_t)st.st_size;
	return 0;
}

/* ---------------------------------------------------------------- descriptors */

int fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int fd_limit_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

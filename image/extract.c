/* image/extract.c - see image/extract.h. As docker cp has it: an entry replaces what has its name, two folders become one, and neither
 * does a folder replace a file nor a file a folder. A file on which something is mounted cannot be replaced and is written to. */
#include "image/extract.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "image/node.h"
#include "image/space.h"
#include "image/stream.h"
#include "image/tar.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define READ_SIZE   (256u << 10)
#define TAIL_MAX    (1u << 20) /* padding behind the archive that is read, so that its writer does not die of SIGPIPE */
#define ENTRIES_MAX 100000000u
#define FOLDERS_MAX 2000000u
#define XATTRS_MAX  64

struct folder {	    /* its time is set when all is in it */
	char *path; /* owned */
	struct timespec mtime;
};

struct run {
	const struct extract *x;
	struct archive *archive;
	struct stream *stream;
	struct space space;
	struct extract_result result;
	struct err stream_err; /* of the read callback: more precise than what libarchive makes of it */
	struct folder *folder; /* owned */
	size_t n_folders, folders_size;
	char parent[PATH_MAX]; /* of the last entry, which mostly is the next one's too; below base */
	int parent_fd;	       /* -1: none */
	unsigned char buf[READ_SIZE];
};

/* ---------------------------------------------------------------- reading */

static ssize_t on_read(struct archive *a, void *arg, const void **ret)
{
	struct run *x = arg;
	ssize_t n = stream_read(x->stream, x->buf, sizeof x->buf, &x->stream_err);

	if (n < 0) {
		archive_set_error(a, EINVAL, "%s", x->stream_err.text);
		return ARCHIVE_FATAL;
	}
	*ret = x->buf;
	return n;
}

static int archive_failed(struct run *x, struct err *e)
{
	const char *text = archive_error_string(x->archive);

	if (!x->stream_err.text[0])
		return err_set(e, 0, "copy", "bad archive: %s", text ? text : "libarchive gives no reason");
	*e = x->stream_err;
	return e->code ? -e->code : -EINVAL;
}

/* ---------------------------------------------------------------- paths */

/* path without "." and empty parts; "" is base itself. */
static int path_clean(const char *path, char buf[PATH_MAX], struct err *e)
{
	size_t n = 0;

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && !memcmp(path, "..", 2))
			return err_set(e, 0, "copy", "an entry may not contain '..'");
		if (len > NAME_MAX || n + len + 2 > PATH_MAX)
			return err_set(e, ENAMETOOLONG, "copy", "%.100s…", path);
		if (len && !(len == 1 && *path == '.')) {
			if (n)
				buf[n++] = '/';
			memcpy(buf + n, path, len);
			n += len;
		}
		path += len + (path[len] == '/');
	}
	buf[n] = 0;
	return 0;
}

static int path_full(const struct run *x, const char *path, char full[PATH_MAX])
{
	int n = snprintf(full, PATH_MAX, "%s%s%s", x->x->base, *path && *x->x->base ? "/" : "", path);

	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static uint64_t resolve_of(const struct run *x)
{
	return RESOLVE_NO_MAGICLINKS | (x->x->follow ? RESOLVE_IN_ROOT : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* path is below base. As open(2). */
static int path_resolve(const struct run *x, const char *path, uint64_t flags)
{
	char full[PATH_MAX];

	if (path_full(x, path, full) < 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return path_open_in(x->x->root_fd, full, flags, resolve_of(x));
}

/* What the archive says nothing of: 0755, whoever makes it. */
static int parent_make(struct run *x, const char *path, struct err *e)
{
	char full[PATH_MAX];
	int r = path_full(x, path, full);

	if (r == 0)
		r = dir_make_in(x->x->root_fd, full, 0755, resolve_of(x));
	return r < 0 ? err_set(e, -r, "copy", "folder '%.200s'", path) : r;
}

/* The folder of path opened in x->parent_fd, *ret_name its last part. */
static int parent_enter(struct run *x, const char *path, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (x->parent_fd >= 0 && strlen(x->parent) == len && !memcmp(x->parent, path, len))
		return 0;
	close_fd(&x->parent_fd);
	memcpy(x->parent, path, len);
	x->parent[len] = 0;
	x->parent_fd = path_resolve(x, x->parent, O_PATH | O_DIRECTORY);
	if (x->parent_fd < 0 && errno == ENOENT && len)
		x->parent_fd = parent_make(x, x->parent, e);
	else if (x->parent_fd < 0)
		return errno == ELOOP && !x->x->follow ? err_set(e, 0, "copy", "it leads through a symlink")
						       : err_set(e, errno, "copy", "folder '%.200s'", x->parent);
	x->space = (struct space){.fd = x->parent_fd}; /* perhaps another file system */
	return x->parent_fd < 0 ? x->parent_fd : 0;
}

/* Room for something that is no folder. */
static int place_clear(struct run *x, const char *name, struct err *e)
{
	struct stat st;

	if (unlinkat(x->parent_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR || (fstatat(x->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)))
		return err_set(e, EISDIR, "copy", "a folder is there, and cannot be overwritten by what is none");
	return err_set(e, errno, "copy", "replace what is there");
}

/* ---------------------------------------------------------------- attributes */

static struct timespec mtime_of(struct archive_entry *entry)
{
	return (struct timespec){archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
}

static mode_t mode_of(const struct run *x, struct archive_entry *entry)
{
	return archive_entry_perm(entry) & (x->x->special_bits ? 07777 : 0777);
}

/* Of the open fd, or (name not "") of what lies there and is not followed. */
static int owner_set(struct run *x, int fd, const char *name, struct archive_entry *entry, struct err *e)
{
	bool own = x->x->owner == EXTRACT_OWNER_ARCHIVE;
	la_int64_t uid = own ? archive_entry_uid(entry) : 0, gid = own ? archive_entry_gid(entry) : 0;

	if (x->x->owner == EXTRACT_OWNER_LEAVE)
		return 0;
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return err_set(e, 0, "copy", "owner %lld:%lld is out of range", (long long)uid, (long long)gid);
	if (fchownat(fd, name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) < 0)
		return err_set(e, errno, "copy", "owner %lld:%lld%s", (long long)uid, (long long)gid,
			       errno == EINVAL ? " is not of the container's user namespace" : "");
	return 0;
}

static bool xattr_taken(const struct run *x, const char *name)
{
	if (str_starts(name, "trusted.") || node_xattr_rule(name) != XATTR_TAKE)
		return false;
	return x->x->special_bits || strcmp(name, "security.capability") != 0;
}

static int xattrs_set(struct run *x, int fd, struct archive_entry *entry, struct err *e)
{
	const char *name;
	const void *value;
	size_t len;

	if (!archive_entry_xattr_count(entry))
		return 0;
	if (archive_entry_xattr_reset(entry) > XATTRS_MAX)
		return err_set(e, 0, "copy", "more than %d xattrs", XATTRS_MAX);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
		/* Not every file system has them: what it cannot keep is not kept, as with cp and tar. */
		if (xattr_taken(x, name) && fsetxattr(fd, name, value, len, 0) < 0 && errno != ENOTSUP)
			return err_set(e, errno, "copy", "xattr %.100s", name);
	return 0;
}

/* In the only order that works: chown takes setuid and capabilities away. */
static int attributes_set(struct run *x, int fd, struct archive_entry *entry, struct err *e)
{
	int r = owner_set(x, fd, "", entry, e);

	if (r == 0 && fchmod(fd, mode_of(x, entry)) < 0)
		return err_set(e, errno, "copy", "mode");
	return r < 0 ? r : xattrs_set(x, fd, entry, e);
}

/* Of a symlink or node that was just made, and has its mode. */
static int name_attributes_set(struct run *x, const char *name, struct archive_entry *entry, struct err *e)
{
	struct timespec times[2] = {mtime_of(entry), mtime_of(entry)};
	int r = owner_set(x, x->parent_fd, name, entry, e);

	if (r == 0 && utimensat(x->parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "copy", "times");
	return r;
}

/* ---------------------------------------------------------------- entries by type */

static int folder_note(struct run *x, const char *path, struct timespec mtime, struct err *e)
{
	if (x->n_folders == FOLDERS_MAX)
		return err_set(e, 0, "copy", "more than %u folders", FOLDERS_MAX);
	if (x->n_folders == x->folders_size) {
		size_t size = x->folders_size ? 2 * x->folders_size : 64;
		struct folder *more = realloc(x->folder, size * sizeof *more);

		if (!more)
			return err_set(e, ENOMEM, "copy", "table of folders");
		x->folder = more;
		x->folders_size = size;
	}
	x->folder[x->n_folders] = (struct folder){strdup(path), mtime};
	if (!x->folder[x->n_folders].path)
		return err_set(e, ENOMEM, "copy", "table of folders");
	x->n_folders++;
	return 0;
}

static int folder_entry(struct run *x, const char *path, const char *name, struct archive_entry *entry, struct err *e)
{
	bool made = mkdirat(x->parent_fd, name, 0700) == 0;
	AUTO_FD fd = -1;
	int r;

	if (!made && errno != EEXIST)
		return err_set(e, errno, "copy", "folder");
	fd = openat(x->parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(e, ENOTDIR, "copy",
			       "something that is no folder is there, and cannot be overwritten by one");
	if (fd < 0)
		return err_set(e, errno, "copy", "folder");
	r = attributes_set(x, fd, entry, e);
	return r < 0 ? r : folder_note(x, path, mtime_of(entry), e);
}

static int data_write(struct run *x, int fd, la_int64_t size, struct err *e)
{
	la_int64_t end = 0, offset;
	const void *data;
	size_t len;
	int r;

	while ((r = archive_read_data_block(x->archive, &data, &len, &offset)) == ARCHIVE_OK) {
		int full = x->x->reserve ? space_take(&x->space, len, e) : 0;

		if (full < 0)
			return full;
		for (size_t at = 0; at < len;) {
			ssize_t n = pwrite(fd, (const char *)data + at, len - at, offset + (la_int64_t)at);

			if (n < 0 && errno != EINTR)
				return err_set(e, errno, "copy", "write");
			at += n > 0 ? (size_t)n : 0;
		}
		end = offset + (la_int64_t)len;
		x->result.bytes += len;
	}
	if (r != ARCHIVE_EOF)
		return archive_failed(x, e);
	/* A hole at the end. */
	if (end < size && ftruncate(fd, size) < 0)
		return err_set(e, errno, "copy", "size");
	return 0;
}

/* Something is mounted on it. Opened for writing only when it is known to be a file: to open a device does something. */
static int file_open_mounted(struct run *x, const char *name, struct err *e)
{
	AUTO_FD there = openat(x->parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char proc[32];
	struct stat st;
	int fd;

	if (there < 0 || fstat(there, &st) < 0)
		return err_set(e, errno, "copy", "look at what is there");
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBUSY, "copy", "replace what is there");
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", there);
	fd = open(proc, O_WRONLY | O_TRUNC | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "copy", "write to the file that is mounted there") : fd;
}

static int file_create(struct run *x, const char *name, struct err *e)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, r;
	int fd = openat(x->parent_fd, name, flags, 0600);

	if (fd < 0 && errno == EEXIST) {
		r = place_clear(x, name, e);
		if (r == -EBUSY)
			return file_open_mounted(x, name, e);
		if (r < 0)
			return r;
		fd = openat(x->parent_fd, name, flags, 0600);
	}
	return fd < 0 ? err_set(e, errno, "copy", "create") : fd;
}

static int file_entry(struct run *x, const char *name, struct archive_entry *entry, struct err *e)
{
	struct timespec times[2] = {mtime_of(entry), mtime_of(entry)};
	la_int64_t size = archive_entry_size(entry);
	AUTO_FD fd = -1;
	int r;

	if (size < 0)
		return err_set(e, 0, "copy", "negative size");
	if (x->x->reserve && !archive_entry_sparse_count(entry) && (r = space_check(&x->space, (uint64_t)size, e)) < 0)
		return r;
	fd = file_create(x, name, e);
	if (fd < 0)
		return fd;
	if ((r = data_write(x, fd, size, e)) < 0 || (r = attributes_set(x, fd, entry, e)) < 0)
		return r;
	return futimens(fd, times) < 0 ? err_set(e, errno, "copy", "times") : 0;
}

static int symlink_entry(struct run *x, const char *name, struct archive_entry *entry, struct err *e)
{
	const char *target = archive_entry_symlink(entry);
	int r;

	if (!target || !*target)
		return err_set(e, 0, "copy", "a symlink to nothing");
	if ((r = place_clear(x, name, e)) < 0)
		return r;
	if (symlinkat(target, x->parent_fd, name) < 0)
		return err_set(e, errno, "copy", "symlink");
	return name_attributes_set(x, name, entry, e);
}

/* With its mode at once (our umask is 0): chmod by name would follow a symlink that somebody puts there in between. */
static int special_entry(struct run *x, const char *name, struct archive_entry *entry, mode_t type, struct err *e)
{
	dev_t dev = type == S_IFIFO ? 0 : makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry));
	int r;

	if (type != S_IFIFO && !x->x->devices) {
		x->result.passed_over++;
		return 0;
	}
	if ((r = place_clear(x, name, e)) < 0)
		return r;
	if (mknodat(x->parent_fd, name, type | mode_of(x, entry), dev) < 0)
		return err_set(e, errno, "copy", "make a %s", type == S_IFIFO ? "fifo" : "device node");
	return name_attributes_set(x, name, entry, e);
}

static int link_entry(struct run *x, const char *name, const char *raw_target, struct err *e)
{
	char target[PATH_MAX], *slash;
	const char *target_name = target;
	struct stat a, b;
	AUTO_FD dir = -1;
	int r = path_clean(raw_target, target, e);

	if (r < 0)
		return err_wrap(e, "hard link to '%.200s'", raw_target);
	slash = strrchr(target, '/');
	if (slash) {
		*slash = 0;
		target_name = slash + 1;
	}
	dir = path_resolve(x, slash ? target : "", O_PATH | O_DIRECTORY);
	if (dir < 0 || fstatat(dir, target_name, &a, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "copy", "hard link to '%.200s'", raw_target);
	if (fstatat(x->parent_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
		return 0;
	if ((r = place_clear(x, name, e)) < 0)
		return r;
	if (linkat(dir, target_name, x->parent_fd, name, 0) < 0)
		return err_set(e, errno, "copy", "hard link to '%.200s'", raw_target);
	return 0;
}

/* ---------------------------------------------------------------- the archive */

static int entry_extract(struct run *x, struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry), *name;
	char path[PATH_MAX];
	int r;

	if (!raw)
		return err_set(e, 0, "copy", "an entry without a name");
	if ((r = path_clean(raw, path, e)) < 0)
		return r;
	if (*path && x->x->only &&
	    (strncmp(path, x->x->only, strlen(x->x->only)) ||
	     (path[strlen(x->x->only)] && path[strlen(x->x->only)] != '/')))
		return err_set(e, 0, "copy", "nothing of that name was asked for");
	if (!*path) /* base itself is there, and stays as it is */
		return archive_entry_filetype(entry) == AE_IFDIR ? 0 : err_set(e, 0, "copy", "it has no name");
	if ((r = parent_enter(x, path, &name, e)) < 0)
		return r;
	if (link)
		return link_entry(x, name, link, e);
	if (x->x->reserve && (r = space_take_node(&x->space, e)) < 0)
		return r;
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return file_entry(x, name, entry, e);
	case AE_IFDIR:
		return folder_entry(x, path, name, entry, e);
	case AE_IFLNK:
		return symlink_entry(x, name, entry, e);
	case AE_IFIFO:
		return special_entry(x, name, entry, S_IFIFO, e);
	case AE_IFCHR:
		return special_entry(x, name, entry, S_IFCHR, e);
	case AE_IFBLK:
		return special_entry(x, name, entry, S_IFBLK, e);
	default:
		return err_set(e, 0, "copy", "an entry of unknown type");
	}
}

static int entries_extract(struct run *x, struct err *e)
{
	struct archive_entry *entry;
	int r = 0, status;

	x->archive = tar_reader_new(on_read, NULL, x);
	if (!x->archive)
		return err_set(e, ENOMEM, "copy", "archive reader");
	if (archive_read_open1(x->archive) != ARCHIVE_OK)
		return archive_failed(x, e);
	while (r == 0 && (status = archive_read_next_header(x->archive, &entry)) != ARCHIVE_EOF) {
		if (status != ARCHIVE_OK)
			return archive_failed(x, e);
		if (++x->result.entries > ENTRIES_MAX)
			return err_set(e, 0, "copy", "more than %u entries", ENTRIES_MAX);
		r = entry_extract(x, entry, e);
		if (r < 0)
			return archive_entry_pathname(entry)
				       ? err_wrap(e, "entry '%.200s'", archive_entry_pathname(entry))
				       : r;
	}
	return r;
}

/* Innermost first: to set the time of one changes nothing of the others, but a folder that is gone by now is no failure. */
static int folders_end(struct run *x, struct err *e)
{
	for (size_t i = x->n_folders; i-- > 0;) {
		struct timespec times[2] = {x->folder[i].mtime, x->folder[i].mtime};
		AUTO_FD fd = path_resolve(x, x->folder[i].path, O_RDONLY | O_DIRECTORY);

		if (fd >= 0 && futimens(fd, times) < 0)
			return err_set(e, errno, "copy", "times of '%.200s'", x->folder[i].path);
	}
	return 0;
}

static void tail_read(struct run *x)
{
	struct err e;
	ssize_t n;

	for (size_t all = 0; all < TAIL_MAX && (n = stream_read(x->stream, x->buf, sizeof x->buf, &e)) > 0;)
		all += (size_t)n;
}

static int run_begin(struct run *x, int fd, struct err *e)
{
	AUTO_FD base = path_resolve(x, "", O_PATH | O_DIRECTORY);

	if (base < 0)
		return err_set(e, errno, "copy", "%.200s", *x->x->base ? x->x->base : "the folder");
	x->stream = stream_open(fd, 0, STREAM_TO_END, e);
	return x->stream ? 0 : -EINVAL;
}

int extract_tar(int fd, const struct extract *what, struct extract_result *ret, struct err *e)
{
	struct run *x = calloc(1, sizeof *x);
	locale_t locale;
	int r;

	if (!x)
		return err_set(e, ENOMEM, "copy", "archive reader");
	x->x = what;
	x->parent_fd = -1;
	locale = tar_locale_enter();
	r = run_begin(x, fd, e);
	if (r == 0)
		r = entries_extract(x, e);
	if (r == 0)
		r = folders_end(x, e);
	if (r == 0)
		tail_read(x);
	*ret = x->result;
	archive_read_free(x->archive);
	stream_close(x->stream);
	close_fd(&x->parent_fd);
	for (size_t i = 0; i < x->n_folders; i++)
		free(x->folder[i].path);
	free(x->folder);
	free(x);
	tar_locale_leave(locale);
	return r;
}

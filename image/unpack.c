/* image/unpack.c - see image/unpack.h. libarchive reads, we write: its own writer either leaves the root by ".." and symlinks
 * or refuses layers that rely on symlinks of lower ones, and it knows no whiteouts.
 *
 * An entry's parent is found by image/merge.c; the last part is only ever created, replaced or removed with *at calls on the
 * parent's descriptor that follow no links. Of entries with the same name the last counts, except that two folders are one.
 * Names starting with ".wh." are whiteouts (OCI image spec): ".wh.NAME" hides NAME of the layers below, ".wh..wh..opq" hides all
 * that they have in this folder; neither touches what the same layer brings, wherever in the archive it stands. */
#include "image/unpack.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "image/ahead.h"
#include "image/merge.h"
#include "image/node.h"
#include "image/space.h"
#include "image/tar.h"

#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define TICK_BYTES (2u << 20)
#define LARGE	   (1 << 20)

struct unpack {
	struct merge merge;
	struct archive *archive;
	struct ahead *ahead;
	struct space space;
	struct unpack_result result;
	const struct source_part *from;
	uint64_t stream_bytes, ticked; /* ticked: stream_bytes at the last tick */
	struct err stream_err;	       /* of the read callback: more precise than what libarchive makes of it */

	/* The parent of the last entry: mostly the next one's too. Kept only if no symlink led there: then no entry in the
	 * folder can change where its path leads. */
	struct merge_dir *parent;
	int parent_fd;
	bool parent_kept;
};

/* ---------------------------------------------------------------- reading */

static ssize_t stream_next(struct unpack *u, const void **ret)
{
	uint64_t taken;
	ssize_t n = ahead_read(u->ahead, ret, &taken, &u->stream_err);

	if (n <= 0)
		return n;
	u->stream_bytes += (uint64_t)n;
	if (u->from->tick && u->stream_bytes - u->ticked >= TICK_BYTES) {
		u->ticked = u->stream_bytes;
		u->from->tick(u->from->tick_arg, taken);
	}
	return n;
}

static ssize_t on_read(struct archive *a, void *arg, const void **ret)
{
	struct unpack *u = arg;
	ssize_t n = stream_next(u, ret);

	if (n >= 0)
		return n;
	archive_set_error(a, EINVAL, "%s", u->stream_err.text);
	return ARCHIVE_FATAL;
}

static int archive_failed(struct unpack *u, struct err *e)
{
	const char *text = archive_error_string(u->archive);

	if (!u->stream_err.text[0])
		return err_set(e, 0, "unpack", "bad archive: %s", text ? text : "libarchive gives no reason");
	*e = u->stream_err;
	return e->code ? -e->code : -EINVAL;
}

/* ---------------------------------------------------------------- where an entry goes */

/* path without slashes and "." at its front and end; "" is the root. */
static int path_trim(const char *path, char buf[MERGE_PATH_SIZE], struct err *e)
{
	size_t len;

	while (*path == '/' || (*path == '.' && (path[1] == '/' || !path[1])))
		path++;
	len = strlen(path);
	if (len >= MERGE_PATH_SIZE)
		return err_set(e, ENAMETOOLONG, "unpack", "%.100s…", path);
	memcpy(buf, path, len + 1);
	while (len && (buf[len - 1] == '/' || (buf[len - 1] == '.' && (len == 1 || buf[len - 2] == '/'))))
		buf[--len] = 0;
	for (const char *p = buf; *p;) {
		len = strcspn(p, "/");
		if (p[len] && len >= 4 && !memcmp(p, ".wh.", 4))
			return err_set(e, 0, "unpack", "a name that starts with .wh. is a whiteout and holds no files");
		p += len + (p[len] == '/');
	}
	return 0;
}

static int parent_enter(struct unpack *u, const char *path, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int r;

	*ret_name = slash ? slash + 1 : path;
	if (u->parent_kept && !strncmp(u->parent->path, path, len) && !u->parent->path[len] &&
	    strlen(*ret_name) <= NAME_MAX && strcmp(*ret_name, ".."))
		return 0;
	close_fd(&u->parent_fd);
	u->parent_kept = false;
	if ((r = merge_parent(&u->merge, path, true, &u->parent, ret_name, e)) < 0)
		return r;
	u->parent_fd = merge_open(&u->merge, u->parent, e);
	if (u->parent_fd < 0)
		return u->parent_fd;
	u->parent_kept = !strncmp(u->parent->path, path, len) && !u->parent->path[len];
	return 0;
}

/* Removes whatever this layer has at name, so that an entry other than a folder can be made there. */
static int place_clear(struct unpack *u, const char *name, struct err *e)
{
	if (unlinkat(u->parent_fd, name, 0) < 0 && errno != ENOENT) {
		int r = errno == EISDIR ? dir_remove_all(u->parent_fd, name) : -errno;

		if (r < 0)
			return err_set(e, r, "unpack", "replace");
	}
	/* Also a folder that only lower layers have is no more. */
	return merge_drop(&u->merge, u->parent, name, e);
}

/* ---------------------------------------------------------------- attributes */

static struct timespec mtime_of(struct archive_entry *entry)
{
	return (struct timespec){archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
}

static int owner_of(struct archive_entry *entry, uid_t *uid, gid_t *gid, struct err *e)
{
	la_int64_t u = archive_entry_uid(entry), g = archive_entry_gid(entry);

	if (u < 0 || u >= UINT32_MAX || g < 0 || g >= UINT32_MAX)
		return err_set(e, 0, "unpack", "owner %lld:%lld is out of range", (long long)u, (long long)g);
	*uid = (uid_t)u;
	*gid = (gid_t)g;
	return 0;
}

/* Of the open fd, or (fd -1) of path, a name below a descriptor in /proc: what cannot be opened is reached this way. */
static int xattrs_set(struct archive_entry *entry, int fd, const char *path, struct err *e)
{
	const char *name;
	const void *value;
	size_t len;

	if (archive_entry_xattr_reset(entry) > UNPACK_XATTRS_MAX)
		return err_set(e, 0, "unpack", "more than %d xattrs", UNPACK_XATTRS_MAX);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		enum xattr_rule rule = node_xattr_rule(name);

		if (rule == XATTR_REFUSE)
			return err_set(e, 0, "unpack", "xattr %.100s may not be in an image", name);
		if (rule == XATTR_SKIP)
			continue;
		if ((fd >= 0 ? fsetxattr(fd, name, value, len, 0) : lsetxattr(path, name, value, len, 0)) < 0)
			return err_set(e, errno, "unpack", "xattr %.100s", name);
	}
	return 0;
}

/* What it is made with. Nobody else gets at it before it is whole: the folder that it all lies in is 0700. */
static mode_t mode_first(struct archive_entry *entry)
{
	return archive_entry_perm(entry) & 0777;
}

/* What it has by its making is not set again: each of these is a transaction of the file system's journal, to look is none. In the
 * only order that works: chown takes setuid and capabilities away. */
static int fd_attributes(int fd, struct archive_entry *entry, struct err *e)
{
	mode_t mode = archive_entry_perm(entry) & 07777;
	struct stat st;
	uid_t uid;
	gid_t gid;
	int r = owner_of(entry, &uid, &gid, e);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "unpack", "look at what was made");
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
		return err_set(e, errno, "unpack", "owner");
	if (((st.st_mode & 07777) != mode || mode & 07000) && fchmod(fd, mode) < 0)
		return err_set(e, errno, "unpack", "mode");
	return archive_entry_xattr_count(entry) ? xattrs_set(entry, fd, NULL, e) : 0;
}

/* Of a symlink, a device or a fifo that was just made. */
static int name_attributes(struct unpack *u, const char *name, struct archive_entry *entry, bool symlink, struct err *e)
{
	struct timespec times[2] = {mtime_of(entry), mtime_of(entry)};
	char path[32 + NAME_MAX + 1];
	uid_t uid;
	gid_t gid;
	int r = owner_of(entry, &uid, &gid, e);

	if (r < 0)
		return r;
	if (fchownat(u->parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "unpack", "owner");
	if (!symlink && fchmodat(u->parent_fd, name, archive_entry_perm(entry) & 07777, 0) < 0)
		return err_set(e, errno, "unpack", "mode");
	if (archive_entry_xattr_count(entry)) {
		snprintf(path, sizeof path, "/proc/self/fd/%d/%s", u->parent_fd, name);
		if ((r = xattrs_set(entry, -1, path, e)) < 0)
			return r;
	}
	if (utimensat(u->parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "unpack", "times");
	return 0;
}

/* ---------------------------------------------------------------- whiteouts */

/* In an opaque folder whiteouts hide nothing, and overlayfs would list them. */
static int whiteouts_remove(int dir_fd, unsigned depth, struct err *e)
{
	AUTO_FD fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!dir)
		return err_set(e, errno, "unpack", "opaque folder");
	(void)take_fd(&fd); /* dir has it */
	while (r == 0 && (entry = readdir(dir))) {
		AUTO_FD child = -1;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_type == DT_CHR && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    node_is_whiteout(&st) && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			r = err_set(e, errno, "unpack", "whiteout %.100s", entry->d_name);
		if (entry->d_type != DT_DIR || depth > MERGE_DEPTH_MAX)
			continue;
		child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = child < 0 ? err_set(e, errno, "unpack", "folder %.100s", entry->d_name)
			      : whiteouts_remove(child, depth + 1, e);
	}
	closedir(dir);
	return r;
}

static int folder_opaque(struct unpack *u, struct merge_dir *dir, int fd, struct err *e)
{
	int r;

	if (!dir->n_lower)
		return 0; /* nothing below to hide, or hidden already */
	r = node_set_opaque(fd);
	if (r < 0)
		return err_set(e, r, "unpack", "opaque folder");
	if ((r = whiteouts_remove(fd, 0, e)) < 0)
		return r;
	return merge_opaque(&u->merge, dir, e);
}

static int whiteout(struct unpack *u, const char *name, struct err *e)
{
	struct merge_dir *dir = merge_lookup(&u->merge, u->parent, name);
	struct stat st;
	int r;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(e, 0, "unpack", "a whiteout of nothing");
	if (dir && dir->made) {
		AUTO_FD fd = merge_open(&u->merge, dir, e);

		return fd < 0 ? fd : folder_opaque(u, dir, fd, e);
	}
	if (fstatat(u->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* what this layer has there hides the rest */
	if (merge_lower(&u->merge, u->parent, name, NULL) == MERGE_NONE)
		return 0; /* overlayfs would list a whiteout that hides nothing */
	if ((r = merge_drop(&u->merge, u->parent, name, e)) < 0)
		return r;
	r = node_whiteout(u->parent_fd, name);
	return r < 0 ? err_set(e, r, "unpack", "whiteout") : 0;
}

/* overlayfs merges the roots of all layers whatever they are marked with: there each name is hidden by itself. */
static int root_opaque(struct unpack *u, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < u->parent->n_lower; i++) {
		AUTO_FD fd = openat(u->merge.lower_fd[u->parent->lower[i]], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *entry;

		if (!dir)
			return err_set(e, errno, "unpack", "opaque root");
		(void)take_fd(&fd); /* dir has it */
		while (r == 0 && (entry = readdir(dir)))
			if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
				r = whiteout(u, entry->d_name, e);
		closedir(dir);
	}
	return r;
}

static int whiteout_entry(struct unpack *u, const char *name, struct err *e)
{
	if (!strcmp(name, ".wh..wh..opq") && !*u->parent->path)
		return root_opaque(u, e);
	if (!strcmp(name, ".wh..wh..opq"))
		return folder_opaque(u, u->parent, u->parent_fd, e);
	if (str_starts(name, ".wh..wh."))
		return 0; /* bookkeeping of aufs (".wh..wh.plnk", ".wh..wh.orph"): not part of the image */
	return whiteout(u, name + 4, e);
}

/* ---------------------------------------------------------------- entries by type */

static int folder_entry(struct unpack *u, const char *name, struct archive_entry *entry, struct err *e)
{
	struct merge_dir *dir = merge_lookup(&u->merge, u->parent, name);
	AUTO_FD fd = -1;
	bool fresh = !dir || !dir->made, opaque = false;
	int r;

	if (fresh && mkdirat(u->parent_fd, name, mode_first(entry)) < 0) {
		if (errno != EEXIST)
			return err_set(e, errno, "unpack", "folder");
		/* A file or whiteout of this layer stood between: the old folder does not shine through the new one. */
		opaque = merge_lower(&u->merge, u->parent, name, NULL) == MERGE_FOLDER;
		if ((r = place_clear(u, name, e)) < 0)
			return r;
		if (mkdirat(u->parent_fd, name, mode_first(entry)) < 0)
			return err_set(e, errno, "unpack", "folder");
	}
	if (fresh && (r = merge_made(&u->merge, u->parent, name, opaque, &dir, e)) < 0)
		return r;
	fd = openat(u->parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "unpack", "folder");
	if (opaque && (r = node_set_opaque(fd)) < 0)
		return err_set(e, r, "unpack", "opaque folder");
	dir->mtime = mtime_of(entry);
	return fd_attributes(fd, entry, e);
}

static int root_entry(struct unpack *u, struct archive_entry *entry, struct err *e)
{
	const char *name;
	int r;

	if (archive_entry_filetype(entry) != AE_IFDIR)
		return err_set(e, 0, "unpack", "the root is not a folder");
	/* The parent of any name without a slash is the root. */
	if ((r = parent_enter(u, ".", &name, e)) < 0)
		return r;
	u->parent->mtime = mtime_of(entry);
	return fd_attributes(u->parent_fd, entry, e);
}

/* What its map of holes promises; 0 without one. */
static la_int64_t sparse_bytes(struct archive_entry *entry)
{
	la_int64_t offset, len, sum = 0;

	archive_entry_sparse_reset(entry);
	while (archive_entry_sparse_next(entry, &offset, &len) == ARCHIVE_OK)
		if (__builtin_add_overflow(sum, len, &sum))
			return INT64_MAX;
	return sum;
}

static int data_write(struct unpack *u, int fd, struct archive_entry *entry, la_int64_t size, struct err *e)
{
	la_int64_t end = 0, left = sparse_bytes(entry), offset;
	const void *data;
	size_t len;
	int r, full;

	u->space.end = 0;
	while ((r = archive_read_data_block(u->archive, &data, &len, &offset)) == ARCHIVE_OK) {
		/* libarchive believes a map of holes whatever it says, and does not miss data at its end. */
		if (offset < end || offset > size || (la_int64_t)len > size - offset)
			return err_set(e, 0, "unpack",
				       "bad archive: its map of holes leaves the file or goes backwards");
		left -= (la_int64_t)len;
		if ((full = space_write(&u->space, fd, data, len, offset, e)) < 0)
			return full;
		end = offset + (la_int64_t)len;
		u->result.bytes += len;
	}
	if (r != ARCHIVE_EOF)
		return archive_failed(u, e);
	if (left > 0)
		return err_set(e, 0, "unpack", "bad archive: %lld bytes that its map of holes promises are not there",
			       (long long)left);
	if (u->space.end < (uint64_t)size && ftruncate(fd, size) < 0)
		return err_set(e, errno, "unpack", "size");
	return 0;
}

static int file_create(struct unpack *u, const char *name, mode_t mode, struct err *e)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, r;
	AUTO_FD fd = openat(u->parent_fd, name, flags, mode);

	if (fd < 0 && errno == EEXIST) {
		if ((r = place_clear(u, name, e)) < 0)
			return r;
		fd = openat(u->parent_fd, name, flags, mode);
	}
	if (fd < 0)
		return err_set(e, errno, "unpack", "create");
	r = merge_drop(&u->merge, u->parent, name, e);
	return r < 0 ? r : take_fd(&fd);
}

static int file_entry(struct unpack *u, const char *name, struct archive_entry *entry, struct err *e)
{
	struct timespec times[2] = {mtime_of(entry), mtime_of(entry)};
	la_int64_t size = archive_entry_size(entry);
	AUTO_FD fd = -1;
	int r;

	if (size < 0)
		return err_set(e, 0, "unpack", "negative size");
	if (!archive_entry_sparse_count(entry) && (r = space_check(&u->space, (uint64_t)size, e)) < 0)
		return r;
	fd = file_create(u, name, mode_first(entry), e);
	if (fd < 0)
		return fd;
	if ((r = data_write(u, fd, entry, size, e)) < 0 || (r = fd_attributes(fd, entry, e)) < 0)
		return r;
	if (futimens(fd, times) < 0)
		return err_set(e, errno, "unpack", "times");
	/* What is large goes on its way to the disk now: the sync at the end waits for less. Whether it does is no matter of ours. */
	if (size >= LARGE)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int symlink_entry(struct unpack *u, const char *name, struct archive_entry *entry, struct err *e)
{
	const char *target = archive_entry_symlink(entry);
	int r;

	if (!target || !*target)
		return err_set(e, 0, "unpack", "a symlink to nothing");
	if ((r = place_clear(u, name, e)) < 0)
		return r;
	if (symlinkat(target, u->parent_fd, name) < 0)
		return err_set(e, errno, "unpack", "symlink");
	return name_attributes(u, name, entry, true, e);
}

static int special_entry(struct unpack *u, const char *name, struct archive_entry *entry, mode_t type, struct err *e)
{
	dev_t dev = type == S_IFIFO ? 0 : makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry));
	int r;

	if (type == S_IFCHR && dev == 0)
		return whiteout(u, name,
				e); /* how overlayfs itself writes one: some tools pack its folders as they are */
	if ((r = place_clear(u, name, e)) < 0)
		return r;
	if (mknodat(u->parent_fd, name, type | 0600, dev) < 0)
		return err_set(e, errno, "unpack", type == S_IFIFO ? "fifo" : "device node");
	return name_attributes(u, name, entry, false, e);
}

/* ---------------------------------------------------------------- hard links */

/* A link to a file that only a lower layer has: overlayfs cannot join the two, so the file is copied into this layer first. */
static int link_copy_up(struct unpack *u, int lower_fd, int dir_fd, const char *name, struct err *e)
{
	char proc[32];
	AUTO_FD from = -1;
	AUTO_FD to = -1;
	struct timespec times[2];
	struct stat st;
	off_t at = 0;

	if (fstat(lower_fd, &st) < 0)
		return err_set(e, errno, "unpack", "hard link");
	if (!S_ISREG(st.st_mode))
		return err_set(e, 0, "unpack", "it is in a lower layer and no regular file");
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", lower_fd);
	from = open(proc, O_RDONLY | O_CLOEXEC);
	to = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		return err_set(e, errno, "unpack", "copy from a lower layer");
	if (space_take(&u->space, (uint64_t)st.st_size, e) < 0)
		return -ENOSPC;
	while (at < st.st_size) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)(st.st_size - at), 0);

		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "unpack", "copy from a lower layer");
		at += n;
	}
	times[0] = times[1] = st.st_mtim;
	if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
		return err_set(e, errno, "unpack", "copy from a lower layer");
	if (node_copy_xattrs(from, to, name, e) < 0)
		return -EIO;
	return futimens(to, times) < 0 ? err_set(e, errno, "unpack", "times") : 0;
}

/* The folder of the link's target, opened, with the target in it. */
static int link_target(struct unpack *u, const char *target, int *ret_fd, const char **ret_name, struct err *e)
{
	struct merge_dir *dir;
	struct stat st;
	AUTO_FD lower = -1;
	AUTO_FD fd = -1;
	int r = merge_parent(&u->merge, target, false, &dir, ret_name, e);

	if (r < 0)
		return r;
	if (dir->made) {
		fd = merge_open(&u->merge, dir, e);
		if (fd < 0)
			return fd;
		if (fstatat(fd, *ret_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (S_ISDIR(st.st_mode) || node_is_whiteout(&st))
				return err_set(e, 0, "unpack", "it is no file");
			*ret_fd = take_fd(&fd);
			return 0;
		}
	}
	if (merge_lower(&u->merge, dir, *ret_name, &lower) != MERGE_OTHER)
		return err_set(e, 0, "unpack", "it is not there");
	if ((r = merge_parent(&u->merge, target, true, &dir, ret_name, e)) < 0)
		return r;
	close_fd(&fd);
	fd = merge_open(&u->merge, dir, e);
	if (fd < 0)
		return fd;
	if ((r = link_copy_up(u, lower, fd, *ret_name, e)) < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int link_entry(struct unpack *u, const char *name, const char *raw_target, struct err *e)
{
	char target[MERGE_PATH_SIZE];
	const char *target_name;
	struct stat a, b;
	AUTO_FD fd = -1;
	int r = path_trim(raw_target, target, e);

	if (r < 0)
		return r;
	if ((r = link_target(u, target, &fd, &target_name, e)) < 0)
		return err_wrap(e, "hard link to '%.200s'", target);
	if (linkat(fd, target_name, u->parent_fd, name, 0) == 0)
		return merge_drop(&u->merge, u->parent, name, e);
	if (errno != EEXIST)
		return err_set(e, errno, "unpack", "hard link to '%.200s'", target);
	if (fstatat(fd, target_name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(u->parent_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino)
		return 0;
	if ((r = place_clear(u, name, e)) < 0)
		return r;
	if (linkat(fd, target_name, u->parent_fd, name, 0) < 0)
		return err_set(e, errno, "unpack", "hard link to '%.200s'", target);
	return 0;
}

/* ---------------------------------------------------------------- the layer */

static int entry_unpack(struct unpack *u, struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry), *name;
	char path[MERGE_PATH_SIZE];
	int r;

	if (!raw)
		return err_set(e, 0, "unpack", "an entry without a name");
	if ((r = path_trim(raw, path, e)) < 0)
		return r;
	if (!*path)
		return root_entry(u, entry, e);
	if ((r = parent_enter(u, path, &name, e)) < 0)
		return r;
	if (str_starts(name, ".wh."))
		return whiteout_entry(u, name, e);
	if (link)
		return link_entry(u, name, link, e);
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return file_entry(u, name, entry, e);
	case AE_IFDIR:
		return folder_entry(u, name, entry, e);
	case AE_IFLNK:
		return symlink_entry(u, name, entry, e);
	case AE_IFIFO:
		return special_entry(u, name, entry, S_IFIFO, e);
	case AE_IFCHR:
		return special_entry(u, name, entry, S_IFCHR, e);
	case AE_IFBLK:
		return special_entry(u, name, entry, S_IFBLK, e);
	default:
		return err_set(e, 0, "unpack", "an entry of unknown type");
	}
}

/* A name in a PAX header that is not the UTF-8 it should be: Go's writer, so Docker's, puts there whatever the file system had.
 * libarchive warns, and hands it on as it is; of no other warning we know that nothing was lost. */
static bool name_is_raw(struct archive *a, int status)
{
	const char *text = archive_error_string(a);

	return status == ARCHIVE_WARN && text && strstr(text, "can't be converted from UTF-8");
}

static int entries_unpack(struct unpack *u, struct err *e)
{
	struct archive_entry *entry;
	int r = 0, status;

	u->archive = tar_reader_new(on_read, NULL, u);
	if (!u->archive)
		return err_set(e, ENOMEM, "unpack", "archive reader");
	if (archive_read_open1(u->archive) != ARCHIVE_OK)
		return archive_failed(u, e);
	while (r == 0 && (status = archive_read_next_header(u->archive, &entry)) != ARCHIVE_EOF) {
		if (status != ARCHIVE_OK && !name_is_raw(u->archive, status))
			return archive_failed(u, e);
		if (++u->result.entries > UNPACK_ENTRIES_MAX)
			return err_set(e, 0, "unpack", "more than %u entries", UNPACK_ENTRIES_MAX);
		if ((r = space_take_node(&u->space, e)) < 0)
			return r;
		r = entry_unpack(u, entry, e);
		if (r < 0)
			return archive_entry_pathname(entry)
				       ? err_wrap(e, "entry '%.200s'", archive_entry_pathname(entry))
				       : r;
	}
	return r;
}

/* What follows the end of the archive (padding, mostly) is part of the diff id. */
static int diff_id_check(struct unpack *u, const char *diff_id, struct err *e)
{
	char found[DIGEST_SIZE];
	const void *data;
	ssize_t n;

	while ((n = stream_next(u, &data)) > 0)
		;
	if (n < 0)
		return archive_failed(u, e);
	ahead_digest(u->ahead, found);
	if (strcmp(found, diff_id))
		return err_set(e, 0, "unpack",
			       "its content is %s and not %s: damaged, or the config is of another image", found,
			       diff_id);
	return 0;
}

static int unpack_begin(struct unpack *u, const struct source_part *from, int dir_fd, const int *lower_fd,
			unsigned n_lower, struct err *e)
{
	uint64_t max;
	int r;

	u->parent_fd = -1;
	u->from = from;
	if ((r = space_init(&u->space, dir_fd, e)) < 0 || (r = space_free(dir_fd, &max, e)) < 0)
		return r;
	max += SPACE_SLACK;
	if (from->left && *from->left < max)
		max = *from->left;
	u->ahead = ahead_open(from, max, e);
	if (!u->ahead)
		return -EINVAL;
	return merge_init(&u->merge, dir_fd, lower_fd, n_lower, e);
}

int layer_unpack(const struct source_part *from, const char *diff_id, int dir_fd, const int *lower_fd, unsigned n_lower,
		 struct unpack_result *ret, struct err *e)
{
	struct unpack *u = calloc(1, sizeof *u);
	locale_t locale;
	int r;

	if (!u)
		return err_set(e, ENOMEM, "unpack", "layer");
	locale = tar_locale_enter();
	r = unpack_begin(u, from, dir_fd, lower_fd, n_lower, e);
	if (r == 0)
		r = entries_unpack(u, e);
	if (r == 0)
		r = diff_id_check(u, diff_id, e);
	if (r == 0)
		r = merge_times(&u->merge, e);
	if (r == 0)
		*ret = u->result;
	if (from->left)
		*from->left -= u->stream_bytes < *from->left ? u->stream_bytes : *from->left;
	archive_read_free(u->archive);
	ahead_close(u->ahead);
	merge_fini(&u->merge);
	close_fd(&u->parent_fd);
	free(u);
	tar_locale_leave(locale);
	return r;
}

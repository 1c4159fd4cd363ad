/* image/pack.c - see image/pack.h.
 *
 * Each entry is opened with O_PATH first and looked at through that descriptor, and only what is a file or a folder is then opened to be
 * read: a name that becomes a device or a pipe meanwhile is never opened as one. Names of a folder are read whole and sorted. */
#include "image/pack.h"

#include "base/own.h"
#include "base/str.h"
#include "image/links.h"
#include "image/names.h"
#include "image/node.h"
#include "image/tar.h"

#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define READ_SIZE  (256u << 10)
#define XATTR_SIZE (64u << 10) /* the kernel's limit, of a value and of a list of names */
#define NOBODY	   65534

/* Not in <linux/magic.h>. */
#define MQUEUE_MAGIC   0x19800202
#define CONFIGFS_MAGIC 0x62656570
#ifndef PSTOREFS_MAGIC
#define PSTOREFS_MAGIC 0x6165676c
#endif

struct pack {
	const struct pack_how *how;
	struct archive *archive;
	struct pack_result result;
	struct links links;
	struct err *e;
	struct err write_err;
	bool write_failed, over; /* over: nothing is written any more */
	char path[PATH_MAX];	 /* of the present entry in the archive, "" = the top */
	size_t len;
	unsigned depth;
	dev_t dev; /* of the folder whose entries are packed */
	char names[XATTR_SIZE], value[XATTR_SIZE];
	char buf[READ_SIZE];
};

static const char zeros[READ_SIZE];

static int fail(struct pack *p, const char *what)
{
	return err_set(p->e, errno, "pack", "%s %.300s", what, p->len ? p->path : "the folder");
}

/* An error is not libarchive's to know: after one it would not free what it has (3.6.2). */
static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t len)
{
	struct pack *p = arg;

	if (!p->over && p->how->write(p->how->arg, data, len, &p->write_err) < 0)
		p->over = p->write_failed = true;
	return (la_ssize_t)len;
}

static int write_failed(struct pack *p)
{
	if (p->e)
		*p->e = p->write_err;
	return p->write_err.code ? -p->write_err.code : -EINVAL;
}

static int archive_failed(struct pack *p)
{
	const char *text = archive_error_string(p->archive);

	return err_set(p->e, 0, "pack", "%.300s: %s", p->len ? p->path : "the folder",
		       text ? text : "libarchive gives no reason");
}

static void leave_out(struct pack *p, const char *what)
{
	p->result.left_out++;
	if (p->how->note)
		p->how->note(p->how->arg, p->path, what);
}

/* ---------------------------------------------------------------- attributes */

static la_int64_t id_map(const struct pack *p, uint32_t id)
{
	if (!p->how->n_ids)
		return id;
	return id >= p->how->first_id && id - p->how->first_id < p->how->n_ids ? id - p->how->first_id : NOBODY;
}

/* A file capability that was set inside of a user namespace names the id that is root there (revision 3): in an archive that is just
 * root's (revision 2). */
static size_t capability_map(const struct pack *p, char *value, size_t len)
{
	struct vfs_ns_cap_data cap;
	uint32_t root;

	if (len != sizeof cap)
		return len;
	memcpy(&cap, value, sizeof cap);
	root = le32toh(cap.rootid);
	if ((le32toh(cap.magic_etc) & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3 ||
	    (root && root != p->how->first_id))
		return len;
	cap.magic_etc = htole32(VFS_CAP_REVISION_2 | (le32toh(cap.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE));
	memcpy(value, &cap, XATTR_CAPS_SZ_2);
	return XATTR_CAPS_SZ_2;
}

/* What says that the rest of it is in another file or under another name. */
static int overlay_mark_check(struct pack *p, const char *name)
{
	if (p->how->upper && (!strcmp(name, "trusted.overlay.redirect") || !strcmp(name, "trusted.overlay.metacopy")))
		return err_set(p->e, EOPNOTSUPP, "pack",
			       "%.300s was %s by overlayfs: it is mounted with an option that is not meant to be",
			       p->path, strstr(name, "redirect") ? "renamed" : "half copied");
	return 0;
}

/* Of the open fd, or (fd -1) of name in dir. *ret_opaque: an overlay shows nothing of the layers below in this folder. */
static int xattrs_pack(struct pack *p, int fd, int dir, const char *name, struct archive_entry *entry, bool *ret_opaque)
{
	char path[32 + NAME_MAX + 1];
	ssize_t len, n;

	snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
	len = fd >= 0 ? flistxattr(fd, p->names, sizeof p->names) : llistxattr(path, p->names, sizeof p->names);
	/* Gone: the entry that was looked at is packed nevertheless. */
	if (len < 0)
		return errno == ENOTSUP || errno == ENOENT ? 0 : fail(p, "xattrs of");
	for (const char *attr = p->names; attr < p->names + len; attr += strlen(attr) + 1) {
		enum xattr_rule rule = node_xattr_rule(attr);

		if (overlay_mark_check(p, attr) < 0)
			return -EOPNOTSUPP;
		if (rule != XATTR_TAKE && strcmp(attr, "trusted.overlay.opaque"))
			continue;
		n = fd >= 0 ? fgetxattr(fd, attr, p->value, sizeof p->value)
			    : lgetxattr(path, attr, p->value, sizeof p->value);
		if (n < 0 && (errno == ENODATA || errno == ENOENT))
			continue;
		if (n < 0)
			return fail(p, "xattrs of");
		if (rule != XATTR_TAKE) {
			*ret_opaque = n == 1 && p->value[0] == 'y';
			continue;
		}
		if (!strcmp(attr, "security.capability"))
			n = (ssize_t)capability_map(p, p->value, (size_t)n);
		archive_entry_xattr_add_entry(entry, attr, p->value, (size_t)n);
	}
	return 0;
}

static void attributes_set(struct pack *p, struct archive_entry *entry, const struct stat *st)
{
	char path[PATH_MAX + 2];

	/* Of a folder with a slash, as tar(1) writes it. */
	snprintf(path, sizeof path, "%s%s", p->len ? p->path : ".", S_ISDIR(st->st_mode) ? "/" : "");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, st->st_mode);
	archive_entry_set_uid(entry, id_map(p, st->st_uid));
	archive_entry_set_gid(entry, id_map(p, st->st_gid));
	archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_size(entry, 0);
}

static int header_write(struct pack *p, struct archive_entry *entry)
{
	int r = archive_write_header(p->archive, entry);

	/* A warning: a name that is no UTF-8, which it then writes as it is. */
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return archive_failed(p);
	p->result.entries++;
	return p->write_failed ? write_failed(p) : 0;
}

/* ---------------------------------------------------------------- content */

/* Where a file has something; false: it need not say, for it has no holes. */
static bool segments_find(int fd, const struct stat *st, struct archive_entry *entry)
{
	off_t at = 0, size = st->st_size, data, hole;
	unsigned n = 0;

	if (st->st_blocks * 512 >= size)
		return false;
	for (; at < size && n < PACK_SEGMENTS_MAX; n++, at = hole) {
		data = lseek(fd, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || (!n && data == 0 && hole >= size))
			return false; /* a file system without that, or one that compresses */
		if (data >= size)
			break;
		if (hole > size || n == PACK_SEGMENTS_MAX - 1)
			hole = size;
		archive_entry_sparse_add_entry(entry, data, hole - data);
	}
	if (!n) /* one hole: said by a segment of nothing at its end */
		archive_entry_sparse_add_entry(entry, size, 0);
	return true;
}

static int data_put(struct pack *p, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		la_ssize_t n = archive_write_data(p->archive, data + at, len - at);

		if (n <= 0)
			return archive_failed(p);
		at += (size_t)n;
	}
	return p->write_failed ? write_failed(p) : 0;
}

/* From at to end; behind the file's end zeros. */
static int bytes_pack(struct pack *p, int fd, off_t at, off_t end, bool hole)
{
	int r = 0;

	while (!r && at < end) {
		size_t want = end - at < (off_t)READ_SIZE ? (size_t)(end - at) : READ_SIZE;
		ssize_t n = hole ? 0 : pread(fd, p->buf, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(p, "read");
		hole |= n == 0;
		r = data_put(p, n ? p->buf : zeros, n ? (size_t)n : want);
		at += n ? n : (ssize_t)want;
	}
	return r;
}

/* libarchive wants the zeros of holes too, and writes none of them. */
static int content_pack(struct pack *p, int fd, struct archive_entry *entry, off_t size)
{
	la_int64_t data, len;
	off_t at = 0;
	int r = 0;

	p->result.bytes += (uint64_t)size;
	if (!archive_entry_sparse_reset(entry))
		return bytes_pack(p, fd, 0, size, false);
	while (!r && archive_entry_sparse_next(entry, &data, &len) == ARCHIVE_OK) {
		r = bytes_pack(p, fd, at, data, true);
		if (!r)
			r = bytes_pack(p, fd, data, data + len, false);
		at = data + len;
	}
	return r ? r : bytes_pack(p, fd, at, size, true);
}

/* ---------------------------------------------------------------- entries */

static int file_pack(struct pack *p, int fd, const struct stat *st, struct archive_entry *entry)
{
	bool opaque;
	int r;

	attributes_set(p, entry, st);
	archive_entry_set_size(entry, st->st_size);
	if ((r = xattrs_pack(p, fd, -1, "", entry, &opaque)) < 0)
		return r;
	segments_find(fd, st, entry);
	if ((r = header_write(p, entry)) < 0)
		return r;
	return content_pack(p, fd, entry, st->st_size);
}

/* Links, devices and pipes: what has no content and is not opened to be read. */
static int special_pack(struct pack *p, int path_fd, int dir, const char *name, const struct stat *st,
			struct archive_entry *entry)
{
	char target[PATH_MAX];
	bool opaque;
	ssize_t n;
	int r;

	attributes_set(p, entry, st);
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(path_fd, "", target, sizeof target - 1);
		if (n < 0)
			return fail(p, "read link");
		target[n] = 0;
		archive_entry_set_symlink(entry, target);
	} else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		archive_entry_set_rdevmajor(entry, major(st->st_rdev));
		archive_entry_set_rdevminor(entry, minor(st->st_rdev));
	}
	/* Opened with O_PATH and nothing else is known of it: its xattrs cannot be read. They are none that would be taken. */
	if (*name && (r = xattrs_pack(p, -1, dir, name, entry, &opaque)) < 0)
		return r;
	return header_write(p, entry);
}

/* An empty file of that name beside the present entry (what = ".wh.NAME"), or in it. */
static int mark_pack(struct pack *p, size_t parent_len, const char *prefix, const char *name, const struct stat *st)
{
	struct archive_entry *entry = archive_entry_new();
	char path[PATH_MAX + 16];
	int r;

	if (!entry)
		return err_set(p->e, ENOMEM, "pack", "entry");
	snprintf(path, sizeof path, "%.*s%s%s%s", (int)parent_len, p->path, parent_len ? "/" : "", prefix, name);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, S_IFREG | 0600);
	archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_size(entry, 0);
	r = header_write(p, entry);
	archive_entry_free(entry);
	return r;
}

static int entry_pack(struct pack *p, int dir, const char *name);

static int children_pack(struct pack *p, int fd)
{
	struct names names;
	size_t len = p->len;
	int r = names_read(fd, &names);

	if (r < 0) {
		errno = -r;
		return fail(p, "read");
	}
	p->depth++;
	for (size_t i = 0; !r && i < names.n; i++) {
		int more = snprintf(p->path + len, sizeof p->path - len, "%s%s", len ? "/" : "", names.item[i]);

		p->len = len + (size_t)more;
		if (p->len >= sizeof p->path) {
			p->len = len;
			r = err_set(p->e, ENAMETOOLONG, "pack", "%.300s…", p->path);
		} else if (!p->how->skip || !p->how->skip(p->how->arg, p->path)) {
			r = entry_pack(p, fd, names.item[i]);
		}
		p->len = len;
		p->path[len] = 0;
	}
	p->depth--;
	names_fini(&names);
	return r;
}

bool pack_is_kernel_file(int fd)
{
	static const long types[] = {PROC_SUPER_MAGIC,	 SYSFS_MAGIC,	CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC,
				     DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,	     SECURITYFS_MAGIC,
				     BPF_FS_MAGIC,	 MQUEUE_MAGIC,	CONFIGFS_MAGIC,	     PSTOREFS_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (fs.f_type == types[i])
			return true;
	return false;
}

static int folder_pack(struct pack *p, int fd, struct archive_entry *entry)
{
	dev_t dev = p->dev;
	bool opaque = false;
	struct stat st;
	int r;

	if (p->depth >= PACK_DEPTH_MAX)
		return err_set(p->e, ELOOP, "pack", "%.300s: more than %d folders within each other", p->path,
			       PACK_DEPTH_MAX);
	if (fstat(fd, &st) < 0)
		return fail(p, "look at");
	attributes_set(p, entry, &st);
	if ((r = xattrs_pack(p, fd, -1, "", entry, &opaque)) < 0 || (r = header_write(p, entry)) < 0)
		return r;
	if (p->how->upper && opaque && (r = mark_pack(p, p->len, ".wh..wh..opq", "", &st)) < 0)
		return r;
	if (p->how->no_kernel_files && st.st_dev != dev && pack_is_kernel_file(fd))
		return 0;
	p->dev = st.st_dev;
	r = children_pack(p, fd);
	p->dev = dev;
	return r;
}

/* 1: it was packed as another name of one that is there. 0: it is to be packed. */
static int link_pack(struct pack *p, const struct stat *st, struct archive_entry *entry)
{
	const char *first = st->st_nlink < 2 ? NULL : links_find(&p->links, st->st_dev, st->st_ino);
	int r;

	if (!first) {
		if (st->st_nlink > 1 && links_add(&p->links, st->st_dev, st->st_ino, p->path) < 0)
			return err_set(p->e, ENOMEM, "pack", "no memory for hard links");
		return 0;
	}
	attributes_set(p, entry, st);
	archive_entry_set_hardlink(entry, first);
	r = header_write(p, entry);
	return r < 0 ? r : 1;
}

/* Opened to be read, the very same that path_fd is. */
static int reopen(struct pack *p, int path_fd, int flags)
{
	char proc[32];
	int fd;

	snprintf(proc, sizeof proc, "/proc/self/fd/%d", path_fd);
	fd = open(proc, O_RDONLY | O_CLOEXEC | flags);
	return fd < 0 ? fail(p, "open") : fd;
}

static int opened_pack(struct pack *p, int path_fd, int dir, const char *name, struct archive_entry *entry)
{
	const char *slash = strrchr(p->path, '/');
	struct stat st;
	AUTO_FD fd = -1;
	int r;

	if (fstat(path_fd, &st) < 0)
		return fail(p, "look at");
	if (p->how->upper && node_is_whiteout(&st))
		return mark_pack(p, slash ? (size_t)(slash - p->path) : 0, ".wh.", name, &st);
	if (p->how->upper && str_starts(name, ".wh.")) {
		leave_out(p, "a name that would be a whiteout in an image");
		return 0;
	}
	if (p->how->no_kernel_files && st.st_dev != p->dev && !S_ISDIR(st.st_mode) && pack_is_kernel_file(path_fd)) {
		leave_out(p, "a file of the kernel");
		return 0;
	}
	if (S_ISSOCK(st.st_mode)) {
		leave_out(p, "a socket");
		return 0;
	}
	if (S_ISDIR(st.st_mode)) {
		fd = reopen(p, path_fd, O_DIRECTORY);
		return fd < 0 ? fd : folder_pack(p, fd, entry);
	}
	r = link_pack(p, &st, entry);
	if (r)
		return r < 0 ? r : 0;
	if (!S_ISREG(st.st_mode))
		return special_pack(p, path_fd, dir, name, &st, entry);
	fd = reopen(p, path_fd, 0);
	return fd < 0 ? fd : file_pack(p, fd, &st, entry);
}

static int entry_pack(struct pack *p, int dir, const char *name)
{
	AUTO_FD path_fd = *name ? openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : fcntl(dir, F_DUPFD_CLOEXEC, 3);
	struct archive_entry *entry;
	int r;

	/* It went away since its folder was read. */
	if (path_fd < 0 && errno == ENOENT && p->depth)
		return 0;
	if (path_fd < 0)
		return fail(p, "open");
	entry = archive_entry_new();
	if (!entry)
		return err_set(p->e, ENOMEM, "pack", "entry");
	r = opened_pack(p, path_fd, dir, name, entry);
	archive_entry_free(entry);
	return r;
}

/* ---------------------------------------------------------------- the archive */

static int archive_begin(struct pack *p)
{
	p->archive = archive_write_new();
	/* Blocks of one record: nothing is padded behind the two that end it. */
	if (!p->archive || archive_write_set_format_pax(p->archive) != ARCHIVE_OK ||
	    archive_write_set_format_option(p->archive, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(p->archive, 256 << 10) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(p->archive, 1) != ARCHIVE_OK)
		return err_set(p->e, ENOMEM, "pack", "archive writer");
	return archive_write_open(p->archive, p, NULL, on_write, NULL) == ARCHIVE_OK ? 0 : archive_failed(p);
}

int tree_pack(const struct pack_how *how, int parent_fd, const char *name, const char *as, struct pack_result *ret,
	      struct err *e)
{
	struct pack *p = calloc(1, sizeof *p);
	locale_t locale;
	int r;

	if (!p)
		return err_set(e, ENOMEM, "pack", "archive");
	p->how = how;
	p->e = e;
	p->len = strlen(as);
	if (p->len >= sizeof p->path) {
		free(p);
		return err_set(e, ENAMETOOLONG, "pack", "%.100s…", as);
	}
	memcpy(p->path, as, p->len + 1);
	locale = tar_locale_enter();
	r = archive_begin(p);
	if (!r)
		r = entry_pack(p, parent_fd, name);
	if (!r && archive_write_close(p->archive) != ARCHIVE_OK)
		r = archive_failed(p);
	if (!r && p->write_failed)
		r = write_failed(p);
	if (!r && ret)
		*ret = p->result;
	p->over = true;
	archive_write_free(p->archive);
	tar_locale_leave(locale);
	links_free(&p->links);
	free(p);
	return r;
}

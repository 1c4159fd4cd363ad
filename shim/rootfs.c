/* shim/rootfs.c - see shim/rootfs.h
 *
 * Kernel facts. A string given to fsconfig is cut at 255 bytes, so overlay is mounted by mount(2), whose data may fill a page;
 * lowerdir=/proc/self/fd/N keeps it short (127 layers) and keeps host paths out of the container's mount table. 6.1 refuses a
 * detached id-mapped mount as a lower layer: id-mapped ones are attached below the staging folder first. Mounts copied into the
 * mount namespace of a new user namespace are locked: pivot_root refuses them, a bind of them on top of itself is free. */
#include "shim/rootfs.h"

#include "base/file.h"
#include "base/own.h"
#include "shim/confine.h"
#include "shim/mounts.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

/* ---------------------------------------------------------------- paths in the root */

int root_open(const struct child *c, const char *path, uint64_t flags)
{
	int fd = sys_openat2(c->root_fd, path, flags | O_CLOEXEC, 0, IN_ROOT);

	return fd < 0 ? -errno : fd;
}

/* mkdir -p, one component after the other, each prefix resolved anew below the root. */
static int make_folders(const struct child *c, const char *path, unsigned mode)
{
	char prefix[PATH_MAX];
	size_t len = strlen(path);
	AUTO_FD parent = -1;

	if (len >= sizeof prefix)
		return -ENAMETOOLONG;
	parent = root_open(c, "/", O_PATH | O_DIRECTORY);
	for (size_t at = 0, end; at < len; at = end) {
		while (path[at] == '/')
			at++;
		for (end = at; path[end] && path[end] != '/';)
			end++;
		if (parent < 0 || end == at)
			break;
		memcpy(prefix, path, end);
		prefix[end] = 0;
		int fd = root_open(c, prefix, O_PATH | O_DIRECTORY);
		if (fd == -ENOENT) {
			if (mkdirat(parent, prefix + at, path[end] ? 0755 : mode) < 0 && errno != EEXIST)
				return -errno;
			fd = root_open(c, prefix, O_PATH | O_DIRECTORY);
		}
		close_fd(&parent);
		parent = fd;
	}
	return take_fd(&parent);
}

int root_make_dir(const struct child *c, const char *path, unsigned mode)
{
	int fd = root_open(c, path, O_PATH | O_DIRECTORY);

	return fd == -ENOENT ? make_folders(c, path, mode) : fd;
}

int root_parent(const struct child *c, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (!slash || !slash[1] || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
		return -EINVAL;
	if ((size_t)(slash - path) >= sizeof dir)
		return -ENAMETOOLONG;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = 0;
	*ret_name = slash + 1;
	return root_make_dir(c, dir[0] ? dir : "/", 0755);
}

int root_make_file(const struct child *c, const char *path)
{
	int fd = root_open(c, path, O_PATH);
	struct stat st;
	const char *name;

	if (fd == -ENOENT) {
		AUTO_FD parent = root_parent(c, path, &name);

		if (parent < 0)
			return parent;
		AUTO_FD made = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (made < 0 && errno != EEXIST)
			return -errno;
		fd = root_open(c, path, O_PATH);
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
		int r = S_ISDIR(st.st_mode) ? -EISDIR : -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* ---------------------------------------------------------------- prepare: on the host's side */

static const Shim__Step *overlay_step(const struct child *c)
{
	const Shim__LaunchPlan *l = c->plan;

	/* The only kind in stage PREPARE, which comes first (plan.c). */
	return l->n_steps && l->steps[0]->what_case == SHIM__STEP__WHAT_OVERLAY ? l->steps[0] : NULL;
}

static bool has_files(const struct child *c)
{
	for (size_t i = 0; i < c->plan->n_steps; i++)
		if (c->plan->steps[i]->what_case == SHIM__STEP__WHAT_FILE)
			return true;
	return false;
}

/* What is berth's own: small files that will be bound, mount points of id-mapped layers, the empty root of a pod's holder. It
 * is charged to the container's group and the container may write to its files, so it is bounded. */
static int mount_stage(struct child *c, struct err *e)
{
	size_t bytes = 256 << 10;
	char data[96];

	for (size_t i = 0; i < c->plan->n_steps; i++)
		if (c->plan->steps[i]->what_case == SHIM__STEP__WHAT_FILE)
			bytes += c->plan->steps[i]->file->content.len + 4096;
	snprintf(data, sizeof data, "mode=0755,size=%zu,nr_inodes=%zu", bytes, c->plan->n_steps + 256);
	if (mount("tmpfs", c->plan->staging_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) < 0)
		return err_set(e, errno, "staging", "mount tmpfs on %s", c->plan->staging_dir);
	c->stage_fd = open(c->plan->staging_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->stage_fd < 0 || mkdirat(c->stage_fd, "root", 0755) < 0)
		return err_set(e, errno, "staging", "make %s/root", c->plan->staging_dir);
	return 0;
}

/* path, seen through the ids of the user namespace, attached at staging/<name>. The O_PATH descriptor or negative errno. */
static int open_id_mapped(struct child *c, const char *path, const char *name, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)c->user_fd};
	AUTO_FD fd = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "overlay", "open %s", path);
	if (sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr) < 0)
		return err_set(e, errno, "overlay", "map the ids of %s", path);
	if (mkdirat(c->stage_fd, name, 0755) < 0 ||
	    sys_move_mount(fd, "", c->stage_fd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, errno, "overlay", "attach %s", path);
	return take_fd(&fd);
}

static int open_layer(struct child *c, const char *path, size_t i, struct err *e)
{
	char name[24];
	int fd;

	if (c->user_fd >= 0) {
		snprintf(name, sizeof name, "l%zu", i);
		return open_id_mapped(c, path, name, e);
	}
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "overlay", "open layer %s", path) : fd;
}

static size_t parent_len(const char *path)
{
	return (size_t)(strrchr(path, '/') - path);
}

/* Overlayfs wants upper and work on one mount. With ids mapped, that mount is of the folder that holds both. */
static int open_upper(struct child *c, const Shim__Overlay *o, int *ret_upper, int *ret_work, struct err *e)
{
	char parent[PATH_MAX];
	size_t len = parent_len(o->upper);
	AUTO_FD both = -1;
	int r;

	r = dir_make(AT_FDCWD, o->upper, 0755);
	if (r == 0)
		r = dir_make(AT_FDCWD, o->work, 0755);
	if (r < 0)
		return err_set(e, r, "overlay", "make %s", o->upper);
	if (c->user_fd < 0) {
		*ret_upper = open(o->upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
		*ret_work = open(o->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		if (len != parent_len(o->work) || memcmp(o->upper, o->work, len) != 0 || len >= sizeof parent)
			return err_set(e, EINVAL, "overlay", "%s and its work folder are not in one folder", o->upper);
		memcpy(parent, o->upper, len);
		parent[len] = 0;
		both = open_id_mapped(c, parent, "upper", e);
		if (both < 0)
			return both;
		*ret_upper = openat(both, o->upper + len + 1, O_PATH | O_DIRECTORY | O_CLOEXEC);
		*ret_work = openat(both, o->work + len + 1, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return *ret_upper < 0 || *ret_work < 0 ? err_set(e, errno, "overlay", "open %s", o->upper) : 0;
}

/* One layer and nothing above it is no overlay (the kernel wants two): the layer itself, read-only. */
static int bind_single_layer(struct child *c, const Shim__Overlay *o, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	AUTO_FD layer = open_layer(c, o->layers[0], 0, e);

	if (layer < 0)
		return layer;
	AUTO_FD fd = sys_open_tree(layer, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 || sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr) < 0 ||
	    sys_move_mount(fd, "", AT_FDCWD, c->root_path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, errno, "overlay", "bind layer %s", o->layers[0]);
	return 0;
}

/* Overlayfs works on its layers with the rights of whoever mounts it. Through an id-mapped upper layer only mapped ids can make
 * files, and the host's root is none: it mounts as the container's root, with all capabilities (a change of the file system
 * uid takes some away). */
static int mount_with_ids(struct child *c, const char *data, struct err *e)
{
	int r;

	if (c->user_fd >= 0) {
		setfsgid(c->first_id);
		setfsuid(c->first_id);
		TRY(confine_caps_raise(e));
	}
	r = mount("overlay", c->root_path, "overlay", 0, data) < 0 ? -errno : 0;
	if (c->user_fd >= 0) {
		setfsuid(0);
		setfsgid(0);
		TRY(confine_caps_raise(e));
	}
	errno = -r;
	return r;
}

static int mount_overlay(struct child *c, const Shim__Overlay *o, struct err *e)
{
	char data[4096]; /* what mount(2) takes */
	int len = 0, upper = -1, work = -1;

	c->root_read_only = o->read_only || !o->upper;
	if (o->n_layers == 1 && !o->upper)
		return bind_single_layer(c, o, e);
	for (size_t i = 0; i < o->n_layers; i++) {
		int fd = open_layer(c, o->layers[i], i, e);

		if (fd < 0)
			return fd;
		len += snprintf(data + len, sizeof data - (size_t)len, "%s/proc/self/fd/%d", i ? ":" : "lowerdir=", fd);
		if (len > (int)sizeof data - 64) /* room for upper and work */
			return err_set(e, E2BIG, "overlay", "%zu layers", o->n_layers);
	}
	if (o->upper) {
		TRY(open_upper(c, o, &upper, &work, e));
		snprintf(data + len, sizeof data - (size_t)len, ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d",
			 upper, work);
	}
	/* The descriptors stay open; confine_and_execute closes what is left, and the kernel has references of its own. */
	if (mount_with_ids(c, data, e) < 0)
		return err_set(e, errno, "overlay", "mount overlay of %zu layers%s%s", o->n_layers,
			       o->upper ? " with upper " : "", o->upper ? o->upper : "");
	return 0;
}

static int mount_root(struct child *c, struct err *e)
{
	const Shim__Step *s = overlay_step(c);

	if (s) {
		progress_step(c->progress, s->name ? s->name : "overlay", s->timeout_ms);
		TRY(mount_overlay(c, s->overlay, e));
	} else {
		/* The holder of a pod: an empty tmpfs, a mount of its own. */
		int fd = sys_open_tree(c->stage_fd, "root", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

		if (fd < 0 || sys_move_mount(fd, "", AT_FDCWD, c->root_path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return err_set(e, errno, "rootfs", "bind an empty root");
		c->root_read_only = true;
	}
	c->root_fd = open(c->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return c->root_fd < 0 ? err_set(e, errno, "rootfs", "open %s", c->root_path) : 0;
}

int rootfs_prepare(struct child *c, struct err *e)
{
	bool stage = c->user_fd >= 0 || !overlay_step(c) || has_files(c);

	/* Sources are cloned while the tree is still shared as the host has it: only so can a bind propagate as asked. */
	TRY(mounts_open_sources(c, e));
	/* From here nothing that we mount shows outside. MS_SLAVE is enough: all of it is dropped after pivot_root. */
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_set(e, errno, "rootfs", "make the mount tree private");
	if (stage)
		TRY(mount_stage(c, e));
	int n = snprintf(c->root_path, sizeof c->root_path, "%s%s", c->plan->staging_dir, stage ? "/root" : "");
	if (n >= (int)sizeof c->root_path)
		return err_set(e, ENAMETOOLONG, "staging", "staging folder");
	TRY(mount_root(c, e));
	return mounts_open_files(c, e);
}

int rootfs_reopen(struct child *c, struct err *e)
{
	int fd;

	close_fd(&c->root_fd);
	/* Still with the host's root id, which owns the folders on the way; its capabilities are gone. */
	c->root_fd = open(c->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->root_fd < 0)
		return err_set(e, errno, "rootfs", "open %s", c->root_path);
	fd = sys_open_tree(c->root_fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 || sys_move_mount(fd, "", c->root_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "rootfs", "bind the root in the user namespace");
	close_fd(&c->root_fd);
	c->root_fd = fd;
	return 0;
}

/* ---------------------------------------------------------------- enter */

int rootfs_enter(struct child *c, struct err *e)
{
	/* The old root comes to lie on top of the new one, and is taken off: no folder is needed for it. */
	if (fchdir(c->root_fd) < 0 || sys_pivot_root(".", ".") < 0)
		return err_set(e, errno, "rootfs", "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_set(e, errno, "rootfs", "detach the host's mounts");
	if (chdir("/") < 0)
		return err_set(e, errno, "rootfs", "enter the new root");
	close_fd(&c->root_fd);
	close_fd(&c->stage_fd);
	c->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return c->root_fd < 0 ? err_set(e, errno, "rootfs", "open the new root") : 0;
}

int rootfs_seal(struct child *c, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (c->root_read_only && sys_mount_setattr(c->root_fd, "", AT_EMPTY_PATH, &attr) < 0)
		return err_set(e, errno, "rootfs", "make the root read-only");
	return 0;
}

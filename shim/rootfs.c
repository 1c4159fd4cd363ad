/* shim/rootfs.c - see shim/rootfs.h
 *
 * Kernel facts. Mounts copied into the mount namespace of a new user namespace are locked: pivot_root refuses them, a bind of
 * them on top of itself is free. */
#include "shim/rootfs.h"

#include "base/file.h"
#include "base/own.h"
#include "shim/ahead.h"
#include "shim/mounts.h"
#include "shim/overlay.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define LINKS_MAX   8
#define PAGE_BYTES  4096
#define STAGE_PAGES 64 /* beside what its files begin with */
#define IN_ROOT	    (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

/* ---------------------------------------------------------------- paths in the root */

int root_open(const struct child *c, const char *path, uint64_t flags)
{
	int fd = path_open_in(c->root_fd, path, flags, IN_ROOT);

	return fd < 0 ? -errno : fd;
}

bool root_is_link(const struct child *c, const char *path)
{
	int fd = path_open_in(c->root_fd, path, O_PATH, IN_ROOT | RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		return errno == ELOOP;
	close(fd);
	return false;
}

static int make_dir(const struct child *c, const char *path, unsigned mode, unsigned links);

/* Where the link at path leads, as a path in the container; path itself must not lead anywhere yet. */
static int read_link(const struct child *c, const char *path, char target[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) + 1 : 0;
	char link[PATH_MAX];
	ssize_t n;

	if (!slash || len >= PATH_MAX)
		return -EINVAL;
	memcpy(target, path, len);
	target[len] = 0;
	AUTO_FD parent = root_open(c, target, O_PATH | O_DIRECTORY);
	if (parent < 0)
		return parent;
	n = readlinkat(parent, slash + 1, link, sizeof link - 1);
	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	link[n] = 0;
	if (link[0] == '/')
		len = 0;
	if (len + (size_t)n >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(target + len, link, (size_t)n + 1);
	return 0;
}

/* mkdir -p, one component after the other, each prefix resolved anew below the root. Links that lead nowhere yet are made to
 * lead somewhere, as Docker does: images have /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf. */
static int make_folders(const struct child *c, const char *path, unsigned mode, unsigned links)
{
	char prefix[PATH_MAX], target[PATH_MAX];
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
			if (fd == -ENOENT && links < LINKS_MAX && read_link(c, prefix, target) == 0)
				fd = make_dir(c, target, 0755, links + 1);
		}
		close_fd(&parent);
		parent = fd;
	}
	return take_fd(&parent);
}

static int make_dir(const struct child *c, const char *path, unsigned mode, unsigned links)
{
	int fd = root_open(c, path, O_PATH | O_DIRECTORY);

	return fd == -ENOENT ? make_folders(c, path, mode, links) : fd;
}

int root_make_dir(const struct child *c, const char *path, unsigned mode)
{
	return make_dir(c, path, mode, 0);
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

static int make_file(const struct child *c, const char *path, unsigned links)
{
	int fd = root_open(c, path, O_PATH);
	char target[PATH_MAX];
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
		if (fd == -ENOENT && links < LINKS_MAX && read_link(c, path, target) == 0)
			return make_file(c, target, links + 1);
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

int root_make_file(const struct child *c, const char *path)
{
	return make_file(c, path, 0);
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
		if (c->plan->steps[i]->what_case == SHIM__STEP__WHAT_FILE &&
		    ahead_find(c->ahead, c->plan->steps[i]) < 0)
			return true;
	return false;
}

/* In whole pages, as they are taken: so it is the same for most contents. */
static size_t stage_bytes(const Shim__LaunchPlan *l)
{
	size_t pages = STAGE_PAGES;

	for (size_t i = 0; i < l->n_steps; i++)
		if (l->steps[i]->what_case == SHIM__STEP__WHAT_FILE)
			pages += 1 + (l->steps[i]->file->content.len + PAGE_BYTES - 1) / PAGE_BYTES;
	return pages * PAGE_BYTES;
}

/* What is berth's own: small files that will be bound, mount points of id-mapped layers, the empty root of a pod's holder. It
 * is charged to the container's group and the container may write to its files, so it is bounded. */
static int mount_stage(struct child *c, struct err *e)
{
	char data[96];

	snprintf(data, sizeof data, "mode=0755,size=%zu,nr_inodes=%zu", stage_bytes(c->plan), c->plan->n_steps + 256);
	if (mount("tmpfs", c->plan->staging_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) < 0)
		return err_set(e, errno, "staging", "mount tmpfs on %s", c->plan->staging_dir);
	c->stage_fd = open(c->plan->staging_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->stage_fd < 0 || mkdirat(c->stage_fd, "root", 0755) < 0)
		return err_set(e, errno, "staging", "make %s/root", c->plan->staging_dir);
	return 0;
}

int rootfs_stage_fit(const struct child *c, const Shim__LaunchPlan *l, struct err *e)
{
	size_t bytes = stage_bytes(l);
	char size[24];
	AUTO_FD fs = -1;

	if (c->stage_fd < 0 || bytes <= stage_bytes(c->plan))
		return 0;
	snprintf(size, sizeof size, "%zu", bytes);
	fs = sys_fspick(c->stage_fd);
	if (fs < 0 || sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", size) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL) < 0)
		return err_set(e, errno, "staging", "make room for %zu bytes", bytes);
	return 0;
}

static int mount_root(struct child *c, struct err *e)
{
	const Shim__Step *s = overlay_step(c);

	if (s) {
		progress_step(c->progress, s->name ? s->name : "overlay", s->timeout_ms);
		TRY(overlay_mount(c, s->overlay, e));
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

/* shim/overlay.c - see shim/overlay.h
 *
 * Kernel facts. A string given to fsconfig is cut at 255 bytes, so overlay is mounted by mount(2), whose data may fill a page;
 * lowerdir=/proc/self/fd/N keeps it short (127 layers) and keeps host paths out of the container's mount table. 6.1 refuses a
 * detached id-mapped mount as a lower layer: id-mapped ones are attached below the staging folder first. The last unmount of an
 * overlay syncs the whole file system that holds its upper layer. A detached mount may be placed once, and cloned only while it
 * is placed (before 6.15). With `volatile` nothing is synced, by the last unmount neither, and the kernel refuses to mount that upper
 * layer once more; it is for those that are mounted once. With index=off a second overlay on one upper layer is allowed: the first may be on its way out. */
#include "shim/overlay.h"

#include "base/file.h"
#include "base/own.h"
#include "shim/ahead.h"
#include "shim/confine.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>

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

/* There is a mount of it that was never used, made of layers that are not there any more; that it lives means that the host
 * has not gone down since. */
static void forget_no_sync(int work)
{
	(void)unlinkat(work, "work/incompat/volatile/dirty", 0); /* what cannot be taken away the kernel will name */
	(void)unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR);
	(void)unlinkat(work, "work/incompat", AT_REMOVEDIR);
}

static int mount_new(struct child *c, const Shim__Overlay *o, struct err *e)
{
	char data[4096]; /* what mount(2) takes */
	int len = 0, upper = -1, work = -1;

	for (size_t i = 0; i < o->n_layers; i++) {
		int fd = open_layer(c, o->layers[i], i, e);

		if (fd < 0)
			return fd;
		len += snprintf(data + len, sizeof data - (size_t)len, "%s/proc/self/fd/%d", i ? ":" : "lowerdir=", fd);
		if (len > (int)sizeof data - 96) /* room for upper and work */
			return err_set(e, E2BIG, "overlay", "%zu layers", o->n_layers);
	}
	if (o->upper) {
		TRY(open_upper(c, o, &upper, &work, e));
		if (c->kept_fd >= 0)
			forget_no_sync(work);
		snprintf(data + len, sizeof data - (size_t)len,
			 ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d,index=off%s", upper, work,
			 o->no_sync ? ",volatile" : "");
	}
	/* The descriptors stay open; confine_and_execute closes what is left, and the kernel has references of its own. */
	if (mount_with_ids(c, data, e) < 0)
		return err_set(e, errno, "overlay", "mount overlay of %zu layers%s%s", o->n_layers,
			       o->upper ? " with upper " : "", o->upper ? o->upper : "");
	return 0;
}

/* ---------------------------------------------------------------- one that is there already */

/* The folder itself, not only its name: an upper layer may have been made anew. */
static int hash_folder(uint64_t *h, const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(e, errno, "overlay", "open %s", path);
	*h = fnv(*h, path, strlen(path) + 1);
	*h = fnv(*h, &st.st_dev, sizeof st.st_dev);
	*h = fnv(*h, &st.st_ino, sizeof st.st_ino);
	return 0;
}

/* What an overlay is made of, in a word. */
static int make_key(struct child *c, const Shim__Overlay *o, char key[OVERLAY_KEY_SIZE], struct err *e)
{
	uint64_t h = FNV_BASIS;
	uint32_t first = c->user_fd >= 0 ? c->first_id : 0, no_sync = o->no_sync != 0;

	h = fnv(h, &first, sizeof first);
	h = fnv(h, &no_sync, sizeof no_sync);
	for (size_t i = 0; i < o->n_layers; i++)
		TRY(hash_folder(&h, o->layers[i], e));
	if (o->upper) {
		TRY(hash_folder(&h, o->upper, e));
		TRY(hash_folder(&h, o->work, e));
	}
	snprintf(key, OVERLAY_KEY_SIZE, "%016llx", (unsigned long long)h);
	return 0;
}

static int make_upper(const Shim__Overlay *o, struct err *e)
{
	int r = o->upper ? dir_make(AT_FDCWD, o->upper, 0755) : 0;

	if (r == 0 && o->upper)
		r = dir_make(AT_FDCWD, o->work, 0755);
	return r < 0 ? err_set(e, r, "overlay", "make %s", o->upper) : 0;
}

int overlay_mount(struct child *c, const Shim__Overlay *o, struct err *e)
{
	struct err said = {0};
	bool kept = false;

	c->root_read_only = o->read_only || !o->upper;
	if (o->n_layers == 1 && !o->upper)
		return bind_single_layer(c, o, e);
	TRY(make_upper(o, e));
	TRY(make_key(c, o, said.text, e));
	if (c->kept_fd >= 0 && strcmp(c->kept_key, said.text) == 0)
		kept = sys_move_mount(c->kept_fd, "", AT_FDCWD, c->root_path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
	if (!kept)
		TRY(mount_new(c, o, e));
	AUTO_FD next = sys_open_tree(AT_FDCWD, c->root_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (next < 0)
		return err_set(e, errno, "overlay", "keep the overlay");
	sync_send_root(c->sync_fd, next, kept, &said);
	return 0;
}

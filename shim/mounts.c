/* shim/mounts.c - see shim/mounts.h */
#include "shim/mounts.h"

#include "base/file.h"
#include "base/own.h"
#include "shim/ahead.h"
#include "shim/files.h"
#include "shim/plan.h"
#include "shim/rootfs.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#define CLONE_MOUNT (AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)

struct step_kind {
	const char *word; /* "mount", for names that the plan leaves out */
	int (*open)(struct child *c, const Shim__Step *s, size_t i, struct err *e); /* on the host's side */
	int (*apply)(struct child *c, const Shim__Step *s, int source, struct err *e);
};

static const struct step_kind *kind_of(const Shim__Step *s);
static const char *path_of(const Shim__Step *s);

static const char *step_name(const Shim__Step *s, char *buf, size_t size)
{
	if (s->name)
		return s->name;
	snprintf(buf, size, "%s %s", kind_of(s)->word, path_of(s));
	return buf;
}

/* ---------------------------------------------------------------- mounts */

static int fail(struct err *e, int code, const char *what, const char *path)
{
	return err_set(e, code, "mount", "%s %s", what, path);
}

static int set_attr(int fd, uint64_t attr, uint64_t clear, uint64_t propagation, bool recursive)
{
	uint64_t kind = propagation & ~(uint64_t)MS_REC;
	struct mount_attr a = {.attr_set = attr, .propagation = kind ? kind : MS_PRIVATE};

	/* The atime setting is one value in three bits: all of them go before one comes. */
	if (attr & MOUNT_ATTR__ATIME)
		a.attr_clr = MOUNT_ATTR__ATIME;
	a.attr_clr |= clear;
	return sys_mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a);
}

static int map_ids(int fd, int userns_fd, bool recursive)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};

	return sys_mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a);
}

static int open_bind(const Shim__MountStep *m)
{
	return sys_open_tree(AT_FDCWD, m->source,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (m->recursive ? AT_RECURSIVE : 0));
}

/* A path as it is seen in another mount namespace (of a process, by its pidfd, or itself): over to there and back. */
static int open_bind_from(int ns_fd, const Shim__MountStep *m)
{
	AUTO_FD home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int fd, saved;

	if (home < 0 || setns(ns_fd, CLONE_NEWNS) < 0)
		return -1;
	fd = open_bind(m);
	saved = errno;
	if (setns(home, CLONE_NEWNS) < 0)
		_exit(1); /* nowhere to go on from; end of file tells the shim */
	errno = saved;
	return fd;
}

/* ---------------------------------------------------------------- what a mount on the host shares */

/* The line of /proc/self/mountinfo about this mount: "ID PARENT DEV ROOT POINT OPTIONS [shared:N] [master:N] - …". Longer ones than
 * size are no loss: what is looked at stands at the beginning, but for the path. 1: found. */
static int mountinfo_find(uint64_t id, char *line, size_t size)
{
	AUTO_FD fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	char buf[2048];
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != '\n') {
				if (len < size - 1)
					line[len++] = buf[i];
				continue;
			}
			line[len] = 0;
			len = 0;
			if (strtoull(line, NULL, 10) == id)
				return 1;
		}
	return n < 0 ? -errno : 0;
}

static int mount_id(int fd, uint64_t *ret)
{
	char path[40], text[512], *at;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	n = file_read(AT_FDCWD, path, text, sizeof text);
	at = n > 0 ? strstr(text, "mnt_id:") : NULL;
	if (!at)
		return n < 0 ? (int)n : -ENODATA;
	*ret = strtoull(at + strlen("mnt_id:"), NULL, 10);
	return 0;
}

/* A mount that nothing is shared with cannot be shared with a container either, though the kernel would not say so. */
static int check_propagation(const Shim__MountStep *m, struct err *e)
{
	uint64_t kind = m->propagation & ~(uint64_t)MS_REC;
	char line[4096], *point, *end;
	AUTO_FD source = -1;
	uint64_t id = 0;
	int r;

	if (kind != MS_SHARED && kind != MS_SLAVE)
		return 0;
	source = open(m->source, O_PATH | O_CLOEXEC);
	if (source < 0)
		return fail(e, errno, "bind", m->source);
	r = mount_id(source, &id);
	if (!r)
		r = mountinfo_find(id, line, sizeof line);
	if (r <= 0)
		return fail(e, r < 0 ? r : ENOENT, "find the mount of", m->source);
	if (strstr(line, " shared:") || (kind == MS_SLAVE && strstr(line, " master:")))
		return 0;
	point = line;
	for (int i = 0; i < 4 && point; i++)
		point = strchr(point + 1, ' ');
	if (point && (end = strchr(++point, ' ')))
		*end = 0;
	return err_set(e, 0, "mount",
		       "%s lies on %s, which is a private mount: \"%s\" has no effect (mount --make-shared %s)",
		       m->source, point ? point : "?", kind == MS_SHARED ? "shared" : "slave", point ? point : "?");
}

static int open_mount(struct child *c, const Shim__Step *s, size_t i, struct err *e)
{
	const Shim__MountStep *m = s->mount;
	AUTO_FD fd = -1;

	if (m->fstype)
		return 0;
	if (m->make_source) {
		int r = dir_make(AT_FDCWD, m->source, 0755);

		if (r < 0)
			return fail(e, r, "make the folder", m->source);
	}
	if (m->from_volumes && c->volumes_fd < 0)
		return fail(e, EBADF, "no descriptor of the mount namespace of volume", m->source);
	fd = m->from_pod       ? open_bind_from(c->pod_fd, m)
	     : m->from_volumes ? open_bind_from(c->volumes_fd, m)
			       : open_bind(m);
	if (fd < 0)
		return fail(e, errno, "bind", m->source);
	TRY(check_propagation(m, e));
	if (set_attr(fd, m->attr_on_top ? 0 : m->attr, m->from_pod ? MOUNT_ATTR_RDONLY & ~m->attr : 0, m->propagation,
		     m->recursive) < 0 ||
	    (m->attr_on_top && set_attr(fd, m->attr, 0, m->propagation, false) < 0))
		return fail(e, errno, "set the attributes of", m->source);
	if (m->id_mapped && c->user_fd >= 0 && map_ids(fd, c->user_fd, m->recursive) < 0)
		return fail(e, errno, "map the ids of", m->source);
	c->sources[i] = take_fd(&fd);
	return 0;
}

/* What the kernel makes up is where everybody looks for it, not where a link of the image leads: rules for /proc (AppArmor's) go by its
 * name, and so does what may not be mounted over it (check_parts.c). */
static bool is_kernels(const char *target)
{
	return !strcmp(target, "/proc") || !strcmp(target, "/sys") || !strcmp(target, "/dev");
}

int mount_place(struct child *c, int fd, const char *target, struct err *e)
{
	struct statfs fs;
	struct stat st;
	AUTO_FD at = -1;

	if (is_kernels(target) && root_is_link(c, target))
		return err_set(e, ELOOP, "mount", "%s is a symlink in the image: nothing is mounted on it", target);
	if (fstat(fd, &st) < 0)
		return fail(e, errno, "look at the source for", target);
	at = S_ISDIR(st.st_mode) ? root_make_dir(c, target, 0755) : root_make_file(c, target);
	if (at < 0)
		return fail(e, at, "make the mount point", target);
	if (fstatfs(at, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return err_set(e, EPERM, "mount", "%s leads into /proc in the image: nothing can be mounted there",
			       target);
	if (sys_move_mount(fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return fail(e, errno, "mount on", target);
	return 0;
}

/* The kernel says what it did not like in the file system's context: "e tmpfs: Bad value for 'size'". */
static int fail_fs(struct err *e, int code, int fs, const char *type, const char *what)
{
	char said[128];
	ssize_t n = read(fs, said, sizeof said - 1);

	while (n > 0 && said[n - 1] == '\n')
		n--;
	if (n > 2)
		return err_set(e, code, "mount", "mount %s: %s (%.*s)", type, what, (int)n - 2, said + 2);
	return err_set(e, code, "mount", "mount %s: %s", type, what);
}

static int set_option(int fs, const char *option)
{
	const char *eq = strchr(option, '=');
	char key[64];

	if (!eq)
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL);
	if ((size_t)(eq - option) >= sizeof key) {
		errno = EINVAL;
		return -1;
	}
	memcpy(key, option, (size_t)(eq - option));
	key[eq - option] = 0;
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, eq + 1);
}

/* A new mount of a kernel file system, detached. The descriptor or negative errno. */
static int new_mount(const char *type, const char *source, char *const *options, size_t n_options, uint64_t attr,
		     struct err *e)
{
	AUTO_FD fs = sys_fsopen(type);
	int fd;

	if (fs < 0)
		return err_set(e, errno, "mount", "mount %s", type);
	if (source && sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source) < 0)
		return fail_fs(e, errno, fs, type, "source");
	for (size_t i = 0; i < n_options; i++)
		if (set_option(fs, options[i]) < 0)
			return fail_fs(e, errno, fs, type, options[i]);
	if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
		return fail_fs(e, errno, fs, type, "create");
	fd = sys_fsmount(fs, attr);
	return fd < 0 ? fail_fs(e, errno, fs, type, "mount") : fd;
}

static int apply_mount(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const Shim__MountStep *m = s->mount;
	AUTO_FD made = -1;

	if (!m->fstype)
		return mount_place(c, source, m->target, e);
	made = new_mount(m->fstype, m->source ? m->source : m->fstype, m->options, m->n_options, m->attr, e);
	if (made < 0)
		return made;
	if ((m->propagation & (MS_SHARED | MS_SLAVE | MS_UNBINDABLE)) &&
	    set_attr(made, 0, 0, m->propagation, false) < 0)
		return fail(e, errno, "set the propagation of", m->target);
	return mount_place(c, made, m->target, e);
}

/* ---------------------------------------------------------------- device nodes */

static int open_node_source(struct child *c, const Shim__NodeStep *n, size_t i, struct err *e)
{
	int fd = sys_open_tree(AT_FDCWD, n->host_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "device", "bind %s", n->host_path);
	c->sources[i] = fd;
	return 0;
}

static int open_node(struct child *c, const Shim__Step *s, size_t i, struct err *e)
{
	/* mknod of a device is for the first user namespace only. */
	if (c->user_fd < 0)
		return 0;
	if (!s->node->host_path)
		return err_set(e, EPERM, "device", "make %s in a user namespace (and no host path to bind)",
			       s->node->path);
	return open_node_source(c, s->node, i, e);
}

static int apply_node(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const Shim__NodeStep *n = s->node;
	const char *name;
	AUTO_FD parent = -1;

	if (source < 0) {
		parent = root_parent(c, n->path, &name);
		if (parent < 0)
			return err_set(e, parent, "device", "make the folder of %s", n->path);
		if (mknodat(parent, name, n->mode, makedev(n->major, n->minor)) == 0)
			return 0;
		if (errno != EPERM || !n->host_path || s->stage != SHIM__STEP__STAGE__ROOTFS)
			return err_set(e, errno, "device", "make %s", n->path);
		AUTO_FD bound = sys_open_tree(AT_FDCWD, n->host_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		return bound < 0 ? err_set(e, errno, "device", "bind %s", n->host_path)
				 : mount_place(c, bound, n->path, e);
	}
	return mount_place(c, source, n->path, e);
}

/* ---------------------------------------------------------------- links, folders, files */

static int apply_symlink(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const Shim__SymlinkStep *l = s->symlink;
	const char *name;
	char there[256];
	AUTO_FD parent = root_parent(c, l->path, &name);

	if (parent < 0)
		return err_set(e, parent, "symlink", "make the folder of %s", l->path);
	if (symlinkat(l->target, parent, name) == 0)
		return 0;
	int code = errno;
	/* From an earlier incarnation: the upper layer survives. */
	ssize_t n = code == EEXIST ? readlinkat(parent, name, there, sizeof there) : -1;
	if (n >= 0 && (size_t)n == strlen(l->target) && memcmp(there, l->target, (size_t)n) == 0)
		return 0;
	return err_set(e, code, "symlink", "make link %s", l->path);
}

static int apply_directory(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const Shim__DirectoryStep *d = s->directory;
	unsigned mode = d->has_mode ? d->mode : 0755;
	AUTO_FD fd = root_make_dir(c, d->path, mode);

	if (fd < 0)
		return err_set(e, fd, "directory", "make %s", d->path);
	return 0;
}

static int apply_tree(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const Shim__TreeStep *t = s->tree;

	if (source >= 0)
		return mount_place(c, source, t->path, e);
	for (size_t i = 0; i < t->n_steps; i++)
		TRY(kind_of(t->steps[i])->apply(c, t->steps[i], -1, e));
	return 0;
}

static int open_file(struct child *c, const Shim__Step *s, size_t i, struct err *e)
{
	int fd = file_open(c, s->file, i, e);

	if (fd < 0)
		return fd;
	c->sources[i] = fd;
	return 0;
}

static int apply_file(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	return mount_place(c, source, s->file->path, e);
}

/* ---------------------------------------------------------------- masks */

static bool is_missing(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/* The container's own /dev/null, which berth made: the host's is not in this mount namespace any more when it matters. */
static int open_null(struct child *c, struct err *e)
{
	struct stat st;
	AUTO_FD fd = root_open(c, "/dev/null", O_PATH);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, fd < 0 ? fd : errno, "mask", "open /dev/null in the container");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, EINVAL, "mask", "/dev/null in the container is not the null device");
	c->null_fd = take_fd(&fd);
	return 0;
}

/* All masked folders are views of one empty file system: the first mount of it is placed, the others are clones. */
static int mask_folder(struct child *c, int at, const char *path, struct err *e)
{
	static const char *const options[] = {"mode=0755", "nr_blocks=1", "nr_inodes=1"};
	AUTO_FD clone = -1;
	int fd;

	if (c->empty_fd < 0)
		fd = c->empty_fd =
			new_mount("tmpfs", "tmpfs", (char *const *)options, ARRAY_SIZE(options),
				  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	else
		fd = clone = sys_open_tree(c->empty_fd, "", CLONE_MOUNT);
	if (fd < 0)
		return fd == c->empty_fd ? fd : err_set(e, errno, "mask", "mask %s", path);
	if (sys_move_mount(fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "mask", "mask %s", path);
	return 0;
}

static int apply_mask(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const char *path = s->mask->path;
	struct stat st;
	AUTO_FD at = root_open(c, path, O_PATH), clone = -1;

	if (is_missing(at))
		return 0;
	if (at < 0 || fstat(at, &st) < 0)
		return err_set(e, at < 0 ? at : errno, "mask", "mask %s", path);
	if (S_ISDIR(st.st_mode))
		return mask_folder(c, at, path, e);
	if (c->null_fd < 0)
		TRY(open_null(c, e));
	clone = sys_open_tree(c->null_fd, "", CLONE_MOUNT);
	if (clone < 0 || sys_move_mount(clone, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "mask", "mask %s", path);
	return 0;
}

static int apply_readonly_path(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const char *path = s->readonly_path->path;
	AUTO_FD at = root_open(c, path, O_PATH), clone = -1;

	if (is_missing(at))
		return 0;
	if (at < 0)
		return err_set(e, at, "read-only", "open %s", path);
	clone = sys_open_tree(at, "", CLONE_MOUNT | AT_RECURSIVE);
	if (clone < 0 || set_attr(clone, MOUNT_ATTR_RDONLY, 0, 0, true) < 0 ||
	    sys_move_mount(clone, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "read-only", "make %s read-only", path);
	return 0;
}

static int apply_sysctl(struct child *c, const Shim__Step *s, int source, struct err *e)
{
	const Shim__SysctlStep *k = s->sysctl;
	char path[256] = "/proc/sys/";
	size_t base = strlen(path);
	bool slashes = strchr(k->key, '/') != NULL; /* then a dot is part of a name: net/ipv4/conf/eth0.1/forwarding */

	if (strlen(k->key) >= sizeof path - base)
		return err_set(e, ENAMETOOLONG, "sysctl", "sysctl %s", k->key);
	strcpy(path + base, k->key);
	for (char *p = path + base; *p && !slashes; p++)
		if (*p == '.')
			*p = '/';
	AUTO_FD fd = root_open(c, path, O_WRONLY);
	if (fd < 0)
		return err_set(e, fd, "sysctl", "sysctl %s", k->key);
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) /* a file of the image would take any value */
		return err_set(e, EINVAL, "sysctl", "sysctl %s: /proc is not the kernel's", k->key);
	if (write(fd, k->value, strlen(k->value)) < 0)
		return err_set(e, errno, "sysctl", "sysctl %s = %s", k->key, k->value);
	return 0;
}

/* ---------------------------------------------------------------- the list */

static const struct step_kind kinds[] = {
	[SHIM__STEP__WHAT_OVERLAY] = {"overlay", NULL, NULL}, /* rootfs.c */
	[SHIM__STEP__WHAT_MOUNT] = {"mount", open_mount, apply_mount},
	[SHIM__STEP__WHAT_NODE] = {"device", open_node, apply_node},
	[SHIM__STEP__WHAT_SYMLINK] = {"symlink", NULL, apply_symlink},
	[SHIM__STEP__WHAT_DIRECTORY] = {"directory", NULL, apply_directory},
	[SHIM__STEP__WHAT_FILE] = {"file", open_file, apply_file},
	[SHIM__STEP__WHAT_MASK] = {"mask", NULL, apply_mask},
	[SHIM__STEP__WHAT_READONLY_PATH] = {"read-only", NULL, apply_readonly_path},
	[SHIM__STEP__WHAT_SYSCTL] = {"sysctl", NULL, apply_sysctl},
	[SHIM__STEP__WHAT_TREE] = {"tree", NULL, apply_tree},
};

static const struct step_kind *kind_of(const Shim__Step *s)
{
	return &kinds[s->what_case]; /* plan.c refused what is not in the table */
}

static const char *path_of(const Shim__Step *s)
{
	const char *target = plan_step_target(s);

	if (target)
		return target;
	return s->what_case == SHIM__STEP__WHAT_SYSCTL ? s->sysctl->key : "rootfs";
}

/* Names the step in the error, and forgives it if it is optional: sources[i] stays -1 then, and apply passes over it. */
static int step_done(struct child *c, const Shim__Step *s, size_t i, int r, struct err *e)
{
	char buf[sizeof e->step];
	const char *name;

	if (r >= 0)
		return 0;
	name = step_name(s, buf, sizeof buf);
	snprintf(e->step, sizeof e->step, "%s", name);
	if (!s->optional)
		return r;
	c->sources[i] = -2;
	return child_skip(c, name, e);
}

static int open_steps(struct child *c, bool files, struct err *e)
{
	char buf[sizeof e->step];

	for (size_t i = 0; i < c->plan->n_steps; i++) {
		const Shim__Step *s = c->plan->steps[i];

		if (!kind_of(s)->open || (s->what_case == SHIM__STEP__WHAT_FILE) != files || c->sources[i] >= 0)
			continue;
		progress_step(c->progress, step_name(s, buf, sizeof buf), s->timeout_ms);
		TRY(step_done(c, s, i, kind_of(s)->open(c, s, i, e), e));
	}
	return 0;
}

int mounts_open_sources(struct child *c, struct err *e)
{
	/* Never freed: the process is about to execute, or to end. */
	c->sources = calloc(c->plan->n_steps + 1, sizeof *c->sources);
	if (!c->sources)
		return err_set(e, ENOMEM, "mount", "memory for %zu steps", c->plan->n_steps);
	for (size_t i = 0; i < c->plan->n_steps; i++)
		c->sources[i] = ahead_find(c->ahead, c->plan->steps[i]);
	return open_steps(c, false, e);
}

int mounts_open_files(struct child *c, struct err *e)
{
	return open_steps(c, true, e);
}

/* Out of its place, before other steps lay something over it. */
static int hand_over(struct child *c, const Shim__Step *s, size_t i, struct err *e)
{
	bool tree = s->what_case == SHIM__STEP__WHAT_TREE;
	AUTO_FD at = -1, fd = -1;

	if (!tree && s->what_case != SHIM__STEP__WHAT_FILE)
		return 0;
	at = root_open(c, plan_step_target(s), O_PATH);
	fd = at < 0 ? -1 : sys_open_tree(at, "", CLONE_MOUNT | (tree ? AT_RECURSIVE : 0));
	if (fd < 0)
		return err_set(e, at < 0 ? at : errno, "mount", "take %s", plan_step_target(s));
	sync_send_ahead(c->sync_fd, (int)i, fd);
	return 0;
}

int mounts_apply(struct child *c, Shim__Step__Stage stage, struct err *e)
{
	char buf[sizeof e->step];

	for (size_t i = 0; i < c->plan->n_steps; i++) {
		const Shim__Step *s = c->plan->steps[i];

		if (s->stage != stage || c->sources[i] == -2)
			continue;
		progress_step(c->progress, step_name(s, buf, sizeof buf), s->timeout_ms);
		TRY(step_done(c, s, i, kind_of(s)->apply(c, s, c->sources[i], e), e));
		close_fd(&c->sources[i]);
		if (c->hands_over)
			TRY(hand_over(c, s, i, e));
	}
	return 0;
}

/* job/view.c - see job/view.h
 *
 * Kernel facts. A path that is opened below a descriptor in another mount namespace sees the mounts of that namespace: nobody has to
 * enter it, and /proc stays the host's. 6.1 refuses a detached id-mapped mount as a lower layer, and overlayfs works on its upper layer
 * with the rights of whoever mounted it, of which through an id-mapped one only the container's root is one that can make files
 * (shim/overlay.c does the same for the same reasons). With index=off a second overlay on one upper layer is allowed. */
#include "job/view.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

/* ---------------------------------------------------------------- of one that runs */

/* The path of its group ends in `group`, or goes on below it. */
static bool process_is_of(pid_t pid, const char *group)
{
	char path[64], text[8192];
	const char *at;
	size_t len = strlen(group);

	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	if (file_read(AT_FDCWD, path, text, sizeof text) <= 0)
		return false;
	for (at = strstr(text, "0::/"); at && at > text && at[-1] != '\n';)
		at = strstr(at + 1, "0::/");
	for (at = at ? strstr(at, group) : NULL; at && *at; at = strstr(at + 1, group)) {
		if (at[-1] == '/' && at[len] == '/')
			return !memchr(at, '\n', len);
	}
	return false;
}

int view_of_process(struct view *v, pid_t pid, const char *group, bool userns, struct err *e)
{
	AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	char path[64];

	/* What is opened while the process is held by its pidfd and still lives is of that process. */
	if (pidfd >= 0 && process_is_of(pid, group)) {
		snprintf(path, sizeof path, "/proc/%d/root", pid);
		v->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
		if (v->root_fd >= 0 && userns)
			v->user_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (v->root_fd < 0 || (userns && v->user_fd < 0) || poll(&p, 1, 0) != 0)
		return err_set(e, EBUSY, "view", "the container has just ended");
	return 0;
}

/* ---------------------------------------------------------------- ids */

static int caps_raise(struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return err_set(e, errno, "view", "capabilities");
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return syscall(SYS_capset, &header, data) < 0 ? err_set(e, errno, "view", "capabilities") : 0;
}

/* Make files as this one, with all capabilities: a change of the file system's user takes some away. */
static int files_as(uint32_t id, struct err *e)
{
	setfsgid(id);
	setfsuid(id);
	return caps_raise(e);
}

static int map_write(pid_t pid, const char *name, uint32_t first, uint32_t count)
{
	char path[64], text[64];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	snprintf(text, sizeof text, "0 %u %u", first, count);
	return file_writes(AT_FDCWD, path, text);
}

/* A namespace with these ids, by a process that lives as long as it takes to open it. */
static int userns_make(uint32_t first, uint32_t count, struct err *e)
{
	int ready[2], r = 0, fd = -1;
	char path[64], byte = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_set(e, errno, "view", "user namespace");
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) == 0 && write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		r = pid < 0 ? -errno : -EPERM;
	close(ready[0]);
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	if (r == 0)
		r = map_write(pid, "uid_map", first, count);
	if (r == 0)
		r = map_write(pid, "gid_map", first, count);
	if (r == 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = -errno;
	if (pid > 0) {
		kill(pid, SIGKILL); /* ours, and not waited for yet */
		waitpid(pid, NULL, 0);
	}
	return r < 0 ? err_set(e, -r, "view", "user namespace") : fd;
}

int view_become_root(const struct view *v, struct err *e)
{
	if (v->user_fd < 0)
		return 0;
	if (setns(v->user_fd, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 ||
	    setresuid(0, 0, 0) < 0)
		return err_set(e, errno, "view", "enter the container's user namespace");
	return caps_raise(e);
}

/* ---------------------------------------------------------------- of one that does not run */

struct build {
	struct view *v;
	const Shim__LaunchPlan *plan;
	int stage_fd;	     /* an empty tmpfs of ours */
	int volumes_fd;	     /* where volumes are mounted, or -1 */
	char root[PATH_MAX]; /* where the overlay goes, in it */
	bool write;
	unsigned n_mapped;
};

/* As the container's root, or as the host's again. */
static int files_as_root(const struct build *b, bool on, struct err *e)
{
	return b->v->user_fd < 0 ? 0 : files_as(on ? b->plan->userns_first_id : 0, e);
}

static int map_ids(const struct build *b, int fd, unsigned flags, struct err *e, const char *path)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)b->v->user_fd};

	if (mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attr, sizeof attr) < 0)
		return err_set(e, errno, "view", "map the ids of %s", path);
	return 0;
}

/* path, with its ids mapped if there is something to map. O_PATH. */
static int folder_open(struct build *b, const char *path, struct err *e)
{
	char name[24];
	int fd;

	if (b->v->user_fd < 0) {
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_set(e, errno, "view", "open %s", path) : fd;
	}
	AUTO_FD tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return err_set(e, errno, "view", "open %s", path);
	if (map_ids(b, tree, 0, e, path) < 0)
		return -EPERM;
	snprintf(name, sizeof name, "m%u", b->n_mapped++);
	if (mkdirat(b->stage_fd, name, 0755) < 0 ||
	    move_mount(tree, "", b->stage_fd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, errno, "view", "attach %s", path);
	return take_fd(&tree);
}

/* Upper and work, which must be on one mount: the folder that holds both. */
static int upper_open(struct build *b, const Shim__Overlay *o, int *ret_upper, int *ret_work, struct err *e)
{
	const char *name = strrchr(o->upper, '/') + 1, *work = strrchr(o->work, '/') + 1;
	char both[PATH_MAX];
	int r = dir_make(AT_FDCWD, o->upper, 0755);

	if (r == 0)
		r = dir_make(AT_FDCWD, o->work, 0755);
	if (r < 0)
		return err_set(e, -r, "view", "make %s", o->upper);
	snprintf(both, sizeof both, "%.*s", (int)(name - o->upper), o->upper);
	AUTO_FD fd = folder_open(b, both, e);
	if (fd < 0)
		return fd;
	*ret_upper = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret_work = openat(fd, work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_upper < 0 || *ret_work < 0 ? err_set(e, errno, "view", "open %s", o->upper) : 0;
}

/* Who only looks has what the container wrote as one more layer below, and something on top that goes with the view: a mount point
 * may have to be made. */
static int upper_throwaway(struct build *b, int below, int *ret_upper, int *ret_work, struct err *e)
{
	uint32_t root = b->v->user_fd < 0 ? 0 : b->plan->userns_first_id;
	struct stat st;

	/* It is the root that is seen. */
	if (fstat(below, &st) < 0 || mkdirat(b->stage_fd, "upper", st.st_mode & 07777) < 0 ||
	    fchownat(b->stage_fd, "upper", root, root, 0) < 0 || mkdirat(b->stage_fd, "work", 0755) < 0)
		return err_set(e, errno, "view", "stage");
	*ret_upper = openat(b->stage_fd, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret_work = openat(b->stage_fd, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_upper < 0 || *ret_work < 0 ? err_set(e, errno, "view", "stage") : 0;
}

static int layer_add(char data[4096], int *len, int fd, struct err *e)
{
	*len += snprintf(data + *len, 4096 - (size_t)*len, "%s/proc/self/fd/%d", *len ? ":" : "lowerdir=", fd);
	return *len > 4096 - 96 ? err_set(e, E2BIG, "view", "too many layers") : 0;
}

/* The descriptors stay open until the mount is made, and then go with the process. */
static int overlay_mount(struct build *b, const Shim__Overlay *o, struct err *e)
{
	char data[4096];
	int len = 0, top = -1, upper = -1, work = -1, r;

	if (!b->write && access(o->upper, F_OK) == 0) {
		top = folder_open(b, o->upper, e);
		if (top < 0 || layer_add(data, &len, top, e) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < o->n_layers; i++) {
		int fd = folder_open(b, o->layers[i], e);

		if (fd < 0 || layer_add(data, &len, fd, e) < 0)
			return -EINVAL;
		top = top < 0 ? fd : top;
	}
	r = b->write ? upper_open(b, o, &upper, &work, e) : upper_throwaway(b, top, &upper, &work, e);
	if (r < 0 || (r = files_as_root(b, true, e)) < 0)
		return r;
	snprintf(data + len, sizeof data - (size_t)len, ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d,index=off",
		 upper, work);
	if (mount("overlay", b->root, "overlay", MS_NODEV | MS_NOSUID | MS_NOEXEC, data) < 0)
		return err_set(e, errno, "view", "mount the container's layers");
	if ((r = files_as_root(b, false, e)) < 0)
		return r;
	b->v->root_fd = open(b->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return b->v->root_fd < 0 ? err_set(e, errno, "view", "open the container's root") : 0;
}

/* The mount point, made if need be. */
static int target_open(const struct build *b, const char *target, bool folder, struct err *e)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(target, '/');
	int fd = path_open_in(b->v->root_fd, target, O_PATH, IN_ROOT);

	if (fd >= 0 || errno != ENOENT || !slash)
		return fd < 0 ? err_set(e, errno, "view", "mount point %s", target) : fd;
	if (folder) {
		fd = dir_make_in(b->v->root_fd, target, 0755, IN_ROOT);
		return fd < 0 ? err_set(e, -fd, "view", "mount point %s", target) : fd;
	}
	snprintf(parent, sizeof parent, "%.*s", (int)(slash - target), target);
	AUTO_FD dir = dir_make_in(b->v->root_fd, parent, 0755, IN_ROOT);
	AUTO_FD made =
		dir < 0 ? -1 : openat(dir, slash + 1, O_CREAT | O_WRONLY | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	fd = made < 0 ? -1 : path_open_in(b->v->root_fd, target, O_PATH, IN_ROOT);
	return fd < 0 ? err_set(e, dir < 0 ? -dir : errno, "view", "mount point %s", target) : fd;
}

/* A tmpfs has nothing in it while its container does not run, and what were written there would be lost: empty and read-only. */
static int tmpfs_open(struct err *e)
{
	AUTO_FD fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd = fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0
			 ? -1
			 : fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

	return fd < 0 ? err_set(e, errno, "view", "tmpfs") : fd;
}

static int tree_clone(const Shim__MountStep *m, unsigned recursive, struct err *e)
{
	int fd = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);

	return fd < 0 ? err_set(e, errno, "view", "%s, which is to be mounted on %s", m->source, m->target) : fd;
}

/* What is mounted in another namespace can be cloned by who is in it, and by nobody else. */
static int volume_clone(const struct build *b, const Shim__MountStep *m, unsigned recursive, struct err *e)
{
	AUTO_FD ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (ours < 0 || setns(b->volumes_fd, CLONE_NEWNS) < 0)
		return err_set(e, errno, "view", "enter the volumes' mount namespace");
	AUTO_FD fd = tree_clone(m, recursive, e);
	if (setns(ours, CLONE_NEWNS) < 0)
		return err_set(e, errno, "view", "leave the volumes' mount namespace");
	return take_fd(&fd);
}

static int source_open(const struct build *b, const Shim__MountStep *m, struct err *e)
{
	struct mount_attr attr = {.attr_set = (m->attr & MOUNT_ATTR_RDONLY) | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
					      MOUNT_ATTR_NOEXEC,
				  .propagation = MS_PRIVATE};
	unsigned recursive = m->recursive ? AT_RECURSIVE : 0;
	int r = m->make_source ? dir_make(AT_FDCWD, m->source, 0755) : 0;

	if (r < 0)
		return err_set(e, -r, "view", "make %s", m->source);
	AUTO_FD fd = m->from_volumes ? volume_clone(b, m, recursive, e) : tree_clone(m, recursive, e);
	if (fd < 0)
		return fd;
	if (mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) < 0)
		return err_set(e, errno, "view", "%s, which is to be mounted on %s", m->source, m->target);
	if (m->id_mapped && b->v->user_fd >= 0 && map_ids(b, fd, recursive, e, m->source) < 0)
		return -EPERM;
	return take_fd(&fd);
}

static int mount_add(const struct build *b, const Shim__MountStep *m, struct err *e)
{
	AUTO_FD fd = m->fstype ? tmpfs_open(e) : source_open(b, m, e);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "view", "%s", m->target);
	if (files_as_root(b, true, e) < 0)
		return -EPERM;
	AUTO_FD at = target_open(b, m->target, S_ISDIR(st.st_mode), e);
	if (at < 0 || files_as_root(b, false, e) < 0)
		return -EINVAL;
	if (move_mount(fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, errno, "view", "mount on %s", m->target);
	return 0;
}

static int mounts_add(const struct build *b, struct err *e)
{
	int r = 0;

	for (size_t i = 1; r == 0 && i < b->plan->n_steps; i++)
		if (b->plan->steps[i]->what_case == SHIM__STEP__WHAT_MOUNT)
			r = mount_add(b, b->plan->steps[i]->mount, e);
	return r;
}

static int stage_make(struct build *b, struct err *e)
{
	const char *dir = b->plan->staging_dir;

	/* Slave, not private: what the host unmounts while we run must not stay busy by our copy. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_set(e, errno, "view", "mounts of our own");
	if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m") < 0)
		return err_set(e, errno, "view", "mount a tmpfs on %s", dir);
	b->v->mounted = strdup(dir);
	b->stage_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(b->root, sizeof b->root, "%.4000s/root", dir);
	if (!b->v->mounted || b->stage_fd < 0 || mkdirat(b->stage_fd, "root", 0755) < 0)
		return err_set(e, errno, "view", "stage");
	return 0;
}

int view_of_plan(struct view *v, const Shim__LaunchPlan *plan, int volumes_fd, bool write, struct err *e)
{
	struct build b = {.v = v, .plan = plan, .stage_fd = -1, .volumes_fd = volumes_fd, .write = write};
	struct mount_attr closed = {.attr_set = MOUNT_ATTR_RDONLY};
	const Shim__Overlay *o;
	int r;

	if (!plan->n_steps || plan->steps[0]->what_case != SHIM__STEP__WHAT_OVERLAY || !plan->staging_dir ||
	    !plan->steps[0]->overlay->upper || !plan->steps[0]->overlay->work)
		return err_set(e, EBADMSG, "view", "the plan");
	o = plan->steps[0]->overlay;
	r = stage_make(&b, e);
	AUTO_FD stage = b.stage_fd; /* closed at the end */
	(void)stage;
	if (r == 0 && plan->userns_count) {
		v->user_fd = userns_make(plan->userns_first_id, plan->userns_count, e);
		r = v->user_fd < 0 ? v->user_fd : 0;
	}
	if (r == 0)
		r = overlay_mount(&b, o, e);
	if (r == 0)
		r = mounts_add(&b, e);
	if (r == 0 && (!write || o->read_only) &&
	    mount_setattr(v->root_fd, "", AT_EMPTY_PATH, &closed, sizeof closed) < 0)
		r = err_set(e, errno, "view", "make the container's root read-only");
	return r;
}

void view_close(struct view *v)
{
	close_fd(&v->root_fd);
	close_fd(&v->user_fd);
	if (v->mounted)
		(void)umount2(v->mounted,
			      MNT_DETACH); /* nobody uses it any more: it goes now, and with us at the latest */
	free(v->mounted);
	v->mounted = NULL;
}

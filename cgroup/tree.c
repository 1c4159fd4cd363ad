/* cgroup/tree.c - see cgroup/tree.h
 *
 * libcgroup says which controllers are bound to cgroup v1. It is asked in a child of its own, for two reasons:
 * cgroup_init leaves 835 kB of private memory behind, and it fails altogether where a v1 mount is hidden under
 * another mount. What cgroup v2 itself has is read from cgroup.controllers: on pure v2 libcgroup 2.0.2 finds
 * nothing, since /proc/cgroups names no hierarchy there. */
#include "cgroup/tree.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "cgroup/group.h"

#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOUNTINFO_MAX (16 << 20)

static const struct {
	const char *name, *v1_name, *config;
} controllers[CG_CONTROLLER_N_] = {
	[CG_CPU] = {"cpu", "cpu", "CONFIG_CGROUP_SCHED"},
	[CG_CPUSET] = {"cpuset", "cpuset", "CONFIG_CPUSETS"},
	[CG_IO] = {"io", "blkio", "CONFIG_BLK_CGROUP"},
	[CG_MEMORY] = {"memory", "memory", "CONFIG_MEMCG"},
	[CG_PIDS] = {"pids", "pids", "CONFIG_CGROUP_PIDS"},
	[CG_HUGETLB] = {"hugetlb", "hugetlb", "CONFIG_CGROUP_HUGETLB"},
	[CG_RDMA] = {"rdma", "rdma", "CONFIG_CGROUP_RDMA"},
	[CG_MISC] = {"misc", "misc", "CONFIG_CGROUP_MISC"},
};

const char *cg_controller_name(enum cg_controller c)
{
	return controllers[c].name;
}

const char *cg_controller_remedy(const struct cg_tree *t, enum cg_controller c)
{
	return t->remedy[c];
}

/* ---------------------------------------------------------------- what the host has */

struct discovery {
	uint32_t known;	   /* the kernel has it and it is not switched off */
	uint32_t disabled; /* cgroup_disable= */
	uint32_t v1;	   /* bound to a v1 hierarchy */
};

/* In the child. Result of libcgroup, 0 or an ECG number. */
static int discover_here(struct discovery *d)
{
	struct cgroup_mount_point *mount;
	struct controller_data data;
	struct statfs fs;
	void *handle;
	int r;

	for (r = cgroup_get_all_controller_begin(&handle, &data); !r;
	     r = cgroup_get_all_controller_next(&handle, &data))
		for (int c = 0; c < CG_CONTROLLER_N_; c++)
			if (!strcmp(data.name, controllers[c].v1_name)) {
				*(data.enabled ? &d->known : &d->disabled) |= CG_BIT(c);
				if (data.hierarchy)
					d->v1 |= CG_BIT(c);
			}
	cgroup_get_all_controller_end(&handle);
	if (r != ECGEOF || cgroup_init())
		return r == ECGEOF ? 0 : r;

	/* /proc/cgroups is gone where only v2 is built in; the mounts still tell. */
	mount = malloc(sizeof *mount);
	if (!mount)
		return ECGOTHER;
	for (r = cgroup_get_controller_begin(&handle, mount); !r; r = cgroup_get_controller_next(&handle, mount))
		for (int c = 0; c < CG_CONTROLLER_N_; c++)
			if (!strcmp(mount->name, controllers[c].v1_name) && !statfs(mount->path, &fs))
				*(fs.f_type == CGROUP_SUPER_MAGIC ? &d->v1 : &d->known) |= CG_BIT(c);
	cgroup_get_controller_end(&handle);
	return 0;
}

static int discover(struct discovery *d)
{
	int pipe_fd[2], status;

	*d = (struct discovery){0};
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	AUTO_FD in = pipe_fd[0];
	AUTO_FD out = pipe_fd[1];
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		struct discovery found = {0};

		if (discover_here(&found))
			_exit(1);
		_exit(write(out, &found, sizeof found) != sizeof found);
	}
	close_fd(&out);
	ssize_t n = read(in, d, sizeof *d);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return n == sizeof *d ? 0 : -EIO;
}

/* ---------------------------------------------------------------- where */

/* Field i (from 0) of a mountinfo line; its octal escapes undone. */
static bool mountinfo_field(const char *line, unsigned i, char *buf, size_t size)
{
	size_t len, n = 0;
	const char *word = NULL;

	for (unsigned k = 0; k <= i; k++)
		if (!(word = str_word(&line, " ", &len)))
			return false;
	for (size_t k = 0; k < len; k++) {
		if (n + 1 >= size)
			return false;
		if (word[k] == '\\' && k + 3 < len) {
			buf[n++] = (char)((word[k + 1] - '0') * 64 + (word[k + 2] - '0') * 8 + (word[k + 3] - '0'));
			k += 3;
		} else {
			buf[n++] = word[k];
		}
	}
	buf[n] = '\0';
	return true;
}

/* The last cgroup2 mount that can still be seen; one at /sys/fs/cgroup before any other. */
static int find_mount(struct cg_tree *t, int *ret_fd, char *root, size_t root_size, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_FD best = -1;
	bool usual = false;
	char *next = NULL;
	ssize_t n = file_read_all(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text);

	if (n < 0)
		return err_set(e, (int)n, "cgroup", "read /proc/self/mountinfo");
	for (char *line = text; line && *line; line = next) {
		char point[sizeof t->mount], from[512];
		const char *type = strstr(line, " - cgroup2 ");
		struct statfs fs;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		type = strstr(line, " - cgroup2 ");
		if (!type || !mountinfo_field(line, 4, point, sizeof point) ||
		    !mountinfo_field(line, 3, from, sizeof from))
			continue;
		if (usual && strcmp(point, "/sys/fs/cgroup"))
			continue;
		AUTO_FD fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue; /* hidden under another mount */
		usual = !strcmp(point, "/sys/fs/cgroup");
		close_fd(&best);
		best = take_fd(&fd);
		snprintf(t->mount, sizeof t->mount, "%s", point);
		snprintf(root, root_size, "%s", from);
	}
	if (best < 0)
		return err_set(e, ENODEV, "cgroup",
			       "no cgroup v2 is mounted (mount -t cgroup2 none /sys/fs/cgroup, or boot with "
			       "systemd.unified_cgroup_hierarchy=1)");
	*ret_fd = take_fd(&best);
	return 0;
}

/* Our own group, as a path below the mount. False if it lies outside of what the mount shows. */
static bool own_group(const char *mount_root, char *buf, size_t size)
{
	char text[4096];
	size_t skip = strcmp(mount_root, "/") ? strlen(mount_root) : 0;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) < 0)
		return false;
	const char *line = str_starts(text, "0::/") ? text : strstr(text, "\n0::/");
	if (!line)
		return false;
	line = strchr(line, '/');
	size_t len = strcspn(line, "\n");
	if (len < skip || strncmp(line, mount_root, skip) || len - skip >= size)
		return false;
	memcpy(buf, line + skip, len - skip);
	buf[len - skip] = '\0';
	if (!buf[0])
		snprintf(buf, size, "/");
	return strcmp(buf, "/") && str_is_clean_path(buf);
}

/* systemd marks what it hands over: Delegate=yes sets both. */
static bool is_delegated(int fd)
{
	char value[4] = "";

	return (fgetxattr(fd, "trusted.delegate", value, sizeof value) == 1 ||
		fgetxattr(fd, "user.delegate", value, sizeof value) == 1) &&
	       value[0] == '1';
}

static bool path_is_delegated(int mount_fd, const char *path)
{
	AUTO_FD fd = -1;

	return cg_open(mount_fd, path[1] ? path + 1 : ".", &fd) >= 0 && is_delegated(fd);
}

static void path_default(struct cg_tree *t, int mount_fd, const char *mount_root)
{
	char own[sizeof t->path], above[sizeof t->path];

	snprintf(t->path, sizeof t->path, "/berth");
	if (!own_group(mount_root, own, sizeof own))
		return;
	/* After an upgrade in place this process is where its predecessor moved itself: <root>/supervisor. */
	snprintf(above, sizeof above, "%s", own);
	char *slash = strrchr(above, '/');
	if (slash != above && !strcmp(slash, "/supervisor")) {
		*slash = '\0';
		if (path_is_delegated(mount_fd, above)) {
			memcpy(t->path, above, sizeof above);
			return;
		}
	}
	if (path_is_delegated(mount_fd, own))
		memcpy(t->path, own, sizeof own);
}

static int path_given(struct cg_tree *t, const char *path, struct err *e)
{
	size_t n = strlen(t->mount);

	if (!strncmp(path, t->mount, n) && path[n] == '/')
		path += n;
	if (strcmp(path, "/") && !str_is_clean_path(path))
		return err_set(e, EINVAL, "cgroup", "cgroup path %s: must start with / and have no empty, . or .. part",
			       path);
	if (snprintf(t->path, sizeof t->path, "%s", path) >= (int)sizeof t->path)
		return err_set(e, ENAMETOOLONG, "cgroup", "cgroup path %s", path);
	return 0;
}

/* ---------------------------------------------------------------- our root */

/* Makes the path and, where nobody else owns what lies above, enables the controllers down to it. Failures to enable
 * show in cgroup.controllers of our root and are told by the remedies. */
static int open_root(struct cg_tree *t, int mount_fd, struct err *e)
{
	char part[sizeof t->path];
	const char *p = t->path, *word;
	size_t len;
	bool ours;
	AUTO_FD at = fcntl(mount_fd, F_DUPFD_CLOEXEC, 3);

	if (at < 0)
		return err_set(e, errno, "cgroup", "open %s", t->mount);
	t->delegated = path_is_delegated(mount_fd, t->path);
	ours = !t->delegated;
	while ((word = str_word(&p, "/", &len))) {
		uint32_t have;
		int next;

		if (ours && !cg_controllers_here(at, &have))
			for (int c = 0; c < CG_CONTROLLER_N_; c++)
				if (have & CG_WANTED & CG_BIT(c))
					cg_enable(at, CG_BIT(c), NULL);
		snprintf(part, sizeof part, "%.*s", (int)len, word);
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return err_set(e, errno, "cgroup", "make group %s of %s%s", part, t->mount, t->path);
		int r = cg_open(at, part, &next);
		if (r < 0)
			return err_set(e, r, "cgroup", "open group %s of %s%s", part, t->mount, t->path);
		close_fd(&at);
		at = next;
	}
	t->root_fd = take_fd(&at);
	return 0;
}

/* One that nobody is in is made anew: when the whole tree was ended by cgroup.kill, newer kernels (also 6.1 of Debian 12) go on killing
 * whoever is born into the groups that it had by CLONE_INTO_CGROUP. */
static int open_folder(struct cg_tree *t, const char *name, int *ret_fd, struct err *e)
{
	int r;

	(void)unlinkat(t->root_fd, name, AT_REMOVEDIR);
	r = cg_open(t->root_fd, name, ret_fd);

	if (r == -ENOENT)
		return cg_make(t->root_fd, name, ret_fd, e);
	return r < 0 ? err_set(e, r, "cgroup", "open group %s of %s%s", name, t->mount, t->path) : 0;
}

static int is_self(int pid, const char *group, void *arg)
{
	return pid == getpid();
}

/* A group with processes cannot give controllers to its children. This is the only process that is ever moved,
 * and only here. */
static int leave_root(struct cg_tree *t, struct err *e)
{
	int r = cg_each_pid(t->root_fd, false, is_self, NULL);

	if (r == 1)
		r = file_writes(t->supervisor_fd, "cgroup.procs", "0");
	return r < 0 ? err_set(e, r, "cgroup", "move berthd into %s%s/supervisor", t->mount, t->path) : 0;
}

static void set_remedy(struct cg_tree *t, const struct discovery *d, enum cg_controller c, int why, uint32_t in_root)
{
	char *s = t->remedy[c];
	size_t size = sizeof t->remedy[c];
	const char *name = controllers[c].name;

	if (d->disabled & CG_BIT(c))
		snprintf(s, size, "%s is switched off: take cgroup_disable=%s from the kernel's command line", name,
			 controllers[c].v1_name);
	else if (d->v1 & CG_BIT(c))
		snprintf(s, size,
			 "%s is bound to cgroup v1: boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all",
			 name);
	else if (why == EBUSY)
		snprintf(s, size, "%s cannot be enabled because there are processes in %.60s itself: stop or move them",
			 name, t->path);
	else if (why == EINVAL && c == CG_CPU)
		snprintf(s, size,
			 "cpu cannot be enabled while real-time processes run in a group: move them to the root group");
	else if (why)
		snprintf(s, size, "%s cannot be enabled in %.60s: %s", name, t->path, strerror(why));
	else if (in_root & CG_BIT(c))
		snprintf(s, size, "%s is not handed down to %.60s: %s", name, t->path,
			 t->delegated ? "set Delegate=yes in its unit"
				      : "enable it in cgroup.subtree_control of the groups above");
	else if (d->known & CG_BIT(c))
		snprintf(s, size, "%s is not available in this cgroup namespace: enable it in the groups above", name);
	else
		snprintf(s, size, "the kernel lacks %s: build it with %s", name, controllers[c].config);
}

static int enable_ours(struct cg_tree *t, int mount_fd, const struct discovery *d, struct err *e)
{
	uint32_t have, on, in_root;
	int why[CG_CONTROLLER_N_] = {0};
	int r = cg_controllers_here(t->root_fd, &have);

	if (r < 0 || (r = cg_controllers_here(mount_fd, &in_root)) < 0)
		return err_set(e, r, "cgroup", "read cgroup.controllers of %s%s", t->mount, t->path);
	/* One by one: a kernel that refuses one (cpu, with real-time processes about) shall still give the others. */
	for (int c = 0; c < CG_CONTROLLER_N_; c++)
		if (have & CG_WANTED & CG_BIT(c))
			why[c] = -cg_enable(t->root_fd, CG_BIT(c), NULL);
	r = cg_controllers_below(t->root_fd, &on);
	if (r < 0)
		return err_set(e, r, "cgroup", "read cgroup.subtree_control of %s%s", t->mount, t->path);
	t->controllers = on & CG_WANTED;
	for (int c = 0; c < CG_CONTROLLER_N_; c++)
		if (CG_WANTED & ~t->controllers & CG_BIT(c))
			set_remedy(t, d, c, why[c], in_root);
	r = cg_enable(t->shared_fd, t->controllers, e);
	return r < 0 ? err_wrap(e, "%s%s/shared", t->mount, t->path) : 0;
}

static int tree_open(struct cg_tree *t, const char *path, struct err *e)
{
	char mount_root[512] = "";
	struct discovery d;
	AUTO_FD mount_fd = -1;
	int r = find_mount(t, &mount_fd, mount_root, sizeof mount_root, e);

	if (r < 0)
		return r;
	r = discover(&d);
	if (r < 0)
		return err_set(e, r, "cgroup", "find controllers by libcgroup");
	t->hybrid = d.v1 != 0;
	if (path)
		r = path_given(t, path, e);
	else
		path_default(t, mount_fd, mount_root);
	if (r < 0 || (r = open_root(t, mount_fd, e)) < 0)
		return r;
	if ((r = open_folder(t, "supervisor", &t->supervisor_fd, e)) < 0 ||
	    (r = open_folder(t, "shims", &t->shims_fd, e)) < 0 || (r = open_folder(t, "jobs", &t->jobs_fd, e)) < 0 ||
	    (r = open_folder(t, "shared", &t->shared_fd, e)) < 0)
		return r;
	r = leave_root(t, e);
	return r < 0 ? r : enable_ours(t, mount_fd, &d, e);
}

int cg_tree_open(struct cg_tree *t, const char *path, struct err *e)
{
	*t = (struct cg_tree){.root_fd = -1, .shims_fd = -1, .jobs_fd = -1, .shared_fd = -1, .supervisor_fd = -1};
	int r = tree_open(t, path, e);
	if (r < 0)
		cg_tree_close(t);
	return r;
}

/* The numbers stay, since others hold them: what is opened anew takes the place of what was. */
int cg_tree_mend(struct cg_tree *t, struct err *e)
{
	char path[sizeof t->path];
	struct cg_tree fresh;

	snprintf(path, sizeof path, "%s", t->path);
	int r = cg_tree_open(&fresh, path, e);
	if (r < 0)
		return r;
	const int from[] = {fresh.root_fd, fresh.shims_fd, fresh.jobs_fd, fresh.shared_fd, fresh.supervisor_fd};
	const int to[] = {t->root_fd, t->shims_fd, t->jobs_fd, t->shared_fd, t->supervisor_fd};
	for (size_t i = 0; i < ARRAY_SIZE(from) && !r; i++)
		if (dup3(from[i], to[i], O_CLOEXEC) < 0)
			r = err_set(e, errno, "cgroup", "take the place of group %s%s", t->mount, t->path);
	if (!r) {
		t->controllers = fresh.controllers;
		t->delegated = fresh.delegated;
		memcpy(t->remedy, fresh.remedy, sizeof t->remedy);
	}
	cg_tree_close(&fresh);
	return r;
}

int cg_tree_make(struct cg_tree *t, int folder_fd, const char *name, int *ret_fd, struct err *e)
{
	int r = cg_make(folder_fd, name, ret_fd, e);

	if (r == -ENOENT && (r = cg_tree_mend(t, e)) == 0)
		r = cg_make(folder_fd, name, ret_fd, e);
	return r;
}

void cg_tree_close(struct cg_tree *t)
{
	close_fd(&t->root_fd);
	close_fd(&t->shims_fd);
	close_fd(&t->jobs_fd);
	close_fd(&t->shared_fd);
	close_fd(&t->supervisor_fd);
}

/* job/probe.c - `probe STATE GROUP BERTH-NET`: what this host can do, found out by doing it. Result CheckReply.
 *
 * Overlay mounts, namespaces and files on STATE may all wait for a disk: that is why this is a job. What is tried happens in a
 * child with namespaces of its own, in a folder that is removed again; the host sees nothing of it. */
#include "job/job.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define ITEMS_MAX 48
#define TEXT_MAX  300

struct probe {
	const char *state, *group, *net; /* the last: berth-net */
	Berth__CheckItem item[ITEMS_MAX];
	char detail[ITEMS_MAX][TEXT_MAX];
	size_t n;
	int said_fd; /* what a child says of its failure, or -1 */
};

static void add(struct probe *p, const char *name, const char *result, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* name, result and remedy are literals, or live as long as p. */
static void add(struct probe *p, const char *name, const char *result, const char *remedy, const char *fmt, ...)
{
	Berth__CheckItem *i = &p->item[p->n];
	va_list ap;

	if (p->n == ITEMS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(p->detail[p->n], TEXT_MAX, fmt, ap);
	va_end(ap);
	berth__check_item__init(i);
	i->name = (char *)(uintptr_t)name; /* only packed, as all of these */
	i->result = (char *)(uintptr_t)result;
	i->detail = p->detail[p->n];
	i->remedy = !strcmp(result, "ok") ? NULL : (char *)(uintptr_t)remedy;
	p->n++;
}

/* Runs fn in a child and gives its result: 0, or a negative errno. */
static int in_child(int (*fn)(struct probe *p), struct probe *p)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(-fn(p) & 0xff);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

/* ---------------------------------------------------------------- the kernel */

static void probe_kernel(struct probe *p)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) != 2 || major < 6 || (major == 6 && minor < 1))
		add(p, "kernel", "missing", "install a kernel of 6.1 or newer (Debian 12 has one)",
		    "%s is older than 6.1", u.release);
	else
		add(p, "kernel", "ok", NULL, "%s", u.release);
}

static void probe_seccomp(struct probe *p)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		add(p, "seccomp", "ok", NULL, "filters by system call");
	else
		add(p, "seccomp", "missing", "boot a kernel with CONFIG_SECCOMP_FILTER", "%s", strerror(errno));
}

static int device_program_load(void)
{
	/* r0 = 1; exit: everything is allowed. */
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)insns,
		.insn_cnt = 2,
		.license = (uintptr_t) "Apache-2.0",
	};

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}

static void probe_devices(struct probe *p)
{
	AUTO_FD fd = device_program_load();

	if (fd >= 0)
		add(p, "device filter", "ok", NULL, "BPF programs on cgroups");
	else
		add(p, "device filter", "missing",
		    "boot a kernel with CONFIG_CGROUP_BPF; berthd needs CAP_BPF or CAP_SYS_ADMIN", "%s",
		    strerror(errno));
}

static void probe_pidfd(struct probe *p)
{
	AUTO_FD fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	AUTO_FD copy = fd >= 0 ? (int)syscall(SYS_pidfd_getfd, fd, 0, 0) : -1;

	if (copy >= 0)
		add(p, "pidfd", "ok", NULL, "open, send_signal, getfd");
	else
		add(p, "pidfd", "missing", "boot a kernel of 6.1 or newer", "%s", strerror(errno));
}

static void probe_landlock(struct probe *p)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi > 0)
		add(p, "Landlock", "ok", NULL, "version %ld", abi);
	else
		add(p, "Landlock", "degraded", "boot with lsm=landlock,… to have it",
		    "not active: berth's own workers are confined by seccomp and capabilities alone");
}

static void probe_capabilities(struct probe *p)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{21, "SYS_ADMIN"}, {12, "NET_ADMIN"}, {27, "MKNOD"},	   {0, "CHOWN"}, {6, "SETGID"},
		{7, "SETUID"},	   {8, "SETPCAP"},    {1, "DAC_OVERRIDE"}, {5, "KILL"},
	};
	char missing[TEXT_MAX - 64] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (prctl(PR_CAPBSET_READ, needed[i].cap) != 1 && len < sizeof missing)
			len += (size_t)snprintf(missing + len, sizeof missing - len, " CAP_%s", needed[i].name);
	if (len)
		add(p, "capabilities", "missing",
		    "run berthd as root, with these in the CapabilityBoundingSet of its unit", "berthd lacks%s",
		    missing);
	else
		add(p, "capabilities", "ok", NULL, "all that berthd needs");
	if (prctl(PR_CAPBSET_READ, 24) == 1)
		add(p, "raising limits", "ok", NULL, "CAP_SYS_RESOURCE");
	else
		add(p, "raising limits", "degraded", "run berthd with CAP_SYS_RESOURCE",
		    "without CAP_SYS_RESOURCE no ulimit can be above berthd's own, no oom_score_adj below it");
}

/* ---------------------------------------------------------------- namespaces */

/* A process in a user namespace that maps 0..65535 to 100000 and up. Returns its pid, or a negative errno. */
static pid_t userns_child(int *ret_ns_fd)
{
	char path[64];
	char c;
	int pair[2];
	pid_t pid;
	int r = 0;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) { /* waits until the other end is closed */
		close(pair[1]);
		_exit(read(pair[0], &c, 1) < 0);
	}
	if (pid < 0)
		r = -errno;
	close(pair[0]);
	if (r == 0) {
		snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
		r = file_writes(AT_FDCWD, path, "0 100000 65536\n");
	}
	if (r == 0) {
		snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
		r = file_writes(AT_FDCWD, path, "0 100000 65536\n");
	}
	if (r == 0) {
		snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
		*ret_ns_fd = open(path, O_RDONLY | O_CLOEXEC);
		r = *ret_ns_fd < 0 ? -errno : 0;
	}
	close(pair[1]); /* the child ends; the descriptor keeps the namespace */
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return r < 0 ? r : pid;
}

static void probe_userns(struct probe *p)
{
	AUTO_FD ns_fd = -1;
	pid_t r = userns_child(&ns_fd);

	if (r > 0)
		add(p, "user namespaces", "ok", NULL, "with ranges of ids");
	else
		add(p, "user namespaces", "degraded", "sysctl -w user.max_user_namespaces=16384",
		    "%s: containers cannot have one of their own", strerror((int)-r));
}

static int namespaces_enter(struct probe *p)
{
	return unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0
		       ? -errno
		       : 0;
}

static void probe_namespaces(struct probe *p)
{
	int r = in_child(namespaces_enter, p);

	if (r == 0)
		add(p, "namespaces", "ok", NULL, "mount, pid, network, IPC, UTS, cgroup");
	else
		add(p, "namespaces", "missing",
		    "run berthd as root, on a kernel with all namespaces (see sysctl user.max_*_namespaces)", "%s",
		    strerror(-r));
}

/* ---------------------------------------------------------------- the disk of STATE */

static int folder_make(const struct probe *p, char *dir, size_t size)
{
	static const char *const parts[] = {"lower", "upper", "work", "merged"};
	char path[600];

	snprintf(dir, size, "%s/probe.XXXXXX", p->state);
	if (!mkdtemp(dir))
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, parts[i]);
		if (mkdir(path, 0755) < 0)
			return -errno;
	}
	snprintf(path, sizeof path, "%s/lower/file", dir);
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : 0;
}

/* Mounts, hides a file of the lower layer (that takes a whiteout), and writes one. */
static int overlay_try(struct probe *p)
{
	char dir[512], options[2100], path[600];
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	r = folder_make(p, dir, sizeof dir);
	snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir);
	snprintf(path, sizeof path, "%s/merged", dir);
	if (r == 0 && mount("overlay", path, "overlay", 0, options) < 0)
		r = -errno;
	if (r == 0) {
		snprintf(path, sizeof path, "%s/merged/file", dir);
		if (unlink(path) < 0)
			r = -errno;
		snprintf(path, sizeof path, "%s/merged/other", dir);
		AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (r == 0 && fd < 0)
			r = -errno;
	}
	snprintf(path, sizeof path, "%s/merged", dir);
	(void)umount2(path, MNT_DETACH);     /* not mounted: then there is nothing to undo */
	(void)dir_remove_all(AT_FDCWD, dir); /* what stays is a folder of a few bytes, and the next start says so */
	return r;
}

static void probe_overlay(struct probe *p)
{
	int r = in_child(overlay_try, p);

	if (r == 0)
		add(p, "overlayfs on STATE", "ok", NULL, "%s", p->state);
	else
		add(p, "overlayfs on STATE", "missing",
		    "modprobe overlay; put the state folder on ext4, xfs (with ftype=1) or btrfs, not on overlayfs or "
		    "NFS",
		    "%s: %s", p->state, strerror(-r));
}

static int idmap_try(struct probe *p)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
	AUTO_FD ns_fd = -1;
	pid_t pid = userns_child(&ns_fd);
	AUTO_FD tree_fd = -1;

	if (pid < 0)
		return pid;
	tree_fd = (int)syscall(SYS_open_tree, AT_FDCWD, p->state, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree_fd < 0)
		return -errno;
	attr.userns_fd = (uint64_t)ns_fd;
	if (syscall(SYS_mount_setattr, tree_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return -errno;
	return 0;
}

static void probe_idmap(struct probe *p)
{
	int r = in_child(idmap_try, p);

	if (r == 0)
		add(p, "id-mapped mounts on STATE", "ok", NULL, "%s", p->state);
	else
		add(p, "id-mapped mounts on STATE", "degraded", "put the state folder on ext4, xfs or btrfs",
		    "%s: containers cannot have a user namespace of their own", strerror(-r));
}

/* One is made in a folder that is removed again; its loop device goes with its mount. */
static int sized_try(struct probe *p)
{
	char dir[512], text[640];
	struct err e = {0};
	int r;

	snprintf(dir, sizeof dir, "%s/probe.XXXXXX", p->state);
	if (!mkdtemp(dir))
		return -errno;
	r = volume_try(dir, &e);
	if (r < 0 && p->said_fd >= 0)
		dprintf(p->said_fd, "%s", err_format(&e, text, sizeof text));
	(void)dir_remove_all(AT_FDCWD, dir);
	return r;
}

static void probe_sized(struct probe *p)
{
	int said[2] = {-1, -1}, r;
	char text[TEXT_MAX - 64] = "";

	if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0)
		said[0] = said[1] = -1;
	p->said_fd = said[1];
	r = in_child(sized_try, p);
	if (said[0] >= 0 && read(said[0], text, sizeof text - 1) < 0)
		text[0] = 0;
	close_fd(&said[0]);
	close_fd(&said[1]);
	if (r == 0)
		add(p, "sized volumes", "ok", NULL, "ext4 on a loop device");
	else
		add(p, "sized volumes", "degraded",
		    "install e2fsprogs, modprobe loop and ext4, put the state folder on ext4, xfs or btrfs, make room there",
		    "%s: volumes with driver sized are refused", *text ? text : strerror(-r));
}

static void probe_space(struct probe *p)
{
	struct statvfs s;
	uint64_t free_bytes;

	if (statvfs(p->state, &s) < 0) {
		add(p, "space on STATE", "missing", "see that the state folder can be read", "%s: %s", p->state,
		    strerror(errno));
		return;
	}
	free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
	if (free_bytes < 64u << 20 || (s.f_files && s.f_favail < 1000))
		add(p, "space on STATE", "missing", "make room: berth image rm, berth rm",
		    "%llu MiB and %llu files are left", (unsigned long long)(free_bytes >> 20),
		    (unsigned long long)s.f_favail);
	else if (free_bytes < 1ull << 30)
		add(p, "space on STATE", "degraded", "make room: berth image rm, berth rm", "%llu MiB are left",
		    (unsigned long long)(free_bytes >> 20));
	else
		add(p, "space on STATE", "ok", NULL, "%llu MiB are left", (unsigned long long)(free_bytes >> 20));
}

static void probe_group(struct probe *p)
{
	if (!*p->group)
		add(p, "socket group", "degraded", "set socket_group in berthd.conf",
		    "none is set: only root may use the socket");
	else if (getgrnam(p->group))
		add(p, "socket group", "ok", NULL, "%s", p->group);
	else
		add(p, "socket group", "degraded", "groupadd --system berth, then restart berthd",
		    "there is no group %s: only root may use the socket", p->group);
}

/* What berth-net says is told as it is: a line for each thing, by tabs name, result, what about it, remedy. */
static char *field_next(char **p)
{
	char *field = strsep(p, "\t\n");

	return field ? field : (char *)(uintptr_t) "";
}

static void probe_networks(struct probe *p)
{
	static char lines[ITEMS_MAX][TEXT_MAX * 2];
	int pipe_fd[2], status = 0;
	FILE *f;
	pid_t pid;

	if (!*p->net || pipe2(pipe_fd, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		execl(p->net, "berth-net", "probe", (char *)NULL);
		_exit(127);
	}
	close(pipe_fd[1]);
	f = fdopen(pipe_fd[0], "re");
	for (size_t i = 0; f && i < ITEMS_MAX && fgets(lines[i], sizeof lines[i], f); i++) {
		char *at = lines[i], *name = field_next(&at), *result = field_next(&at), *detail = field_next(&at);

		add(p, name, result, field_next(&at), "%s", detail);
	}
	if (f)
		fclose(f);
	else
		close(pipe_fd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		add(p, "networks", "missing", "install berth-net beside berthd, or set net_path",
		    "%s cannot be run, or found no end", p->net);
}

int verb_probe(int argc, char **argv, struct err *e)
{
	static void (*const probes[])(struct probe * p) = {
		probe_kernel,  probe_capabilities, probe_namespaces, probe_userns,   probe_pidfd,
		probe_seccomp, probe_devices,	   probe_landlock,   probe_overlay,  probe_idmap,
		probe_sized,   probe_space,	   probe_group,	     probe_networks,
	};
	AUTO_FREE struct probe *p = calloc(1, sizeof *p);
	Berth__CheckItem *items[ITEMS_MAX];
	Berth__CheckReply body = BERTH__CHECK_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	if (!p)
		return err_set(e, ENOMEM, "probe", "prepare");
	p->state = argv[1];
	p->group = argc > 2 ? argv[2] : "";
	p->net = argc > 3 ? argv[3] : "";
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		probes[i](p);
	for (size_t i = 0; i < p->n; i++)
		items[i] = &p->item[i];
	body.items = items;
	body.n_items = p->n;
	env.body_case = BERTH__ENVELOPE__BODY_CHECK_REPLY;
	env.check_reply = &body;
	return report_send(&env, e);
}

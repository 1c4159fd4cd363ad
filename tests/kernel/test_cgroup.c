/* tests/kernel/test_cgroup.c - what berth assumes of cgroup v2, pidfds and device filters, and cgroup/ upon it.
 *
 * Runs as root in mount and network namespaces of its own, with cgroup2 mounted over /sys/fs/cgroup. What needs
 * a controller that this host keeps on cgroup v1 is skipped, and fails instead where BERTH_VM=1. */
#include "base/file.h"
#include "base/own.h"
#include "cgroup/device.h"
#include "cgroup/group.h"
#include "cgroup/limits.h"
#include "cgroup/stat.h"
#include "cgroup/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static struct cg_tree tree;
static char root[64]; /* below the mount, as given to cg_tree_open */

/* A child born in the group; it runs fn (which must not use cmocka) and exits with its result. */
static pid_t fork_into(int group_fd, int *ret_pidfd, int (*fn)(void *arg), void *arg)
{
	struct clone_args a = {
		.flags = CLONE_PIDFD | (group_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)group_fd,
	};
	long pid = syscall(SYS_clone3, &a, sizeof a);

	if (!pid)
		_exit(fn(arg));
	assert_true(pid > 0);
	return (pid_t)pid;
}

static int sleep_for_ever(void *arg)
{
	for (bool on = true; on;)
		pause();
	return 0;
}

static int reap(int pidfd)
{
	siginfo_t info = {0};
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
	return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

static int group(const char *name)
{
	struct err e = {0};
	int fd;

	if (cg_tree_make(&tree, tree.shared_fd, name, &fd, &e) < 0)
		fail_msg("%s: %s", e.text, strerror(e.code));
	return fd;
}

static void ungroup(const char *name, int fd)
{
	close(fd);
	for (int i = 0; i < 1000 && cg_remove(tree.shared_fd, name) == -EBUSY; i++)
		usleep(1000);
	assert_int_equal(faccessat(tree.shared_fd, name, F_OK, 0), -1);
}

static void eventually(int (*question)(int fd), int fd, int answer)
{
	for (int i = 0; i < 5000 && question(fd) != answer; i++)
		usleep(1000);
	assert_int_equal(question(fd), answer);
}

static void need(uint32_t controllers)
{
	uint32_t missing = controllers & ~tree.controllers;

	for (int c = 0; c < CG_CONTROLLER_N_; c++) {
		if (!(missing & CG_BIT(c)))
			continue;
		print_message("%s\n", cg_controller_remedy(&tree, c));
		if (getenv("BERTH_VM"))
			fail_msg("%s: skipped in the VM, where nothing may", cg_controller_name(c));
		skip();
	}
}

/* ---------------------------------------------------------------- the tree */

static void the_tree_has_its_folders_and_names_what_is_missing(void **state)
{
	static const char *const folders[] = {"supervisor", "shims", "jobs", "shared"};
	struct cg_tree again;
	struct err e = {0};
	uint32_t below;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_int_equal(faccessat(tree.root_fd, folders[i], F_OK, 0), 0);
	assert_string_equal(tree.mount, "/sys/fs/cgroup");
	assert_string_equal(tree.path, root);
	for (int c = 0; c < CG_CONTROLLER_N_; c++)
		if (CG_WANTED & CG_BIT(c))
			assert_true(!(tree.controllers & CG_BIT(c)) == !!cg_controller_remedy(&tree, c)[0]);
	assert_int_equal(cg_controllers_below(tree.shared_fd, &below), 0);
	assert_int_equal(below & CG_WANTED, tree.controllers);
	assert_int_equal(cg_is_populated(tree.root_fd), 0); /* nobody was moved */

	char path[sizeof root + sizeof tree.mount];
	snprintf(path, sizeof path, "%s%s", tree.mount, root);
	assert_int_equal(cg_tree_open(&again, path, &e), 0);
	assert_string_equal(again.path, root);
	cg_tree_close(&again);
	assert_int_equal(cg_tree_open(&again, "/a/../b", &e), -EINVAL);
	assert_int_equal(cg_tree_open(&again, "berth", &e), -EINVAL);
}

static int open_elsewhere(void *arg)
{
	struct cg_tree t;
	struct err e;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0 ||
	    mount("none", "/mnt", "tmpfs", 0, NULL) < 0 || mkdir("/mnt/a b", 0755) < 0)
		return 1;
	if (cg_tree_open(&t, root, &e) != -ENODEV) /* all are hidden now */
		return 2;
	if (mount("none", "/mnt/a b", "cgroup2", 0, NULL) < 0)
		return 3;
	if (cg_tree_open(&t, root, &e) < 0)
		return 4;
	return strcmp(t.mount, "/mnt/a b") ? 5 : 0;
}

static void the_hierarchy_is_found_wherever_it_is_mounted(void **state)
{
	int pidfd;

	fork_into(-1, &pidfd, open_elsewhere, NULL);
	assert_int_equal(reap(pidfd), 0);
}

static int open_from_inside(void *arg)
{
	struct cg_tree t;
	struct err e;
	char own[256], want[128];

	if (cg_tree_open(&t, arg, &e) < 0)
		return 1;
	if (file_read(AT_FDCWD, "/proc/self/cgroup", own, sizeof own) < 0)
		return 2;
	snprintf(want, sizeof want, "0::%s/shared/inside/supervisor\n", root);
	if (!strstr(own, want))
		return 3;
	snprintf(want, sizeof want, "%s/shared/inside", root);
	if (strcmp(t.path, want))
		return 4;
	return t.delegated == !arg ? 0 : 5;
}

static void open_inside(int group_fd, char *path)
{
	int pidfd;

	fork_into(group_fd, &pidfd, open_from_inside, path);
	assert_int_equal(reap(pidfd), 0);
}

static void berthd_leaves_its_root_group(void **state)
{
	char path[128];
	int fd = group("inside");

	snprintf(path, sizeof path, "%s/shared/inside", root);
	open_inside(fd, path);
	ungroup("inside", fd);
}

static void a_delegated_group_is_found_and_found_again_after_an_upgrade(void **state)
{
	int fd = group("inside");

	assert_int_equal(fsetxattr(fd, "trusted.delegate", "1", 1, 0), 0);
	open_inside(fd, NULL);
	AUTO_FD supervisor = openat(fd, "supervisor", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(supervisor >= 0);
	open_inside(supervisor, NULL);
	ungroup("inside", fd);
}

static void a_controller_is_enabled_once_and_an_unknown_one_refused(void **state)
{
	uint32_t have, on;
	struct err e = {0};
	int above = group("above"), fd;

	assert_int_equal(cg_controllers_here(above, &have), 0);
	assert_int_equal(cg_enable(above, have, &e), 0);
	assert_int_equal(cg_enable(above, have, &e), 0);
	assert_int_equal(cg_controllers_below(above, &on), 0);
	assert_int_equal(on, have);
	if (~have & CG_BIT(CG_MISC))
		assert_true(cg_enable(above, CG_BIT(CG_MISC), &e) < 0);
	assert_int_equal(cg_make(above, "x", &fd, &e), 0);
	close(fd);
	assert_int_equal(cg_make(above, "x", &fd, &e), -EEXIST);
	assert_int_equal(fd, -1);
	ungroup("above", above);
}

/* ---------------------------------------------------------------- processes in groups */

static int answer_42(void *arg)
{
	return 42;
}

static void a_pidfd_is_readable_at_exit_and_gives_the_code(void **state)
{
	int pidfd;

	fork_into(-1, &pidfd, answer_42, NULL);
	assert_int_equal(reap(pidfd), 42);
}

static int count_pid(int pid, const char *where, void *arg)
{
	struct {
		int pid, n;
		char group[64];
	} *seen = arg;

	seen->n++;
	if (pid == seen->pid)
		snprintf(seen->group, sizeof seen->group, "%s", where);
	return 0;
}

static void a_process_is_born_in_its_group(void **state)
{
	struct {
		int pid, n;
		char group[64];
	} seen = {0};
	struct err e = {0};
	int above = group("born"), main_fd, pidfd;

	assert_int_equal(cg_make(above, "main", &main_fd, &e), 0);
	seen.pid = fork_into(main_fd, &pidfd, sleep_for_ever, NULL);
	assert_int_equal(cg_each_pid(above, false, count_pid, &seen), 0);
	assert_int_equal(seen.n, 0);
	assert_int_equal(cg_each_pid(above, true, count_pid, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.group, "main");
	assert_int_equal(cg_is_populated(above), 1);
	assert_int_equal(cg_kill(above), 0);
	assert_int_equal(reap(pidfd), -SIGKILL);
	eventually(cg_is_populated, above, 0);
	close(main_fd);
	ungroup("born", above);
}

static void cgroup_kill_ends_everything_below_even_when_frozen(void **state)
{
	enum { N = 20 };
	struct err e = {0};
	int above = group("kill"), sub, pidfd[N];

	assert_int_equal(cg_make(above, "sub", &sub, &e), 0);
	for (int i = 0; i < N; i++)
		fork_into(i % 2 ? sub : above, &pidfd[i], sleep_for_ever, NULL);
	assert_int_equal(cg_freeze(above, true), 0);
	eventually(cg_is_frozen, above, 1);
	assert_int_equal(cg_kill(above), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(reap(pidfd[i]), -SIGKILL);
	close(sub);
	ungroup("kill", above);
}

static int count_up(void *arg)
{
	volatile unsigned *n = arg;

	for (bool on = true; on;)
		++*n;
	return 0;
}

static void freezing_stops_and_thawing_goes_on(void **state)
{
	volatile unsigned *n = mmap(NULL, sizeof *n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = group("freeze"), pidfd;

	assert_true(n != MAP_FAILED);
	fork_into(fd, &pidfd, count_up, (void *)n);
	assert_int_equal(cg_is_frozen(fd), 0);
	assert_int_equal(cg_freeze(fd, true), 0);
	eventually(cg_is_frozen, fd, 1);
	unsigned seen = *n;
	usleep(20000);
	assert_int_equal(*n, seen);
	assert_int_equal(cg_freeze(fd, false), 0);
	eventually(cg_is_frozen, fd, 0);
	for (int i = 0; i < 5000 && *n == seen; i++)
		usleep(1000);
	assert_int_not_equal(*n, seen);
	assert_int_equal(cg_kill(fd), 0);
	assert_int_equal(reap(pidfd), -SIGKILL);
	munmap((void *)n, sizeof *n);
	ungroup("freeze", fd);
}

/* ---------------------------------------------------------------- removal */

static void stop_when_empty(struct timer *t)
{
	struct cg_graveyard *g = *(struct cg_graveyard **)(t + 1);

	if (g->n)
		timer_in(g->loop, t, NS_PER_MS, stop_when_empty);
	else
		loop_stop(g->loop, 0);
}

static void what_cannot_be_removed_yet_is_buried_later_and_counted(void **state)
{
	enum { N = 50 };
	struct loop l;
	struct cg_graveyard g;
	struct {
		struct timer t;
		struct cg_graveyard *g;
	} watch = {.g = &g};
	struct err e = {0};
	int above = group("undead"), sub, pidfd[N];

	assert_int_equal(loop_init(&l), 0);
	cg_graveyard_init(&g, &l);
	assert_int_equal(cg_make(above, "main", &sub, &e), 0);
	for (int i = 0; i < N; i++)
		fork_into(sub, &pidfd[i], sleep_for_ever, NULL);
	assert_int_equal(cg_remove(tree.shared_fd, "undead"), -EBUSY);
	close(sub);
	close(above);

	cg_bury(&g, tree.root_fd, "shared/undead");
	cg_bury(&g, tree.root_fd, "shared/undead"); /* again: still counted once */
	assert_int_equal(g.n, 1);
	cg_bury(&g, tree.root_fd, "shared/never-was");
	assert_int_equal(g.n, 2);
	timer_in(&l, &watch.t, NS_PER_MS, stop_when_empty);
	assert_int_equal(loop_run(&l), 0);
	assert_int_equal(g.n, 0);
	assert_int_equal(faccessat(tree.shared_fd, "undead", F_OK, 0), -1);
	for (int i = 0; i < N; i++)
		assert_int_equal(reap(pidfd[i]), -SIGKILL);
	cg_graveyard_fini(&g);
	loop_fini(&l);
}

static void removing_takes_whole_trees_and_absent_ones(void **state)
{
	struct err e = {0};
	int above = group("deep"), fd = dup(above);

	for (int i = 0; i < 8; i++) {
		int next;

		assert_int_equal(cg_make(fd, "x", &next, &e), 0);
		close(fd);
		fd = next;
	}
	close(fd);
	close(above);
	assert_int_equal(cg_remove(tree.shared_fd, "deep"), 0);
	assert_int_equal(faccessat(tree.shared_fd, "deep", F_OK, 0), -1);
	assert_int_equal(cg_remove(tree.shared_fd, "deep"), 0);
}

/* ---------------------------------------------------------------- devices */

struct nodes {
	char folder[64];
};

/* 0 = as a container with the default list sees it; else the number of the line that is not so. */
static int try_devices(void *arg)
{
	const struct nodes *n = arg;
	char path[128];

	if (open("/dev/null", O_RDWR) < 0 || open("/dev/zero", O_RDONLY) < 0)
		return 1;
	if (open("/dev/kmsg", O_RDONLY) >= 0 || errno != EPERM)
		return 2;
	snprintf(path, sizeof path, "%s/kmsg", n->folder);
	if (mknod(path, S_IFCHR | 0600, makedev(1, 11)) < 0) /* making is allowed, opening is not */
		return 3;
	if (open(path, O_RDONLY) >= 0 || errno != EPERM)
		return 4;
	snprintf(path, sizeof path, "%s/disk", n->folder);
	if (mknod(path, S_IFBLK | 0600, makedev(7, 0)) < 0)
		return 5;
	if (open(path, O_RDONLY) >= 0 || errno != EPERM)
		return 6;
	return 0;
}

static void the_device_filter_allows_its_list_and_nothing_else(void **state)
{
	struct nodes n = {"/mnt"};
	struct cg_devices *d = cg_devices_new();
	struct err e = {0};
	int fd = group("devices"), pidfd;

	assert_int_equal(mount("none", n.folder, "tmpfs", 0, NULL), 0);
	int kmsg = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
	assert_true(kmsg >= 0); /* else the test below would prove nothing */
	close(kmsg);
	if (cg_devices_attach(d, fd, cg_device_defaults, cg_device_n_defaults, &e) < 0)
		fail_msg("%s: %s", e.text, strerror(e.code));
	fork_into(fd, &pidfd, try_devices, &n);
	assert_int_equal(reap(pidfd), 0);
	assert_int_equal(umount(n.folder), 0);
	ungroup("devices", fd);
	cg_devices_free(d);
}

static int try_kmsg(void *arg)
{
	const int *flags = arg;

	return open("/dev/kmsg", *flags) < 0 ? errno : 0;
}

static int kmsg_in(int fd, int flags)
{
	int pidfd;

	fork_into(fd, &pidfd, try_kmsg, &flags);
	return reap(pidfd);
}

static void a_rule_gives_only_the_access_it_names(void **state)
{
	static const struct {
		struct cg_device_rule rule;
		int read, write;
	} rows[] = {
		{{'c', 1, 11, CG_DEVICE_READ}, 0, EPERM},
		{{'c', 1, 11, CG_DEVICE_WRITE}, EPERM, 0},
		{{'c', 1, 11, CG_DEVICE_READ | CG_DEVICE_WRITE}, 0, 0},
		{{'c', 1, -1, CG_DEVICE_READ}, 0, EPERM},
		{{'c', -1, 11, CG_DEVICE_READ}, 0, EPERM},
		{{'a', 1, 11, CG_DEVICE_READ}, 0, EPERM},
		{{'b', 1, 11, CG_DEVICE_READ}, EPERM, EPERM},
		{{'c', 1, 12, CG_DEVICE_READ}, EPERM, EPERM},
		{{'a', -1, -1, 7}, 0, 0},
	};
	struct cg_devices *d = cg_devices_new();
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = group("rule");

		assert_int_equal(cg_devices_attach(d, fd, &rows[i].rule, 1, &e),
				 rows[i].rule.access == 7 ? CG_DEVICES_ALL : 0);
		assert_int_equal(kmsg_in(fd, O_RDONLY), rows[i].read);
		assert_int_equal(kmsg_in(fd, O_WRONLY), rows[i].write);
		ungroup("rule", fd);
	}
	int fd = group("rule");
	assert_int_equal(cg_devices_attach(d, fd, NULL, 0, &e), 0); /* an empty list: nothing at all */
	assert_int_equal(kmsg_in(fd, O_RDONLY), EPERM);
	assert_int_equal(cg_devices_attach(d, fd, &(struct cg_device_rule){'x', 1, 1, 7}, 1, &e), -EINVAL);
	ungroup("rule", fd);
	cg_devices_free(d);
}

/* ---------------------------------------------------------------- limits and counters */

static void limits(int fd, const Berth__Resources *r, bool reset)
{
	struct cg_limits l;
	struct err e = {0};

	if (cg_limits_make(r, tree.controllers, reset, &l, &e) || cg_limits_apply(fd, &l, &e))
		fail_msg("%s: %s: %s", e.step, e.text, strerror(e.code));
}

static void assert_file(int fd, const char *file, const char *text)
{
	char buf[256];

	assert_true(file_read(fd, file, buf, sizeof buf) >= 0);
	assert_string_equal(buf, text);
}

static void limits_reach_the_kernel_and_an_update_lifts_them(void **state)
{
	Berth__Resources r = BERTH__RESOURCES__INIT;
	static Berth__Resources none = BERTH__RESOURCES__INIT;
	int fd;

	need(CG_WANTED);
	fd = group("limits");
	r.has_memory_bytes = r.has_memory_high_bytes = r.has_cpus_milli = r.has_cpu_weight = r.has_pids_limit =
		r.has_oom_group = true;
	r.memory_bytes = 64 << 20;
	r.memory_high_bytes = 48 << 20;
	r.cpus_milli = 500;
	r.cpu_weight = 50;
	r.pids_limit = 33;
	r.oom_group = true;
	r.cpuset_cpus = (char *)"0";
	limits(fd, &r, false);
	assert_file(fd, "memory.max", "67108864\n");
	assert_file(fd, "memory.high", "50331648\n");
	assert_file(fd, "memory.oom.group", "1\n");
	assert_file(fd, "cpu.max", "50000 100000\n");
	assert_file(fd, "cpu.weight", "50\n");
	assert_file(fd, "pids.max", "33\n");
	assert_file(fd, "cpuset.cpus", "0\n");
	limits(fd, &none, true);
	assert_file(fd, "memory.max", "max\n");
	assert_file(fd, "memory.high", "max\n");
	assert_file(fd, "memory.oom.group", "0\n");
	assert_file(fd, "cpu.max", "max 100000\n");
	assert_file(fd, "cpu.weight", "100\n");
	assert_file(fd, "pids.max", "max\n");
	assert_file(fd, "cpuset.cpus", "\n");
	ungroup("limits", fd);
}

static int fork_until_refused(void *arg)
{
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return errno == EAGAIN ? i : 255;
		if (!pid)
			sleep_for_ever(NULL);
	}
	return 254;
}

static void pids_max_holds(void **state)
{
	Berth__Resources r = BERTH__RESOURCES__INIT;
	Berth__Stats s = BERTH__STATS__INIT;
	uint32_t missing;
	int fd, pidfd;

	need(CG_BIT(CG_PIDS));
	fd = group("pids");
	r.has_pids_limit = true;
	r.pids_limit = 10;
	limits(fd, &r, false);
	fork_into(fd, &pidfd, fork_until_refused, NULL);
	assert_int_equal(reap(pidfd), 9);
	assert_int_equal(cg_stat_read(fd, &s, &missing), 0);
	assert_true(s.has_pids && s.pids == 9);
	assert_true(s.has_pids_limit && s.pids_limit == 10);
	assert_int_equal(cg_kill(fd), 0);
	ungroup("pids", fd);
}

static int eat_memory(void *arg)
{
	for (bool on = true; on;)
		memset(malloc(1 << 20), 1, 1 << 20);
	return 0;
}

static void an_oom_kill_is_counted_in_its_group(void **state)
{
	Berth__Resources r = BERTH__RESOURCES__INIT;
	Berth__Stats s = BERTH__STATS__INIT;
	uint64_t kills = 7;
	uint32_t missing;
	int fd, pidfd;

	need(CG_BIT(CG_MEMORY));
	fd = group("oom");
	r.has_memory_bytes = r.has_memory_swap_bytes = true;
	r.memory_bytes = 8 << 20;
	r.memory_swap_bytes = 8 << 20;
	limits(fd, &r, false);
	assert_int_equal(cg_stat_oom_kills(fd, &kills), 0);
	assert_int_equal(kills, 0);
	fork_into(fd, &pidfd, eat_memory, NULL);
	assert_int_equal(reap(pidfd), -SIGKILL);
	assert_int_equal(cg_stat_oom_kills(fd, &kills), 0);
	assert_int_equal(kills, 1);
	assert_int_equal(cg_stat_read(fd, &s, &missing), 0);
	assert_true(s.has_oom_kills && s.oom_kills == 1);
	assert_true(s.has_memory_limit_bytes && s.memory_limit_bytes == 8 << 20);
	assert_true(s.has_memory_peak_bytes && s.memory_peak_bytes > 7 << 20);
	ungroup("oom", fd);
}

static int burn_until(void *arg)
{
	while (now_ns() < *(uint64_t *)arg)
		;
	return 0;
}

static void a_cpu_quota_throttles(void **state)
{
	Berth__Resources r = BERTH__RESOURCES__INIT;
	Berth__Stats s = BERTH__STATS__INIT;
	uint64_t end;
	uint32_t missing;
	int fd, pidfd;

	need(CG_BIT(CG_CPU));
	fd = group("cpu");
	r.has_cpus_milli = true;
	r.cpus_milli = 200;
	limits(fd, &r, false);
	end = now_ns() + NS_PER_S;
	fork_into(fd, &pidfd, burn_until, &end);
	assert_int_equal(reap(pidfd), 0);
	assert_int_equal(cg_stat_read(fd, &s, &missing), 0);
	assert_int_equal(missing & CG_BIT(CG_CPU), 0);
	assert_true(s.cpu_usec < 500000); /* 200 ms of the second, and some slack for the period's edges */
	assert_true(s.cpu_throttled_periods > 2 && s.cpu_throttled_usec > 300000);
	ungroup("cpu", fd);
}

static void counters_of_a_missing_controller_are_absent_and_named(void **state)
{
	Berth__Stats s = BERTH__STATS__INIT;
	uint32_t missing;
	int fd = group("stat");

	assert_int_equal(cg_stat_read(fd, &s, &missing), 0);
	assert_true(s.has_cpu_usec); /* counted without any controller */
	assert_int_equal(missing & tree.controllers, 0);
	assert_int_equal(s.has_memory_current_bytes, !!(tree.controllers & CG_BIT(CG_MEMORY)));
	assert_int_equal(s.has_pids, !!(tree.controllers & CG_BIT(CG_PIDS)));
	assert_int_equal(s.has_io_reads, !!(tree.controllers & CG_BIT(CG_IO)));
	assert_int_equal(cg_remove(tree.shared_fd, "stat"), 0);
	assert_int_equal(cg_stat_read(fd, &s, &missing), -ENOENT); /* gone, not zero */
	close(fd);
}

static int set_up(void **state)
{
	struct err e = {0};

	if (geteuid() || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    (mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0 &&
	     errno != EBUSY)) { /* EBUSY: it is that already */
		print_error("needs root and a private mount of cgroup2: %s\n", strerror(errno));
		return -1;
	}
	snprintf(root, sizeof root, "/berth-kernel-%d", (int)getpid());
	if (cg_tree_open(&tree, root, &e) < 0) {
		print_error("%s: %s\n", e.text, strerror(e.code));
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	AUTO_FD fd = open(tree.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cg_kill(tree.root_fd);
	cg_tree_close(&tree);
	for (int i = 0; i < 1000; i++) {
		if (!cg_remove(fd, root + 1))
			return 0;
		usleep(1000);
	}
	return -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_has_its_folders_and_names_what_is_missing),
		cmocka_unit_test(the_hierarchy_is_found_wherever_it_is_mounted),
		cmocka_unit_test(berthd_leaves_its_root_group),
		cmocka_unit_test(a_delegated_group_is_found_and_found_again_after_an_upgrade),
		cmocka_unit_test(a_controller_is_enabled_once_and_an_unknown_one_refused),
		cmocka_unit_test(a_pidfd_is_readable_at_exit_and_gives_the_code),
		cmocka_unit_test(a_process_is_born_in_its_group),
		cmocka_unit_test(cgroup_kill_ends_everything_below_even_when_frozen),
		cmocka_unit_test(freezing_stops_and_thawing_goes_on),
		cmocka_unit_test(what_cannot_be_removed_yet_is_buried_later_and_counted),
		cmocka_unit_test(removing_takes_whole_trees_and_absent_ones),
		cmocka_unit_test(the_device_filter_allows_its_list_and_nothing_else),
		cmocka_unit_test(a_rule_gives_only_the_access_it_names),
		cmocka_unit_test(limits_reach_the_kernel_and_an_update_lifts_them),
		cmocka_unit_test(pids_max_holds),
		cmocka_unit_test(an_oom_kill_is_counted_in_its_group),
		cmocka_unit_test(a_cpu_quota_throttles),
		cmocka_unit_test(counters_of_a_missing_controller_are_absent_and_named),
	};

	return cmocka_run_group_tests_name("kernel: cgroup", tests, set_up, tear_down);
}

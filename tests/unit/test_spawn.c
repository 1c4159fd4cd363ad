/* tests/unit/test_spawn.c - a child gets what it was promised and nothing else, and a failed start leaves no child. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/spawn.h"

#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct spawn shell(char **argv, const char *script)
{
	argv[0] = (char *)"sh";
	argv[1] = (char *)"-c";
	argv[2] = (char *)script;
	argv[3] = NULL;
	return (struct spawn){.path = "/bin/sh", .argv = argv, .exec_fd = -1, .cgroup_fd = -1};
}

static int status_of(int pidfd)
{
	siginfo_t info = {0};

	assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
	return info.si_code == CLD_EXITED ? info.si_status : 1000 + info.si_status;
}

/* Runs it with 1 as a pipe (put at the front of its descriptors as 0 null, 1 pipe, 2 ours): what it prints. */
static void output_of(struct spawn *s, char *buf, size_t size)
{
	int p[2], pidfd;
	size_t len = 0;
	ssize_t n;
	pid_t pid;
	struct err e;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	int fds[] = {-1, p[1], 2};
	if (!s->fds) {
		s->fds = fds;
		s->n_fds = 3;
	}
	if (spawn(s, &pidfd, &pid, &e) < 0)
		fail_msg("%s: %s", e.text, strerror(e.code));
	close(p[1]);
	while ((n = read(p[0], buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = 0;
	close(p[0]);
	assert_int_equal(status_of(pidfd), 0);
}

static void no_child_is_left(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* ---------------------------------------------------------------- failures */

static void exec_failures_are_reported_with_their_errno(void **state)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = {{"/none/none", ENOENT}, {"/etc/passwd", EACCES}, {"/", EACCES}, {"/etc/passwd/x", ENOTDIR}};
	char *argv[] = {(char *)"x", NULL};
	int before = open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spawn s = {.path = rows[i].path, .argv = argv, .exec_fd = -1, .cgroup_fd = -1};
		int pidfd = -1;
		pid_t pid = -1;
		struct err e;
		char text[64];

		assert_row(spawn(&s, &pidfd, &pid, &e) == -rows[i].error, i);
		assert_string_equal(e.step, "exec");
		snprintf(text, sizeof text, "exec %s", rows[i].path);
		assert_string_equal(e.text, text);
		assert_int_equal(pidfd, -1);
		no_child_is_left();
	}
	assert_int_equal(open_fds(), before);
}

static int refuse(void *arg)
{
	*(int *)arg += 1;
	return -EXDEV;
}

static void a_refusal_before_exec_ends_the_child(void **state)
{
	int calls = 0, pidfd;
	char *argv[4];
	struct spawn s = shell(argv, "exit 0");
	struct err e;
	pid_t pid;

	s.before_exec = refuse;
	s.arg = &calls;
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), -EXDEV);
	assert_string_equal(e.step, "prepare");
	assert_int_equal(calls, 1);
	no_child_is_left();
}

static void impossible_requests_make_no_child(void **state)
{
	char *argv[4];
	struct spawn s = shell(argv, "exit 0");
	int fds[100] = {0}, pidfd;
	struct err e;
	pid_t pid;

	s.fds = fds;
	s.n_fds = 100;
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), -EINVAL);
	fds[0] = 999;
	s.n_fds = 1;
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), -EBADF);
	assert_string_equal(e.step, "descriptors");
	s.n_fds = 0;
	s.path = NULL;
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), -EINVAL);
	s.path = "/bin/sh";
	s.cgroup_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), -EBADF);
	assert_string_equal(e.step, "cgroup");
	close(s.cgroup_fd);
	no_child_is_left();
}

/* ---------------------------------------------------------------- descriptors */

static void only_the_named_descriptors_are_there(void **state)
{
	char *argv[4], out[256];
	struct spawn s = shell(argv, "cd /proc/$$/fd && echo [0-9]*");
	int extra = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* What our own parent left open, make for one, is not ours to be judged by. */
	assert_int_equal(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC), 0);
	output_of(&s, out, sizeof out);
	assert_string_equal(out, "0 1 2 3\n"); /* 3 is the folder that the shell reads */
	close(extra);
}

/* Each source is a file with its own text; they stand on the very numbers where others have to go. */
static void descriptors_are_placed_in_spite_of_overlaps(void **state)
{
	static const struct {
		int order[4]; /* which file becomes 3, 4, 5, 6 */
		const char *out;
	} rows[] = {
		{{0, 1, 2, 3}, "abcd"}, {{3, 2, 1, 0}, "dcba"}, {{1, 2, 3, 0}, "bcda"}, {{1, 0, 3, 2}, "badc"},
		{{0, 0, 0, 0}, "aaaa"}, {{3, 3, 0, 0}, "ddaa"}, {{2, 1, 0, 0}, "cbaa"},
	};
	int at[4], saved[4];

	for (int i = 0; i < 4; i++)
		saved[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 20);
	for (int i = 0; i < 4; i++) {
		char letter = (char)('a' + i);
		int fd = memfd_sealed("letter", &letter, 1), high = fcntl(fd, F_DUPFD_CLOEXEC, 20);

		close(fd);
		at[i] = 3 + i;
		assert_int_equal(dup3(high, at[i], O_CLOEXEC), at[i]);
		close(high);
	}
	for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
		char *argv[4], out[64];
		struct spawn s = shell(argv, "for i in 3 4 5 6; do head -c 1 /proc/self/fd/$i; done");
		int p[2], pidfd;
		pid_t pid;

		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		int fds[7] = {-1, p[1], 2};
		for (int i = 0; i < 4; i++)
			fds[3 + i] = at[rows[r].order[i]];
		s.fds = fds;
		s.n_fds = 7;
		assert_int_equal(spawn(&s, &pidfd, &pid, NULL), 0);
		close(p[1]);
		ssize_t n = read(p[0], out, sizeof out - 1), more;
		while ((more = read(p[0], out + n, sizeof out - 1 - (size_t)n)) > 0)
			n += more;
		out[n] = 0;
		close(p[0]);
		assert_int_equal(status_of(pidfd), 0);
		assert_string_equal(out, rows[r].out);
	}
	for (int i = 0; i < 4; i++) {
		close(at[i]);
		if (saved[i] >= 0) {
			dup3(saved[i], 3 + i, O_CLOEXEC);
			close(saved[i]);
		}
	}
}

static void a_program_is_executed_by_its_descriptor(void **state)
{
	char *argv[] = {(char *)"true", NULL};
	int low = open("/bin/true", O_PATH | O_CLOEXEC), pidfd;
	int fds[] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
	struct spawn s = {.exec_fd = low, .argv = argv, .cgroup_fd = -1};
	struct err e;
	pid_t pid;

	assert_int_equal(spawn(&s, &pidfd, &pid, &e), 0);
	assert_int_equal(status_of(pidfd), 0);
	/* And when it stands where one of the child's has to go. */
	assert_true(low < 16);
	s.fds = fds;
	s.n_fds = 16;
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), 0);
	assert_int_equal(status_of(pidfd), 0);
	close(low);
}

/* Those that run after this one are spawned so too. */
static void who_has_reserved_numbers_hands_a_child_no_copy_of_all(void **state)
{
	char *grep[] = {(char *)"grep", (char *)"FDSize", (char *)"/proc/self/status", NULL};
	struct spawn s = {.path = "/bin/grep", .argv = grep, .exec_fd = -1, .cgroup_fd = -1};
	int fds[2000], pidfd;
	size_t n = 0;
	char out[64];

	assert_int_equal(spawn_reserve(), 0);
	assert_int_equal(spawn_reserve(), 0);
	while (n < ARRAY_SIZE(fds) && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	assert_true(n > 500);
	output_of(&s, out, sizeof out);
	assert_string_equal(out, "FDSize:\t64\n");
	/* The sources may stand above; the program too. */
	char *sh[] = {(char *)"sh", (char *)"-c", (char *)"cd /proc/$$/fd && echo [0-9]*", NULL};
	int high = open("/bin/sh", O_PATH | O_CLOEXEC);

	if (high < 0) {
		close(fds[--n]);
		high = open("/bin/sh", O_PATH | O_CLOEXEC);
	}
	s = (struct spawn){.exec_fd = high, .argv = sh, .cgroup_fd = -1};
	output_of(&s, out, sizeof out);
	assert_string_equal(out, "0 1 2 3\n");
	/* A source that is not open, or more of them than numbers: as without. */
	int bad[] = {-1, 100000}, many[SPAWN_RESERVED + 1];
	struct err e;
	pid_t pid;

	s.fds = bad;
	s.n_fds = 2;
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), -EBADF);
	assert_string_equal(e.step, "descriptors");
	memset(many, 0xff, sizeof many);
	s.fds = many;
	s.n_fds = ARRAY_SIZE(many);
	assert_int_equal(spawn(&s, &pidfd, &pid, &e), 0);
	assert_int_equal(status_of(pidfd), 0);
	no_child_is_left();
	close(high);
	while (n)
		close(fds[--n]);
}

/* ---------------------------------------------------------------- signals, environment, namespaces */

static void on_signal(int sig)
{
}

static void the_child_has_no_signal_blocked_ignored_or_handled(void **state)
{
	struct sigaction handled = {.sa_handler = on_signal}, ignored = {.sa_handler = SIG_IGN}, old[3];
	char *argv[4], out[512];
	struct spawn s = shell(argv, "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status");
	sigset_t blocked, before, after;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGPIPE, &ignored, &old[0]);
	sigaction(SIGHUP, &ignored, &old[1]);
	sigaction(SIGUSR2, &handled, &old[2]);
	s.path = "/bin/grep";
	argv[0] = (char *)"grep";
	argv[1] = (char *)"-E";
	argv[2] = (char *)"^Sig(Blk|Ign)";
	char *grep[] = {argv[0], argv[1], argv[2], (char *)"/proc/self/status", NULL};
	s.argv = grep;
	output_of(&s, out, sizeof out);
	assert_string_equal(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	/* Ours are as they were. */
	sigprocmask(SIG_SETMASK, NULL, &after);
	assert_true(sigismember(&after, SIGUSR1));
	assert_false(sigismember(&after, SIGUSR2));
	sigaction(SIGPIPE, &old[0], &ignored);
	assert_ptr_equal(ignored.sa_handler, SIG_IGN);
	sigaction(SIGHUP, &old[1], NULL);
	sigaction(SIGUSR2, &old[2], &handled);
	assert_ptr_equal(handled.sa_handler, on_signal);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void the_environment_is_the_given_one_or_ours(void **state)
{
	char *argv[4], out[256];
	char *env[] = {(char *)"ONLY=this", NULL};
	struct spawn s = shell(argv, "echo $ONLY $BERTH_TEST_ENV");

	setenv("BERTH_TEST_ENV", "ours", 1);
	s.env = env;
	output_of(&s, out, sizeof out);
	assert_string_equal(out, "this\n");
	s.env = NULL;
	s.fds = NULL;
	output_of(&s, out, sizeof out);
	assert_string_equal(out, "ours\n");
	unsetenv("BERTH_TEST_ENV");
}

struct seen {
	int calls;
	pid_t pid;
};

static int look(void *arg)
{
	struct seen *seen = arg;

	seen->calls++;
	seen->pid = getpid();
	return 0;
}

static void before_exec_runs_in_the_child_on_our_memory(void **state)
{
	struct seen seen = {0};
	char *argv[4];
	struct spawn s = shell(argv, "exit 7");
	int pidfd;
	pid_t pid;

	s.before_exec = look;
	s.arg = &seen;
	assert_int_equal(spawn(&s, &pidfd, &pid, NULL), 0);
	assert_int_equal(status_of(pidfd), 7);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.pid, pid);
	assert_int_not_equal(seen.pid, getpid());
}

static void the_pidfd_ends_with_the_child(void **state)
{
	char *argv[4];
	struct spawn s = shell(argv, "kill -KILL $$");
	int pidfd;
	pid_t pid;

	assert_int_equal(spawn(&s, &pidfd, &pid, NULL), 0);
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(status_of(pidfd), 1000 + SIGKILL);
}

static void extra_flags_make_namespaces(void **state)
{
	char *argv[4], out[256], ours[64];
	struct spawn s = shell(argv, "readlink /proc/self/ns/uts");
	ssize_t n;

	if (geteuid() != 0)
		SKIP("no namespaces without root");
	s.clone_flags = CLONE_NEWUTS;
	output_of(&s, out, sizeof out);
	n = readlink("/proc/self/ns/uts", ours, sizeof ours - 1);
	assert_true(n > 0);
	ours[n] = 0;
	assert_memory_equal(out, "uts:[", 5);
	assert_string_not_equal(out, ours);
}

/* Where cgroup v2 is mounted: /sys/fs/cgroup, or below it on a hybrid host. */
static int cgroup_root(void)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		char path[64];

		snprintf(path, sizeof path, "%s/cgroup.controllers", roots[i]);
		if (access(path, F_OK) == 0)
			return open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return -1;
}

static void a_child_is_born_in_its_cgroup(void **state)
{
	char *argv[4], name[64], out[1024], want[80];
	struct spawn s = shell(argv, "grep ^0: /proc/self/cgroup");
	AUTO_FD root = cgroup_root();

	snprintf(name, sizeof name, "berth-test-spawn-%d", (int)getpid());
	if (root < 0)
		SKIP("no cgroup v2");
	if (mkdirat(root, name, 0755) < 0)
		SKIP("cannot make a cgroup: %s", strerror(errno));
	s.cgroup_fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	output_of(&s, out, sizeof out);
	close(s.cgroup_fd);
	unlinkat(root, name, AT_REMOVEDIR);
	snprintf(want, sizeof want, "/%s\n", name);
	assert_non_null(strstr(out, want));
}

static void a_removed_cgroup_is_named_as_the_reason(void **state)
{
	char *argv[4], name[64];
	struct spawn s = shell(argv, "exit 0");
	AUTO_FD root = cgroup_root();
	struct err e;
	pid_t pid;
	int pidfd;

	snprintf(name, sizeof name, "berth-test-gone-%d", (int)getpid());
	if (root < 0 || mkdirat(root, name, 0755) < 0)
		SKIP("no cgroup v2 to make groups in");
	s.cgroup_fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unlinkat(root, name, AT_REMOVEDIR);
	int r = spawn(&s, &pidfd, &pid, &e);

	assert_true(r == -ENODEV || r == -ENOENT);
	assert_string_equal(e.step, "cgroup");
	close(s.cgroup_fd);
	no_child_is_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exec_failures_are_reported_with_their_errno),
		cmocka_unit_test(a_refusal_before_exec_ends_the_child),
		cmocka_unit_test(impossible_requests_make_no_child),
		cmocka_unit_test(only_the_named_descriptors_are_there),
		cmocka_unit_test(descriptors_are_placed_in_spite_of_overlaps),
		cmocka_unit_test(a_program_is_executed_by_its_descriptor),
		cmocka_unit_test(the_child_has_no_signal_blocked_ignored_or_handled),
		cmocka_unit_test(the_environment_is_the_given_one_or_ours),
		cmocka_unit_test(before_exec_runs_in_the_child_on_our_memory),
		cmocka_unit_test(the_pidfd_ends_with_the_child),
		cmocka_unit_test(extra_flags_make_namespaces),
		cmocka_unit_test(a_child_is_born_in_its_cgroup),
		cmocka_unit_test(a_removed_cgroup_is_named_as_the_reason),
		cmocka_unit_test(who_has_reserved_numbers_hands_a_child_no_copy_of_all),
		cmocka_unit_test(exec_failures_are_reported_with_their_errno),
		cmocka_unit_test(impossible_requests_make_no_child),
		cmocka_unit_test(only_the_named_descriptors_are_there),
		cmocka_unit_test(the_child_has_no_signal_blocked_ignored_or_handled),
		cmocka_unit_test(the_environment_is_the_given_one_or_ours),
		cmocka_unit_test(the_pidfd_ends_with_the_child),
		cmocka_unit_test(extra_flags_make_namespaces),
		cmocka_unit_test(a_child_is_born_in_its_cgroup),
		cmocka_unit_test(a_removed_cgroup_is_named_as_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

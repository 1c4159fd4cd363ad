/* tests/unit/test_job_top.c - the verb `top` over a folder that looks like an incarnation's group. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "job/job.h"
#include "proto/envelope.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[64];

static int each_init(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/berth-top-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int each_fini(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, dir);
}

static void group_make(const char *name, const char *pids)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/%s/cgroup.procs", dir, name);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, pids, strlen(pids), 0644, false), 0);
}

static Berth__Envelope *top_run(void)
{
	struct wire_fds fds = {.n = 0};
	char *record = malloc(WIRE_MAX);
	int report[2], status;
	Berth__Envelope *env;
	size_t len = 0;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report), 0);
	pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)(uintptr_t) "top", NULL};
		int group = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int high[2] = {fcntl(report[1], F_DUPFD_CLOEXEC, 100), fcntl(group, F_DUPFD_CLOEXEC, 100)};
		struct err e = {0};

		dup2(high[0], 3);
		dup2(high[1], 4);
		close_range(5, ~0u, 0);
		_exit(verb_top(1, argv, &e) < 0);
	}
	close(report[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(wire_recv(report[0], record, WIRE_MAX, &len, &fds), 0);
	env = envelope_unpack(record, len, &fds);
	assert_non_null(env);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_TOP_REPLY);
	close(report[0]);
	free(record);
	return env;
}

/* It has said that it is there, and may still be on its way to its pause. */
static void until_asleep(pid_t pid)
{
	char path[32], stat[1024];
	const char *end;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	do {
		ssize_t n = file_read(AT_FDCWD, path, stat, sizeof stat);

		assert_true(n > 0);
		end = strrchr(stat, ')');
		assert_non_null(end);
	} while (end[2] != 'S');
}

static pid_t sleeper(const char *name)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	until_asleep(pid);
	return pid;
}

static void test_processes_are_listed_by_group(void **state)
{
	/* The name of a process may look like the rest of its line. */
	pid_t one = sleeper("x) R 1 (y"), two = sleeper("two");
	Berth__Envelope *env;
	Berth__TopReply *top;
	char pids[64];

	(void)state;
	snprintf(pids, sizeof pids, "%d\n", one);
	group_make("main", pids);
	/* 2^22 is above every pid: one that has ended meanwhile. */
	snprintf(pids, sizeof pids, "%d\n4194304\n", two);
	group_make("exec-7", pids);
	group_make("other", pids);
	env = top_run();
	top = env->top_reply;
	assert_int_equal(top->n_processes, 2);
	for (size_t i = 0; i < 2; i++) {
		const Berth__Process *p = top->processes[i];

		assert_int_equal(p->pid, p->pid == one ? one : two);
		assert_int_equal(p->ppid, getpid());
		assert_string_equal(p->state, "S");
		assert_string_equal(p->group, p->pid == one ? "main" : "exec-7");
		assert_int_equal(p->uid, getuid());
		assert_true(p->has_container_pid && p->container_pid > 0 && p->rss_bytes > 0);
		assert_non_null(strstr(p->command, "test_job_top"));
	}
	berth__envelope__free_unpacked(env, NULL);
	kill(one, SIGKILL);
	kill(two, SIGKILL);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
}

static void test_a_zombie_shows_its_name(void **state)
{
	Berth__Envelope *env;
	pid_t pid = sleeper("gone");
	siginfo_t info;
	char pids[32];

	(void)state;
	snprintf(pids, sizeof pids, "%d\n", pid);
	group_make("main", pids);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	env = top_run();
	assert_int_equal(env->top_reply->n_processes, 1);
	assert_string_equal(env->top_reply->processes[0]->state, "Z");
	assert_string_equal(env->top_reply->processes[0]->command, "[gone]");
	berth__envelope__free_unpacked(env, NULL);
	waitpid(pid, NULL, 0);
}

static void test_an_empty_group_has_no_processes(void **state)
{
	Berth__Envelope *env = top_run();

	(void)state;
	assert_int_equal(env->top_reply->n_processes, 0);
	berth__envelope__free_unpacked(env, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_processes_are_listed_by_group, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_a_zombie_shows_its_name, each_init, each_fini),
		cmocka_unit_test_setup_teardown(test_an_empty_group_has_no_processes, each_init, each_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

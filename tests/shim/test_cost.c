/* tests/shim/test_cost.c - what a shim costs: memory at rest, and the time from the plan to the first instruction.
 *
 * Memory has a limit here. Times are only printed, with BERTH_SHIM_TIMES=1, beside the floor: a bare clone3 with the same namespaces
 * into a group, pivot_root and exec. */
#include "tests/shim/driver.h"

#include "base/file.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Private dirty bytes by smaps. Apart: the log ring (a memfd, mapped twice), and code, which is dirty only as the page cache of
 * a file that was built a moment ago. */
static unsigned private_dirty_kib(int pid, bool print)
{
	char path[64], line[512], name[512] = "";
	unsigned kib, total = 0;
	bool ring = false;

	snprintf(path, sizeof path, "/proc/%d/smaps", pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		unsigned long a, b;

		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "\n"), line);
			ring = strstr(line, "memfd:log") || strstr(line, " r-xp ");
		} else if (sscanf(line, "Private_Dirty: %u", &kib) == 1 && kib && !ring) {
			total += kib;
			if (print)
				printf("# %3u KiB %s\n", kib, name);
		}
	}
	fclose(f);
	return total;
}

static void start(struct shim *s, struct plan *p)
{
	shim_launch(s, p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
}

static void a_shim_at_rest_is_small(void **state)
{
	static struct output out;
	struct shim s;
	struct plan p;
	unsigned kib = 0;

	shim_spawn(&s);
	for (int i = 0; i < 3; i++) { /* restarts leave nothing behind */
		PLAN(&p, &s, "sh", "-c", "seq 1 20000; exit 1");
		shim_run(&s, &p);
	}
	PLAN(&p, &s, "sh", "-c", "seq 1 20000; sleep 1000");
	start(&s, &p);
	for (int i = 0; i < 5; i++) {
		char id[8];

		snprintf(id, sizeof id, "e%d", i);
		int fd = EXEC(&s, id, "seq", "1", "10000");
		memset(&out, 0, sizeof out);
		assert_true(session_read(fd, &out, NULL));
		close(fd);
	}
	for (int i = 0; i < 50; i++) {
		usleep(100000);
		kib = private_dirty_kib(s.pid, false);
		if (i > 10 && kib <= 24)
			break;
	}
	if (kib > 24 || getenv("BERTH_SHIM_TIMES"))
		private_dirty_kib(s.pid, true);
	printf("# private dirty: %u KiB\n", kib);
	assert_true(kib <= 24);
	shim_stop(&s);
}

/* ---------------------------------------------------------------- time */

#define ROUNDS 200

static int compare(const void *a, const void *b)
{
	return *(const long *)a < *(const long *)b ? -1 : *(const long *)a > *(const long *)b;
}

static void report(const char *what, long us[ROUNDS])
{
	qsort(us, ROUNDS, sizeof *us, compare);
	printf("# %-44s %5ld us least, %5ld median, %5ld p99\n", what, us[0], us[ROUNDS / 2], us[ROUNDS * 99 / 100]);
}

static long bare_clone(int main_fd, bool net)
{
	struct clone_args a = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | (net ? CLONE_NEWNET : 0) |
			 CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)main_fd,
	};
	char layer[96], c;
	int pipe_fds[2];
	long start_us = now_us();

	snprintf(layer, sizeof layer, "%s/layer", driver.dir);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	long pid = syscall(SYS_clone3, &a, sizeof a);
	if (!pid) {
		mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
		mount(layer, layer, NULL, MS_BIND, NULL);
		if (chdir(layer) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
			_exit(1);
		umount2(".", MNT_DETACH);
		mount("proc", "/proc", "proc", 0, NULL);
		mount("tmpfs", "/dev", "tmpfs", 0, NULL);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	close(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], &c, 1), 0); /* closed by exec */
	start_us = now_us() - start_us;
	close(pipe_fds[0]);
	waitpid((pid_t)pid, NULL, 0);
	return start_us;
}

static void the_time_from_plan_to_exec(void **state)
{
	static long launch[ROUNDS], whole[ROUNDS], floor_us[ROUNDS], spawn[ROUNDS], again[ROUNDS], exec_us[ROUNDS];
	static struct output out;
	struct shim s, one;
	struct plan p;

	shim_spawn(&s);
	PLAN(&p, &s, "sleep", "1000");
	start(&s, &p);
	for (int i = 0; i < ROUNDS; i++) {
		char id[8];

		snprintf(id, sizeof id, "e%d", i);
		exec_us[i] = now_us();
		int fd = EXEC(&s, id, "true");
		memset(&out, 0, sizeof out);
		assert_true(session_read(fd, &out, NULL));
		exec_us[i] = now_us() - exec_us[i];
		close(fd);
	}
	report("exec `true`, request to exit", exec_us);
	int main_fd = openat(s.group_fd, "main", O_PATH | O_CLOEXEC);
	for (int i = 0; i < ROUNDS; i++)
		floor_us[i] = bare_clone(main_fd, true);
	report("floor with a network namespace", floor_us);
	for (int i = 0; i < ROUNDS; i++)
		floor_us[i] = bare_clone(main_fd, false);
	report("floor without", floor_us);
	close(main_fd);
	shim_stop(&s);
	for (int i = 0; i < ROUNDS; i++) {
		long start_us = now_us();

		shim_spawn(&one);
		spawn[i] = now_us() - start_us;
		PLAN(&p, &one, "true");
		start_us = now_us();
		start(&one, &p);
		launch[i] = now_us() - start_us;
		shim__shim_message__free_unpacked(shim_expect(&one, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
		whole[i] = now_us() - start_us;
		PLAN(&p, &one, "true");
		start_us = now_us();
		start(&one, &p);
		again[i] = now_us() - start_us;
		shim__shim_message__free_unpacked(shim_expect(&one, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
		shim_stop(&one);
	}
	report("fork, exec of the shim, ShimHello", spawn);
	report("plan -> Running (21 steps, new network)", launch);
	report("plan -> Running -> Exited of `true`", whole);
	report("plan -> Running of the next incarnation", again);
}

/* Seconds of processor that a process and its threads have used. */
static double cpu_seconds(int pid)
{
	char path[48], text[1024], *at;
	unsigned long user = 0, sys = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	assert_true(file_read(AT_FDCWD, path, text, sizeof text) > 0);
	at = strrchr(text, ')');
	assert_int_equal(sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys), 2);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static void the_rate_of_log_lines(void **state)
{
	struct shim s;
	struct plan p;
	static const struct {
		const char *what, *command;
		double mb;
	} rows[] = {
		{"64 KiB writes of 100-byte lines", "dd if=/big bs=65536 2>/dev/null", 200},
		{"4 KiB writes of 100-byte lines", "dd if=/big bs=4096 2>/dev/null", 200},
		{"100-byte writes", "dd if=/big bs=100 count=500000 2>/dev/null", 50},
	};

	char path[128], line[101];
	snprintf(path, sizeof path, "%s/layer/big", driver.dir);
	FILE *f = fopen(path, "we");
	memset(line, 'x', 100);
	line[99] = '\n';
	line[100] = 0;
	for (int i = 0; i < 2000000; i++)
		fwrite(line, 1, 100, f);
	fclose(f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		shim_spawn(&s);
		PLAN(&p, &s, "sh", "-c", rows[i].command);
		p.p.log_max_bytes = 16 << 20;
		long start_us = now_us();
		assert_int_equal(shim_run(&s, &p)->code, 0);
		start_us = now_us() - start_us;
		Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT, *hello;
		Shim__Query query = SHIM__QUERY__INIT;
		m.body_case = SHIM__SHIM_MESSAGE__BODY_QUERY;
		m.query = &query;
		shim_send(&s, &m, NULL, 0);
		hello = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_HELLO);
		printf("# log, %-36s %6.0f MB/s, %.2f million lines/s, shim's processor %.2f s, %llu lines dropped\n",
		       rows[i].what, rows[i].mb * 1e6 / (double)start_us, rows[i].mb * 1e4 / (double)start_us,
		       cpu_seconds(s.pid), (unsigned long long)hello->hello->log_dropped->lines);
		shim__shim_message__free_unpacked(hello, NULL);
		shim_stop(&s);
	}
}

int main(void)
{
	const struct CMUnitTest limits[] = {
		cmocka_unit_test(a_shim_at_rest_is_small),
	};
	const struct CMUnitTest times[] = {
		cmocka_unit_test(the_time_from_plan_to_exec),
		cmocka_unit_test(the_rate_of_log_lines),
	};

	if (getenv("BERTH_SHIM_TESTS"))
		cmocka_set_test_filter(getenv("BERTH_SHIM_TESTS"));
	if (getenv("BERTH_SHIM_TIMES"))
		return cmocka_run_group_tests_name("shim_times", times, driver_setup, driver_teardown);
	return cmocka_run_group_tests_name("shim_cost", limits, driver_setup, driver_teardown);
}

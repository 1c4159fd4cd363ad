/* tests/shim/test_streams.c - exec, attach, terminals: what flows between clients and a container. */
#include "tests/shim/driver.h"

#include "base/file.h"

#include <poll.h>
#include <sys/wait.h>

static struct output *out; /* one at a time: it is large */

static struct output *fresh(void)
{
	free(out);
	out = calloc(1, sizeof *out);
	return out;
}

static void start(struct shim *s, struct plan *p)
{
	shim_launch(s, p, -1, -1);
	shim__shim_message__free_unpacked(shim_expect(s, SHIM__SHIM_MESSAGE__BODY_RUNNING), NULL);
}

static void start_sleeper(struct shim *s)
{
	struct plan p;

	shim_spawn(s);
	PLAN(&p, s, "sleep", "1000");
	start(s, &p);
}

static bool group_gone(struct shim *s, const char *name)
{
	for (int i = 0; i < 1000; i++) {
		if (faccessat(s->group_fd, name, F_OK, 0) < 0)
			return true;
		usleep(1000);
	}
	return false;
}

/* ---------------------------------------------------------------- exec */

static void exec_has_streams_and_an_exit(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "e1", "sh", "-c",
		  "cat; echo err >&2; cat /proc/self/cgroup; ls -l /proc/self/fd 2>/dev/null; exit 5");
	session_put(fd, SESSION_STDIN, "hello\n", 6);
	session_put(fd, SESSION_CLOSE, "\0", 1);
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->how.code, 5);
	assert_int_equal(out->how.failed, 0);
	assert_non_null(strstr(out->text[0], "hello\n"));
	assert_non_null(strstr(out->text[0], "0::/../exec-e1\n"));
	assert_null(strstr(out->text[0], "socket:"));
	assert_string_equal(out->text[1], "err\n");
	assert_true(out->closed[0] && out->closed[1]);
	close(fd);
	assert_true(group_gone(&s, "exec-e1"));
	Shim__ShimMessage *m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXEC_STARTED);
	assert_string_equal(m->exec_started->exec_id, "e1");
	shim__shim_message__free_unpacked(m, NULL);
	m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXEC_EXITED);
	assert_int_equal(m->exec_exited->code, 5);
	shim__shim_message__free_unpacked(m, NULL);
	shim_stop(&s);
}

static void exec_that_fails_says_so(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "e1", "nosuch");
	assert_true(session_read(fd, fresh(), NULL));
	assert_string_equal(out->error, "exec nosuch: No such file or directory");
	assert_true(out->how.failed);
	assert_int_equal(out->how.code, 127);
	close(fd);
	fd = EXEC(&s, "e2", "/etc/passwd");
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->how.code, 126);
	close(fd);
	fd = EXEC(&s, "bad/id", "true");
	assert_true(session_read(fd, fresh(), NULL));
	assert_true(out->how.failed);
	close(fd);
	assert_true(group_gone(&s, "exec-e1"));
	shim_signal(&s, SIGKILL, s.incarnation);
	for (bool ended = false; !ended;) {
		Shim__ShimMessage *m = shim_next(&s, WAIT_MS);

		assert_non_null(m);
		ended = m->body_case == SHIM__SHIM_MESSAGE__BODY_EXITED;
		shim__shim_message__free_unpacked(m, NULL);
	}
	fd = EXEC(&s, "e3", "true");
	assert_true(session_read(fd, fresh(), NULL));
	assert_string_equal(out->error, "the container is not running");
	close(fd);
	shim_stop(&s);
}

static void exec_is_killed_at_its_timeout(void **state)
{
	struct shim s;
	Shim__ProcessPlan p = SHIM__PROCESS_PLAN__INIT;
	const char *argv[] = {"sh", "-c", "sleep 100 & sleep 100"};
	int fd;

	start_sleeper(&s);
	p.argv = (char **)argv;
	p.n_argv = 3;
	fd = shim_exec(&s, "slow", &p, 100, false);
	long start_us = now_us();
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->how.signal, SIGKILL);
	assert_true(out->how.timed_out);
	assert_true(now_us() - start_us < 1000000);
	close(fd);
	assert_true(group_gone(&s, "exec-slow"));
	shim_stop(&s);
}

static void exec_leaves_background_work_running(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "bg", "sh", "-c", "sleep 0.6 & echo started");
	long start_us = now_us();
	assert_true(session_read(fd, fresh(), NULL)); /* though the sleeper holds its stdout */
	assert_true(now_us() - start_us < 500000);
	assert_string_equal(out->text[0], "started\n");
	close(fd);
	assert_int_equal(process_in(&s, "exec-bg"), 1);
	assert_true(group_gone(&s, "exec-bg"));
	shim_stop(&s);
}

static void exec_back_pressures_and_loses_nothing(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "big", "sh", "-c", "head -c 20000000 /dev/zero; echo end >&2");
	for (int i = 0; i < WAIT_MS && process_in(&s, "exec-big") != 2; i++)
		usleep(1000);
	usleep(300000); /* nobody reads: the program waits */
	assert_int_equal(process_in(&s, "exec-big"), 2);
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->total[0], 20000000);
	assert_string_equal(out->text[1], "end\n");
	close(fd);
	/* The same the other way round. */
	char *block = calloc(1, 30000);
	fd = EXEC(&s, "in", "sh", "-c", "sleep 0.3; wc -c");
	for (int i = 0; i < 200; i++)
		session_put(fd, SESSION_STDIN, block, 30000);
	session_put(fd, SESSION_CLOSE, "\0", 1);
	assert_true(session_read(fd, fresh(), NULL));
	assert_string_equal(out->text[0], "6000000\n");
	free(block);
	close(fd);
	shim_stop(&s);
}

static void exec_outlives_its_client(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "e1", "sh", "-c", "echo up; sleep 0.2; head -c 1000000 /dev/zero; touch /tmp/done");
	assert_true(session_read(fd, fresh(), "up"));
	close(fd);
	assert_true(group_gone(&s, "exec-e1"));
	fd = EXEC(&s, "e2", "ls", "/tmp/done");
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->how.code, 0);
	close(fd);
	shim_stop(&s);
}

static void exec_ends_with_the_container(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "e1", "sh", "-c", "echo up; sleep 1000");
	assert_true(session_read(fd, fresh(), "up"));
	shim_signal(&s, SIGKILL, s.incarnation);
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->how.signal, SIGKILL);
	close(fd);
	Shim__ShimMessage *m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->signal, SIGKILL);
	shim__shim_message__free_unpacked(m, NULL);
	shim_stop(&s);
}

static void exec_on_a_terminal(void **state)
{
	struct shim s;
	Shim__ProcessPlan p = SHIM__PROCESS_PLAN__INIT;
	const char *argv[] = {"sh", "-c", "stty size; tty; read x; echo got $x; sleep 0.1; stty size; exit 3"};
	const char *env[] = {"PATH=/bin"};
	unsigned short size[2] = {50, 132};
	int fd;

	start_sleeper(&s);
	p.argv = (char **)argv;
	p.n_argv = 3;
	p.env = (char **)env;
	p.n_env = 1;
	p.has_tty = p.tty = p.has_rows = p.has_cols = 1;
	p.rows = 24;
	p.cols = 80;
	fd = shim_exec(&s, "tty", &p, 0, false);
	session_put(fd, SESSION_RESIZE, size, sizeof size); /* may be too early, and is lost then */
	assert_true(session_read(fd, fresh(), "/dev/pts/0"));
	session_put(fd, SESSION_RESIZE, size, sizeof size);
	session_put(fd, SESSION_STDIN, "word\n", 5);
	assert_true(session_read(fd, out, NULL));
	assert_int_equal(out->how.code, 3);
	assert_non_null(strstr(out->text[0], "got word"));
	assert_non_null(strstr(out->text[0], "50 132"));
	close(fd);
	/* A client that leaves takes the terminal along. */
	argv[2] = "trap 'touch /tmp/hup; exit' HUP; echo up; while :; do sleep 0.01; done";
	fd = shim_exec(&s, "hup", &p, 0, false);
	assert_true(session_read(fd, fresh(), "up"));
	close(fd);
	assert_true(group_gone(&s, "exec-hup"));
	fd = EXEC(&s, "look", "ls", "/tmp/hup");
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->how.code, 0);
	close(fd);
	shim_stop(&s);
}

static void exec_signals_its_process(void **state)
{
	struct shim s;
	int fd;

	start_sleeper(&s);
	fd = EXEC(&s, "e1", "sh", "-c", "trap 'exit 8' USR1; echo up; while :; do sleep 0.01; done");
	assert_true(session_read(fd, fresh(), "up"));
	session_put(fd, SESSION_SIGNAL, (char[]){SIGUSR1}, 1);
	assert_true(session_read(fd, out, NULL));
	assert_int_equal(out->how.code, 8);
	close(fd);
	shim_stop(&s);
}

static void many_execs_at_once(void **state)
{
	struct shim s;
	int fd[40];
	char id[8];

	start_sleeper(&s);
	for (int i = 0; i < 40; i++) {
		snprintf(id, sizeof id, "m%d", i);
		fd[i] = EXEC(&s, id, "sh", "-c", "sleep 0.1; echo done");
	}
	for (int i = 0; i < 40; i++) {
		assert_true(session_read(fd[i], fresh(), NULL));
		assert_string_equal(out->text[0], "done\n");
		close(fd[i]);
	}
	Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT, *hello;
	Shim__Query query = SHIM__QUERY__INIT;
	usleep(100000);
	m.body_case = SHIM__SHIM_MESSAGE__BODY_QUERY;
	m.query = &query;
	shim_send(&s, &m, NULL, 0);
	hello = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_HELLO);
	assert_int_equal(hello->hello->execs, 0);
	shim__shim_message__free_unpacked(hello, NULL);
	shim_stop(&s);
}

/* ---------------------------------------------------------------- attach */

static void a_session_with_the_launch_misses_nothing(void **state)
{
	struct shim s;
	struct plan p;
	int theirs, fd;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "echo first; cat; echo last; exit 4");
	p.process.has_stdin_open = p.process.stdin_open = p.process.has_stdin_once = p.process.stdin_once = 1;
	fd = session_pair(&theirs);
	session_put(fd, SESSION_STDIN, "fed\n", 4);
	session_put(fd, SESSION_CLOSE, "\0", 1);
	shim_launch(&s, &p, theirs, -1);
	assert_true(session_read(fd, fresh(), NULL));
	assert_string_equal(out->text[0], "first\nfed\nlast\n");
	assert_int_equal(out->how.code, 4);
	close(fd);
	Shim__ShimMessage *m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	shim__shim_message__free_unpacked(m, NULL);
	char *log = shim_log_until(&s, "last\n");
	assert_string_equal(log, "first\nfed\nlast\n");
	free(log);
	/* A launch that fails is told there too. */
	PLAN(&p, &s, "/no/such");
	fd = session_pair(&theirs);
	shim_launch(&s, &p, theirs, -1);
	assert_true(session_read(fd, fresh(), NULL));
	assert_string_equal(out->error, "exec /no/such: No such file or directory");
	assert_int_equal(out->how.code, 127);
	close(fd);
	shim_stop(&s);
}

static void several_attachers_see_the_same(void **state)
{
	struct shim s;
	struct plan p;
	int a, b;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "while read x; do echo got $x; [ $x = end ] && exit; done");
	p.process.has_stdin_open = p.process.stdin_open = 1;
	start(&s, &p);
	a = shim_attach(&s, true);
	b = shim_attach(&s, false);
	usleep(50000);
	session_put(b, SESSION_STDIN, "not heard\n", 10);
	session_put(a, SESSION_STDIN, "one\n", 4);
	assert_true(session_read(b, fresh(), "got one"));
	close(b);
	session_put(a, SESSION_STDIN, "end\n", 4);
	assert_true(session_read(a, fresh(), NULL));
	assert_string_equal(out->text[0], "got one\ngot end\n");
	close(a);
	shim_stop(&s);
}

static void an_attacher_that_does_not_read_is_dropped(void **state)
{
	struct shim s;
	struct plan p;
	int fd;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c", "sleep 0.1; head -c 3000000 /dev/zero; exit 6");
	p.p.log_dir = NULL;
	start(&s, &p);
	fd = shim_attach(&s, false);
	long start_us = now_us();
	Shim__ShimMessage *m = shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED);
	assert_int_equal(m->exited->record->code, 6);
	shim__shim_message__free_unpacked(m, NULL);
	assert_true(now_us() - start_us < 3000000);
	assert_false(session_read(fd, fresh(), NULL));
	close(fd);
	/* One that reads gets it all. */
	start(&s, &p);
	fd = shim_attach(&s, false);
	assert_true(session_read(fd, fresh(), NULL));
	assert_int_equal(out->total[0], 3000000);
	close(fd);
	shim_stop(&s);
}

static void a_container_on_a_terminal(void **state)
{
	struct shim s;
	struct plan p;
	unsigned short size[2] = {33, 101};
	int theirs, fd;

	shim_spawn(&s);
	PLAN(&p, &s, "sh", "-c",
	     "stty size; tty; stat -c %t /dev/console; read x; stty size; echo got $x > /dev/console; exit 2");
	p.process.has_tty = p.process.tty = p.process.has_stdin_open = p.process.stdin_open = 1;
	p.process.has_rows = p.process.has_cols = 1;
	p.process.rows = 24;
	p.process.cols = 80;
	p.process.user = (char *)(uintptr_t) "app";
	fd = session_pair(&theirs);
	shim_launch(&s, &p, theirs, -1);
	assert_true(session_read(fd, fresh(), "/dev/"));
	assert_non_null(strstr(out->text[0], "24 80\r\n"));
	session_put(fd, SESSION_RESIZE, size, sizeof size);
	session_put(fd, SESSION_STDIN, "word\n", 5);
	assert_true(session_read(fd, out, NULL));
	assert_non_null(strstr(out->text[0], "33 101\r\n"));
	assert_non_null(strstr(out->text[0], "got word\r\n"));
	assert_int_equal(out->how.code, 2);
	close(fd);
	shim__shim_message__free_unpacked(shim_expect(&s, SHIM__SHIM_MESSAGE__BODY_EXITED), NULL);
	char *log = shim_log_until(&s, "got word\r\n");
	assert_non_null(strstr(log, "got word\r\n"));
	free(log);
	/* With an init the program is in the foreground: ^C reaches it, once. */
	PLAN(&p, &s, "sh", "-c", "trap 'echo int; exit 9' INT; echo up; while :; do sleep 0.05; done");
	p.process.has_tty = p.process.tty = p.p.has_init = p.p.init = p.process.has_stdin_open = p.process.stdin_open =
		1;
	fd = session_pair(&theirs);
	shim_launch(&s, &p, theirs, -1);
	assert_true(session_read(fd, fresh(), "up"));
	session_put(fd, SESSION_STDIN, "\3", 1);
	assert_true(session_read(fd, out, NULL));
	assert_int_equal(out->how.code, 9);
	close(fd);
	shim_stop(&s);
}

static void a_client_that_does_not_speak_the_protocol_is_closed(void **state)
{
	struct shim s;
	int pair[2], fd;

	start_sleeper(&s);
	static const struct {
		const char *what;
		char first[4];
		int n_first;
	} rows[] = {{"no hello", {SESSION_STDIN, 'x'}, 2},
		    {"another version", {SESSION_HELLO, 9}, 2},
		    {"nonsense", {77}, 1}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Shim__ShimMessage m = SHIM__SHIM_MESSAGE__INIT;
		Shim__Attach attach = SHIM__ATTACH__INIT;
		Shim__FdRole role = SHIM__FD_ROLE__FD_SESSION;

		assert_int_equal(wire_pair(pair), 0);
		assert_int_equal(wire_send(pair[0], rows[i].first, (size_t)rows[i].n_first, NULL, 0), 0);
		m.fds = &role;
		m.n_fds = 1;
		m.body_case = SHIM__SHIM_MESSAGE__BODY_ATTACH;
		m.attach = &attach;
		shim_send(&s, &m, &pair[1], 1);
		close(pair[1]);
		assert_row(!session_read(pair[0], fresh(), NULL), i);
		close(pair[0]);
	}
	fd = EXEC(&s, "ok", "echo", "fine");
	assert_true(session_read(fd, fresh(), NULL));
	assert_string_equal(out->text[0], "fine\n");
	close(fd);
	shim_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exec_has_streams_and_an_exit),
		cmocka_unit_test(exec_that_fails_says_so),
		cmocka_unit_test(exec_is_killed_at_its_timeout),
		cmocka_unit_test(exec_leaves_background_work_running),
		cmocka_unit_test(exec_back_pressures_and_loses_nothing),
		cmocka_unit_test(exec_outlives_its_client),
		cmocka_unit_test(exec_ends_with_the_container),
		cmocka_unit_test(exec_on_a_terminal),
		cmocka_unit_test(exec_signals_its_process),
		cmocka_unit_test(many_execs_at_once),
		cmocka_unit_test(a_session_with_the_launch_misses_nothing),
		cmocka_unit_test(several_attachers_see_the_same),
		cmocka_unit_test(an_attacher_that_does_not_read_is_dropped),
		cmocka_unit_test(a_container_on_a_terminal),
		cmocka_unit_test(a_client_that_does_not_speak_the_protocol_is_closed),
	};
	int r;

	if (getenv("BERTH_SHIM_TESTS"))
		cmocka_set_test_filter(getenv("BERTH_SHIM_TESTS"));
	r = cmocka_run_group_tests_name("shim_streams", tests, driver_setup, driver_teardown);
	free(out);
	return r;
}

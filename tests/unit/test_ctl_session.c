/* tests/unit/test_ctl_session.c - the client's end of an exec: a child with pipes or a terminal as its streams runs the session,
 * the test is the shim. */
#include "unit.h"

#include "ctl/session.h"
#include "proto/wire.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

struct run {
	int sock;	  /* our end, the shim's */
	int in, out, err; /* our ends of its streams */
	pid_t pid;
};

static struct run start(const struct session_opts *opts, int terminal)
{
	int s[2], in[2], out[2], err[2];
	struct run r;

	assert_int_equal(wire_pair(s), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	r.pid = fork();
	if (!r.pid) {
		struct session_end end;
		struct err e;

		signal(SIGPIPE, SIG_DFL); /* as the tool finds it */
		dup2(terminal >= 0 ? terminal : in[0], 0);
		dup2(terminal >= 0 ? terminal : out[1], 1);
		dup2(err[1], 2);
		close(s[0]), close(in[1]), close(out[0]), close(err[0]);
		if (session_run(s[1], opts, &end, &e) < 0)
			_exit(99);
		if (end.error[0])
			dprintf(2, "%s", end.error);
		_exit(session_exit_status(&end) | (end.how == SESSION_LOST ? 98 : 0));
	}
	close(s[1]), close(in[0]), close(out[1]), close(err[1]);
	r.sock = s[0];
	r.in = in[1];
	r.out = out[0];
	r.err = err[0];
	return r;
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, 10000), 1);
}

static size_t shim_recv(const struct run *r, uint8_t *record)
{
	struct wire_fds fds = {0};
	size_t len = 0;
	int result;

	while ((result = wire_recv(r->sock, record, SESSION_MAX, &len, &fds)) == WIRE_AGAIN)
		wait_for(r->sock, POLLIN);
	return result ? 0 : len;
}

static void shim_send(const struct run *r, const void *record, size_t len)
{
	int result;

	while ((result = wire_send(r->sock, record, len, NULL, 0)) == WIRE_AGAIN)
		wait_for(r->sock, POLLOUT);
	assert_int_equal(result, 0);
}

static void shim_hello(const struct run *r)
{
	uint8_t record[SESSION_MAX];
	const uint8_t hello[] = {SESSION_HELLO, SESSION_VERSION};

	assert_int_equal(shim_recv(r, record), 2);
	assert_memory_equal(record, hello, 2);
	shim_send(r, hello, 2);
}

static void shim_text(const struct run *r, uint8_t type, const char *text)
{
	uint8_t record[256] = {type};

	memcpy(record + 1, text, strlen(text));
	shim_send(r, record, strlen(text) + 1);
}

static void shim_exit(const struct run *r, struct session_exit x)
{
	uint8_t record[1 + sizeof x] = {SESSION_EXIT};

	memcpy(record + 1, &x, sizeof x);
	shim_send(r, record, sizeof record);
}

static int end(struct run *r)
{
	int status;

	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	close(r->sock), close(r->in), close(r->out), close(r->err);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static size_t read_all(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t k;

	while (n < size && (k = read(fd, buf + n, size - n)) > 0)
		n += (size_t)k;
	return n;
}

static void streams_and_exit_code_are_passed_on(void **state)
{
	struct session_opts opts = {0};
	struct run r = start(&opts, -1);
	char out[64] = "", err[64] = "";

	(void)state;
	shim_hello(&r);
	shim_text(&r, SESSION_STDOUT, "out\n");
	shim_text(&r, SESSION_STDERR, "err\n");
	shim_exit(&r, (struct session_exit){.code = 7});
	read_all(r.out, out, sizeof out - 1);
	read_all(r.err, err, sizeof err - 1);
	assert_string_equal(out, "out\n");
	assert_string_equal(err, "err\n");
	assert_int_equal(end(&r), 7);
}

static void ends_by_signal_timeout_and_failure_have_their_codes(void **state)
{
	static const struct {
		struct session_exit exit;
		int status;
	} rows[] = {{{.signal = SIGKILL}, 137},
		    {{.signal = SIGKILL, .timed_out = 1}, 124},
		    {{.code = 127, .failed = 1}, 127},
		    {{.code = 0}, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct session_opts opts = {0};
		struct run r = start(&opts, -1);
		char err[64] = "";

		shim_hello(&r);
		if (rows[i].exit.failed)
			shim_text(&r, SESSION_ERROR, "exec /x: No such file or directory");
		shim_exit(&r, rows[i].exit);
		read_all(r.err, err, sizeof err - 1);
		assert_string_equal(err, rows[i].exit.failed ? "exec /x: No such file or directory" : "");
		assert_row(end(&r) == rows[i].status, i);
	}
}

/* The program is long gone when its output is read. */
static void nothing_is_lost_at_exit_however_slowly_it_is_read(void **state)
{
	enum { RECORDS = 40 };
	struct session_opts opts = {0};
	struct run r = start(&opts, -1);
	static uint8_t record[SESSION_MAX];
	static char out[RECORDS * SESSION_MAX];
	size_t n = 0, total = 0;

	(void)state;
	shim_hello(&r);
	record[0] = SESSION_STDOUT;
	if (!fork()) { /* it blocks as long as nobody reads, as an exec's program does */
		for (int i = 0; i < RECORDS; i++) {
			memset(record + 1, 'a' + i % 26, sizeof record - 1);
			shim_send(&r, record, sizeof record);
		}
		shim_exit(&r, (struct session_exit){.code = 3});
		_exit(0);
	}
	total = (size_t)RECORDS * (SESSION_MAX - 1);
	while (n < total) {
		ssize_t k = read(r.out, out + n, 1000 + n / 10);

		assert_true(k > 0);
		n += (size_t)k;
	}
	for (size_t i = 0; i < total; i++)
		assert_int_equal(out[i], 'a' + (int)(i / (SESSION_MAX - 1)) % 26);
	assert_int_equal(end(&r), 3);
	wait(NULL);
}

static void stdin_is_passed_on_and_its_end_is_a_close(void **state)
{
	struct session_opts opts = {.send_stdin = true};
	struct run r = start(&opts, -1);
	uint8_t record[SESSION_MAX];

	(void)state;
	shim_hello(&r);
	assert_int_equal(write(r.in, "typed", 5), 5);
	assert_int_equal(shim_recv(&r, record), 6);
	assert_memory_equal(record, "\002typed", 6);
	close(r.in);
	assert_int_equal(shim_recv(&r, record), 2);
	assert_int_equal(record[0], SESSION_CLOSE);
	assert_int_equal(record[1], 0);
	shim_text(&r, SESSION_STDOUT, "after");
	shim_exit(&r, (struct session_exit){0});
	r.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_all(r.out, (char *)record, sizeof record), 5);
	assert_int_equal(end(&r), 0);
}

static void stdin_that_is_not_wanted_is_not_read(void **state)
{
	struct session_opts opts = {0};
	struct run r = start(&opts, -1);
	uint8_t record[SESSION_MAX];

	(void)state;
	shim_hello(&r);
	assert_int_equal(write(r.in, "typed", 5), 5);
	shim_exit(&r, (struct session_exit){0});
	assert_int_equal(shim_recv(&r, record), 0);
	assert_int_equal(end(&r), 0);
}

static void signals_are_passed_on_and_the_third_interrupt_leaves(void **state)
{
	struct session_opts opts = {.proxy_signals = true};
	struct run r = start(&opts, -1);
	uint8_t record[SESSION_MAX];

	(void)state;
	shim_hello(&r);
	for (int i = 0; i < 2; i++) {
		kill(r.pid, SIGINT);
		assert_int_equal(shim_recv(&r, record), 2);
		assert_int_equal(record[0], SESSION_SIGNAL);
		assert_int_equal(record[1], SIGINT);
	}
	kill(r.pid, SIGUSR1);
	assert_int_equal(shim_recv(&r, record), 2);
	assert_int_equal(record[1], SIGUSR1);
	kill(r.pid, SIGINT);
	assert_int_equal(end(&r), 130);
}

static void signals_get_through_while_nobody_reads_the_output(void **state)
{
	struct session_opts opts = {.proxy_signals = true};
	struct run r = start(&opts, -1);
	static uint8_t record[SESSION_MAX] = {SESSION_STDOUT};
	int result = 0;

	(void)state;
	shim_hello(&r);
	while (result == 0) /* until nothing more goes in: its stdout is full */
		result = wire_send(r.sock, record, sizeof record, NULL, 0);
	usleep(100000);
	kill(r.pid, SIGTERM);
	assert_int_equal(shim_recv(&r, record), 2);
	assert_int_equal(record[0], SESSION_SIGNAL);
	assert_int_equal(record[1], SIGTERM);
	close(r.sock);
	r.sock = -1;
	kill(r.pid, SIGKILL);
	waitpid(r.pid, &result, 0);
	close(r.in), close(r.out), close(r.err);
}

static void a_reader_that_is_gone_ends_it_as_sigpipe_would(void **state)
{
	struct session_opts opts = {0};
	struct run r = start(&opts, -1);

	(void)state;
	shim_hello(&r);
	close(r.out);
	shim_text(&r, SESSION_STDOUT, "x");
	r.out = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(end(&r), 141);
}

static void a_shim_that_is_gone_is_told_from_an_end(void **state)
{
	struct session_opts opts = {0};
	struct run r = start(&opts, -1);
	char out[64] = "";

	(void)state;
	shim_hello(&r);
	shim_text(&r, SESSION_STDOUT, "last words");
	close(r.sock);
	read_all(r.out, out, sizeof out - 1);
	assert_string_equal(out, "last words");
	r.sock = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(end(&r), 98);
}

/* ---------------------------------------------------------------- terminal */

static void read_until(int fd, const char *text)
{
	char buf[4096];
	size_t n = 0;

	memset(buf, 0, sizeof buf);
	while (!strstr(buf, text)) {
		ssize_t k;

		wait_for(fd, POLLIN);
		k = read(fd, buf + n, sizeof buf - 1 - n);
		assert_true(k > 0);
		n += (size_t)k;
	}
}

static void terminal_of(int *master, int *slave)
{
	struct winsize ws = {.ws_row = 24, .ws_col = 80};

	assert_int_equal(openpty(master, slave, NULL, NULL, &ws), 0);
	fcntl(*master, F_SETFD, FD_CLOEXEC);
	fcntl(*slave, F_SETFD, FD_CLOEXEC);
}

static void resize_check(const struct run *r, unsigned rows, unsigned cols)
{
	uint8_t record[SESSION_MAX];
	uint16_t size[2];

	assert_int_equal(shim_recv(r, record), 5);
	assert_int_equal(record[0], SESSION_RESIZE);
	memcpy(size, record + 1, sizeof size);
	assert_int_equal(size[0], rows);
	assert_int_equal(size[1], cols);
}

static void a_terminal_is_raw_meanwhile_resized_and_restored_after(void **state)
{
	struct session_opts opts = {.send_stdin = true, .tty = true};
	struct winsize ws = {.ws_row = 50, .ws_col = 132};
	struct termios before, during, after;
	uint8_t record[SESSION_MAX];
	int master, slave;
	struct run r;

	(void)state;
	terminal_of(&master, &slave);
	tcgetattr(slave, &before);
	r = start(&opts, slave);
	shim_hello(&r);
	resize_check(&r, 24, 80);
	shim_text(&r, SESSION_STDOUT, "prompt");
	read_until(master, "prompt");
	tcgetattr(slave, &during);
	assert_int_equal(during.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_equal(write(master, "\003", 1), 1); /* Ctrl-C is a byte for the program */
	assert_int_equal(shim_recv(&r, record), 2);
	assert_memory_equal(record, "\002\003", 2);
	ioctl(master, TIOCSWINSZ, &ws);
	kill(r.pid, SIGWINCH);
	resize_check(&r, 50, 132);
	shim_exit(&r, (struct session_exit){.code = 4});
	assert_int_equal(end(&r), 4);
	tcgetattr(slave, &after);
	assert_memory_equal(&before, &after, sizeof before);
	close(master), close(slave);
}

static void detach_keys_leave_with_zero_and_a_restored_terminal(void **state)
{
	struct session_opts opts = {.send_stdin = true, .tty = true};
	struct termios before, after;
	uint8_t record[SESSION_MAX];
	int master, slave;
	struct err e;
	struct run r;

	(void)state;
	detach_keys_parse(&opts.keys, DETACH_KEYS_DEFAULT, &e);
	terminal_of(&master, &slave);
	tcgetattr(slave, &before);
	r = start(&opts, slave);
	shim_hello(&r);
	resize_check(&r, 24, 80);
	shim_text(&r, SESSION_STDOUT, "prompt");
	read_until(master, "prompt");
	assert_int_equal(write(master, "last\020\021lost", 10), 10);
	assert_int_equal(shim_recv(&r, record), 5);
	assert_memory_equal(record, "\002last", 5);
	assert_int_equal(shim_recv(&r, record), 1);
	assert_int_equal(record[0], SESSION_DETACH);
	assert_int_equal(shim_recv(&r, record), 0);
	assert_int_equal(end(&r), 0);
	tcgetattr(slave, &after);
	assert_memory_equal(&before, &after, sizeof before);
	close(master), close(slave);
}

static void a_signal_restores_the_terminal_too(void **state)
{
	struct session_opts opts = {.send_stdin = true, .tty = true};
	struct termios before, after;
	int master, slave;
	struct run r;

	(void)state;
	terminal_of(&master, &slave);
	tcgetattr(slave, &before);
	r = start(&opts, slave);
	shim_hello(&r);
	resize_check(&r, 24, 80);
	shim_text(&r, SESSION_STDOUT, "prompt");
	read_until(master, "prompt");
	kill(r.pid, SIGTERM);
	assert_int_equal(end(&r), 143);
	tcgetattr(slave, &after);
	assert_memory_equal(&before, &after, sizeof before);
	close(master), close(slave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_and_exit_code_are_passed_on),
		cmocka_unit_test(ends_by_signal_timeout_and_failure_have_their_codes),
		cmocka_unit_test(nothing_is_lost_at_exit_however_slowly_it_is_read),
		cmocka_unit_test(stdin_is_passed_on_and_its_end_is_a_close),
		cmocka_unit_test(stdin_that_is_not_wanted_is_not_read),
		cmocka_unit_test(signals_are_passed_on_and_the_third_interrupt_leaves),
		cmocka_unit_test(signals_get_through_while_nobody_reads_the_output),
		cmocka_unit_test(a_reader_that_is_gone_ends_it_as_sigpipe_would),
		cmocka_unit_test(a_shim_that_is_gone_is_told_from_an_end),
		cmocka_unit_test(a_terminal_is_raw_meanwhile_resized_and_restored_after),
		cmocka_unit_test(detach_keys_leave_with_zero_and_a_restored_terminal),
		cmocka_unit_test(a_signal_restores_the_terminal_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

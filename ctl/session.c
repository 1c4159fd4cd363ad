/* ctl/session.c - see ctl/session.h
 *
 * One poll loop. Each direction holds at most one piece and reads the next only when that one is gone: the pressure goes
 * back to the program or to who feeds us. Standard output is not ours alone (O_NONBLOCK would hit the shell that shares it),
 * so it stays blocking and is written in pieces of PIPE_BUF after poll: a pipe that polls writable takes those at once.
 * SESSION_EXIT is the last record, so when it has come and the held output is written, nothing was lost. */
#include "ctl/session.h"

#include "base/own.h"
#include "proto/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#define TYPED_MAX (SESSION_MAX - 1 - DETACH_KEYS_MAX)

struct session {
	int sock, signal_fd;
	const struct session_opts *opts;
	struct session_end *end;
	struct detach_keys keys;
	bool done; /* end is filled */
	bool stdin_open;
	unsigned signals_passed;
	int out_fd; /* where out goes */
	size_t out_at, out_len;
	size_t in_len; /* of in, 0 = nothing held */
	uint8_t in[SESSION_MAX];
	uint8_t out[SESSION_MAX];
};

/* Small records that must not get lost: resize, close, signal, hello. The shim reads all the time, so waiting here is short. */
static int control_send(struct session *s, const void *data, size_t len)
{
	int r;

	while ((r = wire_send(s->sock, data, len, NULL, 0)) == WIRE_AGAIN) {
		struct pollfd p = {.fd = s->sock, .events = POLLOUT};

		if (poll(&p, 1, 1000) == 0)
			return -ETIMEDOUT;
	}
	return r < 0 ? r : 0; /* that it is gone shows when reading, after what it still had to say */
}

static int resize_send(struct session *s, unsigned more)
{
	struct {
		uint8_t type;
		uint16_t size[2];
	} __attribute__((packed)) record = {.type = SESSION_RESIZE};
	uint32_t rows, cols;

	if (!s->opts->tty || (!terminal_size(0, &rows, &cols) && !terminal_size(1, &rows, &cols)))
		return 0;
	record.size[0] = (uint16_t)(rows + more);
	record.size[1] = (uint16_t)(cols + more);
	return control_send(s, &record, sizeof record);
}

static int stdin_close(struct session *s)
{
	const uint8_t record[] = {SESSION_CLOSE, 0};

	s->stdin_open = false;
	return control_send(s, record, sizeof record);
}

static void finish(struct session *s, enum session_how how)
{
	s->done = true;
	s->end->how = how;
}

/* ---------------------------------------------------------------- what comes from the shim */

static void output_hold(struct session *s, int fd, size_t len)
{
	s->out_fd = fd;
	s->out_at = 1;
	s->out_len = len;
}

static int record_read(struct session *s)
{
	struct wire_fds fds = {0};
	size_t len;
	int r = wire_recv(s->sock, s->out, sizeof s->out, &len, &fds);

	wire_fds_close(&fds); /* none are due */
	if (r == WIRE_AGAIN)
		return 0;
	if (r == WIRE_GONE) {
		finish(s, SESSION_LOST);
		return 0;
	}
	if (r)
		return r < 0 ? r : -EBADMSG;
	switch (s->out[0]) {
	case SESSION_HELLO:
		return len == 2 && s->out[1] == SESSION_VERSION ? 0 : -EPROTONOSUPPORT;
	case SESSION_STDOUT:
		output_hold(s, 1, len);
		return 0;
	case SESSION_STDERR:
		output_hold(s, 2, len);
		return 0;
	case SESSION_CLOSE:
		return 0; /* of its output; the end follows */
	case SESSION_ERROR:
		snprintf(s->end->error, sizeof s->end->error, "%.*s", (int)(len - 1), (char *)s->out + 1);
		return 0;
	case SESSION_EXIT:
		if (len != 1 + sizeof s->end->exit)
			return -EBADMSG;
		memcpy(&s->end->exit, s->out + 1, sizeof s->end->exit);
		finish(s, SESSION_ENDED);
		return 0;
	default:
		return -EBADMSG;
	}
}

static int output_write(struct session *s)
{
	size_t len = s->out_len - s->out_at > PIPE_BUF ? PIPE_BUF : s->out_len - s->out_at;
	ssize_t n = write(s->out_fd, s->out + s->out_at, len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno == EPIPE) {
		finish(s, SESSION_NO_OUTPUT);
		return 0;
	}
	if (n < 0)
		return -errno;
	s->out_at += (size_t)n;
	if (s->out_at == s->out_len)
		s->out_len = s->out_at = 0;
	return 0;
}

/* ---------------------------------------------------------------- what goes to the shim */

static int input_read(struct session *s)
{
	uint8_t typed[TYPED_MAX];
	ssize_t n = read(0, typed, sizeof typed);
	size_t len = (size_t)n;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != EIO) /* EIO: the terminal hung up */
		return -errno;
	if (n <= 0)
		return stdin_close(s);
	s->in[0] = SESSION_STDIN;
	if (!s->opts->tty)
		memcpy(s->in + 1, typed, len);
	else if (detach_keys_feed(&s->keys, typed, len, s->in + 1, &len))
		finish(s, SESSION_DETACHED);
	s->in_len = len ? len + 1 : 0;
	return 0;
}

static int input_send(struct session *s)
{
	int r = wire_send(s->sock, s->in, s->in_len, NULL, 0);

	if (r == WIRE_AGAIN)
		return 0;
	s->in_len = 0;
	if (r == WIRE_GONE)
		s->stdin_open = false;
	return r < 0 ? r : 0;
}

/* ---------------------------------------------------------------- signals */

static int signal_take(struct session *s)
{
	struct signalfd_siginfo info;
	uint8_t record[2] = {SESSION_SIGNAL};

	if (read(s->signal_fd, &info, sizeof info) != sizeof info)
		return 0;
	if (info.ssi_signo == SIGWINCH)
		return resize_send(s, 0);
	/* A third Ctrl-C ends us though the program lives on: the user must be able to leave. */
	if (!s->opts->proxy_signals ||
	    ((info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) && ++s->signals_passed == 3)) {
		s->end->signal = (int)info.ssi_signo;
		finish(s, SESSION_SIGNALLED);
		return 0;
	}
	record[1] = (uint8_t)info.ssi_signo;
	return control_send(s, record, sizeof record);
}

static int signals_open(const struct session_opts *opts, sigset_t *ret_old)
{
	static const int caught[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
	static const int proxied[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		sigaddset(&set, caught[i]);
	for (size_t i = 0; opts->proxy_signals && i < ARRAY_SIZE(proxied); i++)
		sigaddset(&set, proxied[i]);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* ---------------------------------------------------------------- the loop */

enum { P_SOCK, P_SIGNAL, P_STDIN, P_OUT, P_N_ };

static void polls_fill(const struct session *s, struct pollfd p[P_N_])
{
	bool typing = s->stdin_open && !s->in_len;

	p[P_SOCK] = (struct pollfd){s->sock, (short)((s->out_len ? 0 : POLLIN) | (s->in_len ? POLLOUT : 0)), 0};
	p[P_SIGNAL] = (struct pollfd){s->signal_fd, POLLIN, 0};
	p[P_STDIN] = (struct pollfd){typing ? 0 : -1, POLLIN, 0};
	p[P_OUT] = (struct pollfd){s->out_len ? s->out_fd : -1, POLLOUT, 0};
	if (!p[P_SOCK].events) /* or its hang-up would be reported for ever while we wait for stdout */
		p[P_SOCK].fd = -1;
}

static int session_turn(struct session *s)
{
	struct pollfd p[P_N_];
	int r = 0;

	polls_fill(s, p);
	if (poll(p, P_N_, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[P_SIGNAL].revents)
		r = signal_take(s);
	if (!r && p[P_OUT].revents)
		r = output_write(s);
	if (!r && s->in_len && p[P_SOCK].revents & (POLLOUT | POLLHUP | POLLERR))
		r = input_send(s);
	if (!r && !s->done && !s->out_len && p[P_SOCK].revents & (POLLIN | POLLHUP | POLLERR))
		r = record_read(s);
	if (!r && !s->done && p[P_STDIN].revents)
		r = input_read(s);
	return r;
}

/* The keys typed before the detach sequence still go to the program. */
static int session_leave(struct session *s)
{
	static const uint8_t detach[] = {SESSION_DETACH};
	int r = s->in_len ? control_send(s, s->in, s->in_len) : 0;

	return r ? r : control_send(s, detach, sizeof detach);
}

int session_run(int sock, const struct session_opts *opts, struct session_end *ret, struct err *e)
{
	static struct session s; /* 64 KiB: not for the stack */
	const uint8_t hello[] = {SESSION_HELLO, SESSION_VERSION};
	struct terminal terminal = TERMINAL_NULL;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_pipe;
	sigset_t old;
	int r;

	*ret = (struct session_end){0};
	s = (struct session){
		.sock = sock, .opts = opts, .end = ret, .keys = opts->keys, .stdin_open = opts->send_stdin};
	AUTO_FD signal_fd = signals_open(opts, &old);
	if (signal_fd < 0)
		return err_set(e, -signal_fd, "session", "signalfd");
	s.signal_fd = signal_fd;
	sigaction(SIGPIPE, &ignore, &old_pipe); /* the terminal must be restored first: EPIPE will do */
	r = control_send(&s, hello, sizeof hello);
	if (!r)
		r = opts->redraw ? resize_send(&s, 1) : 0;
	if (!r)
		r = resize_send(&s, 0);
	if (!r && opts->tty && opts->send_stdin && isatty(0))
		r = terminal_raw(&terminal, 0);
	while (!r && !s.done)
		r = session_turn(&s);
	if (!r && ret->how == SESSION_DETACHED)
		r = session_leave(&s);
	terminal_restore(&terminal);
	sigaction(SIGPIPE, &old_pipe, NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return r < 0 ? err_set(e, -r, "session", "the connection to the container's shim") : 0;
}

int session_exit_status(const struct session_end *end)
{
	switch (end->how) {
	case SESSION_ENDED:
		if (end->exit.timed_out)
			return 124; /* as timeout(1) */
		return end->exit.signal ? 128 + end->exit.signal : end->exit.code;
	case SESSION_SIGNALLED:
		return 128 + end->signal;
	case SESSION_NO_OUTPUT:
		return 128 + SIGPIPE;
	default:
		return 0;
	}
}

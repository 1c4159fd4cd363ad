/* shim/attach.c - see shim/attach.h */
#include "shim/attach.h"

#include "base/own.h"
#include "shim/shim.h"
#include "shim/sys.h"
#include "shim/tty.h"

#include <errno.h>

static void unblock(struct attach *a)
{
	timer_del(&a->stall);
	if (!a->blocked)
		return;
	a->blocked = false;
	a->shim->run.blocked--;
	run_flow(a->shim);
}

/* Freed at the end of the turn: we may be inside one of its handlers. */
static void leave(struct attach *a)
{
	struct shim *s = a->shim;

	if (a->dead)
		return;
	a->dead = true;
	session_close(&a->session);
	list_del(&a->all);
	list_push(&s->dead_attaches, &a->all);
	s->n_attaches--;
	unblock(a);
}

/* Docker's -i: the program's stdin ends with the client that fed it first. */
static void end_stdin(struct attach *a)
{
	if (a->want_stdin && a->shim->run.stdin_once)
		stdio_close_in(&a->shim->run.io);
}

static size_t on_input(struct session *ss, const char *data, size_t len)
{
	struct attach *a = container_of(ss, struct attach, session);
	struct run *run = &a->shim->run;
	ssize_t n;

	if (!a->want_stdin)
		return len;
	if (run->tty && run->io.in_fd < 0 && run->state == SHIM__SHIM_STATE__SHIM_LAUNCHING)
		return 0; /* held until there is a terminal */
	n = stdio_write(&run->io, data, len);
	return n < 0 ? len : (size_t)n; /* nobody reads it any more: as with a pipe whose reader left */
}

static void on_input_end(struct session *ss)
{
	end_stdin(container_of(ss, struct attach, session));
}

static void on_resize(struct session *ss, unsigned rows, unsigned cols)
{
	struct run *run = &container_of(ss, struct attach, session)->shim->run;

	if (run->io.tty)
		tty_resize(run->io.out_fd[0], rows, cols);
}

static void on_signal(struct session *ss, int sig)
{
	struct run *run = &container_of(ss, struct attach, session)->shim->run;

	if (run->pidfd >= 0)
		(void)sys_pidfd_send_signal(run->pidfd, sig); /* it may just have ended */
}

static void on_writable(struct session *ss)
{
	unblock(container_of(ss, struct attach, session));
}

static void on_gone(struct session *ss)
{
	struct attach *a = container_of(ss, struct attach, session);

	end_stdin(a);
	leave(a);
}

static const struct session_ops ops = {
	.input = on_input,
	.input_end = on_input_end,
	.resize = on_resize,
	.signal = on_signal,
	.writable = on_writable,
	.gone = on_gone,
};

static void on_stall(struct timer *t)
{
	struct attach *a = container_of(t, struct attach, stall);

	end_stdin(a);
	leave(a);
}

int attach_new(struct shim *s, int fd, bool want_stdin, unsigned rows, unsigned cols)
{
	struct attach *a = s->n_attaches < ATTACH_MAX ? page_new() : NULL;
	int r;

	if (!a) {
		close(fd);
		return s->n_attaches < ATTACH_MAX ? -ENOMEM : -EMFILE;
	}
	a->shim = s;
	a->want_stdin = want_stdin;
	r = session_open(&a->session, &s->loop, fd, &ops, s->scratch);
	if (r < 0) {
		page_free(a);
		return r;
	}
	list_push(&s->attaches, &a->all);
	s->n_attaches++;
	if (s->run.io.tty)
		tty_resize(s->run.io.out_fd[0], rows, cols);
	/* Too late: there will be no output and no end. */
	if (s->run.state == SHIM__SHIM_STATE__SHIM_EXITED || s->run.state == SHIM__SHIM_STATE__SHIM_FAILED ||
	    s->run.state == SHIM__SHIM_STATE__SHIM_IDLE)
		leave(a);
	return 0;
}

void attach_output(struct shim *s, int stream, const char *data, size_t len)
{
	enum session_type type = stream ? SESSION_STDERR : SESSION_STDOUT;
	uint64_t patience = s->run.force ? 0 : s->run.tty ? ATTACH_PATIENCE_TTY_MS : ATTACH_PATIENCE_MS;
	struct attach *a;

	list_each (a, &s->attaches, all) {
		if (!session_send(&a->session, type, data, len)) {
			leave(a);
			continue;
		}
		if (session_has_room(&a->session) || a->blocked)
			continue;
		a->blocked = true;
		s->run.blocked++;
		if (timer_in(&s->loop, &a->stall, patience * NS_PER_MS, on_stall) < 0)
			leave(a);
	}
	run_flow(s);
}

void attach_closed(struct shim *s, int stream)
{
	unsigned char which = (unsigned char)(1 + stream);
	struct attach *a;

	list_each (a, &s->attaches, all)
		if (!session_send(&a->session, SESSION_CLOSE, &which, 1))
			leave(a);
}

void attach_room(struct shim *s)
{
	struct attach *a;

	list_each (a, &s->attaches, all)
		session_resume(&a->session);
}

void attach_hurry(struct shim *s)
{
	struct attach *a;

	list_each (a, &s->attaches, all)
		if (a->blocked)
			leave(a);
}

void attach_end(struct shim *s, const struct session_exit *how)
{
	struct attach *a;

	list_each (a, &s->attaches, all) {
		(void)session_send(&a->session, SESSION_EXIT, how, sizeof *how); /* it leaves in any case */
		leave(a);
	}
}

void attach_fail(struct shim *s, const char *text, size_t len)
{
	struct attach *a;

	list_each (a, &s->attaches, all)
		if (!session_send(&a->session, SESSION_ERROR, text, len))
			leave(a);
}

void attach_sweep(struct shim *s)
{
	struct attach *a;

	while ((a = list_pop(&s->dead_attaches, struct attach, all)))
		page_free(a);
}

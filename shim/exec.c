/* shim/exec.c - see shim/exec.h
 *
 * One clone, straight into the exec's own group and the container's pid namespace; the child joins the other namespaces. The
 * client paces the program: its output is read when the client has room. A client that leaves does not end the program, but
 * takes its terminal away (SIGHUP), unless it detached. What the program leaves behind in its group lives on with the container, as Docker's users
 * expect; the group is removed when it is empty. */
#include "shim/exec.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "shim/child.h"
#include "shim/plan.h"
#include "shim/reap.h"
#include "shim/report.h"
#include "shim/shim.h"
#include "shim/sys.h"
#include "shim/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define GROUP_NAME_MAX (EXEC_ID_MAX + 8)
#define BURY_MIN_MS    5
#define BURY_MAX_MS    5000

static void advance(struct exec *x);
static void hear(struct exec *x);

/* ---------------------------------------------------------------- the group */

static const char *group_name(const struct exec *x, char buf[GROUP_NAME_MAX])
{
	snprintf(buf, GROUP_NAME_MAX, "exec-%s", x->id);
	return buf;
}

static int make_group(struct exec *x, struct err *e)
{
	char name[GROUP_NAME_MAX];

	if (mkdirat(x->shim->run.cgroup_fd, group_name(x, name), 0755) < 0)
		return err_set(e, errno, "cgroup", "make the group %s", name);
	x->group_fd = openat(x->shim->run.cgroup_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return x->group_fd < 0 ? err_set(e, errno, "cgroup", "open the group %s", name) : 0;
}

static void die(struct exec *x)
{
	struct shim *s = x->shim;

	if (x->dead)
		return;
	x->dead = true;
	timer_del(&x->bury);
	close_fd(&x->group_fd);
	list_del(&x->all);
	list_push(&s->dead_execs, &x->all);
	s->n_execs--;
}

/* Refused while something lives in it: a process that is not quite dead, or one that was left in the background. */
static void bury(struct timer *t)
{
	struct exec *x = container_of(t, struct exec, bury);
	char name[GROUP_NAME_MAX];
	int parent = x->shim->run.cgroup_fd;

	close_fd(&x->group_fd);
	if (parent < 0 || unlinkat(parent, group_name(x, name), AT_REMOVEDIR) == 0 ||
	    (errno != EBUSY && errno != ENOTEMPTY)) {
		die(x);
		return;
	}
	x->bury_ms = x->bury_ms * 2 < BURY_MAX_MS ? x->bury_ms * 2 : BURY_MAX_MS;
	if (timer_in(&x->shim->loop, t, x->bury_ms * NS_PER_MS, bury) < 0)
		die(x); /* berthd removes it with the container's */
}

static void kill_group(struct exec *x)
{
	if (x->group_fd >= 0)
		(void)file_writes(x->group_fd, "cgroup.kill", "1"); /* gone: nothing to kill */
}

/* ---------------------------------------------------------------- the end */

static void close_all(struct exec *x)
{
	timer_del(&x->timeout);
	timer_del(&x->linger);
	source_del(&x->sync);
	close_fd(&x->sync_fd);
	stdio_fini(&x->io);
	session_close(&x->session);
	close_fd(&x->pidfd);
	progress_free(take_ptr(x->progress));
}

static void finish(struct exec *x)
{
	struct session_exit how = {
		.code = x->code, .signal = x->signal, .timed_out = x->timed_out, .failed = x->failed};
	char text[sizeof x->failure.text + 64];

	if (x->finished)
		return;
	x->finished = true;
	if (x->failed) {
		how.code = exit_code_of(&x->failure);
		err_format(&x->failure, text, sizeof text);
		(void)session_send(&x->session, SESSION_ERROR, text, strlen(text)); /* a client that left knows */
	}
	(void)session_send(&x->session, SESSION_EXIT, &how, sizeof how);
	close_all(x);
	x->bury_ms = BURY_MIN_MS;
	bury(&x->bury);
}

static void on_linger(struct timer *t)
{
	struct exec *x = container_of(t, struct exec, linger);

	/* Paced by its client, it is not waiting for those who hold its streams: there is more to read. */
	if (x->io.paused) {
		if (timer_in(&x->shim->loop, t, EXEC_LINGER_MS * NS_PER_MS, on_linger) == 0)
			return;
	}
	stdio_drain(&x->io);
	stdio_fini(&x->io);
	advance(x);
}

static void advance(struct exec *x)
{
	if (!x->ended || x->finished || stdio_is_open(&x->io))
		return;
	finish(x);
}

static void fail(struct exec *x)
{
	kill_group(x); /* of two processes one may be left */
	x->failed = true;
	report_exec_failed(x->shim, x->id, &x->failure);
	stdio_fini(&x->io);
	finish(x);
}

bool exec_hear(struct shim *s)
{
	bool open = false;
	struct exec *x;

	list_each (x, &s->execs, all) {
		if (!x->first_pid || x->pid)
			continue;
		hear(x);
		open |= x->first_pid && !x->pid;
	}
	return open;
}

void exec_reaped(struct exec *x, int pid, int code, int signal)
{
	hear(x); /* what it said last */
	if (pid == x->first_pid) {
		x->first_pid = 0;
		if (x->pid)
			return; /* its work is done */
	}
	x->pid = 0;
	if (x->finished)
		return;
	if (!x->started) {
		if (!x->failure.text[0])
			err_set(&x->failure, x->timed_out ? ETIMEDOUT : 0, x->progress->step,
				"the process died in step %s", x->progress->step);
		fail(x);
		return;
	}
	x->code = code;
	x->signal = signal;
	x->ended = true;
	report_exec_exited(x);
	stdio_hangup(&x->io);
	if (timer_in(&x->shim->loop, &x->linger, EXEC_LINGER_MS * NS_PER_MS, on_linger) < 0)
		stdio_fini(&x->io);
	advance(x);
}

/* ---------------------------------------------------------------- streams */

static void on_data(struct stdio *io, int stream, char *data, size_t len)
{
	struct exec *x = container_of(io, struct exec, io);

	shim_active(x->shim);
	if (x->session.fd < 0)
		return; /* read all the same: the program must not hang for want of a reader */
	if (!session_send(&x->session, stream ? SESSION_STDERR : SESSION_STDOUT, data, len))
		x->session.ops->gone(&x->session);
	else if (!session_has_room(&x->session))
		stdio_pause(io, true);
}

static void on_closed(struct stdio *io, int stream)
{
	struct exec *x = container_of(io, struct exec, io);
	unsigned char which = (unsigned char)(1 + stream);

	(void)session_send(&x->session, SESSION_CLOSE, &which, 1); /* a client that left knows */
	advance(x);
}

static void on_room(struct stdio *io)
{
	session_resume(&container_of(io, struct exec, io)->session);
}

static const struct stdio_ops stdio_ops = {.data = on_data, .closed = on_closed, .room = on_room};

static size_t on_input(struct session *ss, const char *data, size_t len)
{
	struct exec *x = container_of(ss, struct exec, session);
	ssize_t n;

	if (x->tty && x->io.in_fd < 0 && !x->started)
		return 0; /* held until there is a terminal */
	n = stdio_write(&x->io, data, len);
	return n < 0 ? len : (size_t)n;
}

static void on_input_end(struct session *ss)
{
	stdio_close_in(&container_of(ss, struct exec, session)->io);
}

static void on_resize(struct session *ss, unsigned rows, unsigned cols)
{
	struct exec *x = container_of(ss, struct exec, session);

	if (x->io.tty)
		tty_resize(x->io.out_fd[0], rows, cols);
}

static void send_signal(struct exec *x, int sig)
{
	if (x->pidfd >= 0)
		(void)sys_pidfd_send_signal(x->pidfd, sig); /* it may just have ended */
}

static void on_signal(struct session *ss, int sig)
{
	send_signal(container_of(ss, struct exec, session), sig);
}

static void on_writable(struct session *ss)
{
	stdio_pause(&container_of(ss, struct exec, session)->io, false);
}

static void on_gone(struct session *ss)
{
	struct exec *x = container_of(ss, struct exec, session);

	session_close(ss);
	if (x->tty && !ss->detached) {
		stdio_fini(&x->io); /* both ends of ours: the kernel sends SIGHUP */
		advance(x);
		return;
	}
	if (!x->tty)
		stdio_close_in(&x->io);
	stdio_pause(&x->io, false);
}

static const struct session_ops session_ops = {
	.input = on_input,
	.input_end = on_input_end,
	.resize = on_resize,
	.signal = on_signal,
	.writable = on_writable,
	.gone = on_gone,
};

/* ---------------------------------------------------------------- the start */

static void take(struct exec *x, const struct sync_record *rec, int fds[2])
{
	char text[sizeof rec->err.text + 64];

	switch (rec->kind) {
	case SYNC_FAILED:
		x->failure = rec->err;
		break; /* and it ends: SIGCHLD */
	case SYNC_SKIPPED:
		log_info("exec %s: skipped: %s", x->id, err_format(&rec->err, text, sizeof text));
		break;
	case SYNC_INIT:
		x->foreign = true;
		break;
	case SYNC_TTY:
		if (stdio_set_tty(&x->io, fds[0], fds[1]) < 0)
			log_warn("exec %s: terminal: %s", x->id, strerror(errno));
		fds[0] = fds[1] = -1;
		if (x->has_client && x->session.fd < 0 && !x->session.detached)
			stdio_fini(&x->io); /* the client left before it came */
		session_resume(&x->session);
		break;
	default:
		log_warn("exec %s: a record of kind %d from its child", x->id, rec->kind);
	}
}

/* As take_foreign() in launch.c: a process that moves in late may be traced by those whom it joins. */
static void take_foreign(struct exec *x, const struct sync_record *rec)
{
	if (rec->kind == SYNC_PID && x->first_pid && !x->pid && reap_is_new(x->shim, rec->value)) {
		x->pid = rec->value;
		close_fd(&x->pidfd);
		x->pidfd = sys_pidfd_open(x->pid); /* ours and unreaped: it is that one */
		return;
	}
	if (rec->kind == SYNC_FAILED && !x->started)
		x->failure = rec->err;
	else
		log_warn("exec %s says something that it has no business to say (%d)", x->id, rec->kind);
	source_del(&x->sync);
	close_fd(&x->sync_fd);
}

/* All that its child has said up to now. */
static void hear(struct exec *x)
{
	while (x->sync_fd >= 0) {
		struct sync_record rec;
		int fds[2], r = sync_receive(x->sync_fd, &rec, fds);

		if (r == WIRE_AGAIN)
			return;
		if (r != 0) {
			source_del(&x->sync);
			close_fd(&x->sync_fd);
			break;
		}
		if (x->foreign)
			take_foreign(x, &rec);
		else
			take(x, &rec, fds);
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	}
	if (x->started || x->failure.text[0] || !x->progress || !x->progress->at_exec || !x->pid)
		return; /* SIGCHLD comes */
	x->started = true;
	progress_free(take_ptr(x->progress));
	report_exec_started(x);
}

static void on_sync(struct source *src, uint32_t events)
{
	struct exec *x = container_of(src, struct exec, sync);
	struct shim *s = x->shim;
	bool two = x->first_pid;

	hear(x);
	/* Somebody may have been left unreaped until we knew who it is. */
	if (two)
		reap(s);
}

static void on_timeout(struct timer *t)
{
	struct exec *x = container_of(t, struct exec, timeout);

	x->timed_out = true;
	kill_group(x);
}

static unsigned namespaces_of(const struct run *run)
{
	/* Those that it shares with us are joined for nothing, which is cheap; a user namespace cannot be joined twice. */
	return CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
	       (run->userns ? CLONE_NEWUSER : 0);
}

/* Where somebody may have the right to trace us: see move_in() in child.c. In a user namespace that right is worth nothing over
 * us, who come from outside; with the host's pids there is nowhere to hide. */
static bool enters_late(const struct run *run, const Shim__ProcessPlan *p)
{
	if (run->userns || run->pid_host)
		return false;
	return run->pid_shared || (p->cap_bounding >> CAP_SYS_PTRACE & 1);
}

static int open_stdio(struct exec *x, const Shim__ExecPlan *p, int io[3], struct err *e)
{
	stdio_init(&x->io, &x->shim->loop, &stdio_ops, x->shim->scratch, SESSION_MAX - 1);
	x->tty = p->process->tty;
	if (x->tty)
		return 0; /* comes from the child */
	if (!x->has_client)
		return stdio_open_null(io, e);
	return stdio_open(&x->io, p->process->stdin_open, x->shim->run.userns ? x->shim->user_first : 0, io, e);
}

static int start(struct exec *x, const Shim__ExecPlan *p, int io[3], struct err *e)
{
	struct shim *s = x->shim;
	struct child c = CHILD_NULL;
	int sync[2], pid, r;

	TRY(make_group(x, e));
	TRY(open_stdio(x, p, io, e));
	x->progress = progress_new();
	if (!x->progress)
		return err_set(e, errno, "setup", "memory for the exec");
	r = sync_open(sync);
	if (r < 0)
		return err_set(e, r, "setup", "make the sync socket");
	x->sync_fd = sync[0];
	r = source_add(&s->loop, &x->sync, x->sync_fd, EPOLLIN, on_sync);
	if (r == 0 && p->timeout_ms)
		r = timer_in(&s->loop, &x->timeout, p->timeout_ms * NS_PER_MS, on_timeout);
	if (r < 0) {
		close(sync[1]);
		return err_set(e, r, "setup", "watch the exec");
	}
	c.process = p->process;
	c.progress = x->progress;
	c.sync_fd = sync[1];
	memcpy(c.io, io, sizeof c.io);
	c.target_fd = s->run.pidfd;
	c.target_ns = namespaces_of(&s->run);
	c.late = enters_late(&s->run, p->process);
	pid = shim_clone(s, 0, x->group_fd, c.late || (s->run.pid_host && !s->run.userns) ? -1 : s->run.pidfd,
			 &x->pidfd);
	if (pid == 0)
		child_exec(&c);
	close(sync[1]);
	if (pid < 0)
		return err_set(e, pid, "clone", "make the process");
	*(c.late ? &x->first_pid : &x->pid) = pid;
	return 0;
}

static int check_id(const char *id, struct err *e)
{
	if (!id || !id[0] || strlen(id) > EXEC_ID_MAX)
		return err_set(e, EINVAL, "plan", "bad id of an exec");
	for (; *id; id++)
		if (!((*id >= 'a' && *id <= 'z') || (*id >= 'A' && *id <= 'Z') || (*id >= '0' && *id <= '9') ||
		      *id == '-' || *id == '_'))
			return err_set(e, EINVAL, "plan", "bad id of an exec");
	return 0;
}

static struct exec *exec_new(struct shim *s, const char *id, struct err *e)
{
	struct exec *x;
	int r = check_id(id, e);

	if (r < 0)
		return NULL;
	if (s->run.state != SHIM__SHIM_STATE__SHIM_RUNNING || s->run.held || s->run.ended) {
		err_set(e, EINVAL, "exec", "the container is not running");
		e->code = 0;
		return NULL;
	}
	if (s->n_execs >= EXEC_MAX) {
		err_set(e, EMFILE, "exec", "there are %d already", EXEC_MAX);
		return NULL;
	}
	x = page_new();
	if (!x) {
		err_set(e, ENOMEM, "exec", "memory for the exec");
		return NULL;
	}
	x->shim = s;
	snprintf(x->id, sizeof x->id, "%s", id);
	x->pidfd = x->group_fd = x->sync_fd = x->session.fd = -1;
	stdio_init(&x->io, &s->loop, &stdio_ops, s->scratch, SESSION_MAX - 1);
	list_push(&s->execs, &x->all);
	s->n_execs++;
	return x;
}

/* For a client of an exec that never came to be. */
static void refuse(struct shim *s, const char *id, int session_fd, const struct err *e)
{
	static const struct session_ops none = {0};
	struct session_exit how = {.code = 126, .failed = 1};
	char text[sizeof e->text + 64];
	struct session ss;

	report_exec_failed(s, id ? id : "", e);
	if (session_fd < 0 || session_open(&ss, &s->loop, session_fd, &none, s->scratch) < 0)
		return;
	err_format(e, text, sizeof text);
	if (session_send(&ss, SESSION_ERROR, text, strlen(text)))
		(void)session_send(&ss, SESSION_EXIT, &how, sizeof how); /* the last word in any case */
	session_close(&ss);
}

void exec_start(struct shim *s, const Shim__Exec *m, int plan_fd, int session_fd)
{
	struct plan plan = PLAN_NULL;
	struct err e = {0};
	int io[3] = {-1, -1, -1};
	struct exec *x = NULL;
	int r = plan_open_exec(&plan, plan_fd, &e);

	if (r == 0)
		x = exec_new(s, m->exec_id, &e);
	if (!x) {
		refuse(s, m->exec_id, session_fd, &e);
		plan_close(&plan);
		return;
	}
	x->has_client = session_fd >= 0 && !plan.exec->detach;
	if (!x->has_client)
		close_fd(&session_fd);
	else
		(void)session_open(&x->session, &s->loop, session_fd, &session_ops,
				   s->scratch); /* it left: exec all the same */
	r = start(x, plan.exec, io, &e);
	for (int i = 0; i < 3; i++)
		close_fd(&io[i]);
	plan_close(&plan);
	if (r < 0) {
		x->failure = e;
		fail(x);
	}
}

/* ---------------------------------------------------------------- by name */

void exec_signal(struct shim *s, const char *id, int sig)
{
	struct exec *x;

	list_each (x, &s->execs, all)
		if (strcmp(x->id, id) == 0)
			send_signal(x, sig);
}

struct exec *exec_of_pid(struct shim *s, int pid)
{
	struct exec *x;

	list_each (x, &s->execs, all)
		if (x->pid == pid || x->first_pid == pid)
			return x;
	return NULL;
}

void exec_forget_all(struct shim *s)
{
	struct exec *x;

	list_each (x, &s->execs, all) {
		/* Killed with the group, and not reaped yet: its client hears what will be found. */
		if (!x->finished) {
			x->signal = x->ended ? x->signal : SIGKILL;
			finish(x);
		}
		if (!x->dead)
			die(x);
	}
}

void exec_sweep(struct shim *s)
{
	struct exec *x;

	while ((x = list_pop(&s->dead_execs, struct exec, all)))
		page_free(x);
}

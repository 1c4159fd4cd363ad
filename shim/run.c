/* shim/run.c - see shim/run.h */
#include "shim/run.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "shim/attach.h"
#include "shim/launch.h"
#include "shim/ns.h"
#include "shim/report.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EMPTY_LOOK_MS 2 /* whether a group without a pid namespace of its own has died */

static void advance(struct shim *s);

void run_init(struct shim *s)
{
	s->run = (struct run){.state = SHIM__SHIM_STATE__SHIM_IDLE,
			      .pidfd = -1,
			      .cgroup_fd = -1,
			      .mounts_fd = -1,
			      .oom_fd = -1,
			      .sync_fd = -1,
			      .init_status = -1};
	stdio_init(&s->run.io, &s->loop, run_stdio_ops(), NULL, 0);
}

/* ---------------------------------------------------------------- its mounts
 *
 * A process that is the last in its mount namespace takes the mounts down before it can be reaped, and waits for an RCU grace period over
 * it. So we hold the namespace, and let it go when the news is out; soon, because there may be much in /dev/shm. Where the host may want
 * something back that is mounted in there, the end has to wait. */

#define MOUNTS_MS 2 /* from the news to there: what follows is a launch, or a farewell, which comes first */

void run_hold_mounts(struct shim *s)
{
	struct run *run = &s->run;

	if (run->own_mounts && run->mounts_fd < 0 && run->pid)
		run->mounts_fd = ns_open(run->pid, "mnt"); /* or it has ended: ours and unreaped, it is that one */
}

static void on_mounts(struct timer *t)
{
	struct shim *s = container_of(t, struct shim, mounts);

	shim_close_aside(take_fd(&s->mounts_fd));
}

static void let_mounts_go(struct shim *s)
{
	if (s->run.mounts_fd < 0)
		return;
	if (s->mounts_fd >= 0)
		on_mounts(&s->mounts);
	s->mounts_fd = take_fd(&s->run.mounts_fd);
	if (timer_in(&s->loop, &s->mounts, MOUNTS_MS * NS_PER_MS, on_mounts) < 0)
		on_mounts(&s->mounts);
}

/* Everything of the incarnation but what the last report says of it. */
static void let_go(struct shim *s)
{
	struct run *run = &s->run;

	timer_del(&run->deadline);
	timer_del(&run->patience);
	timer_del(&run->linger);
	source_del(&run->sync);
	close_fd(&run->sync_fd);
	source_del(&run->oom);
	close_fd(&run->oom_fd);
	stdio_fini(&run->io);
	progress_free(take_ptr(run->progress));
	close_fd(&run->pidfd);
	let_mounts_go(s);
	exec_forget_all(s);
	/* A descriptor would keep the kernel's side of the group alive after its removal. */
	close_fd(&run->cgroup_fd);
	run->pid = run->first_pid = 0;
	run->rest = NULL;
	run->rest_len = 0;
}

void run_reset(struct shim *s, uint64_t incarnation)
{
	let_go(s);
	run_init(s);
	s->run.incarnation = incarnation;
}

void run_kill(struct shim *s)
{
	int r = s->run.cgroup_fd < 0 ? 0 : file_writes(s->run.cgroup_fd, "cgroup.kill", "1");

	if (r == 0 || r == -ENOENT || r == -ENODEV) /* removed by berthd: empty */
		return;
	/* Short of descriptors, say. The first process is the end of its pid namespace, if it has one. */
	log_warn("cgroup.kill: %s", strerror(-r));
	if (s->run.pidfd >= 0)
		(void)sys_pidfd_send_signal(s->run.pidfd, SIGKILL); /* or it has ended */
}

void run_skip(struct shim *s, const struct err *e)
{
	struct run *run = &s->run;
	char text[sizeof e->text + 64];
	unsigned room = sizeof run->skipped - run->skipped_len;
	int n;

	err_format(e, text, sizeof text);
	n = snprintf(run->skipped + run->skipped_len, room, "%s", text);
	if (n > 0 && (unsigned)n < room) {
		run->skipped_len += (unsigned)n + 1;
		run->n_skipped++;
	}
}

/* ---------------------------------------------------------------- output */

void run_flow(struct shim *s)
{
	struct run *run = &s->run;

	stdio_pause(&run->io, run->blocked || run->rest_len);
}

/* What the log has no room for waits in the buffer that it was read into, and nothing is read. */
static void feed_log(struct shim *s, bool force)
{
	struct run *run = &s->run;
	size_t n = logger_write(&s->logger, run->rest_stream, run->rest, run->rest_len, force);

	run->rest += n;
	run->rest_len -= n;
}

static void on_patience(struct timer *t)
{
	struct shim *s = container_of(t, struct shim, run.patience);

	feed_log(s, true);
	run_flow(s);
	advance(s);
}

void run_log_event(struct shim *s)
{
	struct run *run = &s->run;

	if (run->rest_len) {
		feed_log(s, false);
		if (run->rest_len)
			logger_want_room(
				&s->logger); /* the patience is not renewed: half a ring in that time, or lines go */
		else
			timer_del(&run->patience);
		run_flow(s);
	}
	advance(s);
}

static void on_data(struct stdio *io, int stream, char *data, size_t len)
{
	struct shim *s = container_of(io, struct shim, run.io);
	struct run *run = &s->run;

	shim_active(s);
	run->rest = data;
	run->rest_len = len;
	run->rest_stream = stream;
	feed_log(s, run->force);
	if (run->rest_len) {
		logger_want_room(&s->logger);
		if (timer_in(&s->loop, &run->patience, LOG_PATIENCE_MS * NS_PER_MS, on_patience) < 0)
			feed_log(s, true);
	}
	if (!list_empty(&s->attaches))
		attach_output(s, stream, data, len);
	else if (run->rest_len)
		run_flow(s);
}

static void on_closed(struct stdio *io, int stream)
{
	struct shim *s = container_of(io, struct shim, run.io);

	attach_closed(s, stream);
	advance(s);
}

static void on_room(struct stdio *io)
{
	attach_room(container_of(io, struct shim, run.io));
}

const struct stdio_ops *run_stdio_ops(void)
{
	static const struct stdio_ops ops = {.data = on_data, .closed = on_closed, .room = on_room};

	return &ops;
}

/* ---------------------------------------------------------------- OOM */

static bool read_oom(struct run *run, uint64_t *ret)
{
	char text[512];
	ssize_t n = run->oom_fd < 0 ? -1 : pread(run->oom_fd, text, sizeof text - 1, 0);
	const char *at;

	if (n < 0)
		return false;
	text[n] = 0;
	/* A whole word: there is oom_group_kill too. */
	at = strstr(text, "\noom_kill ");
	*ret = 0;
	for (at = at ? at + 10 : text + n; *at >= '0' && *at <= '9'; at++)
		*ret = *ret * 10 + (uint64_t)(*at - '0');
	return true;
}

static void on_oom(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, run.oom);
	uint64_t kills;

	if (!read_oom(&s->run, &kills)) {
		source_del(src); /* the group is gone */
		return;
	}
	if (kills == s->run.oom_kills)
		return;
	s->run.oom_kills = kills;
	report_oom(s);
}

void run_watch_oom(struct shim *s)
{
	struct run *run = &s->run;

	if (run->cgroup_fd < 0 || run->oom_fd >= 0)
		return;
	run->oom_fd = openat(run->cgroup_fd, "memory.events", O_RDONLY | O_CLOEXEC);
	if (run->oom_fd < 0)
		return; /* no memory controller: oom_known stays false */
	/* Reading is what arms the notification. */
	run->oom_known = read_oom(run, &run->oom_kills);
	(void)source_add(&s->loop, &run->oom, run->oom_fd, EPOLLPRI,
			 on_oom); /* without it the counter is read at the end */
}

/* ---------------------------------------------------------------- the end */

int exit_code_of(const struct err *e)
{
	return e->code == ENOENT && strcmp(e->step, "exec") == 0 ? 127 : 126;
}

void run_failed(struct shim *s)
{
	struct run *run = &s->run;
	char text[sizeof run->failure.text + 64];
	struct session_exit how = {.code = exit_code_of(&run->failure), .failed = 1};

	run_kill(s);
	standby_drop(s); /* it failed before it came to that */
	/* The network namespace of a launch that failed may be half made; the next one starts with a new one. */
	if (run->net_made)
		close_fd(&s->net_fd);
	err_format(&run->failure, text, sizeof text);
	attach_fail(s, text, strlen(text));
	attach_end(s, &how);
	let_go(s);
	run->state = SHIM__SHIM_STATE__SHIM_FAILED;
	report_failed(s);
	shim_active(s);
	if (s->leaving)
		loop_stop(&s->loop, 0);
}

/* Nothing of the group is left? A pid namespace of its own ended with its first process. */
static bool group_is_empty(struct shim *s)
{
	char text[128];

	if (!s->run.pid_shared || s->run.cgroup_fd < 0)
		return true;
	return file_read(s->run.cgroup_fd, "cgroup.events", text, sizeof text) < 0 || !strstr(text, "populated 1");
}

static void finish(struct shim *s)
{
	struct run *run = &s->run;
	struct session_exit how = {.code = run->code, .signal = run->signal};

	run->finished = true;
	attach_end(s, &how);
	let_go(s);
	run->state = SHIM__SHIM_STATE__SHIM_EXITED;
	report_exited(s);
	shim_active(s);
	if (s->leaving)
		loop_stop(&s->loop, 0);
}

static void on_linger(struct timer *t);

static void linger(struct shim *s, unsigned ms)
{
	if (timer_in(&s->loop, &s->run.linger, ms * NS_PER_MS, on_linger) < 0)
		on_linger(&s->run.linger);
}

/* As far as it goes: streams to their end, the log to the disk, the group to its death; then it is over. */
static void advance(struct shim *s)
{
	struct run *run = &s->run;

	if (!run->ended || run->finished)
		return;
	if (!run->force && stdio_is_open(&run->io))
		return;
	if (run->rest_len && !run->force)
		return;
	logger_end(&s->logger);
	if (!run->force && !logger_flushed(&s->logger))
		return;
	if (!run->force && !group_is_empty(s)) {
		linger(s, EMPTY_LOOK_MS);
		return;
	}
	finish(s);
}

static void on_linger(struct timer *t)
{
	struct shim *s = container_of(t, struct shim, run.linger);
	struct run *run = &s->run;
	uint64_t now = now_ns();

	if (now < run->deadline_ns) {
		linger(s, (unsigned)((run->deadline_ns - now) / NS_PER_MS) + 1);
		advance(s);
		return;
	}
	run->force = true;
	attach_hurry(s);
	if (run->rest_len)
		feed_log(s, true);
	stdio_drain(&run->io);
	stdio_fini(&run->io);
	advance(s);
}

static void take_end(struct run *run, int code, int signal, bool core_dumped)
{
	run->code = code;
	run->signal = signal;
	run->core_dumped = core_dumped;
	if (run->init_status < 0 || signal)
		return;
	/* The program's end, not that of the init above it. */
	run->signal = WIFSIGNALED(run->init_status) ? WTERMSIG(run->init_status) : 0;
	run->code = WIFEXITED(run->init_status) ? WEXITSTATUS(run->init_status) : 0;
	run->core_dumped = WIFSIGNALED(run->init_status) && WCOREDUMP(run->init_status);
}

void run_reaped(struct shim *s, int code, int signal, bool core_dumped)
{
	struct run *run = &s->run;
	uint64_t kills;

	launch_sync(s); /* perhaps it has executed, and this is the first that we hear */
	run->pid = 0;
	if (run->state == SHIM__SHIM_STATE__SHIM_LAUNCHING || run->progress) {
		launch_reaped(s);
		return;
	}
	take_end(run, code, signal, core_dumped);
	run->finished_at = wall_ns();
	run->ended = true;
	next_begin(s);
	run_kill(s);
	if (read_oom(run, &kills))
		run->oom_kills = kills;
	report_exit_record(s);
	stdio_hangup(&run->io);
	run->deadline_ns = now_ns() + RUN_LINGER_MS * NS_PER_MS;
	linger(s, RUN_LINGER_MS);
	advance(s);
}

/* shim/launch.c - see shim/launch.h
 *
 * One clone, or two (child.c), and then the loop: what the child says comes as records, end of file means that the program
 * runs, SIGCHLD that it does not. The child may hang on a dead disk; the shim does not, it has a deadline. */
#include "shim/launch.h"

#include "base/log.h"
#include "proto/wire.h"
#include "shim/attach.h"
#include "shim/child.h"
#include "shim/ns.h"
#include "shim/plan.h"
#include "shim/prepare.h"
#include "shim/reap.h"
#include "shim/report.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define STUCK_MS 1000 /* from the kill to "cannot be killed" */

static void on_deadline(struct timer *t);
static void on_sync(struct source *src, uint32_t events);

/* ---------------------------------------------------------------- before the clone */

static int open_log(struct shim *s, const Shim__LaunchPlan *l, struct err *e)
{
	struct log_target t = {.max_bytes = l->log_max_bytes, .max_files = l->log_max_files ? l->log_max_files : 1};
	int r;

	if (l->log_dir && strlen(l->log_dir) >= sizeof t.dir)
		return err_set(e, ENAMETOOLONG, "log", "log folder %s", l->log_dir);
	snprintf(t.dir, sizeof t.dir, "%s", l->log_dir ? l->log_dir : "");
	r = logger_open(&s->logger, l->log_dir ? &t : NULL);
	if (r == 0)
		r = shim_log_event_watch(s);
	return r < 0 ? err_set(e, r, "log", "start the log writer") : 0;
}

/* The user namespace that the rootfs is mapped for: ours, made once; the pod's; none (-1). In *ret, to be closed when *own. */
static int find_user_namespace(struct shim *s, const Shim__LaunchPlan *l, int pod_fd, int *ret, bool *own,
			       struct err *e)
{
	*ret = -1;
	*own = false;
	if (l->userns_pod) {
		int pid = ns_pidfd_pid(pod_fd), fd = pid < 0 ? pid : ns_open(pid, "user");

		/* Alive after we looked: so it was that process whose namespace we hold. */
		if (fd >= 0 && sys_pidfd_send_signal(pod_fd, 0) < 0) {
			close(fd);
			fd = -ESRCH;
		}
		*ret = fd;
		*own = fd >= 0;
		return fd < 0 ? err_set(e, fd, "user namespace", "open the pod's user namespace") : 0;
	}
	if (!l->userns_count)
		return 0;
	if (s->user_fd >= 0 && (s->user_first != l->userns_first_id || s->user_count != l->userns_count))
		return err_set(e, EINVAL, "user namespace",
			       "the id range has changed, and the network belongs to the old one");
	if (s->user_fd < 0) {
		int fd = ns_user_new(l->userns_first_id, l->userns_count, e);

		if (fd < 0)
			return fd;
		s->user_fd = fd;
		s->user_first = l->userns_first_id;
		s->user_count = l->userns_count;
	}
	*ret = s->user_fd;
	return 0;
}

uint64_t launch_clone_flags(const Shim__LaunchPlan *l, const struct child *c)
{
	uint64_t flags = CLONE_NEWNS;

	/* With a user namespace the others are made by the second process, so that they belong to it. */
	if (c->user_fd >= 0)
		return flags;
	flags |= l->pid_host || l->pid_pod ? 0 : CLONE_NEWPID;
	flags |= l->ipc_host || l->ipc_pod ? 0 : CLONE_NEWIPC;
	flags |= l->uts_pod ? 0 : CLONE_NEWUTS;
	flags |= l->net == SHIM__LAUNCH_PLAN__NET__NET_NEW && c->net_fd < 0 ? CLONE_NEWNET : 0;
	return flags;
}

static int open_stdio(struct shim *s, const Shim__LaunchPlan *l, int io[3], struct err *e)
{
	struct run *run = &s->run;

	stdio_init(&run->io, &s->loop, run_stdio_ops(), s->logger.chunk, LOG_CHUNK);
	if (l->program == SHIM__LAUNCH_PLAN__PROGRAM__PAUSE)
		return stdio_open_null(io, e);
	run->tty = l->process->tty;
	run->stdin_open = l->process->stdin_open || l->process->tty;
	run->stdin_once = l->process->stdin_once;
	if (run->tty)
		return 0; /* comes from the child */
	return stdio_open(&run->io, run->stdin_open, l->userns_count || l->userns_pod ? l->userns_first_id : 0, io, e);
}

static uint32_t shortest_timeout(const Shim__LaunchPlan *l)
{
	uint32_t ms = 0;

	for (size_t i = 0; i < l->n_steps; i++)
		if (l->steps[i]->timeout_ms && (!ms || l->steps[i]->timeout_ms < ms))
			ms = l->steps[i]->timeout_ms;
	return ms;
}

/* ---------------------------------------------------------------- the clone */

static int start_clock(struct shim *s, const Shim__LaunchPlan *l)
{
	struct run *run = &s->run;
	uint32_t ms = l->timeout_ms ? l->timeout_ms : PLAN_TIMEOUT_MS;

	run->deadline_ns = now_ns() + ms * NS_PER_MS;
	run->look_ms = shortest_timeout(l);
	return timer_in(&s->loop, &run->deadline, (run->look_ms && run->look_ms < ms ? run->look_ms : ms) * NS_PER_MS,
			on_deadline);
}

/* Before the child says anything. */
static int watch_child(struct shim *s, const Shim__LaunchPlan *l, struct err *e)
{
	int r = source_add(&s->loop, &s->run.sync, s->run.sync_fd, EPOLLIN, on_sync);

	if (r == 0)
		r = start_clock(s, l);
	return r < 0 ? err_set(e, r, "setup", "watch the launch") : 0;
}

static int clone_child(struct shim *s, const Shim__LaunchPlan *l, struct child *c, struct err *e)
{
	struct run *run = &s->run;
	int pidfd = -1, pid, sync[2], r;
	AUTO_FD group = openat(run->cgroup_fd, "main", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (group < 0)
		return err_set(e, errno, "cgroup", "open the group `main`");
	run->progress = c->progress = progress_new();
	if (!run->progress)
		return err_set(e, errno, "setup", "memory for the launch");
	r = sync_open(sync);
	if (r < 0)
		return err_set(e, r, "setup", "make the sync socket");
	run->sync_fd = sync[0];
	c->sync_fd = sync[1];
	r = watch_child(s, l, e);
	if (r < 0) {
		close(sync[1]);
		return r;
	}
	/* Into the pod's pids, where others are already, goes nobody who is not finished. */
	c->late = l->pid_pod && c->user_fd < 0;
	pid = shim_clone(s, launch_clone_flags(l, c), group, -1, &pidfd);
	if (pid == 0)
		child_launch(c);
	close(sync[1]);
	if (pid < 0)
		return err_set(e, pid, "clone", "make the container's process");
	if (c->user_fd >= 0 || c->late) {
		run->first_pid = pid;
		close(pidfd);
	} else {
		run->pid = pid;
		run->pidfd = pidfd;
	}
	return 0;
}

static int begin_child(struct shim *s, const Shim__LaunchPlan *l, int plan_fd, struct child *c, struct err *e)
{
	/* Made for another life, it is in that one's group: of a launch that never reached us. (0: a spare's, for the first.) */
	bool of_this = !s->next.number || s->next.number == s->run.incarnation;

	if (l->as_prepared && of_this && standby_take(s, plan_fd, c->io))
		return watch_child(s, l, e);
	standby_drop(s);
	return clone_child(s, l, c, e);
}

/* Nothing of the host's, and nobody in there who could mount it. */
static bool has_own_mounts(const Shim__LaunchPlan *l)
{
	for (size_t i = 0; i < l->n_steps; i++)
		if (l->steps[i]->what_case == SHIM__STEP__WHAT_MOUNT && !l->steps[i]->mount->fstype)
			return false;
	return l->program == SHIM__LAUNCH_PLAN__PROGRAM__EXEC && !(l->process->cap_bounding >> CAP_SYS_ADMIN & 1);
}

static int launch(struct shim *s, const Shim__LaunchPlan *l, int plan_fd, int pod_fd, struct err *e)
{
	struct run *run = &s->run;
	struct child c = CHILD_NULL;
	bool own_user = false;
	int r;

	snprintf(run->exit_record, sizeof run->exit_record, "%s", l->exit_record ? l->exit_record : "");
	if (l->exit_record && strlen(l->exit_record) >= sizeof run->exit_record)
		return err_set(e, ENAMETOOLONG, "plan", "path of the exit record");
	if (run->cgroup_fd < 0)
		return err_set(e, EBADF, "plan", "no descriptor of the cgroup");
	if (plan_needs_pod(l) && pod_fd < 0)
		return err_set(e, EBADF, "plan", "no descriptor of the pod");
	run->pid_host = l->pid_host;
	run->pid_shared = l->pid_host || l->pid_pod;
	run->userns = l->userns_count || l->userns_pod;
	run->holds = l->hold_before_exec;
	run->init = l->init && l->program == SHIM__LAUNCH_PLAN__PROGRAM__EXEC;
	run->own_mounts = has_own_mounts(l);
	prepare_settle(s, l);
	run->net_made = l->net == SHIM__LAUNCH_PLAN__NET__NET_NEW && s->net_fd < 0;
	c.plan = l;
	c.process = l->program == SHIM__LAUNCH_PLAN__PROGRAM__EXEC ? l->process : NULL;
	c.pod_fd = pod_fd;
	c.volumes_fd = s->volumes_fd;
	c.net_fd = l->net == SHIM__LAUNCH_PLAN__NET__NET_NEW ? s->net_fd : -1;
	c.ahead = &s->ahead;
	c.kept_fd = s->root_fd;
	c.kept_key = s->root_key;
	c.first_id = l->userns_first_id;
	r = find_user_namespace(s, l, pod_fd, &c.user_fd, &own_user, e);
	if (r == 0)
		r = open_log(s, l, e);
	if (r == 0)
		r = open_stdio(s, l, c.io, e);
	if (r == 0)
		r = begin_child(s, l, plan_fd, &c, e);
	for (int i = 0; i < 3; i++)
		close_fd(&c.io[i]);
	if (own_user)
		close(c.user_fd);
	ahead_close(&s->ahead); /* each can be placed once */
	return r;
}

static bool is_busy(const struct run *run)
{
	return run->state == SHIM__SHIM_STATE__SHIM_LAUNCHING || run->state == SHIM__SHIM_STATE__SHIM_RUNNING;
}

void launch_start(struct shim *s, int plan_fd, int cgroup_fd, int pod_fd, int session_fd)
{
	struct plan plan = PLAN_NULL;
	struct err e = {0};
	uint64_t incarnation;
	int r = plan_open_launch(&plan, plan_fd, s->uuid, &e);

	incarnation = plan.launch ? plan.launch->incarnation : 0;
	if (r == 0 && is_busy(&s->run))
		r = err_set(&e, EBUSY, "plan", "incarnation %llu is still running",
			    (unsigned long long)s->run.incarnation);
	if (is_busy(&s->run)) {
		report_refused(s, incarnation, &e);
		close_fd(&cgroup_fd);
		close_fd(&session_fd);
	} else {
		run_reset(s, incarnation);
		next_launched(s);
		snprintf(s->run.request_id, sizeof s->run.request_id, "%s",
			 plan.launch && plan.launch->request_id ? plan.launch->request_id : "");
		log_about(s->run.request_id);
		log_debug("container %s: incarnation %llu begins", s->uuid, (unsigned long long)incarnation);
		s->run.cgroup_fd = cgroup_fd;
		s->run.state = SHIM__SHIM_STATE__SHIM_LAUNCHING;
		if (session_fd >= 0) /* before the first instruction: it misses nothing */
			(void)attach_new(s, session_fd,
					 r == 0 && plan.launch->process && plan.launch->process->stdin_open, 0, 0);
		if (r == 0)
			r = launch(s, plan.launch, plan_fd, pod_fd, &e);
		if (r < 0) {
			s->run.failure = e;
			run_failed(s);
		}
	}
	if (r == 0)
		next_keep(s, plan.launch, &plan_fd);
	plan_close(&plan);
	close_fd(&plan_fd);
	close_fd(&pod_fd);
}

/* ---------------------------------------------------------------- what the child says */

static void stop_clock(struct shim *s)
{
	timer_del(&s->run.deadline);
}

static void started(struct shim *s)
{
	struct run *run = &s->run;

	stop_clock(s);
	run->held = false;
	run->state = SHIM__SHIM_STATE__SHIM_RUNNING;
	run->started_at = wall_ns();
	progress_free(take_ptr(run->progress));
	run_watch_oom(s);
	report_running(s);
	run_hold_mounts(s);
	shim_active(s); /* gives back what the launch has used */
}

static void close_sync(struct run *run)
{
	source_del(&run->sync);
	close_fd(&run->sync_fd);
}

static void end_of_file(struct shim *s)
{
	struct run *run = &s->run;

	close_sync(run);
	/* With an init, it is not the exec of the program that closes it, and STARTED has come already, if at all. */
	if (run->progress && run->progress->at_exec && run->pid && !run->failed && !run->timed_out && !run->init)
		started(s);
}

static void take_tty(struct shim *s, const int fds[2])
{
	int r = stdio_set_tty(&s->run.io, fds[0], fds[1]);

	if (r < 0)
		log_warn("terminal: %s", strerror(-r));
	attach_room(s);
}

static void take_network(struct shim *s, int fds[2])
{
	if (!s->run.net_made || s->net_fd >= 0)
		return;
	s->net_fd = fds[0];
	fds[0] = -1;
}

void launch_take_root(struct shim *s, const struct sync_record *rec, int fds[2])
{
	int old = s->root_fd;

	s->root_fd = fds[0];
	fds[0] = -1;
	snprintf(s->root_key, sizeof s->root_key, "%.16s", rec->err.text);
	if (old >= 0 && rec->value)
		close(old); /* that one is where the container is now */
	else if (old >= 0)
		shim_close_aside(old);
}

static void take_pid(struct shim *s, int pid)
{
	struct run *run = &s->run;

	run->pid = pid;
	run->pidfd = sys_pidfd_open(pid); /* ours and unreaped: it is that one */
}

static void hold(struct shim *s)
{
	if (!s->run.holds) /* it finds its release there */
		return;
	s->run.held = true;
	s->run.state = SHIM__SHIM_STATE__SHIM_RUNNING;
	stop_clock(s);
	report_running(s);
}

static void take(struct shim *s, const struct sync_record *rec, int fds[2])
{
	struct run *run = &s->run;

	switch (rec->kind) {
	case SYNC_FAILED:
		run->failed = true;
		run->failure = rec->err;
		break; /* and it ends: SIGCHLD */
	case SYNC_SKIPPED:
		run_skip(s, &rec->err);
		break;
	case SYNC_ROOT:
		launch_take_root(s, rec, fds);
		break;
	case SYNC_READY: /* of one that was given its plan before it was */
		break;
	case SYNC_NET:
		take_network(s, fds);
		break;
	case SYNC_TTY:
		take_tty(s, fds);
		fds[0] = fds[1] = -1;
		break;
	case SYNC_PID:
		take_pid(s, rec->value);
		break;
	case SYNC_HELD:
		hold(s);
		break;
	case SYNC_INIT:
		run->foreign = true;
		break;
	default:
		log_warn("a record of kind %d from a child", rec->kind);
	}
}

/* The container's root can trace its init, and who has CAP_SYS_PTRACE a process that moves in late, and then speaks in its name.
 * So they are heard on what is their own only, each thing once and in order: PID, STARTED and then STATUS, or FAILED. Anything
 * else ends the talk, and costs nobody but them. */
static void take_foreign(struct shim *s, const struct sync_record *rec)
{
	struct run *run = &s->run;
	bool launching = run->progress != NULL;

	if (rec->kind == SYNC_PID && run->first_pid && !run->pid && reap_is_new(s, rec->value)) {
		take_pid(s, rec->value);
		return;
	}
	if (rec->kind == SYNC_STARTED && launching && run->pid && run->init) {
		started(s);
		return;
	}
	if (rec->kind == SYNC_FAILED && launching) {
		run->failed = true;
		run->failure = rec->err;
	} else if (rec->kind == SYNC_STATUS && !launching) {
		run->init_status = rec->value;
	} else {
		log_warn("the container's init says something that it has no business to say (%d)", rec->kind);
	}
	close_sync(run);
}

void launch_sync(struct shim *s)
{
	struct run *run = &s->run;

	while (run->sync_fd >= 0) {
		struct sync_record rec;
		int fds[2], r = sync_receive(run->sync_fd, &rec, fds);

		if (r == WIRE_AGAIN)
			return;
		if (r != 0) {
			end_of_file(s);
			return;
		}
		if (s->run.foreign)
			take_foreign(s, &rec);
		else
			take(s, &rec, fds);
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	}
}

static void on_sync(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, run.sync);

	launch_sync(s);
	/* Somebody may have been left unreaped until we knew who it is. */
	if (s->run.first_pid)
		reap(s);
}

void launch_release(struct shim *s)
{
	struct run *run = &s->run;

	if (!run->holds || run->sync_fd < 0)
		return;
	run->holds = false;
	sync_release(run->sync_fd);
	if (!run->held)
		return;
	run->held = false;
	run->state = SHIM__SHIM_STATE__SHIM_LAUNCHING;
	run->deadline_ns = now_ns() + PLAN_TIMEOUT_MS * NS_PER_MS;
	run->look_ms = 0;
	(void)timer_in(&s->loop, &run->deadline, PLAN_TIMEOUT_MS * NS_PER_MS,
		       on_deadline); /* its slot was there before */
}

/* ---------------------------------------------------------------- failure */

/* It ended before it executed anything, without a word. */
static void explain_death(struct shim *s)
{
	struct run *run = &s->run;

	err_set(&run->failure, 0, run->progress && run->progress->step[0] ? run->progress->step : "setup",
		"the process died in step %s", run->progress ? run->progress->step : "setup");
}

void launch_reaped(struct shim *s)
{
	if (!s->run.failed && !s->run.timed_out)
		explain_death(s);
	run_failed(s);
}

void launch_first_reaped(struct shim *s)
{
	s->run.first_pid = 0;
	launch_sync(s);
	if (!s->run.pid && s->run.state == SHIM__SHIM_STATE__SHIM_LAUNCHING)
		launch_reaped(s);
}

static void on_stuck(struct timer *t)
{
	struct shim *s = container_of(t, struct shim, run.deadline);
	struct run *run = &s->run;
	size_t len = strlen(run->failure.text);

	/* It sleeps in the kernel, on a dead disk most likely. It is reaped when it wakes up to die. */
	snprintf(run->failure.text + len, sizeof run->failure.text - len, "; process %d does not die of SIGKILL",
		 run->pid ? run->pid : run->first_pid);
	run_failed(s);
}

static void on_deadline(struct timer *t)
{
	struct shim *s = container_of(t, struct shim, run.deadline);
	struct run *run = &s->run;
	uint64_t now = now_ns(), step_ns = run->progress ? run->progress->deadline_ns : 0, next = run->deadline_ns;
	char step[sizeof run->failure.step];

	if (now < run->deadline_ns && (!step_ns || now < step_ns)) {
		if (run->look_ms && now + run->look_ms * NS_PER_MS < next)
			next = now + run->look_ms * NS_PER_MS;
		if (step_ns && step_ns < next)
			next = step_ns;
		(void)timer_at(&s->loop, t, next, on_deadline); /* its slot was there before */
		return;
	}
	run->timed_out = true;
	memcpy(step, run->progress ? run->progress->step : "launch", run->progress ? sizeof step : 7);
	step[sizeof step - 1] = 0;
	err_set(&run->failure, ETIMEDOUT, step, "step %s did not end in time", step);
	run_kill(s);
	(void)timer_in(&s->loop, t, STUCK_MS * NS_PER_MS, on_stuck);
}

/* shim/prepare.c - see shim/prepare.h
 *
 * The disk (folders, overlay) is a child's to touch, as in a launch. We wait for it, because there is nothing else to do yet,
 * and in a way that a SIGKILL ends. */
#include "shim/prepare.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/wire.h"
#include "shim/child.h"
#include "shim/launch.h"
#include "shim/ns.h"
#include "shim/plan.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum heard { HEARD_MORE = 1, HEARD_READY };

static int take(struct shim *s, const Shim__LaunchPlan *l, const struct sync_record *rec, int fds[2], struct err *e)
{
	unsigned n = s->ahead.n;

	if (rec->kind == SYNC_READY)
		return HEARD_READY;
	if (rec->kind == SYNC_ROOT && fds[0] >= 0) {
		s->root_fd = take_fd(&fds[0]);
		snprintf(s->root_key, sizeof s->root_key, "%.16s", rec->err.text);
		return HEARD_MORE;
	}
	if (rec->kind == SYNC_AHEAD && fds[0] >= 0 && (size_t)rec->value < l->n_steps && n < AHEAD_MAX) {
		s->ahead.made[n].key = ahead_key(l->steps[rec->value]);
		s->ahead.made[n].fd = take_fd(&fds[0]);
		s->ahead.n++;
		return HEARD_MORE;
	}
	*e = rec->err; /* FAILED, or SKIPPED: a launch makes it, and says so */
	return -EIO;
}

/* What the child has made, or why it has not; then its end, or that it stands by. */
static int hear(struct shim *s, const Shim__LaunchPlan *l, int fd, struct err *e)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct sync_record rec;
	int fds[2], r;

	for (;;) {
		r = poll(&pfd, 1, -1) < 0 ? WIRE_AGAIN : sync_receive(fd, &rec, fds);
		if (r == WIRE_AGAIN)
			continue;
		if (r != 0)
			return s->root_fd >= 0 ? 0 : err_set(e, 0, "rootfs", "the process that makes it died");
		r = take(s, l, &rec, fds, e);
		close_fd(&fds[0]);
		close_fd(&fds[1]);
		if (r != HEARD_MORE)
			return r;
	}
}

/* Reaped like any other child, by the loop. */
static int clone_maker(struct shim *s, const Shim__LaunchPlan *l, struct child *c, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWNS | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	int sync[2], pid, r = sync_open(sync);

	if (r < 0)
		return err_set(e, r, "setup", "make the sync socket");
	c->sync_fd = sync[1];
	pid = sys_clone3(&args);
	if (pid == 0)
		child_prepare(c);
	r = pid < 0 ? err_set(e, errno, "clone", "make a process") : 0;
	close(sync[1]);
	if (r == 0)
		r = hear(s, l, sync[0], e);
	close(sync[0]);
	return r;
}

static int make_standby(struct shim *s, const Shim__LaunchPlan *l, int cgroup_fd, struct child *c, struct err *e)
{
	int r = standby_clone(s, l, cgroup_fd, c, e);

	if (r == 0)
		r = hear(s, l, s->standby.sync_fd, e);
	/* It died, or something is missing that a launch will do without and say so: what it has made is kept all the same. */
	if (r != HEARD_READY)
		standby_drop(s);
	return r < 0 && s->root_fd < 0 ? r : 0;
}

static int make_mounts(struct shim *s, const Shim__PreparePlan *p, int cgroup_fd, struct err *e)
{
	Shim__LaunchPlan l = SHIM__LAUNCH_PLAN__INIT;
	struct child c = CHILD_NULL;
	int r;

	l.staging_dir = p->staging_dir;
	l.steps = p->steps;
	l.n_steps = p->n_steps;
	c.plan = p->stand_by ? p->stand_by : &l;
	c.net_fd = s->net_fd;
	if (p->stand_by)
		return make_standby(s, p->stand_by, cgroup_fd, &c, e);
	c.progress = progress_new();
	if (!c.progress)
		return err_set(e, errno, "setup", "memory for the launch");
	r = clone_maker(s, &l, &c, e);
	progress_free(c.progress);
	return r;
}

static int make_network(struct shim *s, struct err *e)
{
	if (s->logger.writer.running)
		return err_set(e, EBUSY, "network", "more than one thread");
	s->net_fd = ns_net_new(e);
	s->net_ahead = s->net_fd >= 0;
	return s->net_ahead ? 0 : s->net_fd;
}

static int make_log(struct shim *s, struct err *e)
{
	int r = logger_prepare(&s->logger);

	if (r == 0)
		r = shim_log_event_watch(s);
	return r < 0 ? err_set(e, r, "log", "start the log writer") : 0;
}

int prepare_start(struct shim *s, int plan_fd, int cgroup_fd)
{
	struct plan plan = PLAN_NULL;
	struct err e = {0};
	char text[sizeof e.text + 64];
	int r = plan_open_prepare(&plan, plan_fd, s->uuid, &e);

	if (r == 0 && (s->run.state != SHIM__SHIM_STATE__SHIM_IDLE || s->net_fd >= 0 || s->root_fd >= 0))
		r = err_set(&e, EBUSY, "plan", "it has a plan already");
	if (r == 0 && plan.prepare->net)
		r = make_network(s, &e);
	if (r == 0 && (plan.prepare->n_steps || plan.prepare->stand_by))
		r = make_mounts(s, plan.prepare, cgroup_fd, &e);
	if (r == 0 && plan.prepare->log)
		r = make_log(s, &e);
	if (r < 0)
		log_warn("made ahead: %s", err_format(&e, text, sizeof text));
	plan_close(&plan);
	return r;
}

void prepare_settle(struct shim *s, const Shim__LaunchPlan *l)
{
	if (s->net_ahead && (l->net != SHIM__LAUNCH_PLAN__NET__NET_NEW || l->userns_count || l->userns_pod))
		close_fd(&s->net_fd);
	s->net_ahead = false;
}

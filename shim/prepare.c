/* shim/prepare.c - see shim/prepare.h
 *
 * The disk (folders, overlay) is a child's to touch, as in a launch. We wait for it, because there is nothing else to do yet,
 * and in a way that a SIGKILL ends. */
#include "shim/prepare.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/wire.h"
#include "shim/child.h"
#include "shim/ns.h"
#include "shim/plan.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* One record, with the overlay or why there is none. */
static int hear(struct shim *s, int fd, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct sync_record rec;
	int fds[2], r;

	do
		r = poll(&p, 1, -1) < 0 ? WIRE_AGAIN : sync_receive(fd, &rec, fds);
	while (r == WIRE_AGAIN);
	if (r != 0)
		return err_set(e, 0, "overlay", "the process that mounts it died");
	if (rec.kind != SYNC_ROOT || fds[0] < 0) {
		*e = rec.err;
		return -EIO;
	}
	s->root_fd = fds[0];
	snprintf(s->root_key, sizeof s->root_key, "%.16s", rec.err.text);
	return 0;
}

static int make_overlay(struct shim *s, const Shim__PreparePlan *p, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWNS | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	struct child c = CHILD_NULL;
	int sync[2], pid, r;

	if (strlen(p->staging_dir) >= sizeof c.root_path)
		return err_set(e, ENAMETOOLONG, "staging", "staging folder");
	r = sync_open(sync);
	if (r < 0)
		return err_set(e, r, "setup", "make the sync socket");
	snprintf(c.root_path, sizeof c.root_path, "%s", p->staging_dir);
	c.sync_fd = sync[1];
	pid = sys_clone3(&args);
	if (pid == 0)
		child_prepare(&c, p->overlay);
	r = pid < 0 ? err_set(e, errno, "clone", "make a process") : 0;
	close(sync[1]);
	if (r == 0)
		r = hear(s, sync[0], e); /* reaped like any other child, by the loop */
	close(sync[0]);
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

int prepare_start(struct shim *s, int plan_fd)
{
	struct plan plan = PLAN_NULL;
	struct err e = {0};
	char text[sizeof e.text + 64];
	int r = plan_open_prepare(&plan, plan_fd, &e);

	if (r == 0 && (s->run.state != SHIM__SHIM_STATE__SHIM_IDLE || s->net_fd >= 0 || s->root_fd >= 0))
		r = err_set(&e, EBUSY, "plan", "it has a plan already");
	if (r == 0 && plan.prepare->net)
		r = make_network(s, &e);
	if (r == 0 && plan.prepare->overlay)
		r = make_overlay(s, plan.prepare, &e);
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

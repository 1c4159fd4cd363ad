/* supervisor/container_start.c - the actions of a start: launches, their reports, their failures, retries.
 *
 * What a launch was told and what became of it: launch.c sends the plan, container_link.c makes events of the shim's reports. */
#include "supervisor/container_act.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/audit.h"
#include "supervisor/copy.h"
#include "supervisor/exec.h"
#include "supervisor/fill.h"
#include "supervisor/launch.h"
#include "supervisor/plan.h"
#include "supervisor/pod.h"
#include "supervisor/remove.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LAUNCH_DEADLINE_NS ((PLAN_TIMEOUT_MS + 5000) * NS_PER_MS) /* the shim's own, and a little for its report */

static state launch(struct container *c, bool hold)
{
	AUTO_FD net_fd = -1;
	struct err e;
	int r;

	c->ran = c->held = c->stopped = c->released = c->freezing = c->waiting = c->start_after = c->launch_when_gone =
		false;
	c->phase = PHASE_NONE;
	c->asked_until_ns = 0;
	SET(c->obj->status, process_stuck, 0);
	SET(c->obj->status, oom_kills, 0);
	SET(c->obj->status, next_retry_at, 0);
	set_text(&c->obj->status->status_reason, "%s", "");
	container_touch(c);
	c->hold = hold;
	r = fill_volumes(c, &e);
	if (r == 0) { /* it may take long; the launch's deadline begins with the launch */
		set_text(&c->obj->status->status_reason, "a volume gets what the image has for it");
		return S(STARTING);
	}
	container_arm(c, LAUNCH_DEADLINE_NS);
	/* It would refuse what it does not know of the plan: one of ours takes its place. */
	if (c->shim && shimlink_is_old(c->shim))
		container_bye(c);
	if (c->shim && c->bye_sent) {
		c->launch_when_gone = true;
		return S(STARTING);
	}
	if (r > 0)
		r = launch_container(c, hold || net_holder_wants(&c->net), &net_fd, &e);
	if (r < 0)
		container_post_failure(c, &e);
	else if (net_fd >= 0 && net_holder_wants(&c->net))
		container_net_attach(c, net_fd);
	return S(STARTING);
}

state act_filled(struct container *c, struct event *ev)
{
	return launch(c, c->hold);
}

/* Starts it, or lets it wait in the state it is in for its pod to be ready, or for what is being copied into it. */
state container_start(struct container *c, state waits_in)
{
	struct err e;
	char why[256];
	int r;

	timer_del(&c->timer);
	if (c->obj->pull)
		return container_pull_again(c);
	snprintf(why, sizeof why, "the host is going down");
	r = c->sv->going_down ? 0 : pod_admit(c->pod, c, why, sizeof why, &e);
	if (r > 0) {
		c->launch_after_copies = copies_hold(c);
		if (!c->launch_after_copies)
			return launch(c, false);
		snprintf(why, sizeof why, "something is being copied into it");
	}
	if (r < 0) {
		container_post_failure(c, &e);
		return S(STARTING);
	}
	c->waiting = true;
	set_text(&c->obj->status->status_reason, "%s", why);
	container_touch(c);
	return waits_in;
}

/* Kept with the status too: a berthd that comes back goes on with the backoff where it was. */
void container_set_history(struct container *c, struct history h)
{
	c->history = h;
	SET(c->obj->status, failures_in_row, h.failures);
	SET(c->obj->status, restart_count, h.restarts);
}

/* A start that a person asked for, or that stands in for one: history begins anew. */
void container_start_wanted(struct container *c)
{
	Berth__ContainerStatus *st = c->obj->status;

	SET(st, desired_running, 1);
	SET(st, stop_requested, 0);
	set_null(&st->restart_decision);
	container_set_history(c, (struct history){0});
}

void container_answer_started(struct container *c)
{
	if (c->stored && c->ran)
		container_answer(c, WAIT_BIT(WAIT_STARTED));
}

static void take_session(struct container *c, struct event *ev)
{
	close_fd(&c->session_fd);
	c->session_fd = take_fd(&ev->shim_session_fd);
}

state act_start(struct container *c, struct event *ev)
{
	if (ev->type == EV_LAUNCH) {
		c->by_person = c->by_person && c->waiting;
		SET(c->obj->status, desired_running, 1);
		return container_start(c, container_state(c));
	}
	c->by_person = true;
	container_start_wanted(c);
	take_session(c, ev);
	if (waiter_add(c, ev->type == EV_RESTART ? WAIT_RESTARTED : WAIT_STARTED, ev->parked,
		       take_fd(&ev->session_fd)) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	if (c->held) {
		c->held = false;
		c->waiting = false;
		container_arm(c, LAUNCH_DEADLINE_NS);
		exec_release(c);
		return S(STARTING);
	}
	return container_start(c, container_state(c));
}

/* It runs: that is what was wanted. With a session, that is attached now. */
state act_start_running(struct container *c, struct event *ev)
{
	if (ev->shim_session_fd >= 0)
		exec_attach(c, ev->shim_session_fd, c->obj->spec->stdin_open, 0, 0);
	if (c->stored)
		answer_container(c, ev->parked, take_fd(&ev->session_fd));
	else if (waiter_add(c, WAIT_STARTED, ev->parked, take_fd(&ev->session_fd)) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	return 0;
}

state act_start_joins(struct container *c, struct event *ev)
{
	if (ev->shim_session_fd >= 0 && c->session_fd < 0)
		take_session(c, ev);
	if (waiter_add(c, WAIT_STARTED, ev->parked, take_fd(&ev->session_fd)) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	return 0;
}

state container_created(struct container *c)
{
	/* hold_before_exec: the process is made now, and stops before exec. */
	if (c->obj->spec->hold_before_exec)
		return launch(c, true);
	container_answer(c, WAIT_BIT(WAIT_CREATED));
	return S(CREATED);
}

state act_stored(struct container *c, struct event *ev)
{
	c->stored = true;
	c->row_queued = false;
	waiters_answer(c, WAIT_BIT(WAIT_ACCEPTED));
	/* It failed before that was known to be accepted. */
	if (container_state(c) == S(ERROR))
		waiters_fail(c, WAIT_BIT(WAIT_STARTED) | WAIT_BIT(WAIT_CREATED), BERTH__ERROR__CODE__START_FAILED,
			     &c->failure);
	container_answer_started(c);
	if (container_state(c) == S(CREATING))
		return c->obj->pull ? S(CREATING) : container_created(c);
	container_answer(c, WAIT_BIT(WAIT_CREATED));
	if (container_state(c) == S(DELETING) && c->phase != PHASE_SIGNALLED)
		remove_continue(c);
	return 0;
}

/* It could not be stored, so it never was. */
state act_undo(struct container *c, struct event *ev)
{
	struct err e;

	err_set(&e, ENOSPC, "store", "the container could not be stored (%s)", store_error(c->sv->store));
	e.code = 0;
	waiters_fail(c, ~0u, BERTH__ERROR__CODE__EXHAUSTED, &e);
	c->row_queued = false;
	if (container_state(c) != S(DELETING))
		return act_remove_running(c, ev);
	remove_continue(c);
	return 0;
}

static state hold(struct container *c)
{
	timer_del(&c->timer);
	c->held = true;
	container_answer(c, WAIT_BIT(WAIT_CREATED));
	container_touch(c);
	return S(CREATED);
}

state act_held(struct container *c, struct event *ev)
{
	SET(c->obj->status, pid, ev->running ? ev->running->pid : 0);
	SET(c->obj->status, shim_pid, c->shim ? shimlink_pid(c->shim) : 0);
	c->stopped = true;
	if (!net_holder_wants(&c->net))
		return c->released ? S(STARTING) : hold(c);
	if (!c->net.left)
		container_net_attach(c, c->said_pidfd);
	return container_state(c);
}

/* It stops before exec for this alone, or because somebody wants to say himself when it begins. Released before it gets there it does not stop. */
state act_net_ready(struct container *c, struct event *ev)
{
	/* A berthd before us may have been asked for that. */
	if (c->hold || (c->obj->spec->hold_before_exec && !c->obj->status->desired_running))
		return c->stopped ? hold(c) : 0;
	c->released = true;
	if (exec_release(c) < 0) {
		err_set(&c->failure, 0, "shim", "the shim does not listen");
		return act_net_failed(c, ev);
	}
	return S(STARTING);
}

/* Whatever happens to it now, the create that also started it has done both. */
void container_note_ran(struct container *c)
{
	c->ran = true;
	if (!c->obj->start_or_remove)
		return;
	SET(c->obj, start_or_remove, 0);
	container_touch(c);
}

void container_note_running(struct container *c, const Shim__Running *r)
{
	Berth__ContainerStatus *st = c->obj->status;
	char path[256];

	SET(st, pid, r->pid);
	SET(st, shim_pid, c->shim ? shimlink_pid(c->shim) : 0);
	SET(st, started_at, r->started_at);
	SET(st, finished_at, 0);
	container_group_path(c, path, sizeof path);
	set_text(&st->cgroup, "%s/%s", strcmp(c->sv->cg.path, "/") ? c->sv->cg.path : "", path);
	if (st->in_force)
		strings_copy(&st->in_force->skipped, &st->in_force->n_skipped, r->skipped, r->n_skipped);
	container_touch(c);
}

state act_running(struct container *c, struct event *ev)
{
	static const Shim__Running nothing = SHIM__RUNNING__INIT;

	timer_del(&c->timer);
	container_note_ran(c);
	c->waiting = false;
	container_note_running(c, ev->running ? ev->running : &nothing);
	net_holder_runs(&c->net);
	set_text(&c->obj->status->status_reason, "%s", "");
	SET(c->obj->meta, observed_generation, c->obj->meta->generation);
	container_publish(c, "start", NULL, NULL);
	container_answer_started(c);
	container_answer(c, WAIT_BIT(WAIT_RESTARTED));
	return 0;
}

/* At re-adoption: nothing happened, except perhaps to the freezer. */
state act_running_again(struct container *c, struct event *ev)
{
	AUTO_FD fd = -1;

	container_note_ran(c);
	if (ev->running && ev->running->incarnation == c->obj->status->incarnation)
		container_note_running(c, ev->running);
	net_holder_runs(&c->net);
	if (container_group_open(c, &fd) < 0)
		return 0;
	return cg_is_frozen(fd) == 1 && !c->thawed ? S(PAUSED) : S(RUNNING);
}

state container_retry(struct container *c, const struct decision *d)
{
	Berth__ContainerStatus *st = c->obj->status;
	const char *name = c->obj->meta->name;

	c->by_person = false;
	c->request_id[0] = 0;
	if (d->alarm)
		log_warn("container %s (%s) ends again and again: %s", name, c->node.uuid, d->why);
	audit_own(c->sv, "restart", "container", c->obj->meta, true, true, d->why);
	container_publish(c, "restart", d->why, NULL);
	if (!d->delay_ns)
		return container_start(c, S(BACKOFF));
	SET(st, next_retry_at, wall_ns() + (int64_t)d->delay_ns);
	container_arm(c, d->delay_ns);
	return S(BACKOFF);
}

state act_failed(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;
	struct ending end = {.start_failed = true, .by_person = c->by_person};
	struct decision d;
	char text[512];
	unsigned jitter = 0;

	timer_del(&c->timer);
	image_wait_forget(&c->image);
	close_fd(&c->session_fd);
	container_group_bury(c);
	net_holder_forget(&c->net);
	c->net.ready = false; /* the shim keeps no namespace of a launch that failed */
	SET(st, pid, 0);
	SET(st, finished_at, wall_ns());
	err_format(&c->failure, text, sizeof text);
	set_text(&st->status_reason, "%s", text);
	container_publish(c, "start_failed", text, NULL);
	/* Both or nothing: who asked for both hears of the failure when nothing is left (container_vanish). */
	if (c->obj->start_or_remove)
		return remove_begin(c);
	/* Who is first to hear that it was accepted hears of the end after that: in act_stored, or when it fails again. */
	if (!waiter_any(c, WAIT_BIT(WAIT_ACCEPTED)))
		waiters_fail(c, WAIT_BIT(WAIT_STARTED), BERTH__ERROR__CODE__START_FAILED, &c->failure);
	waiters_fail(c, WAIT_BIT(WAIT_RESTARTED) | WAIT_BIT(WAIT_CREATED), BERTH__ERROR__CODE__START_FAILED,
		     &c->failure);
	if (c->by_person && c->obj->spec->auto_remove)
		return container_remove_own(c);
	getrandom(&jitter, sizeof jitter, GRND_NONBLOCK);
	d = policy_decide(c->obj->spec->restart, &c->history, &end, jitter);
	container_set_history(c, d.history);
	set_text(&st->restart_decision, "%s", d.why);
	if (d.verdict == VERDICT_RESTART)
		return container_retry(c, &d);
	SET(st, desired_running, 0);
	container_answer(c, WAIT_BIT(WAIT_NOT_RUNNING) | WAIT_BIT(WAIT_NEXT_EXIT));
	container_bye(c);
	pod_member_ended(c->pod, c);
	return 0;
}

state act_shim_lost_launching(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	if (c->launch_when_gone)
		return launch(c, false);
	container_group_kill(c);
	err_set(&c->failure, 0, "shim", "the shim died during the launch");
	return act_failed(c, ev);
}

state act_timer_launch(struct container *c, struct event *ev)
{
	container_group_kill(c);
	if (c->shim)
		shimlink_kill(c->shim);
	err_set(&c->failure, ETIMEDOUT, "shim", "no report of the launch within %u s",
		(unsigned)(LAUNCH_DEADLINE_NS / NS_PER_S));
	return act_failed(c, ev);
}

state act_timer_retry(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;

	if (!policy_retries(c->obj->spec->restart, &c->history)) {
		SET(st, next_retry_at, 0);
		set_text(&st->restart_decision, "the policy was changed while it waited: no restart");
		container_touch(c);
		return container_stay_ended(c, false);
	}
	return container_start(c, S(BACKOFF));
}

/* A berthd before us sent the plan, and the shim is still at it: wait as if we had sent it. */
state act_launching(struct container *c, struct event *ev)
{
	c->ran = c->held = false;
	container_arm(c, LAUNCH_DEADLINE_NS);
	container_touch(c);
	return 0;
}

void container_rearm(struct container *c)
{
	int64_t left = c->obj->status->next_retry_at - wall_ns();

	if (container_state(c) == S(STARTING))
		container_arm(c, LAUNCH_DEADLINE_NS);
	/* A clock that was set meanwhile makes nobody wait for longer than the policy can mean. */
	else if (container_state(c) == S(BACKOFF))
		container_arm(c, left > 0 && (uint64_t)left <= 2 * POLICY_MAX_DELAY_NS ? (uint64_t)left : 0);
	else if (container_state(c) == S(REBUILDING)) {
		container_bye(c);
		container_poll_begin(c);
	}
}

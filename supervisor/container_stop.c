/* supervisor/container_stop.c - the actions of an end that somebody asks for: stop, restart, kill; and the host's going down.
 *
 * The stop signal, then a deadline, then SIGKILL to everything in the group, then looking whether it is dead: enum end_phase. */
#include "supervisor/container_act.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "supervisor/fill.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define STUCK_LOOK_NS (1 * NS_PER_S)

static void end_is_wanted(struct container *c, struct event *ev)
{
	SET(c->obj->status, stop_requested, 1);
	c->waiting = false;
	if (ev->type == EV_RESTART) {
		c->start_after = true;
		container_owe(c, WAIT_RESTARTED, ev);
	} else {
		c->start_after = false;
		SET(c->obj->status, desired_running, 0);
		container_owe(c, WAIT_ENDED, ev);
	}
	container_touch(c);
}

void container_kill_all(struct container *c)
{
	c->phase = PHASE_KILLED;
	container_group_kill(c);
	container_arm(c, KILL_DEADLINE_NS);
}

static uint64_t stop_timeout_ns(const struct container *c, const struct event *ev)
{
	return (ev->has_timeout ? ev->timeout_s : c->obj->spec->stop_timeout_s) * NS_PER_S;
}

int container_stop_signal(const struct container *c)
{
	int sig;

	return c->obj->spec->stop_signal && !str_to_signal(c->obj->spec->stop_signal, &sig) ? sig : SIGTERM;
}

void container_stop_begin(struct container *c, uint64_t timeout_ns)
{
	int sig = container_stop_signal(c);
	char name[32];

	container_freeze_forget(c, "the container is being stopped");
	(void)container_thaw(c, signal_name(sig, name, sizeof name)); /* if not, SIGKILL follows */
	if (!timeout_ns || sig == SIGKILL || !c->shim) {
		container_kill_all(c);
		return;
	}
	c->phase = PHASE_SIGNALLED;
	shimlink_signal(c->shim, c->obj->status->incarnation, sig);
	container_arm(c, timeout_ns);
}

state act_stop(struct container *c, struct event *ev)
{
	end_is_wanted(c, ev);
	container_stop_begin(c, stop_timeout_ns(c, ev));
	return 0;
}

/* A shorter deadline counts, a longer one does not; a restart turns into a stop and the other way round: the last word counts. */
state act_stop_again(struct container *c, struct event *ev)
{
	uint64_t timeout_ns = stop_timeout_ns(c, ev);

	end_is_wanted(c, ev);
	if (c->phase == PHASE_SIGNALLED && c->timer.at_ns > now_ns() + timeout_ns) {
		if (timeout_ns)
			container_arm(c, timeout_ns);
		else
			container_kill_all(c);
	}
	return 0;
}

/* Perhaps nothing is in its group yet: then it runs in a moment, and act_running_unwanted kills it. */
static state launch_cancel(struct container *c, struct event *ev, const char *why)
{
	struct err e;

	/* Whatever the create wanted: it stays. */
	SET(c->obj, start_or_remove, 0);
	err_set(&e, 0, "start", "%s", why);
	waiters_fail(c, WAIT_BIT(WAIT_STARTED), BERTH__ERROR__CODE__CONFLICT, &e);
	if (c->launch_when_gone || fill_pending(c)) { /* nothing of it is there yet */
		c->launch_when_gone = false;
		fill_forget(c);
		return act_failed_unwanted(c, ev);
	}
	container_kill_all(c);
	return 0;
}

state act_stop_launch(struct container *c, struct event *ev)
{
	end_is_wanted(c, ev);
	c->asked_until_ns = UINT64_MAX;
	return launch_cancel(c, ev, "stopped before it ran");
}

state act_running_unwanted(struct container *c, struct event *ev)
{
	if (!c->adopting) {
		container_kill_all(c);
		return 0;
	}
	container_note_ran(c);
	container_note_running(c, ev->running);
	/* That stop was over, and it was started again. */
	if (c->newer) {
		SET(c->obj->status, desired_running, 1);
		return S(RUNNING);
	}
	/* berthd died in the middle of a stop: the signal may or may not have been sent. */
	container_stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);
	return 0;
}

state act_stop_ended(struct container *c, struct event *ev)
{
	if (c->waiting || c->obj->status->desired_running) {
		c->waiting = false;
		SET(c->obj->status, desired_running, 0);
		set_text(&c->obj->status->status_reason, "%s", "");
		container_touch(c);
	}
	if (c->held) {
		end_is_wanted(c, ev);
		container_kill_all(c);
		return S(STOPPING);
	}
	reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

state act_cancel_retry(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;

	timer_del(&c->timer);
	c->waiting = false;
	SET(st, desired_running, 0);
	SET(st, stop_requested, 1);
	SET(st, next_retry_at, 0);
	set_text(&st->status_reason, "stopped while waiting to be started again");
	set_text(&st->restart_decision, "stopped while it waited: no restart");
	container_touch(c);
	container_bye(c);
	container_answer(c, WAIT_BIT(WAIT_NOT_RUNNING) | WAIT_BIT(WAIT_NEXT_EXIT));
	pod_member_ended(c->pod, c);
	reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

/* SIGKILL goes to everything in the group and is answered when it is dead; any other signal to pid 1, answered at once. The
 * state follows what is seen. An end by SIGKILL was asked for, and one by the stop signal if it comes soon. */
state act_kill(struct container *c, struct event *ev)
{
	char name[32];

	signal_name(ev->signal, name, sizeof name);
	container_publish(c, "kill", name, (const char *const[]){"signal", name, NULL});
	if (ev->signal == SIGKILL) {
		c->asked_until_ns = UINT64_MAX;
		container_freeze_forget(c, "the container was killed");
		container_owe(c, WAIT_ENDED, ev);
		container_kill_all(c);
		return 0;
	}
	if (ev->signal == container_stop_signal(c))
		c->asked_until_ns = now_ns() + c->obj->spec->stop_timeout_s * NS_PER_S;
	if (!c->shim || shimlink_signal(c->shim, c->obj->status->incarnation, ev->signal) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "the shim takes no signal");
	else
		reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

state act_kill_paused(struct container *c, struct event *ev)
{
	char name[32];
	int r = container_thaw(c, signal_name(ev->signal, name, sizeof name));

	if (r < 0 && ev->signal != SIGKILL) {
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "cannot unpause: %s", strerror(-r));
		return S(PAUSED);
	}
	return act_kill(c, ev);
}

/* Its shim does not answer: both are killed, and what comes of it is seen when the shim is gone. */
state act_kill_unknown(struct container *c, struct event *ev)
{
	end_is_wanted(c, ev);
	container_kill_all(c);
	if (c->shim)
		shimlink_kill(c->shim);
	return 0;
}

/* What the kernel says of the process that does not die: "in state D". /proc/PID/stat is safe to read of any process. */
static void stuck_words(struct container *c, char *buf, size_t size)
{
	char path[40], stat[512];
	const char *end;

	snprintf(path, sizeof path, "/proc/%d/stat", c->obj->status->pid);
	if (c->obj->status->pid > 0 && file_read(AT_FDCWD, path, stat, sizeof stat) > 0 && (end = strrchr(stat, ')')) &&
	    end[1])
		snprintf(buf, size, "process %d is in state %c", c->obj->status->pid, end[2]);
	else
		snprintf(buf, size, "a process in its group lives on");
}

void container_stuck(struct container *c)
{
	struct err e;
	char words[96];

	c->phase = PHASE_STUCK;
	stuck_words(c, words, sizeof words);
	SET(c->obj->status, process_stuck, 1);
	set_text(&c->obj->status->status_reason, "did not die of SIGKILL within %u s: %s",
		 (unsigned)(KILL_DEADLINE_NS / NS_PER_S), words);
	container_touch(c);
	container_publish(c, "stuck", c->obj->status->status_reason, NULL);
	log_error("container %s: %s", c->node.uuid, c->obj->status->status_reason);
	err_set(&e, 0, "kill", "%s", c->obj->status->status_reason);
	waiters_fail(c, WAIT_BIT(WAIT_ENDED) | WAIT_BIT(WAIT_RESTARTED) | WAIT_BIT(WAIT_DELETED),
		     BERTH__ERROR__CODE__TIMEOUT, &e);
}

/* Everything was killed some time ago and nothing was reported. */
void container_look_dead(struct container *c)
{
	if (!container_group_populated(c)) {
		/* They are dead and the shim has not said so: it is the one that hangs. */
		if (c->shim)
			shimlink_kill(c->shim);
	} else if (c->phase != PHASE_STUCK) {
		container_stuck(c);
	}
	container_arm(c, STUCK_LOOK_NS);
}

state act_timer_stop(struct container *c, struct event *ev)
{
	switch ((enum end_phase)c->phase) {
	case PHASE_SHIM_LOST:
		if (!container_group_populated(c))
			return container_shim_lost_ended(c);
		if (container_step_older_than(c, KILL_DEADLINE_NS) && !c->obj->status->process_stuck) {
			container_stuck(c);
			c->phase = PHASE_SHIM_LOST;
		}
		container_poll_again(c);
		return 0;
	case PHASE_KILLED:
	case PHASE_STUCK:
		container_look_dead(c);
		return 0;
	case PHASE_NONE:
	case PHASE_SIGNALLED:
	default:
		container_kill_all(c);
		return 0;
	}
}

/* It was to be stopped before it came as far as running. */
state act_failed_unwanted(struct container *c, struct event *ev)
{
	c->failure = (struct err){0};
	c->exit_known = false;
	c->net.ready = false; /* as in act_failed */
	return act_exited(c, ev);
}

/* ---------------------------------------------------------------- the host goes down: what is wanted stays as it is */

state act_down(struct container *c, struct event *ev)
{
	set_text(&c->obj->status->status_reason, "stopped because the host goes down");
	container_touch(c);
	container_stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);
	return 0;
}

/* What is held before its exec is a process too. */
state act_down_created(struct container *c, struct event *ev)
{
	if (!c->held)
		return 0;
	container_kill_all(c);
	return S(STOPPING);
}

state act_down_launch(struct container *c, struct event *ev)
{
	return launch_cancel(c, ev, "the host is going down");
}

/* A stop that somebody asked for goes on; of a restart the second half is left to the policy at boot. */
state act_down_stopping(struct container *c, struct event *ev)
{
	if (!c->start_after)
		return 0;
	c->start_after = false;
	SET(c->obj->status, stop_requested, 0);
	container_touch(c);
	return 0;
}

state act_down_retry(struct container *c, struct event *ev)
{
	timer_del(&c->timer);
	container_bye(c); /* its shim waits for the next launch */
	return 0;
}

state act_down_unknown(struct container *c, struct event *ev)
{
	container_kill_all(c);
	if (c->shim)
		shimlink_kill(c->shim);
	return 0;
}

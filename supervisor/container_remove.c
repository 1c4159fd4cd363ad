/* supervisor/container_remove.c - the actions of a removal; remove.c does the work. */
#include "supervisor/container_act.h"

#include "supervisor/audit.h"
#include "supervisor/remove.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"

#include <stdio.h>

#define BYE_DEADLINE_NS (5 * NS_PER_S)

/* Nobody asked for it now, so it is an action of berthd's. */
static void removal_record(struct container *c)
{
	char why[256];

	if (c->obj->spec->auto_remove)
		snprintf(why, sizeof why, "--rm: %s", c->obj->status->status_reason);
	else
		snprintf(why, sizeof why, "with its pod");
	c->removal_action = audit_own(c->sv, "remove", "container", c->obj->meta, false, true, why);
}

state container_remove_own(struct container *c)
{
	removal_record(c);
	return remove_begin(c);
}

static void removal_is_wanted(struct container *c, struct event *ev)
{
	struct err e;

	container_owe(c, WAIT_DELETED, ev);
	if (!ev->parked.client && ev->type != EV_STORE_FAILED)
		removal_record(c);
	c->removing_volumes = ev->volumes;
	err_set(&e, 0, "remove", "the container is being removed");
	waiters_fail(c,
		     WAIT_BIT(WAIT_CREATED) | WAIT_BIT(WAIT_STARTED) | WAIT_BIT(WAIT_RESTARTED) | WAIT_BIT(WAIT_PAUSED),
		     BERTH__ERROR__CODE__CONFLICT, &e);
}

state act_remove(struct container *c, struct event *ev)
{
	removal_is_wanted(c, ev);
	return remove_begin(c);
}

/* Deleting from its first moment, with the stop signal sent and its deadline running: what begins the removal proper is the end of
 * the program, or that deadline. A berthd that finds it so does not wait any longer. */
static state remove_kindly(struct container *c, struct event *ev)
{
	removal_is_wanted(c, ev);
	if (container_state(c) != S(STOPPING))
		container_stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);
	c->waiting = c->start_after = false;
	SET(c->obj->status, desired_running, 0);
	container_touch(c);
	return S(DELETING);
}

state act_remove_running(struct container *c, struct event *ev)
{
	bool can_stop = container_state(c) == S(RUNNING) || container_state(c) == S(PAUSED) ||
			(container_state(c) == S(STOPPING) && c->phase == PHASE_SIGNALLED);

	if (ev->stop_first && can_stop)
		return remove_kindly(c, ev);
	container_freeze_forget(c, "the container is being removed");
	container_group_kill(c);
	if (container_state(c) == S(UNKNOWN) && c->shim)
		shimlink_kill(c->shim);
	return act_remove(c, ev);
}

/* The removal goes on, or begins now: the program has had its chance to end by itself. */
static void remove_further(struct container *c)
{
	if (c->phase == PHASE_SIGNALLED)
		remove_begin(c);
	else
		remove_continue(c);
}

/* A second one that does not want to wait for the stop signal's effect is heard. */
state act_remove_again(struct container *c, struct event *ev)
{
	container_owe(c, WAIT_DELETED, ev);
	if (c->phase == PHASE_SIGNALLED && !ev->stop_first)
		remove_begin(c);
	return 0;
}

state act_running_deleted(struct container *c, struct event *ev)
{
	container_group_kill(c);
	return 0;
}

state act_exited_deleted(struct container *c, struct event *ev)
{
	if (ev->type == EV_EXITED)
		container_record_exit(c);
	remove_further(c);
	return 0;
}

state act_shim_gone_deleted(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	remove_further(c);
	return 0;
}

state act_timer_deleting(struct container *c, struct event *ev)
{
	if (c->phase == PHASE_SIGNALLED) {
		remove_begin(c); /* its time is over */
		return 0;
	}
	if (container_step_older_than(c, BYE_DEADLINE_NS) && c->shim)
		shimlink_kill(c->shim);
	if (container_step_older_than(c, KILL_DEADLINE_NS) && container_group_populated(c) && c->phase != PHASE_STUCK)
		container_stuck(c);
	remove_continue(c);
	return 0;
}

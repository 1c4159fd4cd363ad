/* supervisor/container_pause.c - the actions of a pause. Paused is what cgroup.events says, not what was asked. */
#include "supervisor/container_act.h"

#include "base/own.h"
#include "supervisor/audit.h"
#include "supervisor/commit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FREEZE_DEADLINE_NS (5 * NS_PER_S)

void container_freeze_forget(struct container *c, const char *why)
{
	struct err e;

	if (!c->freezing)
		return;
	c->freezing = false;
	container_group_freeze(c, false);
	commit_froze(c, false);
	err_set(&e, 0, "pause", "%s", why);
	waiters_fail(c, WAIT_BIT(WAIT_PAUSED), BERTH__ERROR__CODE__CONFLICT, &e);
}

/* A frozen process takes no signal but SIGKILL: whoever wants to end it or to tell it something wants it to run. That it does not
 * stay paused is an event and an action of its own. */
int container_thaw(struct container *c, const char *sig_name)
{
	char why[64];
	int r = container_state(c) == S(PAUSED) ? container_group_freeze(c, false) : 0;

	if (r < 0 || container_state(c) != S(PAUSED))
		return r;
	commit_thawed(c);
	snprintf(why, sizeof why, "thawed, so that %s reaches it", sig_name);
	audit_own(c->sv, "unpause", "container", c->obj->meta, true, true, why);
	container_publish(c, "unpause", why, NULL);
	return 0;
}

static state freeze_look(struct container *c)
{
	AUTO_FD fd = -1;
	int r = container_group_open(c, &fd);

	if (!r)
		r = cg_is_frozen(fd);
	if (r == 1) {
		c->freezing = false;
		commit_froze(c, true);
		container_publish(c, "pause", NULL, NULL);
		container_answer(c, WAIT_BIT(WAIT_PAUSED));
		return S(PAUSED);
	}
	if (r < 0 || container_step_older_than(c, FREEZE_DEADLINE_NS))
		container_freeze_forget(
			c, "it could not be frozen: a process of it is in a system call that does not end");
	else
		container_poll_again(c);
	return S(RUNNING);
}

state act_pause(struct container *c, struct event *ev)
{
	int r = c->phase == PHASE_NONE ? container_group_freeze(c, true) : -EBUSY;

	if (r < 0) {
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cannot pause: %s", strerror(-r));
		return 0;
	}
	container_owe(c, WAIT_PAUSED, ev);
	c->freezing = true;
	container_poll_begin(c);
	return freeze_look(c);
}

state act_unpause(struct container *c, struct event *ev)
{
	int r = container_group_freeze(c, false);

	if (r < 0) {
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "cannot unpause: %s", strerror(-r));
		return S(PAUSED);
	}
	commit_thawed(c);
	container_publish(c, "unpause", NULL, NULL);
	reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

state act_timer_running(struct container *c, struct event *ev)
{
	if (c->freezing)
		return freeze_look(c);
	if (c->phase == PHASE_KILLED || c->phase == PHASE_STUCK)
		container_look_dead(c);
	return 0;
}

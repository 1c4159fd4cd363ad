/* supervisor/container.c - the state machine of a container. The only file that writes status.state.
 *
 * What a container is at any time:
 *
 *   Creating   its image is being pulled (obj->pull), or its row is on the way to the disk. A create that also starts goes on to
 *              Starting without waiting for that. Who waits for a create that pulls has no row until the image is here: a berthd
 *              that dies then has done nothing, and is asked again. One that was accepted has its row from the beginning, and
 *              begins again with every berthd until it is Created, or Error.
 *   Created    it exists and never ran. (With hold_before_exec: its process exists, stopped before exec.)
 *   Starting   a plan was sent, no report yet; a deadline runs.
 *   Running    exec has happened. A pause under way (freezing) and a kill under way (phase) are still Running: only what was
 *              observed counts.
 *   Paused     cgroup.events says frozen.
 *   Stopping   the stop signal was sent and a deadline runs; or everything was killed and we wait to see it dead; or its shim
 *              died and what it left is being killed.
 *   Exited     ended by itself, and the policy leaves it so.       Stopped   ended because somebody asked.
 *   Backoff    ended, and will be started again by the timer.      Error     could not be started.
 *   Deleting   being taken apart; it comes back from there no more, not even over a crash of berthd.
 *   Unknown    there is a shim and it does not answer.
 *   Rebuilding it has ended, and gets a new rootfs (container_rebuild.c); started again if it ran.
 *
 * What is wanted is desired_running; what is waited for is c->waiting (a pod that is not ready, an image), c->start_after (Stopping on
 * the way to a restart), c->launch_when_gone (the last shim is on its way out), fill_pending() (a new volume's content).
 *
 * An event that the table has no row for is refused in words ("cannot pause: container is Exited") if a person sent it, and
 * is late news otherwise. An action returns the state it led to, or 0 for the one in its row. An action never handles another
 * event: it posts, and posted events are handled in order when the turn ends.
 *
 * The actions are in container_image.c, container_start.c, container_stop.c, container_pause.c, container_end.c and container_remove.c; what they share
 * is in container_act.h. */
#include "supervisor/container_act.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/dnsd.h"
#include "supervisor/logs.h"
#include "supervisor/rebuild.h"
#include "supervisor/set.h"
#include "supervisor/volume.h"

#include <errno.h>
#include <string.h>

#define STATE_N	    (S(UNKNOWN) + 1)
#define POLL_MAX_MS 50

struct row {
	state next;
	action *act; /* NULL: there is no such row */
};

/* clang-format off */
static const struct row rows[STATE_N][EV_N_] = {
	[S(CREATING)] = {
		[EV_STORED]	  = { S(CREATED),  act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_PULL]	  = { S(CREATING), act_pull },
		[EV_PULLED]	  = { S(CREATING), act_pulled },
		[EV_PULL_FAILED]  = { S(ERROR),	   act_pull_failed },
		[EV_STOP]	  = { S(CREATING), act_stop_pull },
		[EV_REMOVE]	  = { S(DELETING), act_remove },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_POD_FAILED]	  = { S(ERROR),    act_failed },
	},
	[S(CREATED)] = {
		[EV_STORED]	  = { S(CREATED),  act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_STOP]	  = { S(CREATED),  act_stop_ended },
		[EV_RESTART]	  = { S(STARTING), act_start },
		[EV_REMOVE]	  = { S(DELETING), act_remove },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_RENAME]	  = { S(CREATED),  act_allowed },
		[EV_UPDATE]	  = { S(CREATED),  act_allowed },
		[EV_COMMIT]	  = { S(CREATED),   act_allowed },
		[EV_REBUILD]	  = { S(CREATED), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(REBUILDING), act_rebuild },
		[EV_NET_READY]	  = { S(CREATED),  act_net_ready },
		[EV_NET_FAILED]	  = { S(ERROR),    act_net_failed },
		[EV_HELD]	  = { S(CREATED),  act_held },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_SHIM_GONE]	  = { S(CREATED),  act_shim_left },
		[EV_BOOT]	  = { S(CREATED),   act_boot },
		[EV_POD_FAILED]	  = { S(ERROR),    act_failed },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
		[EV_DOWN]	  = { S(CREATED),  act_down_created },
	},
	[S(STARTING)] = {
		[EV_STORED]	  = { S(STARTING), act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start_joins },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_STOP]	  = { S(STOPPING), act_stop_launch },
		[EV_RESTART]	  = { S(STOPPING), act_stop_launch },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove_running },
		[EV_RENAME]	  = { S(STARTING), act_allowed },
		[EV_FILLED]	  = { S(STARTING), act_filled },
		[EV_NET_READY]	  = { S(STARTING), act_net_ready },
		[EV_NET_FAILED]	  = { S(ERROR),    act_net_failed },
		[EV_HELD]	  = { S(CREATED),  act_held },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_SHIM_GONE]	  = { S(ERROR),    act_shim_lost_launching },
		[EV_NO_ANSWER]	  = { S(UNKNOWN),  act_no_answer },
		[EV_TIMER]	  = { S(ERROR),    act_timer_launch },
		[EV_BOOT]	  = { S(EXITED),   act_boot },
		[EV_DOWN]	  = { S(STOPPING), act_down_launch },
	},
	[S(RUNNING)] = {
		[EV_STORED]	  = { S(RUNNING),  act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(RUNNING),  act_start_running },
		[EV_STOP]	  = { S(STOPPING), act_stop },
		[EV_RESTART]	  = { S(STOPPING), act_stop },
		[EV_KILL]	  = { S(RUNNING),  act_kill },
		[EV_PAUSE]	  = { S(RUNNING),  act_pause },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove_running },
		[EV_RENAME]	  = { S(RUNNING),  act_allowed },
		[EV_UPDATE]	  = { S(RUNNING),  act_allowed },
		[EV_COMMIT]	  = { S(RUNNING),   act_allowed },
		[EV_REBUILD]	  = { S(RUNNING), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(STOPPING), act_rebuild_running },
		[EV_EXEC]	  = { S(RUNNING),  act_allowed },
		[EV_ATTACH]	  = { S(RUNNING),  act_allowed },
		[EV_RUNNING]	  = { S(RUNNING),  act_running_again },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_SHIM_GONE]	  = { S(STOPPING), act_shim_lost },
		[EV_NO_ANSWER]	  = { S(UNKNOWN),  act_no_answer },
		[EV_TIMER]	  = { S(RUNNING),  act_timer_running },
		[EV_BOOT]	  = { S(EXITED),   act_boot },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
		[EV_DOWN]	  = { S(STOPPING), act_down },
	},
	[S(PAUSED)] = {
		[EV_STORED]	  = { S(PAUSED),   act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_STOP]	  = { S(STOPPING), act_stop },
		[EV_RESTART]	  = { S(STOPPING), act_stop },
		[EV_KILL]	  = { S(RUNNING),  act_kill_paused },
		[EV_UNPAUSE]	  = { S(RUNNING),  act_unpause },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove_running },
		[EV_RENAME]	  = { S(PAUSED),   act_allowed },
		[EV_UPDATE]	  = { S(PAUSED),   act_allowed },
		[EV_COMMIT]	  = { S(PAUSED),    act_allowed },
		[EV_REBUILD]	  = { S(PAUSED), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(STOPPING), act_rebuild_running },
		[EV_ATTACH]	  = { S(PAUSED),   act_allowed },
		[EV_RUNNING]	  = { S(PAUSED),   act_running_again },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_SHIM_GONE]	  = { S(STOPPING), act_shim_lost },
		[EV_NO_ANSWER]	  = { S(UNKNOWN),  act_no_answer },
		[EV_BOOT]	  = { S(EXITED),   act_boot },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
		[EV_DOWN]	  = { S(STOPPING), act_down },
	},
	[S(STOPPING)] = {
		[EV_STORED]	  = { S(STOPPING), act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_STOP]	  = { S(STOPPING), act_stop_again },
		[EV_RESTART]	  = { S(STOPPING), act_stop_again },
		[EV_KILL]	  = { S(STOPPING), act_kill },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove_running },
		[EV_RENAME]	  = { S(STOPPING), act_allowed },
		[EV_ATTACH]	  = { S(STOPPING), act_allowed },
		[EV_HELD]	  = { S(STOPPING), act_running_unwanted },
		[EV_RUNNING]	  = { S(STOPPING), act_running_unwanted },
		[EV_FAILED]	  = { S(STOPPED),  act_failed_unwanted },
		[EV_EXITED]	  = { S(STOPPED),  act_exited },
		[EV_SHIM_GONE]	  = { S(STOPPING), act_shim_lost },
		[EV_NO_ANSWER]	  = { S(UNKNOWN),  act_no_answer },
		[EV_TIMER]	  = { S(STOPPING), act_timer_stop },
		[EV_BOOT]	  = { S(STOPPED),   act_boot },
		[EV_DOWN]	  = { S(STOPPING), act_down_stopping },
	},
	[S(EXITED)] = {
		[EV_STORED]	  = { S(EXITED),   act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_STOP]	  = { S(EXITED),   act_stop_ended },
		[EV_RESTART]	  = { S(STARTING), act_start },
		[EV_REMOVE]	  = { S(DELETING), act_remove },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_RENAME]	  = { S(EXITED),   act_allowed },
		[EV_UPDATE]	  = { S(EXITED),   act_allowed },
		[EV_COMMIT]	  = { S(EXITED),    act_allowed },
		[EV_REBUILD]	  = { S(EXITED), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(REBUILDING), act_rebuild },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_SHIM_GONE]	  = { S(EXITED),   act_shim_left },
		[EV_BOOT]	  = { S(EXITED),   act_boot },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_POD_FAILED]	  = { S(ERROR),    act_failed },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
	},
	[S(BACKOFF)] = {
		[EV_STORED]	  = { S(BACKOFF),  act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_STOP]	  = { S(STOPPED),  act_cancel_retry },
		[EV_RESTART]	  = { S(STARTING), act_start },
		[EV_KILL]	  = { S(STOPPED),  act_cancel_retry },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_RENAME]	  = { S(BACKOFF),  act_allowed },
		[EV_UPDATE]	  = { S(BACKOFF),  act_allowed },
		[EV_COMMIT]	  = { S(BACKOFF),   act_allowed },
		[EV_REBUILD]	  = { S(BACKOFF), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(REBUILDING), act_rebuild },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_SHIM_GONE]	  = { S(BACKOFF),  act_shim_left },
		[EV_TIMER]	  = { S(STARTING), act_timer_retry },
		[EV_BOOT]	  = { S(EXITED),   act_boot },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_POD_FAILED]	  = { S(ERROR),    act_failed },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
		[EV_DOWN]	  = { S(BACKOFF),  act_down_retry },
	},
	[S(STOPPED)] = {
		[EV_STORED]	  = { S(STOPPED),  act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_STOP]	  = { S(STOPPED),  act_stop_ended },
		[EV_RESTART]	  = { S(STARTING), act_start },
		[EV_REMOVE]	  = { S(DELETING), act_remove },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_RENAME]	  = { S(STOPPED),  act_allowed },
		[EV_UPDATE]	  = { S(STOPPED),  act_allowed },
		[EV_COMMIT]	  = { S(STOPPED),   act_allowed },
		[EV_REBUILD]	  = { S(STOPPED), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(REBUILDING), act_rebuild },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_SHIM_GONE]	  = { S(STOPPED),  act_shim_left },
		[EV_BOOT]	  = { S(STOPPED),   act_boot },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_POD_FAILED]	  = { S(ERROR),    act_failed },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
	},
	[S(ERROR)] = {
		[EV_STORED]	  = { S(ERROR),    act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
		[EV_STOP]	  = { S(ERROR),    act_stop_ended },
		[EV_RESTART]	  = { S(STARTING), act_start },
		[EV_REMOVE]	  = { S(DELETING), act_remove },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_RENAME]	  = { S(ERROR),    act_allowed },
		[EV_UPDATE]	  = { S(ERROR),    act_allowed },
		[EV_COMMIT]	  = { S(ERROR),     act_allowed },
		[EV_REBUILD]	  = { S(ERROR), act_rebuild_asked },
		[EV_REBUILD_BEGIN] = { S(REBUILDING), act_rebuild },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_SHIM_GONE]	  = { S(ERROR),    act_shim_left },
		[EV_BOOT]	  = { S(ERROR),   act_boot },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_POD_FAILED]	  = { S(ERROR),    act_failed },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
	},
	[S(DELETING)] = {
		[EV_STORED]	  = { S(DELETING), act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_REMOVE]	  = { S(DELETING), act_remove_again },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove_again },
		[EV_HELD]	  = { S(DELETING), act_running_deleted },
		[EV_RUNNING]	  = { S(DELETING), act_running_deleted },
		[EV_FAILED]	  = { S(DELETING), act_exited_deleted },
		[EV_EXITED]	  = { S(DELETING), act_exited_deleted },
		[EV_SHIM_GONE]	  = { S(DELETING), act_shim_gone_deleted },
		[EV_TIMER]	  = { S(DELETING), act_timer_deleting },
	},
	[S(REBUILDING)] = {
		[EV_REMOVE]	  = { S(DELETING), act_remove },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove },
		[EV_RENAME]	  = { S(REBUILDING), act_allowed },
		[EV_REBUILT]	  = { S(STOPPED),  act_rebuilt },
		[EV_TIMER]	  = { S(REBUILDING), act_timer_rebuilding },
		[EV_SHIM_GONE]	  = { S(REBUILDING), act_shim_gone_rebuilding },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
		[EV_BOOT]	  = { S(STOPPED),  act_boot },
	},
	[S(UNKNOWN)] = {
		[EV_STOP]	  = { S(STOPPING), act_kill_unknown },
		[EV_RESTART]	  = { S(STOPPING), act_kill_unknown },
		[EV_REMOVE_FORCE] = { S(DELETING), act_remove_running },
		[EV_RENAME]	  = { S(UNKNOWN),  act_allowed },
		[EV_RUNNING]	  = { S(RUNNING),  act_running },
		[EV_FAILED]	  = { S(ERROR),    act_failed },
		[EV_EXITED]	  = { S(EXITED),   act_exited },
		[EV_SHIM_GONE]	  = { S(STOPPING), act_shim_lost },
		[EV_BOOT]	  = { S(EXITED),   act_boot },
		[EV_LAUNCHING]	  = { S(STARTING), act_launching },
		[EV_DOWN]	  = { S(STOPPING), act_down_unknown },
	},
};
/* clang-format on */
static_assert(ARRAY_SIZE(rows) == STATE_N, "a state without its rows");

static const char *const state_names[STATE_N] = {
	[S(CREATING)] = "Creating", [S(CREATED)] = "Created",	[S(STARTING)] = "Starting",
	[S(RUNNING)] = "Running",   [S(PAUSED)] = "Paused",	[S(STOPPING)] = "Stopping",
	[S(EXITED)] = "Exited",	    [S(BACKOFF)] = "Backoff",	[S(STOPPED)] = "Stopped",
	[S(ERROR)] = "Error",	    [S(DELETING)] = "Deleting", [S(REBUILDING)] = "Rebuilding",
	[S(UNKNOWN)] = "Unknown",
};

const char *container_state_name(Berth__ContainerState s)
{
	return s > 0 && s < STATE_N && state_names[s] ? state_names[s] : "Unknown";
}

bool container_row_exists(Berth__ContainerState s, enum container_event_type type)
{
	return s > 0 && s < STATE_N && type < EV_N_ && rows[s][type].act;
}

bool container_has_process(const struct container *c)
{
	state s = container_state(c);

	return s == S(STARTING) || s == S(RUNNING) || s == S(PAUSED) || s == S(STOPPING);
}

static bool is_ended(state s)
{
	return s == S(EXITED) || s == S(STOPPED) || s == S(ERROR);
}

/* ---------------------------------------------------------------- the driver */

static void set_state(struct container *c, state s)
{
	if (c->obj->status->has_state && c->obj->status->state == s)
		return;
	log_debug("container %s: %s -> %s", c->node.uuid, container_state_name(container_state(c)),
		  container_state_name(s));
	SET(c->obj->status, state, s);
	container_touch(c);
	if (is_ended(s))
		logs_container_changed(c->sv, c->node.uuid);
	if (!container_has_process(c))
		volume_tidy_soon(c->sv);
	/* Its name leads to the pod's addresses while it has a process. */
	if (c->pod && container_net(c) != &c->net)
		dnsd_holder(container_net(c));
}

static int refuse(const struct container *c, const struct event *ev, struct err *e)
{
	const char *hint = ev->type == EV_REMOVE ? " (stop it first, or force the removal)" : "";

	return err_set(e, 0, "state", "cannot %s: container is %s%s", ev->verb ? ev->verb : "do that",
		       container_state_name(container_state(c)), hint);
}

/* Answers show the container, so they are given when its state is what the action led to. */
void container_answer(struct container *c, unsigned kinds)
{
	c->answers |= kinds;
}

static void answer_now(struct container *c)
{
	unsigned kinds = c->answers;

	c->answers = 0;
	if (kinds)
		waiters_answer(c, kinds);
}

void container_owe(struct container *c, enum waiter_kind kind, struct event *ev)
{
	if (waiter_add(c, kind, ev->parked, -1) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

/* What is being done to it now, for a person: the verb that was asked for, else what the state says. */
static const char *task_now(const struct container *c)
{
	switch (container_state(c)) {
	case S(CREATING):
		return c->obj->pull ? "pull" : "create";
	case S(STARTING):
		return c->task ? c->task : c->obj->status->restart_count ? "restart" : "start";
	case S(STOPPING):
		return c->task ? c->task : "stop";
	case S(DELETING):
		return "remove";
	case S(REBUILDING):
		return "rebuild";
	default:
		if (c->freezing)
			return "pause";
		return c->phase ? (c->task ? c->task : "kill") : NULL;
	}
}

static void task_set(struct container *c, const struct event *ev)
{
	static const unsigned tasks = 1u << EV_START | 1u << EV_STOP | 1u << EV_RESTART | 1u << EV_KILL |
				      1u << EV_PAUSE | 1u << EV_UNPAUSE | 1u << EV_REMOVE | 1u << EV_REMOVE_FORCE;
	Berth__ContainerStatus *st = c->obj->status;
	const char *task;

	if (ev->verb && tasks >> ev->type & 1)
		c->task = ev->verb;
	task = task_now(c);
	if (!task)
		c->task = NULL;
	if (task ? st->task && !strcmp(st->task, task) : !st->task)
		return;
	if (task)
		set_text(&st->task, "%s", task);
	else
		set_null(&st->task);
	container_touch(c);
}

static int event_happens(struct container *c, struct event *ev, struct err *e)
{
	state now = container_state(c), next;
	const struct row *row = &rows[now < STATE_N ? now : 0][ev->type];

	if (!row->act) {
		refuse(c, ev, e);
		close_fd(&ev->session_fd);
		close_fd(&ev->shim_session_fd);
		return -EBUSY;
	}
	next = row->act(c, ev);
	set_state(c, next ? next : row->next);
	rebuild_look(c);
	task_set(c, ev);
	answer_now(c);
	/* What the action did not take. */
	close_fd(&ev->session_fd);
	close_fd(&ev->shim_session_fd);
	return 0;
}

/* What follows from a request, by the shim's word or a timer, is told with that request's id. */
int container_event(struct container *c, struct event *ev, struct err *e)
{
	bool asked = *log_about_now();
	int r;

	if (!asked)
		log_about(c->request_id);
	r = event_happens(c, ev, e);
	if (!asked)
		log_about(NULL);
	return r;
}

_Static_assert(EV_N_ <= 64, "container.posted has a bit for each");

void container_post(struct container *c, enum container_event_type type)
{
	c->posted |= 1ull << type;
	if (list_empty(&c->step))
		list_push(&c->sv->steps, &c->step);
}

void container_post_failure(struct container *c, const struct err *e)
{
	c->failure = *e;
	container_post(c, EV_FAILED);
}

static void step_container(struct container *c)
{
	while (c->posted) {
		unsigned type = (unsigned)__builtin_ctzll(c->posted);
		struct event ev = EVENT(type);

		c->posted &= ~(1ull << type);
		if (type == EV_DELETED) {
			container_vanish(c);
			return;
		}
		container_event(c, &ev, NULL);
	}
}

void container_step_all(struct supervisor *sv)
{
	struct container *c;

	while ((c = list_pop(&sv->steps, struct container, step)))
		step_container(c);
	container_flush_all(sv);
}

/* ---------------------------------------------------------------- its timer */

static void on_timer(struct timer *t)
{
	struct container *c = container_of(t, struct container, timer);
	struct event ev = EVENT(EV_TIMER);

	container_event(c, &ev, NULL);
}

void container_arm(struct container *c, uint64_t ns)
{
	/* Without memory for a timer the deadline is lost; the next event puts things right. The heap has grown long before. */
	if (timer_in(&c->sv->loop, &c->timer, ns, on_timer) < 0)
		log_error("container %s: no memory for a timer", c->node.uuid);
}

void container_poll_begin(struct container *c)
{
	c->step_at_ns = now_ns();
	c->poll_ms = 1;
	container_arm(c, NS_PER_MS);
}

void container_poll_again(struct container *c)
{
	c->poll_ms = c->poll_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : c->poll_ms * 2;
	container_arm(c, c->poll_ms * NS_PER_MS);
}

bool container_step_older_than(const struct container *c, uint64_t ns)
{
	return now_ns() - c->step_at_ns >= ns;
}

state act_allowed(struct container *c, struct event *ev)
{
	return 0;
}

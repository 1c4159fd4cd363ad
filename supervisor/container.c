/* supervisor/container.c - the state machine of a container. The only file that writes status.state.
 *
 * What a container is at any time:
 *
 *   Creating   its row is on the way to the disk. A create that also starts goes on to Starting without waiting for that.
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
 *   Rebuilding nobody enters it yet.
 *
 * What is wanted is desired_running; what is waited for is c->waiting (a pod that is not ready), c->start_after (Stopping on
 * the way to a restart), c->launch_when_gone (the last shim is on its way out), fill_pending() (a new volume's content).
 *
 * An event that the table has no row for is refused in words ("cannot pause: container is Exited") if a person sent it, and
 * is late news otherwise. An action returns the state it led to, or 0 for the one in its row. An action never handles another
 * event: it posts, and posted events are handled in order when the turn ends. */
#include "supervisor/container.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/exec.h"
#include "supervisor/fill.h"
#include "supervisor/launch.h"
#include "supervisor/logs.h"
#include "supervisor/names.h"
#include "supervisor/plan.h"
#include "supervisor/pod.h"
#include "supervisor/remove.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define S(name) BERTH__CONTAINER_STATE__CONTAINER_STATE_##name
#define STATE_N (S(UNKNOWN) + 1)

#define LAUNCH_DEADLINE_NS ((PLAN_TIMEOUT_MS + 5000) * NS_PER_MS) /* the shim's own, and a little for its report */
#define KILL_DEADLINE_NS   (5 * NS_PER_S)			  /* from SIGKILL to "does not die" */
#define STUCK_LOOK_NS	   (1 * NS_PER_S)
#define FREEZE_DEADLINE_NS (5 * NS_PER_S)
#define BYE_DEADLINE_NS	   (5 * NS_PER_S)
#define POLL_MAX_MS	   50

typedef Berth__ContainerState state;
typedef state action(struct container *c, struct event *ev);

enum end_phase {
	PHASE_NONE,
	PHASE_SIGNALLED, /* the stop signal was sent; SIGKILL at the deadline (also of what is Deleting) */
	PHASE_KILLED,	 /* everything in its group was killed */
	PHASE_STUCK,	 /* … and did not die */
	PHASE_SHIM_LOST, /* its shim is gone; what it left is being killed */
};

static action act_stored, act_undo, act_start, act_start_running, act_start_joins, act_held, act_stop, act_stop_again,
	act_stop_launch, act_stop_ended, act_cancel_retry, act_kill, act_kill_paused, act_kill_unknown, act_pause,
	act_unpause, act_remove, act_remove_running, act_remove_again, act_running, act_running_again,
	act_running_unwanted, act_running_deleted, act_failed, act_failed_unwanted, act_exited, act_exited_deleted,
	act_shim_lost, act_shim_lost_launching, act_shim_left, act_shim_gone_deleted, act_no_answer, act_timer_launch,
	act_timer_running, act_timer_stop, act_timer_retry, act_timer_deleting, act_allowed, act_boot, act_launching,
	act_filled, act_down, act_down_created, act_down_launch, act_down_stopping, act_down_retry, act_down_unknown;

static state shim_lost_ended(struct container *c);
static state stay_ended(struct container *c, bool asked);

struct row {
	state next;
	action *act; /* NULL: there is no such row */
};

static const struct row rows[STATE_N][EV_N_] = {
	/* clang-format off */
	[S(CREATING)] = {
		[EV_STORED]	  = { S(CREATED),  act_stored },
		[EV_STORE_FAILED] = { S(DELETING), act_undo },
		[EV_START]	  = { S(STARTING), act_start },
		[EV_LAUNCH]	  = { S(STARTING), act_start },
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
	/* clang-format on */
};
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
}

static int refuse(const struct container *c, const struct event *ev, struct err *e)
{
	const char *hint = ev->type == EV_REMOVE ? " (stop it first, or force the removal)" : "";

	return err_set(e, 0, "state", "cannot %s: container is %s%s", ev->verb ? ev->verb : "do that",
		       container_state_name(container_state(c)), hint);
}

/* Answers show the container, so they are given when its state is what the action led to. */
static void answer(struct container *c, unsigned kinds)
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

/* What is being done to it now, for a person: the verb that was asked for, else what the state says. */
static const char *task_now(const struct container *c)
{
	switch (container_state(c)) {
	case S(CREATING):
		return "create";
	case S(STARTING):
		return c->task ? c->task : c->obj->status->restart_count ? "restart" : "start";
	case S(STOPPING):
		return c->task ? c->task : "stop";
	case S(DELETING):
		return "remove";
	default:
		if (c->freezing)
			return "pause";
		return c->phase ? (c->task ? c->task : "kill") : NULL;
	}
}

static void task_set(struct container *c, const struct event *ev)
{
	static const unsigned tasks = 1u << EV_START | 1u << EV_STOP | 1u << EV_RESTART | 1u << EV_KILL | 1u << EV_PAUSE |
				      1u << EV_UNPAUSE | 1u << EV_REMOVE | 1u << EV_REMOVE_FORCE;
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

int container_event(struct container *c, struct event *ev, struct err *e)
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
	task_set(c, ev);
	answer_now(c);
	/* What the action did not take. */
	close_fd(&ev->session_fd);
	close_fd(&ev->shim_session_fd);
	return 0;
}

void container_post(struct container *c, enum container_event_type type)
{
	c->posted |= 1u << type;
	if (list_empty(&c->step))
		list_push(&c->sv->steps, &c->step);
}

static void post_failure(struct container *c, const struct err *e)
{
	c->failure = *e;
	container_post(c, EV_FAILED);
}

static void step_container(struct container *c)
{
	while (c->posted) {
		unsigned type = (unsigned)__builtin_ctz(c->posted);
		struct event ev = EVENT(type);

		c->posted &= ~(1u << type);
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

static void on_timer(struct timer *t)
{
	struct container *c = container_of(t, struct container, timer);
	struct event ev = EVENT(EV_TIMER);

	container_event(c, &ev, NULL);
}

static void arm(struct container *c, uint64_t ns)
{
	/* Without memory for a timer the deadline is lost; the next event puts things right. The heap has grown long before. */
	if (timer_in(&c->sv->loop, &c->timer, ns, on_timer) < 0)
		log_error("container %s: no memory for a timer", c->node.uuid);
}

void container_rearm(struct container *c)
{
	int64_t left = c->obj->status->next_retry_at - wall_ns();

	if (container_state(c) == S(STARTING))
		arm(c, LAUNCH_DEADLINE_NS);
	/* A clock that was set meanwhile makes nobody wait for longer than the policy can mean. */
	else if (container_state(c) == S(BACKOFF))
		arm(c, left > 0 && (uint64_t)left <= 2 * POLICY_MAX_DELAY_NS ? (uint64_t)left : 0);
}

static void poll_begin(struct container *c)
{
	c->step_at_ns = now_ns();
	c->poll_ms = 1;
	arm(c, NS_PER_MS);
}

static void poll_again(struct container *c)
{
	c->poll_ms = c->poll_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : c->poll_ms * 2;
	arm(c, c->poll_ms * NS_PER_MS);
}

static bool step_older_than(const struct container *c, uint64_t ns)
{
	return now_ns() - c->step_at_ns >= ns;
}

/* ---------------------------------------------------------------- its group */

static bool group_is_populated(struct container *c)
{
	AUTO_FD fd = -1;

	return container_group_open(c, &fd) == 0 && cg_is_populated(fd) == 1;
}

static void group_kill(struct container *c)
{
	AUTO_FD fd = -1;
	int r = container_group_open(c, &fd);

	if (!r)
		r = cg_kill(fd);
	if (r < 0 && r != -ENOENT)
		log_error("container %s: kill its group: %s", c->node.uuid, strerror(-r));
}

static int group_freeze(struct container *c, bool on)
{
	AUTO_FD fd = -1;
	int r = container_group_open(c, &fd);

	return r < 0 ? r : cg_freeze(fd, on);
}

static void group_bury(struct container *c)
{
	char path[160];

	container_group_path(c, path, sizeof path);
	cg_bury(&c->sv->graveyard, c->sv->cg.root_fd, path);
}

/* ---------------------------------------------------------------- starting */

static state launch(struct container *c, bool hold)
{
	struct err e;
	int r;

	c->ran = c->held = c->freezing = c->waiting = c->start_after = c->launch_when_gone = false;
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
	arm(c, LAUNCH_DEADLINE_NS);
	if (c->shim && c->bye_sent) {
		c->launch_when_gone = true;
		return S(STARTING);
	}
	if (r > 0)
		r = launch_container(c, hold, &e);
	if (r < 0)
		post_failure(c, &e);
	return S(STARTING);
}

static state act_filled(struct container *c, struct event *ev)
{
	return launch(c, c->hold);
}

/* Starts it, or lets it wait in the state it is in for its pod to be ready. */
static state start(struct container *c, state waits_in)
{
	struct err e;
	char why[256];
	int r;

	timer_del(&c->timer);
	snprintf(why, sizeof why, "the host is going down");
	r = c->sv->going_down ? 0 : pod_admit(c->pod, c, why, sizeof why, &e);
	if (r > 0)
		return launch(c, false);
	if (r < 0) {
		post_failure(c, &e);
		return S(STARTING);
	}
	c->waiting = true;
	set_text(&c->obj->status->status_reason, "%s", why);
	container_touch(c);
	return waits_in;
}

/* Kept with the status too: a berthd that comes back goes on with the backoff where it was. */
static void history_set(struct container *c, struct history h)
{
	c->history = h;
	SET(c->obj->status, failures_in_row, h.failures);
	SET(c->obj->status, restart_count, h.restarts);
}

/* A start that a person asked for, or that stands in for one: history begins anew. */
static void start_is_wanted(struct container *c)
{
	Berth__ContainerStatus *st = c->obj->status;

	SET(st, desired_running, 1);
	SET(st, stop_requested, 0);
	set_null(&st->restart_decision);
	history_set(c, (struct history){0});
}

static void answer_started(struct container *c)
{
	if (c->stored && c->ran)
		answer(c, WAIT_BIT(WAIT_STARTED));
}

static void take_session(struct container *c, struct event *ev)
{
	close_fd(&c->session_fd);
	c->session_fd = take_fd(&ev->shim_session_fd);
}

static state act_start(struct container *c, struct event *ev)
{
	if (ev->type == EV_LAUNCH) {
		c->by_person = c->by_person && c->waiting;
		SET(c->obj->status, desired_running, 1);
		return start(c, container_state(c));
	}
	c->by_person = true;
	start_is_wanted(c);
	take_session(c, ev);
	if (waiter_add(c, ev->type == EV_RESTART ? WAIT_RESTARTED : WAIT_STARTED, ev->parked,
		       take_fd(&ev->session_fd)) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	if (c->held) {
		c->held = false;
		c->waiting = false;
		arm(c, LAUNCH_DEADLINE_NS);
		exec_release(c);
		return S(STARTING);
	}
	return start(c, container_state(c));
}

/* It runs: that is what was wanted. With a session, that is attached now. */
static state act_start_running(struct container *c, struct event *ev)
{
	if (ev->shim_session_fd >= 0)
		exec_attach(c, ev->shim_session_fd, c->obj->spec->stdin_open, 0, 0);
	if (c->stored)
		answer_container(c, ev->parked, take_fd(&ev->session_fd));
	else if (waiter_add(c, WAIT_STARTED, ev->parked, take_fd(&ev->session_fd)) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	return 0;
}

static state act_start_joins(struct container *c, struct event *ev)
{
	if (ev->shim_session_fd >= 0 && c->session_fd < 0)
		take_session(c, ev);
	if (waiter_add(c, WAIT_STARTED, ev->parked, take_fd(&ev->session_fd)) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	return 0;
}

static state act_stored(struct container *c, struct event *ev)
{
	c->stored = true;
	c->row_queued = false;
	answer_started(c);
	/* hold_before_exec: the process is made now, and stops before exec. */
	if (container_state(c) == S(CREATING) && c->obj->spec->hold_before_exec)
		return launch(c, true);
	answer(c, WAIT_BIT(WAIT_CREATED));
	if (container_state(c) == S(DELETING) && c->phase != PHASE_SIGNALLED)
		remove_continue(c);
	return 0;
}

/* It could not be stored, so it never was. */
static state act_undo(struct container *c, struct event *ev)
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

static state act_held(struct container *c, struct event *ev)
{
	timer_del(&c->timer);
	c->held = true;
	SET(c->obj->status, pid, ev->running ? ev->running->pid : 0);
	SET(c->obj->status, shim_pid, c->shim ? shimlink_pid(c->shim) : 0);
	answer(c, WAIT_BIT(WAIT_CREATED));
	container_touch(c);
	return 0;
}

/* Whatever happens to it now, the create that also started it has done both. */
static void note_ran(struct container *c)
{
	c->ran = true;
	if (!c->obj->start_or_remove)
		return;
	SET(c->obj, start_or_remove, 0);
	container_touch(c);
}

static void note_running(struct container *c, const Shim__Running *r)
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

static state act_running(struct container *c, struct event *ev)
{
	static const Shim__Running nothing = SHIM__RUNNING__INIT;

	timer_del(&c->timer);
	note_ran(c);
	c->waiting = false;
	note_running(c, ev->running ? ev->running : &nothing);
	set_text(&c->obj->status->status_reason, "%s", "");
	SET(c->obj->meta, observed_generation, c->obj->meta->generation);
	container_publish(c, "start", NULL, NULL);
	answer_started(c);
	answer(c, WAIT_BIT(WAIT_RESTARTED));
	return 0;
}

/* At re-adoption: nothing happened, except perhaps to the freezer. */
static state act_running_again(struct container *c, struct event *ev)
{
	AUTO_FD fd = -1;

	note_ran(c);
	if (ev->running && ev->running->incarnation == c->obj->status->incarnation)
		note_running(c, ev->running);
	if (container_group_open(c, &fd) < 0)
		return 0;
	return cg_is_frozen(fd) == 1 ? S(PAUSED) : S(RUNNING);
}

/* The container has ended for good: its shim is not needed any more. */
static void bye(struct container *c)
{
	if (!c->shim || c->bye_sent)
		return;
	c->bye_sent = true;
	shimlink_bye(c->shim);
}

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

static state remove_own(struct container *c)
{
	removal_record(c);
	return remove_begin(c);
}

static state retry(struct container *c, const struct decision *d)
{
	Berth__ContainerStatus *st = c->obj->status;
	const char *name = c->obj->meta->name;

	c->by_person = false;
	if (d->alarm)
		log_warn("container %s (%s) ends again and again: %s", name, c->node.uuid, d->why);
	audit_own(c->sv, "restart", "container", c->obj->meta, true, true, d->why);
	container_publish(c, "restart", d->why, NULL);
	if (!d->delay_ns)
		return start(c, S(BACKOFF));
	SET(st, next_retry_at, wall_ns() + (int64_t)d->delay_ns);
	arm(c, d->delay_ns);
	return S(BACKOFF);
}

static state act_failed(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;
	struct ending end = {.start_failed = true, .by_person = c->by_person};
	struct decision d;
	char text[512];
	unsigned jitter = 0;

	timer_del(&c->timer);
	close_fd(&c->session_fd);
	group_bury(c);
	SET(st, pid, 0);
	SET(st, finished_at, wall_ns());
	err_format(&c->failure, text, sizeof text);
	set_text(&st->status_reason, "%s", text);
	container_publish(c, "start_failed", text, NULL);
	/* Both or nothing: who asked for both hears of the failure when nothing is left (container_vanish). */
	if (c->obj->start_or_remove)
		return remove_begin(c);
	waiters_fail(c, WAIT_BIT(WAIT_STARTED) | WAIT_BIT(WAIT_RESTARTED) | WAIT_BIT(WAIT_CREATED),
		     BERTH__ERROR__CODE__START_FAILED, &c->failure);
	if (c->by_person && c->obj->spec->auto_remove)
		return remove_own(c);
	getrandom(&jitter, sizeof jitter, GRND_NONBLOCK);
	d = policy_decide(c->obj->spec->restart, &c->history, &end, jitter);
	history_set(c, d.history);
	set_text(&st->restart_decision, "%s", d.why);
	if (d.verdict == VERDICT_RESTART)
		return retry(c, &d);
	SET(st, desired_running, 0);
	answer(c, WAIT_BIT(WAIT_NOT_RUNNING) | WAIT_BIT(WAIT_NEXT_EXIT));
	bye(c);
	pod_member_ended(c->pod, c);
	return 0;
}

/* It was to be stopped before it came as far as running. */
static state act_failed_unwanted(struct container *c, struct event *ev)
{
	c->failure = (struct err){0};
	c->exit_known = false;
	return act_exited(c, ev);
}

static state act_shim_lost_launching(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	if (c->launch_when_gone)
		return launch(c, false);
	group_kill(c);
	err_set(&c->failure, 0, "shim", "the shim died during the launch");
	return act_failed(c, ev);
}

static state act_timer_launch(struct container *c, struct event *ev)
{
	group_kill(c);
	if (c->shim)
		shimlink_kill(c->shim);
	err_set(&c->failure, ETIMEDOUT, "shim", "no report of the launch within %u s",
		(unsigned)(LAUNCH_DEADLINE_NS / NS_PER_S));
	return act_failed(c, ev);
}

/* ---------------------------------------------------------------- ending, because somebody asks */

static void add_waiter(struct container *c, enum waiter_kind kind, struct event *ev)
{
	if (waiter_add(c, kind, ev->parked, -1) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

static void end_is_wanted(struct container *c, struct event *ev)
{
	SET(c->obj->status, stop_requested, 1);
	c->waiting = false;
	if (ev->type == EV_RESTART) {
		c->start_after = true;
		add_waiter(c, WAIT_RESTARTED, ev);
	} else {
		c->start_after = false;
		SET(c->obj->status, desired_running, 0);
		add_waiter(c, WAIT_ENDED, ev);
	}
	container_touch(c);
}

static void kill_all(struct container *c)
{
	c->phase = PHASE_KILLED;
	group_kill(c);
	arm(c, KILL_DEADLINE_NS);
}

static uint64_t stop_timeout_ns(const struct container *c, const struct event *ev)
{
	return (ev->has_timeout ? ev->timeout_s : c->obj->spec->stop_timeout_s) * NS_PER_S;
}

static int stop_signal(const struct container *c)
{
	int sig;

	return c->obj->spec->stop_signal && !str_to_signal(c->obj->spec->stop_signal, &sig) ? sig : SIGTERM;
}

static void freeze_forget(struct container *c, const char *why)
{
	struct err e;

	if (!c->freezing)
		return;
	c->freezing = false;
	group_freeze(c, false);
	err_set(&e, 0, "pause", "%s", why);
	waiters_fail(c, WAIT_BIT(WAIT_PAUSED), BERTH__ERROR__CODE__CONFLICT, &e);
}

/* A frozen process takes no signal but SIGKILL: whoever wants to end it or to tell it something wants it to run. That it does not
 * stay paused is an event and an action of its own. */
static int thaw(struct container *c, const char *sig_name)
{
	char why[64];
	int r = container_state(c) == S(PAUSED) ? group_freeze(c, false) : 0;

	if (r < 0 || container_state(c) != S(PAUSED))
		return r;
	snprintf(why, sizeof why, "thawed, so that %s reaches it", sig_name);
	audit_own(c->sv, "unpause", "container", c->obj->meta, true, true, why);
	container_publish(c, "unpause", why, NULL);
	return 0;
}

static void stop_begin(struct container *c, uint64_t timeout_ns)
{
	int sig = stop_signal(c);
	char name[32];

	freeze_forget(c, "the container is being stopped");
	(void)thaw(c, signal_name(sig, name, sizeof name)); /* if not, SIGKILL follows */
	if (!timeout_ns || sig == SIGKILL || !c->shim) {
		kill_all(c);
		return;
	}
	c->phase = PHASE_SIGNALLED;
	shimlink_signal(c->shim, c->obj->status->incarnation, sig);
	arm(c, timeout_ns);
}

static state act_stop(struct container *c, struct event *ev)
{
	end_is_wanted(c, ev);
	stop_begin(c, stop_timeout_ns(c, ev));
	return 0;
}

/* A shorter deadline counts, a longer one does not; a restart turns into a stop and the other way round: the last word counts. */
static state act_stop_again(struct container *c, struct event *ev)
{
	uint64_t timeout_ns = stop_timeout_ns(c, ev);

	end_is_wanted(c, ev);
	if (c->phase == PHASE_SIGNALLED && c->timer.at_ns > now_ns() + timeout_ns) {
		if (timeout_ns)
			arm(c, timeout_ns);
		else
			kill_all(c);
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
	kill_all(c);
	return 0;
}

static state act_stop_launch(struct container *c, struct event *ev)
{
	end_is_wanted(c, ev);
	c->asked_until_ns = UINT64_MAX;
	return launch_cancel(c, ev, "stopped before it ran");
}

static state act_running_unwanted(struct container *c, struct event *ev)
{
	if (!c->adopting) {
		kill_all(c);
		return 0;
	}
	note_ran(c);
	note_running(c, ev->running);
	/* That stop was over, and it was started again. */
	if (c->newer) {
		SET(c->obj->status, desired_running, 1);
		return S(RUNNING);
	}
	/* berthd died in the middle of a stop: the signal may or may not have been sent. */
	stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);
	return 0;
}

static state act_stop_ended(struct container *c, struct event *ev)
{
	if (c->waiting || c->obj->status->desired_running) {
		c->waiting = false;
		SET(c->obj->status, desired_running, 0);
		set_text(&c->obj->status->status_reason, "%s", "");
		container_touch(c);
	}
	if (c->held) {
		end_is_wanted(c, ev);
		kill_all(c);
		return S(STOPPING);
	}
	reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

static state act_cancel_retry(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;

	timer_del(&c->timer);
	c->waiting = false;
	SET(st, desired_running, 0);
	SET(st, stop_requested, 1);
	SET(st, next_retry_at, 0);
	set_text(&st->status_reason, "stopped while waiting to be started again");
	container_touch(c);
	bye(c);
	answer(c, WAIT_BIT(WAIT_NOT_RUNNING) | WAIT_BIT(WAIT_NEXT_EXIT));
	pod_member_ended(c->pod, c);
	reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

/* SIGKILL goes to everything in the group and is answered when it is dead; any other signal to pid 1, answered at once. The
 * state follows what is seen. An end by SIGKILL was asked for, and one by the stop signal if it comes soon. */
static state act_kill(struct container *c, struct event *ev)
{
	char name[32];

	signal_name(ev->signal, name, sizeof name);
	container_publish(c, "kill", name, (const char *const[]){"signal", name, NULL});
	if (ev->signal == SIGKILL) {
		c->asked_until_ns = UINT64_MAX;
		freeze_forget(c, "the container was killed");
		add_waiter(c, WAIT_ENDED, ev);
		kill_all(c);
		return 0;
	}
	if (ev->signal == stop_signal(c))
		c->asked_until_ns = now_ns() + c->obj->spec->stop_timeout_s * NS_PER_S;
	if (!c->shim || shimlink_signal(c->shim, c->obj->status->incarnation, ev->signal) < 0)
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "the shim takes no signal");
	else
		reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

static state act_kill_paused(struct container *c, struct event *ev)
{
	char name[32];
	int r = thaw(c, signal_name(ev->signal, name, sizeof name));

	if (r < 0 && ev->signal != SIGKILL) {
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "cannot unpause: %s", strerror(-r));
		return S(PAUSED);
	}
	return act_kill(c, ev);
}

/* Its shim does not answer: both are killed, and what comes of it is seen when the shim is gone. */
static state act_kill_unknown(struct container *c, struct event *ev)
{
	end_is_wanted(c, ev);
	kill_all(c);
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

static void stuck(struct container *c)
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
static void look_whether_dead(struct container *c)
{
	if (!group_is_populated(c)) {
		/* They are dead and the shim has not said so: it is the one that hangs. */
		if (c->shim)
			shimlink_kill(c->shim);
	} else if (c->phase != PHASE_STUCK) {
		stuck(c);
	}
	arm(c, STUCK_LOOK_NS);
}

static state act_timer_stop(struct container *c, struct event *ev)
{
	switch ((enum end_phase)c->phase) {
	case PHASE_SHIM_LOST:
		if (!group_is_populated(c))
			return shim_lost_ended(c);
		if (step_older_than(c, KILL_DEADLINE_NS) && !c->obj->status->process_stuck) {
			stuck(c);
			c->phase = PHASE_SHIM_LOST;
		}
		poll_again(c);
		return 0;
	case PHASE_KILLED:
	case PHASE_STUCK:
		look_whether_dead(c);
		return 0;
	case PHASE_NONE:
	case PHASE_SIGNALLED:
	default:
		kill_all(c);
		return 0;
	}
}

/* ---------------------------------------------------------------- the host goes down: what is wanted stays as it is */

static state act_down(struct container *c, struct event *ev)
{
	set_text(&c->obj->status->status_reason, "stopped because the host goes down");
	container_touch(c);
	stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);
	return 0;
}

/* What is held before its exec is a process too. */
static state act_down_created(struct container *c, struct event *ev)
{
	if (!c->held)
		return 0;
	kill_all(c);
	return S(STOPPING);
}

static state act_down_launch(struct container *c, struct event *ev)
{
	return launch_cancel(c, ev, "the host is going down");
}

/* A stop that somebody asked for goes on; of a restart the second half is left to the policy at boot. */
static state act_down_stopping(struct container *c, struct event *ev)
{
	if (!c->start_after)
		return 0;
	c->start_after = false;
	SET(c->obj->status, stop_requested, 0);
	container_touch(c);
	return 0;
}

static state act_down_retry(struct container *c, struct event *ev)
{
	timer_del(&c->timer);
	return 0;
}

static state act_down_unknown(struct container *c, struct event *ev)
{
	kill_all(c);
	if (c->shim)
		shimlink_kill(c->shim);
	return 0;
}

/* ---------------------------------------------------------------- pausing */

static state freeze_look(struct container *c)
{
	AUTO_FD fd = -1;
	int r = container_group_open(c, &fd);

	if (!r)
		r = cg_is_frozen(fd);
	if (r == 1) {
		c->freezing = false;
		container_publish(c, "pause", NULL, NULL);
		answer(c, WAIT_BIT(WAIT_PAUSED));
		return S(PAUSED);
	}
	if (r < 0 || step_older_than(c, FREEZE_DEADLINE_NS))
		freeze_forget(c, "it could not be frozen: a process of it is in a system call that does not end");
	else
		poll_again(c);
	return S(RUNNING);
}

static state act_pause(struct container *c, struct event *ev)
{
	int r = c->phase == PHASE_NONE ? group_freeze(c, true) : -EBUSY;

	if (r < 0) {
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cannot pause: %s", strerror(-r));
		return 0;
	}
	add_waiter(c, WAIT_PAUSED, ev);
	c->freezing = true;
	poll_begin(c);
	return freeze_look(c);
}

static state act_unpause(struct container *c, struct event *ev)
{
	int r = group_freeze(c, false);

	if (r < 0) {
		reply_error(c->sv, ev->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "cannot unpause: %s", strerror(-r));
		return S(PAUSED);
	}
	container_publish(c, "unpause", NULL, NULL);
	reply_done(c->sv, ev->parked, c->node.uuid);
	return 0;
}

static state act_timer_running(struct container *c, struct event *ev)
{
	if (c->freezing)
		return freeze_look(c);
	if (c->phase == PHASE_KILLED || c->phase == PHASE_STUCK)
		look_whether_dead(c);
	return 0;
}

static state act_timer_retry(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;

	if (!policy_retries(c->obj->spec->restart, &c->history)) {
		SET(st, next_retry_at, 0);
		set_text(&st->restart_decision, "the policy was changed while it waited: no restart");
		container_touch(c);
		return stay_ended(c, false);
	}
	return start(c, S(BACKOFF));
}

/* ---------------------------------------------------------------- the end */

static void exit_words(const struct container *c, char *buf, size_t size)
{
	const Shim__ExitRecord *x = &c->exit;
	char name[32];

	if (!c->exit_known)
		snprintf(buf, size, c->ran ? "its shim died: exit status unknown" : "it never ran");
	else if (x->signal)
		snprintf(buf, size, "killed by %s%s%s", signal_name(x->signal, name, sizeof name),
			 x->core_dumped ? " (core dumped)" : "", x->oom_kills ? ", out of memory" : "");
	else
		snprintf(buf, size, "exited with %d%s", x->code,
			 x->oom_kills ? ", processes of it were killed: out of memory" : "");
}

static void record_exit(struct container *c)
{
	Berth__ContainerStatus *st = c->obj->status;
	Berth__ExitInfo *info = calloc(1, sizeof *info);
	const Shim__ExitRecord *x = &c->exit;
	char words[128], code[16];

	exit_words(c, words, sizeof words);
	snprintf(code, sizeof code, "%d", x->signal ? 128 + x->signal : x->code);
	SET(st, pid, 0);
	SET(st, finished_at, c->exit_known && x->finished_at ? x->finished_at : wall_ns());
	if (c->exit_known && x->oom_known)
		SET(st, oom_kills, x->oom_kills);
	set_text(&st->status_reason, "%s", words);
	if (info) {
		berth__exit_info__init(info);
		SET(info, incarnation, st->incarnation);
		SET(info, known, c->exit_known);
		if (c->exit_known) {
			SET(info, code, x->signal ? 128 + x->signal : x->code);
			SET(info, signal, x->signal);
			SET(info, core_dumped, x->core_dumped);
			SET(info, oom_killed, x->oom_kills != 0);
			SET(info, oom_kills, x->oom_kills);
		}
		SET(info, started_at, c->exit_known && x->started_at ? x->started_at : st->started_at);
		SET(info, finished_at, st->finished_at);
		set_text(&info->reason, "%s", words);
		if (st->last_exit)
			berth__exit_info__free_unpacked(st->last_exit, NULL);
		st->last_exit = info;
	}
	container_publish(c, "die", words, c->exit_known ? (const char *const[]){"exit_code", code, NULL} : NULL);
	container_touch(c);
}

static struct ending ending_of(const struct container *c, bool asked)
{
	const Berth__ContainerStatus *st = c->obj->status;
	int64_t ran = st->finished_at - st->started_at;

	return (struct ending){
		.known = c->exit_known,
		.code = c->exit.code,
		.signal = c->exit.signal,
		.asked = asked,
		.start_failed = !c->ran,
		.by_person = c->by_person,
		.ran_ns = st->started_at && ran > 0 ? (uint64_t)ran : 0,
	};
}

static state stay_ended(struct container *c, bool asked)
{
	Berth__ContainerStatus *st = c->obj->status;
	bool again = c->sv->going_down && !asked && policy_starts_at_boot(c->obj->spec->restart, st->desired_running);

	SET(st, desired_running, again);
	answer(c, WAIT_BIT(WAIT_NOT_RUNNING));
	if (asked)
		container_publish(c, "stop", NULL, NULL);
	bye(c);
	pod_member_ended(c->pod, c);
	c->goes_by_itself = c->ran && c->obj->spec->auto_remove;
	if (c->obj->spec->auto_remove)
		return remove_own(c);
	return asked ? S(STOPPED) : S(EXITED);
}

/* A berthd before us sent the plan, and the shim is still at it: wait as if we had sent it. */
static state act_launching(struct container *c, struct event *ev)
{
	c->ran = c->held = false;
	arm(c, LAUNCH_DEADLINE_NS);
	container_touch(c);
	return 0;
}

/* The one door through which every incarnation leaves: what happened is in c->exit, c->exit_known, c->ran. */
static state act_exited(struct container *c, struct event *ev)
{
	bool asked = container_state(c) == S(STOPPING) && c->obj->status->stop_requested;
	struct decision d;
	unsigned jitter = 0;
	struct ending end;
	struct err e;

	asked |= c->asked_until_ns && now_ns() < c->asked_until_ns;
	timer_del(&c->timer);
	close_fd(&c->session_fd);
	freeze_forget(c, "the container has ended");
	exec_forget(c);
	if (c->exit_known)
		note_ran(c);
	record_exit(c);
	group_bury(c);
	c->phase = PHASE_NONE;
	c->held = false;
	SET(c->obj->status, process_stuck, 0);
	SET(c->obj->status, stop_requested, asked);
	err_set(&e, 0, "start", "it ended while it was being started: %s", c->obj->status->status_reason);
	if (c->ran)
		answer_started(c);
	else
		waiters_fail(c, WAIT_BIT(WAIT_STARTED), BERTH__ERROR__CODE__START_FAILED, &e);
	answer(c, WAIT_BIT(WAIT_ENDED) | WAIT_BIT(WAIT_NEXT_EXIT));
	/* Restarted, and it ended before that was reported; or a stop had the last word over the restart. */
	if (!c->start_after && container_state(c) != S(STOPPING))
		answer(c, WAIT_BIT(WAIT_RESTARTED));
	else if (!c->start_after)
		waiters_fail(c, WAIT_BIT(WAIT_RESTARTED), BERTH__ERROR__CODE__CONFLICT, &e);
	if (c->start_after) {
		c->by_person = true;
		start_is_wanted(c);
		return start(c, S(STOPPED));
	}
	if (c->sv->going_down && !asked) {
		set_text(&c->obj->status->restart_decision,
			 "the host goes down: the policy decides when it is up again");
		return stay_ended(c, false);
	}
	end = ending_of(c, asked);
	getrandom(&jitter, sizeof jitter, GRND_NONBLOCK);
	d = policy_decide(c->obj->spec->restart, &c->history, &end, jitter);
	history_set(c, d.history);
	set_text(&c->obj->status->restart_decision, "%s", d.why);
	return d.verdict == VERDICT_RESTART ? retry(c, &d) : stay_ended(c, asked);
}

/* The file that the shim wrote before it spoke: it may have died in between. */
static Shim__ExitRecord *record_read(struct container *c)
{
	uint8_t data[1024];
	char path[160];
	ssize_t len;
	Shim__ExitRecord *x;

	path_exit(c->sv, c->node.uuid, path, sizeof path);
	len = file_read(AT_FDCWD, path, (char *)data, sizeof data);
	x = len > 0 ? message_unpack(&shim__exit_record__descriptor, data, (size_t)len) : NULL;
	if (x && (!x->boot_id || strcmp(x->boot_id, c->sv->boot_id) || x->incarnation != c->obj->status->incarnation)) {
		shim__exit_record__free_unpacked(x, NULL);
		x = NULL;
	}
	return x;
}

static void exit_take(struct container *c, const Shim__ExitRecord *x)
{
	c->exit_known = x != NULL;
	c->exit = x ? *x : (Shim__ExitRecord)SHIM__EXIT_RECORD__INIT;
	c->exit.boot_id = c->exit.uuid = NULL;
}

static state shim_lost_ended(struct container *c)
{
	Shim__ExitRecord *x = record_read(c);
	struct event ev = EVENT(EV_EXITED);

	exit_take(c, x);
	if (x)
		shim__exit_record__free_unpacked(x, NULL);
	return act_exited(c, &ev);
}

static state act_shim_left(struct container *c, struct event *ev)
{
	char path[160];

	shimlink_free(c->shim);
	c->shim = NULL;
	c->bye_sent = false;
	SET(c->obj->status, shim_pid, 0);
	path_shim(c->sv, c->node.uuid, path, sizeof path);
	unlink(path);
	container_touch(c);
	logs_container_changed(c->sv, c->node.uuid);
	return 0;
}

/* Nobody holds the container any more: its processes die with their shim, then what the shim left written decides. */
static state act_shim_lost(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	freeze_forget(c, "the container's shim died");
	group_kill(c);
	if (!group_is_populated(c))
		return shim_lost_ended(c);
	c->phase = PHASE_SHIM_LOST;
	set_text(&c->obj->status->status_reason, "its shim died; what it left is being killed");
	poll_begin(c);
	return 0;
}

static state act_no_answer(struct container *c, struct event *ev)
{
	timer_del(&c->timer);
	set_text(&c->obj->status->status_reason, "its shim does not answer");
	return 0;
}

/* The host was restarted: nothing of it runs, nobody saw its end, and the policy says whether it starts. */
static state act_boot(struct container *c, struct event *ev)
{
	Berth__ContainerStatus *st = c->obj->status;
	state now = container_state(c);
	bool lived = container_has_process(c) || now == S(UNKNOWN);
	bool wanted = policy_starts_at_boot(c->obj->spec->restart, st->desired_running);

	/* Never started is not to be restarted; but a start that was accepted and waited for its pod is owed. */
	if (now == S(CREATED))
		wanted = st->desired_running;
	if (lived) {
		exit_take(c, NULL);
		c->ran = st->started_at != 0;
		record_exit(c);
		set_text(&st->last_exit->reason, "the host went down while it ran: exit status unknown");
		set_text(&st->status_reason, "%s", st->last_exit->reason);
	}
	SET(st, next_retry_at, 0);
	history_set(c, (struct history){0});
	container_touch(c);
	if (wanted) {
		set_text(&st->restart_decision, "started because the host was: the policy says so");
		SET(st, desired_running, 1);
		return start(c, lived ? S(EXITED) : now);
	}
	SET(st, desired_running, 0);
	if (lived && c->obj->spec->auto_remove)
		return remove_own(c);
	return now == S(BACKOFF) ? S(EXITED) : 0;
}

static state act_allowed(struct container *c, struct event *ev)
{
	return 0;
}

/* ---------------------------------------------------------------- removal; remove.c does the work */

static void removal_is_wanted(struct container *c, struct event *ev)
{
	struct err e;

	add_waiter(c, WAIT_DELETED, ev);
	if (!ev->parked.client && ev->type != EV_STORE_FAILED)
		removal_record(c);
	c->removing_volumes = ev->volumes;
	err_set(&e, 0, "remove", "the container is being removed");
	waiters_fail(c, WAIT_BIT(WAIT_STARTED) | WAIT_BIT(WAIT_RESTARTED) | WAIT_BIT(WAIT_PAUSED),
		     BERTH__ERROR__CODE__CONFLICT, &e);
}

static state act_remove(struct container *c, struct event *ev)
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
		stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);
	c->waiting = c->start_after = false;
	SET(c->obj->status, desired_running, 0);
	container_touch(c);
	return S(DELETING);
}

static state act_remove_running(struct container *c, struct event *ev)
{
	bool can_stop = container_state(c) == S(RUNNING) || container_state(c) == S(PAUSED) ||
			(container_state(c) == S(STOPPING) && c->phase == PHASE_SIGNALLED);

	if (ev->stop_first && can_stop)
		return remove_kindly(c, ev);
	freeze_forget(c, "the container is being removed");
	group_kill(c);
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
static state act_remove_again(struct container *c, struct event *ev)
{
	add_waiter(c, WAIT_DELETED, ev);
	if (c->phase == PHASE_SIGNALLED && !ev->stop_first)
		remove_begin(c);
	return 0;
}

static state act_running_deleted(struct container *c, struct event *ev)
{
	group_kill(c);
	return 0;
}

static state act_exited_deleted(struct container *c, struct event *ev)
{
	if (ev->type == EV_EXITED)
		record_exit(c);
	remove_further(c);
	return 0;
}

static state act_shim_gone_deleted(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	remove_further(c);
	return 0;
}

static state act_timer_deleting(struct container *c, struct event *ev)
{
	if (c->phase == PHASE_SIGNALLED) {
		remove_begin(c); /* its time is over */
		return 0;
	}
	if (step_older_than(c, BYE_DEADLINE_NS) && c->shim)
		shimlink_kill(c->shim);
	if (step_older_than(c, KILL_DEADLINE_NS) && group_is_populated(c) && c->phase != PHASE_STUCK)
		stuck(c);
	remove_continue(c);
	return 0;
}

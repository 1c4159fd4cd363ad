/* gateway/zun/state.c - see gateway/zun/state.h
 *
 * Zun has a status, which is where the container stands, and a task_state, which is what is being done to it; a task leaves the
 * status as it was until it has succeeded. berth's Starting and Stopping are therefore no statuses there: what is Starting is
 * still what it was before, what is Stopping still runs. A restart shows as Restarting from its first moment to its last, one by
 * the policy also while it waits. */
#include "gateway/zun/state.h"

#include "base/own.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define S(name) BERTH__CONTAINER_STATE__CONTAINER_STATE_##name
#define BIT(s)	(1u << ZUN_##s)

static const char *const status_names[ZUN_STATUS_N_] = {
	[ZUN_CREATING] = "Creating",	 [ZUN_CREATED] = "Created", [ZUN_RUNNING] = "Running",
	[ZUN_STOPPED] = "Stopped",	 [ZUN_PAUSED] = "Paused",   [ZUN_RESTARTING] = "Restarting",
	[ZUN_REBUILDING] = "Rebuilding", [ZUN_ERROR] = "Error",	    [ZUN_UNKNOWN] = "Unknown",
	[ZUN_DELETING] = "Deleting",
};

/* Zun's table, with what its users suffer from taken out: whoever owns a container that crashes again and again can stop, kill
 * and delete it and read its log, a paused or unknown one can be stopped and deleted, one whose image takes its time can be
 * deleted, and a deletion may be asked for twice. */
#define LIVES  (BIT(RUNNING))
#define STANDS (BIT(CREATED) | BIT(STOPPED) | BIT(ERROR))
#define STRAYS (BIT(PAUSED) | BIT(RESTARTING) | BIT(UNKNOWN))

static const struct {
	const char *name;
	unsigned in; /* bits of 1 << enum zun_status */
} actions[ZUN_ACTION_N_] = {
	[ZUN_START] = {"start", STANDS},
	[ZUN_STOP] = {"stop", LIVES | STRAYS},
	[ZUN_REBOOT] = {"reboot", LIVES | STANDS},
	[ZUN_PAUSE] = {"pause", LIVES},
	[ZUN_UNPAUSE] = {"unpause", BIT(PAUSED)},
	[ZUN_KILL] = {"kill", LIVES | BIT(PAUSED) | BIT(RESTARTING)},
	[ZUN_EXECUTE] = {"execute", LIVES},
	[ZUN_TOP] = {"top", LIVES},
	[ZUN_STATS] = {"stats", LIVES},
	[ZUN_LOGS] = {"logs", LIVES | STANDS | STRAYS},
	[ZUN_UPDATE] = {"update", LIVES | BIT(CREATED) | BIT(STOPPED) | BIT(PAUSED)},
	[ZUN_DELETE] = {"delete", STANDS | STRAYS | BIT(CREATING) | BIT(DELETING)},
	[ZUN_DELETE_AFTER_STOP] = {"delete_after_stop", LIVES | STANDS | STRAYS | BIT(CREATING) | BIT(DELETING)},
	[ZUN_DELETE_FORCE] = {"delete_force", (1u << ZUN_STATUS_N_) - 1},
};

const char *zun_status_name(enum zun_status s)
{
	return status_names[s];
}

const char *zun_action_name(enum zun_action a)
{
	return actions[a].name;
}

bool zun_action_allowed(enum zun_action a, enum zun_status s)
{
	return actions[a].in >> s & 1;
}

/* ---------------------------------------------------------------- status */

static bool task_is(const Berth__ContainerStatus *st, const char *verb)
{
	return st->task && !strcmp(st->task, verb);
}

/* It is being started: what was it before? */
static enum zun_status status_before_start(const Berth__ContainerStatus *st)
{
	if (task_is(st, "restart") || (st->restart_count && !task_is(st, "start")))
		return ZUN_RESTARTING;
	return st->last_exit ? ZUN_STOPPED : ZUN_CREATED;
}

enum zun_status zun_status_of(const Berth__ContainerStatus *st)
{
	switch (st->state) {
	case S(CREATING):
		return ZUN_CREATING;
	case S(CREATED):
		return ZUN_CREATED;
	case S(STARTING):
		return status_before_start(st);
	case S(RUNNING):
		return ZUN_RUNNING;
	case S(PAUSED):
		return ZUN_PAUSED;
	case S(STOPPING):
		return task_is(st, "restart") ? ZUN_RESTARTING : ZUN_RUNNING;
	case S(EXITED):
	case S(STOPPED):
		return ZUN_STOPPED;
	case S(BACKOFF):
		return ZUN_RESTARTING;
	case S(ERROR):
		return ZUN_ERROR;
	case S(DELETING):
		return ZUN_DELETING;
	case S(REBUILDING):
		return ZUN_REBUILDING;
	default:
		return ZUN_UNKNOWN;
	}
}

/* ---------------------------------------------------------------- task_state */

static const struct {
	const char *verb, *task_state;
} tasks[] = {
	{"create", "container_creating"},   {"start", "container_starting"},  {"stop", "container_stopping"},
	{"restart", "container_rebooting"}, {"pause", "container_pausing"},   {"unpause", "container_unpausing"},
	{"kill", "container_killing"},	    {"remove", "container_deleting"}, {"rebuild", "container_rebuilding"},
	{"pull", "image_pulling"},
};

/* What berthd does of itself (a retry, what boot brings up) has no action, but shows where it stands. */
static const char *task_of_state(const Berth__ContainerStatus *st)
{
	switch (st->state) {
	case S(CREATING):
		return "container_creating";
	case S(STARTING):
		return "container_starting";
	case S(STOPPING):
		return "container_stopping";
	case S(DELETING):
		return "container_deleting";
	case S(REBUILDING):
		return "container_rebuilding";
	default:
		return NULL;
	}
}

const char *zun_task_state_of(const Berth__ContainerStatus *st)
{
	/* A removal is the last task of all, whatever was asked before. */
	if (st->state == S(DELETING))
		return task_of_state(st);
	/* `run` is one action of berth's and two tasks of Zun's. */
	if (st->state == S(STARTING) && task_is(st, "create"))
		return task_of_state(st);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		if (task_is(st, tasks[i].verb))
			return tasks[i].task_state;
	return task_of_state(st);
}

/* ---------------------------------------------------------------- words */

/* Zun shows the largest unit only, and always in the plural. It says "None" below a second; we count from 0. */
static void duration(struct buf *b, int64_t ns)
{
	int64_t seconds = ns > 0 ? ns / 1000000000 : 0;

	if (seconds >= 86400)
		buf_printf(b, "%" PRId64 " days", seconds / 86400);
	else if (seconds >= 3600)
		buf_printf(b, "%" PRId64 " hours", seconds / 3600);
	else if (seconds >= 60)
		buf_printf(b, "%" PRId64 " mins", seconds / 60);
	else
		buf_printf(b, "%" PRId64 " seconds", seconds);
}

/* "Exited(137) 2 mins ago ": the blank at the end is Zun's. An exit status that nobody saw is a question mark. */
static void ended(struct buf *b, const Berth__ContainerStatus *st, int64_t now_ns, const char *after)
{
	if (!st->last_exit)
		return;
	if (st->last_exit->known)
		buf_printf(b, "Exited(%d) ", st->last_exit->code);
	else
		buf_adds(b, "Exited(?) ");
	duration(b, now_ns - (st->last_exit->finished_at ? st->last_exit->finished_at : now_ns));
	buf_printf(b, " ago %s", after);
}

static void up(struct buf *b, const Berth__ContainerStatus *st, int64_t now_ns, const char *after)
{
	buf_adds(b, "Up ");
	duration(b, now_ns - st->started_at);
	buf_adds(b, after);
}

void zun_status_detail(struct buf *b, const Berth__ContainerStatus *st, int64_t now_ns)
{
	switch (zun_status_of(st)) {
	case ZUN_CREATED:
		buf_adds(b, "Created");
		break;
	case ZUN_RUNNING:
		up(b, st, now_ns, "");
		break;
	case ZUN_PAUSED:
		up(b, st, now_ns, " (paused)");
		break;
	case ZUN_STOPPED:
		ended(b, st, now_ns, "");
		break;
	case ZUN_ERROR:
		ended(b, st, now_ns, "(error)");
		break;
	case ZUN_RESTARTING:
		buf_adds(b, "Restarting");
		break;
	default:
		break;
	}
}

const char *zun_status_reason(const Berth__ContainerStatus *st)
{
	const char *reason = st->status_reason;

	if (st->state == S(BACKOFF) && st->restart_decision && *st->restart_decision)
		reason = st->restart_decision;
	return reason && *reason ? reason : NULL;
}

/* gateway/zun/state.h - what Zun calls a container's state, and which action it allows in which. Pure.
 *
 * The words are Zun's; the facts are berth's, read off one Container as berthd showed it. berthd checks every mutation again by
 * its own table (supervisor/container.c): this one only gives Zun's answers where berth would be more generous or say it otherwise. */
#pragma once

#include "base/buf.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

enum zun_status { /* Zun's Dead and Deleted are states that berth does not have */
		  ZUN_CREATING,
		  ZUN_CREATED,
		  ZUN_RUNNING,
		  ZUN_STOPPED,
		  ZUN_PAUSED,
		  ZUN_RESTARTING,
		  ZUN_REBUILDING,
		  ZUN_ERROR,
		  ZUN_UNKNOWN,
		  ZUN_DELETING,
		  ZUN_STATUS_N_,
};

enum zun_action { /* in the order of Zun's own list; the name is what a refusal says */
		  ZUN_START,
		  ZUN_STOP,
		  ZUN_REBOOT,
		  ZUN_PAUSE,
		  ZUN_UNPAUSE,
		  ZUN_KILL,
		  ZUN_EXECUTE,
		  ZUN_TOP,
		  ZUN_STATS,
		  ZUN_LOGS,
		  ZUN_UPDATE,
		  ZUN_DELETE,
		  ZUN_DELETE_AFTER_STOP,
		  ZUN_DELETE_FORCE,
		  ZUN_ACTION_N_,
};

const char *zun_status_name(enum zun_status s); /* "Running" */
const char *zun_action_name(enum zun_action a); /* "delete_after_stop" */
bool zun_action_allowed(enum zun_action a, enum zun_status s);

enum zun_status zun_status_of(const Berth__ContainerStatus *st);
const char *zun_task_state_of(
	const Berth__ContainerStatus *st); /* "container_stopping"; NULL when nothing is under way */
/* "Up 3 hours"; nothing is added where Zun shows null. */
void zun_status_detail(struct buf *b, const Berth__ContainerStatus *st, int64_t now_ns);
const char *zun_status_reason(const Berth__ContainerStatus *st); /* NULL when there is nothing to say */

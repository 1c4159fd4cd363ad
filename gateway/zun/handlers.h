/* gateway/zun/handlers.h - the handlers that the routes name, and what they share. */
#pragma once

#include "gateway/call.h"
#include "gateway/zun/error.h"
#include "gateway/zun/state.h"
#include "gateway/zun/view.h"

#include <assert.h>

/* ---------------------------------------------------------------- shared */

/* What a handler may have at c->state, whichever it is. */
#define ZUN_STATE	 1024
#define STATE_FITS(type) static_assert(sizeof(type) <= ZUN_STATE, #type " needs more than ZUN_STATE")

/* The container that a call is about: the first member of its handler's state. */
struct target {
	void (*found)(struct call *c, const Berth__Container *obj);
	enum zun_action action; /* that target_find checked */
	char uuid[UUID_SIZE];
};

/* Finds the container that the path names and calls found() with it, if its status allows the action; ZUN_ACTION_N_: whatever its
 * status. obj is valid in found() only; the uuid stays in the target. */
void target_find(struct call *c, enum zun_action action, void (*found)(struct call *c, const Berth__Container *obj));
/* False: refused, the call is over. */
bool target_allows(struct call *c, enum zun_action action, const Berth__Container *obj);

/* Nothing may be done with c afterwards. */
#define zun_refuse(c, kind, ...) call_refuse(c, zun_error_status(kind), kind, __VA_ARGS__)
void zun_refuse_policy(struct call *c, const char *rule);	  /* "container:delete_force" */
void zun_refuse_error(struct call *c, const Berth__Error *error); /* berthd's own words, as fail() would put them */
void zun_refuse_upstream(struct call *c, const char *what);	  /* berthd answered what it must not */

/* Whole enough to be shown? False: refused. */
bool container_is_whole(struct call *c, const Berth__Container *obj);
void zun_show(struct call *c, const Berth__Container *obj, bool created); /* writes c->out */

/* all_projects was asked for by one who may not: refused, false. */
bool all_projects_allowed(struct call *c, const char *rule);

/* ---------------------------------------------------------------- handlers */

void on_root(struct call *c);
void on_v1(struct call *c);
void on_not_implemented(struct call *c); /* route->extra says what, if its path does not */
void on_availability_zones(struct call *c);

void on_create(struct call *c);
void on_list(struct call *c);
void on_show(struct call *c);
void on_update(struct call *c);
void on_rename(struct call *c);
void on_delete(struct call *c);

void on_start(struct call *c);
void on_stop(struct call *c);
void on_reboot(struct call *c);
void on_pause(struct call *c);
void on_unpause(struct call *c);
void on_kill(struct call *c);

void on_logs(struct call *c);
void on_execute(struct call *c);
void on_stats(struct call *c);
void on_top(struct call *c);
void on_actions(struct call *c);
void on_action(struct call *c);

/* shim/plan.h - a plan out of its sealed memfd: unpacked, checked for version and completeness, never changed afterwards.
 *
 * What this shim does not know is refused here, before anything was made: an unset step, an unknown field anywhere in the
 * plan (a newer berthd speaks to an older shim), a step in a stage where it cannot run. */
#pragma once

#include "base/err.h"
#include "proto/shim.h"
#include "shim/arena.h"

#include <stdbool.h>

#define PLAN_MAX	(4u << 20)
#define PLAN_STEPS_MAX	512
#define PLAN_TIMEOUT_MS 30000

struct plan {
	struct arena arena;
	Shim__LaunchPlan *launch; /* one of the three, in the arena */
	Shim__ExecPlan *exec;
	Shim__PreparePlan *prepare;
};

#define PLAN_NULL ((struct plan){0})

/* Negative errno with e filled, step "plan". plan_close in any case. */
int plan_open_launch(struct plan *p, int memfd, const char *uuid, struct err *e);
int plan_open_prepare(struct plan *p, int memfd, const char *uuid, struct err *e);
int plan_open_exec(struct plan *p, int memfd, struct err *e);
void plan_close(struct plan *p); /* idempotent */

/* The path inside the container that a step is about; NULL for those that have none. */
const char *plan_step_target(const Shim__Step *s);

/* Does it join anything of its pod's holder (FD_POD is needed)? */
bool plan_needs_pod(const Shim__LaunchPlan *l);

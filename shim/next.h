/* shim/next.h - a life that has ended and will likely be followed by another (LaunchPlan.stand_by_next): the next life's group is made,
 * and in it a process that stands by (standby.h), while the end is told, written down and decided upon.
 *
 * Nothing of this is there while the container runs, but for the plan of its launch. */
#pragma once

#include "base/loop.h"
#include "proto/shim.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct shim;

struct next {
	int plan_fd;	       /* sealed: of the life that is; -1 */
	int groups_fd;	       /* where the next one's group was made, until that is berthd's, -1 */
	uint64_t number;       /* its own: `<uuid>.<number>` */
	struct timer patience; /* for the launch */
};

#define NEXT_NULL ((struct next){.plan_fd = -1, .groups_fd = -1})

void next_keep(struct shim *s, const Shim__LaunchPlan *l, int *plan_fd); /* taken, if there may be a next life */
void next_begin(struct shim *s);    /* before the end is told: it takes longer than all that follows from that */
void next_launched(struct shim *s); /* what was made is berthd's now */
void next_leave(struct shim *s);    /* there is none after all: nothing is left */

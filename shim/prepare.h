/* shim/prepare.h - what a launch will need, made before there is one: berthd keeps a few shims like this (supervisor/spare.h).
 *
 * Nothing of it is the container's yet: the launch looks whether it is what its plan wants, as it does with what an earlier
 * incarnation has left, and makes anew what is not. */
#pragma once

#include "proto/shim.pb-c.h"

struct shim;

int prepare_start(struct shim *s, int plan_fd,
		  int cgroup_fd); /* done when it returns; negative errno: said in the log */
void prepare_settle(struct shim *s, const Shim__LaunchPlan *l); /* before a launch: what it cannot use is dropped */

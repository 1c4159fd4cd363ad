/* shim/standby.h - a process that has begun a launch before anybody asked for it: it is in its namespaces and has its rootfs, and
 * waits for the plan that says what it is to execute, as whom, and how far confined.
 *
 * It is the first process of the container that it was made for, or of none: a launch that is not `as_prepared`, or finds it
 * dead, makes its own. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "proto/shim.pb-c.h"

#include <stdbool.h>

struct child;
struct progress;
struct shim;

struct standby {
	int pid; /* 0: there is none */
	int pidfd, sync_fd;
	struct progress *progress;
	struct source sync; /* what it says, when nobody waits for it */
};

#define STANDBY_NULL ((struct standby){.pidfd = -1, .sync_fd = -1})

/* Begins l in the group's `main`; c: what it finds there already. Negative errno with e filled: there is none. */
int standby_clone(struct shim *s, const Shim__LaunchPlan *l, int group_fd, struct child *c, struct err *e);
int standby_watch(struct shim *s, struct err *e); /* from the loop; else the caller hears it */
/* The plan goes to it, and it becomes the launch's process: pid, pidfd, sync_fd and progress of s->run. False: there is none. */
bool standby_take(struct shim *s, int plan_fd, const int io[3]);
void standby_drop(struct shim *s); /* it is killed, if there is one */
void standby_end(struct shim *s);  /* likewise, and waited for, for a moment */
void standby_reaped(struct shim *s, int pid);

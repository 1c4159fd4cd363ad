/* shim/launch.h - the parent half of a launch: clone, and what the child says on its way to exec. */
#pragma once

#include "proto/shim.pb-c.h"

#include <stdint.h>

struct child;
struct shim;

/* Takes the descriptors. A refusal or failure is reported (Failed), the shim lives on. */
void launch_start(struct shim *s, int plan_fd, int cgroup_fd, int pod_fd, int session_fd);
uint64_t launch_clone_flags(const Shim__LaunchPlan *l, const struct child *c); /* its namespaces */
struct sync_record;
void launch_take_root(struct shim *s, const struct sync_record *rec, int fds[2]); /* SYNC_ROOT */
void launch_sync(struct shim *s);	  /* reads what the child has said so far */
void launch_reaped(struct shim *s);	  /* the child that was launching is gone */
void launch_first_reaped(struct shim *s); /* the first of two processes is */
void launch_release(struct shim *s);	  /* of hold_before_exec */

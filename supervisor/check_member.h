/* supervisor/check_member.h - what a member may not ask for: whatever would let him out of his containers, or onto the host's nerves.
 *
 * Asked before anything else of the spec is looked at, so that a refusal tells nothing of the host. -EACCES, with e->step = the field.
 * It allows what it knows: a value that it does not expect is refused. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

int check_member_container(const Berth__ContainerSpec *spec, struct err *e);
int check_member_pod(const Berth__PodSpec *spec, struct err *e);
/* To be in a pod that somebody else may have made. */
int check_member_joins(const Berth__PodSpec *spec, struct err *e);
int check_member_interface(const Berth__NetworkAsk *ask, struct err *e); /* one more */
int check_member_exec(const Berth__ExecSpec *spec, struct err *e);
/* Bytes of the volumes with a size: what the project has, what comes, what it may have. */
int check_member_volume(uint64_t has, uint64_t more, uint64_t may, struct err *e);

/* supervisor/limiter.h - changes the limits of a group with processes in it. Lowering memory.max reclaims before the write returns,
 * which may take as long as a disk does: each change has a thread of its own, which touches nothing but its group. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

/* done is called from the loop, e NULL when all was written. group_fd is not consumed. At most LIMITER_MAX at a time: -EAGAIN. */
#define LIMITER_MAX 16
int limiter_start(struct supervisor *sv, const Berth__Resources *r, int group_fd,
		  void (*done)(void *arg, const struct err *e), void *arg, struct err *e);

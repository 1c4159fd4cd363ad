/* supervisor/recover.h - berthd's start: what the store says should be, what the shims and the cgroup tree say is, and the way from
 * one to the other. */
#pragma once

#include "base/err.h"
#include "supervisor/supervisor.h"

/* After everything was loaded: connects to every living shim at once, then runs the loop until each has answered or its time
 * is up, settles those that nobody holds, and sweeps what belongs to nobody. No request is taken before it returns. */
int recover_run(struct supervisor *sv, struct err *e);

/* One that was asked has answered, or has gone. */
void recover_answered(struct supervisor *sv);

/* shim/reap.h - the one place where children are waited for.
 *
 * SIGCHLD, then everything that can be reaped, by pid: as their parent we hold the pids until then, none can be another's. What
 * is not ours by name was orphaned in a container that shares the host's pids, and came to us as the subreaper. */
#pragma once

#include <stdbool.h>

struct shim;

void reap(struct shim *s);
bool reap_is_new(struct shim *s, int pid); /* a child of ours whom nobody has named yet */

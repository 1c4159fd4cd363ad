/* supervisor/shutdown.h - the host goes down: everything is stopped as its spec says, and nothing is started any more.
 *
 * What was wanted stays wanted: berthd after the boot (or the next one of this boot) starts what its policy says. */
#pragma once

#include "supervisor/supervisor.h"

/* At the end of each turn: answers who asked for it, once nothing runs any more. */
void shutdown_step(struct supervisor *sv);
void shutdown_fini(struct supervisor *sv);

/* supervisor/logs.h - readers of logs: one job for each, following until the container has ended for good or is removed. */
#pragma once

#include "supervisor/supervisor.h"

int logs_open(struct supervisor *sv);
void logs_close(struct supervisor *sv);

/* Something about this container may end a follower: it reached an end state, its shim is gone, it was removed. */
void logs_container_changed(struct supervisor *sv, const char *uuid);

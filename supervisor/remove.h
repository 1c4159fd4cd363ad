/* supervisor/remove.h - how a container is taken apart: shim, processes, groups, row, folder, in an order that a crash of berthd
 * may cut anywhere. */
#pragma once

#include "supervisor/container.h"

/* Begins; returns the state it is in from now on (Deleting). Processes were killed before. */
Berth__ContainerState remove_begin(struct container *c);
/* Goes as far as it can; called again when something that it waits for has happened. */
void remove_continue(struct container *c);

/* supervisor/pod.h - a sandbox: owns the namespaces that its containers share and the group that holds theirs.
 *
 * A plain container owns an implicit pod of one: no holder process, its shim keeps the network namespace. A pod that was
 * asked for has a holder: a shim whose program is the pause loop (LaunchPlan.program PAUSE); its pidfd is what members join. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

struct pod {
	struct table_node node;		/* supervisor.pods */
	struct supervisor *sv;
	Berth__Pod *obj;		/* owned */
	struct list containers;		/* of struct container.in_pod */
	struct shimlink *holder;	/* owned; NULL for an implicit pod, and while it is down */
	int pause_pidfd;		/* of the holder's pause process; -1 */
	int cgroup_fd;			/* <root>/shared/<uuid> */
};

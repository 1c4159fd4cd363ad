/* supervisor/container.h - one container: its states, its events, and the only code that writes its state.
 *
 * See the prose and the table at the top of container.c. Requests, shimlink and timers call container_event(); policy.c
 * decides (pure); the effects of a transition are functions named in the table. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"
#include "supervisor/policy.h"
#include "supervisor/supervisor.h"

struct pod;
struct shimlink;

struct container {
	struct table_node node;		/* supervisor.containers */
	struct list step;		/* supervisor.steps */
	struct list dirty;		/* supervisor.dirty */
	struct list in_pod;		/* pod.containers, in order of creation */
	struct supervisor *sv;
	Berth__Container *obj;		/* owned: meta, spec (checked, never changed but by update/rename), status. What is stored and shown. */
	struct pod *pod;		/* lives at least as long as we are in its list */
	struct shimlink *shim;		/* owned; NULL when there is no shim */
	int cgroup_fd;			/* of the incarnation's group; -1 when none */
	struct timer timer;		/* stop deadline, backoff, launch deadline: what it means follows from the state */
	struct history history;		/* what policy.c needs */
	struct list waiters;		/* of struct waiter: answers owed */
	bool store_inflight, store_again;
};

struct container *container_find(struct supervisor *sv, const char *project, const char *ref, struct err *e);	/* NULL: e->code ENOENT or EEXIST (ambiguous) */
void container_touch(struct container *c);	/* something visible changed: store and publish at the end of the turn */
void container_step_all(struct supervisor *sv);	/* turn end */
const char *container_state_name(Berth__ContainerState s);	/* "Running" */

/* shim/child.h - what a child needs between clone and exec. Filled by the parent half (launch.c, exec.c) before the clone,
 * then the child's own copy: nothing of it comes back but by sync.h. */
#pragma once

#include "proto/shim.pb-c.h"
#include "shim/ids.h"
#include "shim/sync.h"

#include <stdbool.h>

#define CHILD_PATH_MAX 512

struct child {
	const Shim__LaunchPlan *plan;	  /* NULL for an exec */
	const Shim__ProcessPlan *process; /* may be NULL for PAUSE */
	struct progress *progress;
	int sync_fd;
	int io[3];		   /* 0, 1, 2 of the program; -1: the terminal's */
	int pod_fd;		   /* pidfd of the pod's pause process, or -1 */
	int volumes_fd;		   /* mount namespace of volumes, or -1 */
	int user_fd;		   /* user namespace to enter, or -1 */
	int net_fd;		   /* network namespace that earlier incarnations had, or -1 */
	const struct ahead *ahead; /* mounts made before, or NULL */
	bool hands_over;	   /* mounts are to be had by others too: SYNC_AHEAD */
	const char *uuid;	   /* stand by: of whom the plan must be */
	int kept_fd;		   /* overlay of the last incarnation, attached nowhere, or -1 */
	const char *kept_key;
	int target_fd;	    /* exec: pidfd of the container's first process */
	unsigned target_ns; /* exec: its namespaces to enter, CLONE_NEW* */
	bool late;	    /* built outside the pid namespace, which it enters last of all: see move_in() */
	uint32_t first_id;  /* host id of the container's root when user_fd is set */

	/* Made on the way. */
	char root_path[CHILD_PATH_MAX]; /* where the rootfs is mounted while the host's paths still resolve */
	int root_fd;
	int stage_fd; /* tmpfs below the staging folder, as long as its files may be written; or -1 */
	bool root_read_only;
	int *sources;	       /* one for each step: detached mount made on the host's side, or -1 */
	int null_fd, empty_fd; /* mounts that masks are cloned from, or -1 */
	int lsm_fd;	       /* /proc/self/attr/.../exec, or -1 */
	int self_fd;	       /* our own program, for init and pause, or -1 */
	int tty_fd;	       /* slave, or -1 */
	struct identity id;
};

#define CHILD_NULL                                                                                                     \
	((struct child){.sync_fd = -1,                                                                                 \
			.io = {-1, -1, -1},                                                                            \
			.pod_fd = -1,                                                                                  \
			.volumes_fd = -1,                                                                              \
			.user_fd = -1,                                                                                 \
			.net_fd = -1,                                                                                  \
			.kept_fd = -1,                                                                                 \
			.target_fd = -1,                                                                               \
			.root_fd = -1,                                                                                 \
			.stage_fd = -1,                                                                                \
			.null_fd = -1,                                                                                 \
			.empty_fd = -1,                                                                                \
			.lsm_fd = -1,                                                                                  \
			.self_fd = -1,                                                                                 \
			.tty_fd = -1})

#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		int try_ = (call);                                                                                     \
		if (try_ < 0)                                                                                          \
			return try_;                                                                                   \
	} while (0)

_Noreturn void child_launch(struct child *c);
_Noreturn void child_exec(struct child *c);
_Noreturn void child_prepare(struct child *c);	/* makes what the steps of c->plan say, and hands it over */
_Noreturn void child_stand_by(struct child *c); /* begins a launch, and ends it with the plan that comes then */

/* An optional step failed: said to the shim, and on we go. Returns 0. */
int child_skip(struct child *c, const char *step, const struct err *e);

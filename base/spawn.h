/* base/spawn.h - a child by clone3: born in its cgroup, known by its pidfd, and an exec failure that says so.
 *
 * The child shares our memory until exec (CLONE_VM|CLONE_VFORK, as posix_spawn does), so its cost does not grow with ours.
 * All descriptors of ours are close-on-exec; those in `fds` become 0, 1, 2, 3 … of the child. Signal mask empty, handlers
 * default, no_new_privs and everything else as ours. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct spawn {
	int exec_fd;	  /* executed by execveat (AT_EMPTY_PATH) when path is NULL */
	const char *path; /* absolute */
	char *const *argv;
	char *const *env; /* NULL = ours */
	const int *fds;	  /* -1 = /dev/null */
	unsigned n_fds;
	int cgroup_fd;		   /* folder of a cgroup v2, or -1 */
	unsigned long clone_flags; /* extra, e.g. CLONE_NEWNS */
	/* in the child: only async-signal-safe work, on shared memory; negative errno aborts */
	int (*before_exec)(void *arg);
	void *arg;
};

/* For who will have thousands of descriptors, before he has them: so many low numbers are kept for handing descriptors over, and a child that gets
 * fewer and has no before_exec begins with a copy of those below, not of all. From then on only one thread may spawn. Negative errno: none are kept. */
#define SPAWN_RESERVED 12
int spawn_reserve(void);

/* 0 and the pidfd (caller closes) and pid, or negative errno with e filled (step "exec", "cgroup" …); no child is left then. */
int spawn(const struct spawn *s, int *ret_pidfd, pid_t *ret_pid, struct err *e);

/* job/view.h - the files of a container as a job sees them: a folder that is its root, the mounts in place. */
#pragma once

#include "base/err.h"
#include "proto/shim.pb-c.h"

#include <stdbool.h>
#include <sys/types.h>

struct view {
	int root_fd;   /* owned: O_PATH */
	int user_fd;   /* owned: its user namespace; -1: the host's */
	char *mounted; /* owned: what view_close unmounts; NULL: nothing is ours */
};
#define VIEW_NULL ((struct view){.root_fd = -1, .user_fd = -1})

/* What the process sees, which must be one of this group (the path ends in it, "…/UUID.N"): a number may be somebody else's by now. */
int view_of_process(struct view *v, pid_t pid, const char *group, bool userns, struct err *e);
/* The overlay and the mounts of the plan, mounted for us alone. Without write nothing is: what would be, is thrown away. volumes_fd: the
 * namespace of volumes that are file systems of their own; -1 if it has none of them. */
int view_of_plan(struct view *v, const Shim__LaunchPlan *plan, int volumes_fd, bool write, struct err *e);
/* Nothing of it is mounted any more when this returns. */
void view_close(struct view *v);
/* Become root of its user namespace, if it has one of its own: then we can do what it could. */
int view_become_root(const struct view *v, struct err *e);

/* cgroup/tree.h - berth's place in the host's cgroup v2 tree: where it is mounted, which controllers it has, our
 * root.
 *
 * <root>/{supervisor, shims, jobs/<job>, shared/<pod>/<container>.<n>/{main, exec-*}}. Discovery is
 * libcgroup's work (once, at start, in a child of its own: cgroup_init leaves 835 kB behind); afterwards
 * everything goes through the descriptors kept here. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum cg_controller { CG_CPU, CG_CPUSET, CG_IO, CG_MEMORY, CG_PIDS, CG_HUGETLB, CG_RDMA, CG_MISC, CG_CONTROLLER_N_ };
#define CG_BIT(c) (1u << (c))
/* Those that berth sets limits with; the others would only make every group dearer. */
#define CG_WANTED (CG_BIT(CG_CPU) | CG_BIT(CG_CPUSET) | CG_BIT(CG_IO) | CG_BIT(CG_MEMORY) | CG_BIT(CG_PIDS))

struct cg_tree {
	char mount[256]; /* mount point of the v2 hierarchy */
	char path[512];	 /* of our root, below mount, starts with "/" */
	int root_fd;	 /* O_DIRECTORY */
	int shims_fd, jobs_fd, shared_fd, supervisor_fd;
	uint32_t controllers;		    /* bit per enum cg_controller: enabled for our children */
	bool hybrid;			    /* some controllers are on v1 */
	bool delegated;			    /* inside a group that somebody else (systemd) owns */
	char remedy[CG_CONTROLLER_N_][200]; /* of each wanted controller that is missing */
};

/* Finds the hierarchy and our root in it. path: below the mount point (or with it in front), made when missing;
 * NULL: the group that was delegated to us, else "/berth". Makes the folders (those that nobody is in anew:
 * who has them open from before mends its tree), enables what controllers there are. This process is moved (into
 * supervisor/) only if it sits in the root itself, where it would keep controllers from being enabled. e: step "cgroup". */
int cg_tree_open(struct cg_tree *t, const char *path, struct err *e);
void cg_tree_close(struct cg_tree *t);
/* What we keep open may be removed by others while it is empty: systemd does that when it thinks that the unit which holds
 * our root has ended. Makes everything again, under the same descriptors. 0 also when nothing was missing. */
int cg_tree_mend(struct cg_tree *t, struct err *e);
/* cg_make in one of our folders, which is mended first if it is gone. */
int cg_tree_make(struct cg_tree *t, int folder_fd, const char *name, int *ret_fd, struct err *e);

const char *cg_controller_name(enum cg_controller c);
/* What to do about a controller that is missing, one line: "memory is bound to cgroup v1: boot with …". "" for
 * one that is there. */
const char *cg_controller_remedy(const struct cg_tree *t, enum cg_controller c);

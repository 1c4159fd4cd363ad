/* cgroup/group.h - one cgroup: make, open, kill, freeze, remove. Names are relative to a folder descriptor.
 *
 * Kernel facts: cgroup.kill 5.14, cgroup.freeze 5.2, CLONE_INTO_CGROUP 5.7. A group with a dying process refuses
 * rmdir with EBUSY for a moment, therefore cg_remove's caller retries (struct cg_undead keeps them). */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>

/* mkdir and open; 0 and the folder descriptor. -EEXIST when it exists. */
int cg_make(int parent_fd, const char *name, int *ret_fd, struct err *e);
int cg_open(int parent_fd, const char *name, int *ret_fd);
/* Enables these controllers (bits of enum cg_controller) for the children of fd; writes nothing that is on already. */
int cg_enable(int fd, uint32_t controllers, struct err *e);
int cg_controllers_here(int fd, uint32_t *ret);	 /* cgroup.controllers as bits */
int cg_controllers_below(int fd, uint32_t *ret); /* cgroup.subtree_control */

int cg_kill(int fd);		/* every process below; returns at once */
int cg_freeze(int fd, bool on); /* returns at once */
int cg_is_frozen(int fd);	/* 1, 0, negative errno; from cgroup.events */
int cg_is_populated(int fd);
/* rmdir of name and all groups below it, deepest first. 0 also when absent; -EBUSY while something lives. */
int cg_remove(int parent_fd, const char *name);
/* Calls fn for every pid in the group fd (and below when deep); group is the path from fd, "" for itself. Ends
 * at the first result of fn that is not 0 and returns it; negative errno of reading. */
int cg_each_pid(int fd, bool deep, int (*fn)(int pid, const char *group, void *arg), void *arg);
/* Calls fn with the name of every child group; results as above. fn may remove that child. */
int cg_each_child(int fd, int (*fn)(const char *name, void *arg), void *arg);

/* The groups that are to be removed and could not be yet: owned, retried with growing pauses, counted. */
struct cg_graveyard {
	struct loop *loop;
	struct timer timer;
	struct list undead; /* of struct cg_undead */
	unsigned n;
};
void cg_graveyard_init(struct cg_graveyard *g, struct loop *l);
void cg_graveyard_fini(struct cg_graveyard *g);
/* Kill and remove in a moment, and keep trying for as long as we live. path is relative to root_fd, which must stay open.
 * (What is still undead when berthd ends, its successor finds in the tree.) */
void cg_bury(struct cg_graveyard *g, int root_fd, const char *path);

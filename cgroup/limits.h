/* cgroup/limits.h - pure: limits of a spec -> list of (file, value); and the check that this host can honour them. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

#define CG_LIMITS_MAX 48

struct cg_limits {
	struct cg_limit {
		const char *file; /* "memory.max" */
		enum cg_need {
			CG_MUST,    /* a missing file is an error */
			CG_MAY,	    /* without the file there is nothing to limit */
			CG_OR_NEXT, /* without the file the next item must do; with it the next may */
		} need;
		char value[384];
	} item[CG_LIMITS_MAX];
	unsigned n;
	bool reset_io; /* devices that have limits in io.max now and none here lose them */
};

/* Fills l. 0 in a size, number or rate means "no limit", as an absent field does. Impossible numbers are
 * refused: e->step is the field ("resources.memory_bytes"), e->text the reason and what would be right. `have`
 * is the set of controllers; one that is missing: -ENOTSUP, e->step the field, e->text names the controller (the
 * caller adds the remedy). io_max devices are resolved to MAJ:MIN by stat. reset_absent: also writes "max" and
 * defaults for what the spec leaves out (update). */
int cg_limits_make(const Berth__Resources *r, uint32_t have, bool reset_absent, struct cg_limits *l, struct err *e);
/* Writes them all; stops at the first failure (e->step "cgroup", text: file, value). A cpuset that the tree
 * above cannot give is a failure. Writes to memory.* may sleep (reclaim). */
int cg_limits_apply(int group_fd, const struct cg_limits *l, struct err *e);

/* cgroup/limits.h - pure: limits of a spec -> list of (file, value); and the check that this host can honour them. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdint.h>

#define CG_LIMITS_MAX 48

struct cg_limits {
	struct cg_limit {
		const char *file;	/* "memory.max" */
		char value[112];
	} item[CG_LIMITS_MAX];
	unsigned n;
};

/* Fills l. Impossible numbers are refused: e->step is the field ("resources.memory_bytes"), e->text the reason and what would be
 * right. `have` is the set of controllers; one that is missing: -ENOTSUP, e->step the field, e->text names the controller (the caller adds the remedy).
 * io_max devices are resolved to MAJ:MIN by stat. reset_absent: also writes "max" and defaults for what the spec leaves out (update). */
int cg_limits_make(const Berth__Resources *r, uint32_t have, bool reset_absent, struct cg_limits *l, struct err *e);
/* Writes them all; stops at the first failure (e->step "cgroup", text: file, value). */
int cg_limits_apply(int group_fd, const struct cg_limits *l, struct err *e);

/* shim/confine.h - what a process is and may: one function for each kind of limit. child.c has the order, and why. */
#pragma once

#include "base/err.h"
#include "shim/child.h"

int confine_rlimits_raise(struct child *c,
			  struct err *e); /* hard limits, while CAP_SYS_RESOURCE of the host is there */
int confine_rlimits(struct child *c, struct err *e);
int confine_oom(struct child *c, struct err *e);
int confine_bounding(uint64_t keep, struct err *e);
int confine_caps(const Shim__ProcessPlan *p, struct err *e);
int confine_caps_raise(struct err *e); /* effective = permitted, for a moment */
int confine_no_new_privs(struct err *e);
int confine_seccomp(const Shim__ProcessPlan *p, struct err *e);
int confine_label_open(struct child *c, struct err *e); /* while the host's /proc is there */
int confine_label(struct child *c, struct err *e);	/* takes effect at the next exec */

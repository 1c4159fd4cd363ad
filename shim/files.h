/* shim/files.h - berth's own small files in a container (/etc/hosts …): each lies on the staging tmpfs, and is bound where it is seen.
 * Runs in the child.
 *
 * What they say may come later than they: a process that stands by has them made and bound, and writes them anew with its plan. */
#pragma once

#include "base/err.h"
#include "shim/child.h"

/* A file for step i, bound: a detached mount. The descriptor or negative errno. */
int file_open(const struct child *c, const Shim__FileStep *f, size_t i, struct err *e);
/* Those of c->plan say what those of l, whose beginning is the same, want them to say. e names the step. */
int files_renew(const struct child *c, const Shim__LaunchPlan *l, struct err *e);

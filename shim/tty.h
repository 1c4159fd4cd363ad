/* shim/tty.h - a terminal from the container's own devpts, opened by the child, kept by the shim. */
#pragma once

#include "base/err.h"
#include "shim/child.h"

/* Opens a pair below the root, makes the slave our controlling terminal and sends master and slave to the shim. console: the
 * slave is bound over /dev/console as well. */
int tty_open(struct child *c, bool console, struct err *e);
/* Window size of a terminal, from either end; 0 rows or columns: nothing. */
void tty_resize(int fd, unsigned rows, unsigned cols);

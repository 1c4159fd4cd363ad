/* gateway/drop.h - what the gateway gives up before it reads the first request. */
#pragma once

#include "base/err.h"

/* As root: becomes user (nobody, if there is none of that name). In any case: no capabilities, no_new_privs, no files, no sockets but
 * unix ones, no programs. Irrevocable; everything else must be open. */
int drop(const char *user, struct err *e);

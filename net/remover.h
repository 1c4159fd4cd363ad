/* net/remover.h - threads that remove links of one namespace. A link is gone 0.3 ms after the kernel was asked, and lets go of its lock some milliseconds
 * later; but the acknowledgement comes when all memory of it is free (13 to 30 ms), which nobody here waits for. */
#pragma once

#include "net/nl.h"

struct remover;

/* Of our namespace. For good: there is no close. */
int remover_open(struct remover **ret, struct err *e);
/* 0: no link has this number any more, nothing of it is in force, in no namespace. Or the kernel's negative errno. */
int remover_remove(struct remover *x, struct nl *nl, int index);

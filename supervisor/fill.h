/* supervisor/fill.h - what an image has where a volume is mounted becomes the volume's first content, as with Docker: before the first
 * start of a container, each of its volumes that is empty (and not mounted with nocopy) is filled by a job (job/fill.c). */
#pragma once

#include "base/err.h"
#include "supervisor/supervisor.h"

struct container;

/* 1: nothing is left to be filled. 0: a job is at it, the container's or another's; EV_FILLED is posted when to ask again, EV_FAILED
 * when it cannot be done. Negative: e. */
int fill_volumes(struct container *c, struct err *e);
bool fill_pending(const struct container *c);
void fill_forget(struct container *c); /* it does not start now, or goes */

/* At start: a volume whose content was on its way when the job died. */
void fill_finish(struct supervisor *sv, const char *volume_uuid);

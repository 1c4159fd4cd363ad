/* supervisor/copy.h - ContainerCopy: into and out of a container's files, by a job (job/copy.c) that is handed the client's end of the
 * archive. berthd says only whose view of the files it is, and keeps two mounts of one upper layer from being written to at a time. */
#pragma once

#include <stdbool.h>

struct container;
struct err;

/* Something is being copied into it, and its next launch mounts its upper layer anew. That waits for EV_LAUNCH, which is posted when all
 * that has ended, by itself or because its time was over. */
bool copies_hold(struct container *c);
/* Its shim is gone, or a volume was mounted: some wait for that. failure: a volume of it cannot be mounted. */
void copies_go_on(struct container *c, const struct err *failure);
void copies_forget(struct container *c, const char *why); /* it goes: they are ended */

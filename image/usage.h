/* image/usage.h - what is taken on the disk, by whom, and what would be freed. */
#pragma once

#include "image/store.h"

/* Fills in the figures of what u lists, and adds the partial pulls and the sums. Blocks are counted, not lengths: a sparse file is as large as
 * what it takes. What has gone meanwhile counts 0. */
int usage_measure(struct image_store *s, int state_fd, Berth__DiskUsageReply *u, struct err *e);

/* cgroup/stat.h - reads the usage counters of one group into a Berth__Stats (whose strings stay the caller's).
 * What this host's tree does not count stays absent and its controller is added to `missing` (bits of enum
 * cg_controller). */
#pragma once

#include "proto/berth.pb-c.h"

#include <stdint.h>

/* -ENOENT when the group has been removed. */
int cg_stat_read(int group_fd, Berth__Stats *s, uint32_t *ret_missing);
/* memory.events oom_kill (of this group and below); -ENOENT without the memory controller. */
int cg_stat_oom_kills(int group_fd, uint64_t *ret);

/* supervisor/link_stats.h - what went through the interfaces of a network namespace, as the kernel counts it there: so for every driver. */
#pragma once

#include "proto/berth.pb-c.h"

/* Of a process that is in it, all but the loopback; owned by s until link_stats_free. -ENOENT: it is gone. */
int link_stats_read(int pid, Berth__Stats *s);
void link_stats_free(Berth__Stats *s);

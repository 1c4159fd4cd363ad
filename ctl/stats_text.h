/* ctl/stats_text.h - rates and shares from counters. Pure. "-" is what this host cannot tell. */
#pragma once

#include "ctl/print.h"
#include "proto/berth.pb-c.h"

const Berth__Stats *stats_find(const Berth__StatsReply *r, const char *uuid); /* NULL: not in it */
/* Processors used between the two samples, in percent of one. */
const char *stats_cpu_text(const Berth__Stats *before, const Berth__Stats *now, char buf[PRINT_SIZE]);
const char *stats_memory_share_text(const Berth__Stats *s, char buf[PRINT_SIZE]);
const char *stats_net_text(const Berth__Stats *s,
			   char buf[2 * PRINT_SIZE]); /* received / sent, by all interfaces; "-" */
const char *stats_count_text(bool known, uint64_t n, char buf[PRINT_SIZE]);

/* ctl/stats_text.c - see ctl/stats_text.h */
#include "ctl/stats_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const Berth__Stats *stats_find(const Berth__StatsReply *r, const char *uuid)
{
	for (size_t i = 0; i < r->n_stats; i++)
		if (!strcmp(r->stats[i]->uuid, uuid))
			return r->stats[i];
	return NULL;
}

const char *stats_cpu_text(const Berth__Stats *before, const Berth__Stats *now, char buf[PRINT_SIZE])
{
	/* Of another incarnation: its counters began again. */
	bool comparable = before && before->has_cpu_usec && now->has_cpu_usec && now->cpu_usec >= before->cpu_usec &&
			  now->sampled_at > before->sampled_at;

	if (!comparable)
		return "-";
	snprintf(buf, PRINT_SIZE, "%.2f%%",
		 (double)(now->cpu_usec - before->cpu_usec) * 1000 * 100 /
			 (double)(now->sampled_at - before->sampled_at));
	return buf;
}

const char *stats_memory_share_text(const Berth__Stats *s, char buf[PRINT_SIZE])
{
	if (!s->has_memory_bytes || !s->has_memory_limit_bytes || !s->memory_limit_bytes)
		return "-";
	snprintf(buf, PRINT_SIZE, "%.1f%%", (double)s->memory_bytes * 100 / (double)s->memory_limit_bytes);
	return buf;
}

const char *stats_net_text(const Berth__Stats *s, char buf[2 * PRINT_SIZE])
{
	char in[PRINT_SIZE], out[PRINT_SIZE];
	uint64_t rx = 0, tx = 0;

	for (size_t i = 0; i < s->n_interfaces; i++) {
		rx += s->interfaces[i]->rx_bytes;
		tx += s->interfaces[i]->tx_bytes;
	}
	if (!s->n_interfaces)
		return "-";
	snprintf(buf, 2 * PRINT_SIZE, "%s / %s", print_size(rx, in), print_size(tx, out));
	return buf;
}

const char *stats_count_text(bool known, uint64_t n, char buf[PRINT_SIZE])
{
	if (!known)
		return "-";
	snprintf(buf, PRINT_SIZE, "%" PRIu64, n);
	return buf;
}

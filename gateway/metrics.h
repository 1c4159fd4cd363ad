/* gateway/metrics.h - what was asked and how it was answered, counted for /metrics (Prometheus text, 0.0.4). */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct dialect;
struct gateway;
struct route;

#define METRICS_STATUSES 12
#define METRICS_BUCKETS	 12

struct series { /* of one route */
	struct {
		uint16_t status;
		uint64_t n;
	} answers[METRICS_STATUSES];
	uint64_t bucket[METRICS_BUCKETS]; /* each counts its own, not those below */
	uint64_t n, sum_ns;
};

struct metrics {
	const struct dialect *const *dialects;
	struct series **series; /* for each dialect: its routes, then one for what had no route */
	struct series none;	/* no dialect either */
	uint64_t connections, refused, evicted, timed_out, given_up;
	int64_t started_at;
};

int metrics_init(struct metrics *m, const struct dialect *const *dialects); /* -ENOMEM */
void metrics_fini(struct metrics *m);
/* route or dialect may be NULL. */
void metrics_answer(struct metrics *m, const struct dialect *d, const struct route *r, int status, uint64_t ns);
void metrics_write(const struct gateway *gw, struct buf *b);

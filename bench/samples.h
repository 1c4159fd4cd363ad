/* bench/samples.h - durations in nanoseconds, and the one line that the programs of the bench print of them. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct samples {
	uint64_t *ns;
	size_t n, size;
};

static inline uint64_t samples_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void samples_add(struct samples *s, uint64_t ns)
{
	if (s->n == s->size) {
		s->size = s->size ? s->size * 2 : 1024;
		s->ns = realloc(s->ns, s->size * sizeof(*s->ns));
		if (!s->ns)
			abort();
	}
	s->ns[s->n++] = ns;
}

static inline int samples_compare_(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* "<name> n=… min=… p50=… p90=… p99=… max=…", in microseconds. Sorts. */
static inline void samples_print(struct samples *s, const char *name)
{
	if (!s->n) {
		printf("%s n=0\n", name);
		return;
	}
	qsort(s->ns, s->n, sizeof(*s->ns), samples_compare_);
	printf("%s n=%zu min=%.1f p50=%.1f p90=%.1f p99=%.1f max=%.1f\n", name, s->n, (double)s->ns[0] / 1e3,
	       (double)s->ns[s->n / 2] / 1e3, (double)s->ns[s->n * 90 / 100] / 1e3,
	       (double)s->ns[s->n * 99 / 100] / 1e3, (double)s->ns[s->n - 1] / 1e3);
	fflush(stdout);
}

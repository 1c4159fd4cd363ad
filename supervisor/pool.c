/* supervisor/pool.c - see supervisor/pool.h */
#include "supervisor/pool.h"

#include <errno.h>
#include <string.h>

void pool_init(struct pool *p, const struct subnet *subnet, const struct subnet *range)
{
	*p = (struct pool){.subnet = *subnet, .range = *range};
}

void pool_take(struct pool *p, const struct address *a)
{
	uint64_t at;

	if (!subnet_has(&p->range, a))
		return;
	at = subnet_index(&p->range, a) - p->first;
	if (at < p->count)
		p->taken[at / 64] |= 1ull << (at % 64);
}

/* From next on, what is left of the piece. */
static bool window_give(struct pool *p, struct address *ret)
{
	for (; p->next - p->first < p->count; p->next++) {
		uint64_t at = p->next - p->first;

		if (p->taken[at / 64] == UINT64_MAX) { /* 64 of them at once; the loop's step is the last */
			p->next += 63 - at % 64;
			continue;
		}
		*ret = subnet_at(&p->range, p->next);
		if (p->taken[at / 64] & 1ull << (at % 64) || !subnet_is_usable(&p->subnet, ret))
			continue;
		p->taken[at / 64] |= 1ull << (at % 64);
		p->next++;
		return true;
	}
	return false;
}

int pool_give(struct pool *p, void (*fill)(struct pool *p, void *arg), void *arg, struct address *ret)
{
	uint64_t size = subnet_size(&p->range), looked = 0;

	for (;;) {
		if (window_give(p, ret))
			return 0;
		if (looked >= size)
			return -ENOSPC;
		/* The next piece; behind the last one begins the first, but for what was looked at already. */
		if (p->next >= size)
			p->next = 0;
		p->first = p->next;
		p->count = size - p->first < POOL_WINDOW ? size - p->first : POOL_WINDOW;
		looked += p->count;
		memset(p->taken, 0, sizeof p->taken);
		fill(p, arg);
	}
}

/* supervisor/pool.h - which address of a subnet is given next. Pure; who has which is asked of the caller.
 *
 * There is one list of leases, and it is not here: a pool knows, for a piece of the range, which addresses were not free when it looked or
 * were given since. That may say taken of what is free again, never free of what is taken. When the piece is used up all leases are looked at
 * once, for the next: a look costs as much as there are leases, and is needed for one in POOL_WINDOW addresses. */
#pragma once

#include "supervisor/address.h"

#define POOL_WINDOW 4096u

struct pool {
	struct subnet range; /* of the subnet: where addresses are taken from */
	struct subnet subnet;
	uint64_t first, count; /* the piece: indices in the range, from this one on; 0: nothing is known */
	uint64_t next;	       /* index in the range: an address rests before it comes back */
	uint64_t taken[POOL_WINDOW / 64];
};

void pool_init(struct pool *p, const struct subnet *subnet, const struct subnet *range);
/* fill calls pool_take for each address that is not to be given. ENOSPC: none is free. */
int pool_give(struct pool *p, void (*fill)(struct pool *p, void *arg), void *arg, struct address *ret);
void pool_take(struct pool *p, const struct address *a); /* not to be given: somebody has it now */

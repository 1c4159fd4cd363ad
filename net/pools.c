/* net/pools.c - see net/pools.h */
#include "net/pools.h"

#include "net/address.h"
#include "net/link.h"
#include "net/port.h"
#include "net/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GONE_AT_ONCE 256u

bool pools_are_sound(Net__Subnet *const *pools, size_t n)
{
	bool sound = true;

	for (size_t i = 0; i < n; i++)
		sound = sound && (pools[i]->network.len == 4 || pools[i]->network.len == 16) &&
			pools[i]->prefix <= pools[i]->network.len * 8;
	return sound;
}

static struct route nobody(const struct ip *ip, unsigned prefix)
{
	return (struct route){.to = *ip, .prefix = prefix, .protocol = ROUTE_FLOATING, .metric = ROUTE_LAST};
}

struct left {
	Net__Subnet **pools;
	size_t n_pools;
	struct route *gone;
	size_t n;
};

/* Nobody routes to the host what is on a wire of its own; and others there, perhaps its gateway, are to be reached. */
static void drop_wire(void *arg, const struct ip *ip, unsigned prefix, int index)
{
	struct left *l = arg;

	for (size_t i = l->n_pools; i-- > 0;) {
		struct ip pool = ip_of(&l->pools[i]->network);
		unsigned bits = prefix < l->pools[i]->prefix ? prefix : l->pools[i]->prefix;

		if (pool.len == ip->len && ip_bits_equal(&pool, ip, bits))
			l->pools[i] = l->pools[--l->n_pools];
	}
}

static void note(void *arg, const struct ip *ip, unsigned prefix)
{
	struct left *l = arg;

	for (size_t i = 0; i < l->n_pools; i++)
		if (l->pools[i]->network.len == ip->len && l->pools[i]->prefix == prefix &&
		    !memcmp(l->pools[i]->network.data, ip->byte, ip->len))
			return;
	if (l->n < GONE_AT_ONCE)
		l->gone[l->n++] = nobody(ip, prefix);
}

int pools_put(struct nl *host, Net__Subnet *const *pools, size_t n, struct err *e)
{
	struct left l = {
		.pools = calloc(n + 1, sizeof *l.pools), .n_pools = n, .gone = calloc(GONE_AT_ONCE, sizeof *l.gone)};
	int r = l.pools && l.gone ? 0 : err_set(e, ENOMEM, "network", "no memory");

	for (size_t i = 0; i < n && r == 0; i++)
		l.pools[i] = pools[i];
	if (r == 0 && n)
		r = address_each(host, drop_wire, &l, e);
	do {
		l.n = 0;
		if (r == 0)
			r = route_each(host, 0, ROUTE_FLOATING, note, &l, e);
		for (size_t i = 0; i < l.n && r == 0; i++)
			r = route_del(host, &l.gone[i], e);
	} while (r == 0 && l.n == GONE_AT_ONCE);
	for (size_t i = 0; i < l.n_pools && r == 0; i++) {
		struct ip ip = ip_of(&l.pools[i]->network);
		struct route way = nobody(&ip, l.pools[i]->prefix);

		r = route_put(host, &way, e);
	}
	free(l.pools);
	free(l.gone);
	return r;
}

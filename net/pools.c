/* net/pools.c - see net/pools.h */
#include "net/pools.h"

#include "base/log.h"
#include "base/own.h"
#include "net/address.h"
#include "net/link.h"
#include "net/port.h"
#include "net/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GONE_AT_ONCE 256u

struct pools {
	struct nl *host;
	struct mnl_socket *news; /* of addresses; NULL while there is no pool */
	Net__PoolsPut *now;	 /* owned */
};

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

static void note(void *arg, const struct ip *ip, unsigned prefix, uint32_t metric)
{
	struct left *l = arg;

	for (size_t i = 0; i < l->n_pools; i++)
		if (metric == ROUTE_LAST && l->pools[i]->network.len == ip->len && l->pools[i]->prefix == prefix &&
		    !memcmp(l->pools[i]->network.data, ip->byte, ip->len))
			return;
	if (l->n == GONE_AT_ONCE)
		return;
	l->gone[l->n] = nobody(ip, prefix);
	l->gone[l->n++].metric = metric;
}

static int routes_put(struct nl *host, Net__Subnet *const *pools, size_t n, struct err *e)
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

/* ---------------------------------------------------------------- wires that come and go */

int pools_open(struct pools **ret, struct nl *host, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return err_set(e, ENOMEM, "network", "no memory");
	(*ret)->host = host;
	return 0;
}

static void news_close(struct pools *p)
{
	if (p->news)
		mnl_socket_close(p->news);
	p->news = NULL;
}

static Net__PoolsPut *pools_copy(Net__Subnet *const *pools, size_t n)
{
	Net__PoolsPut m = NET__POOLS_PUT__INIT;
	AUTO_FREE uint8_t *packed = NULL;

	m.pools = (Net__Subnet **)(uintptr_t)pools;
	m.n_pools = n;
	packed = malloc(net__pools_put__get_packed_size(&m) + 1);
	return packed ? net__pools_put__unpack(NULL, net__pools_put__pack(&m, packed), packed) : NULL;
}

int pools_put(struct pools *p, Net__Subnet *const *pools, size_t n, struct err *e)
{
	int r = 0;

	if (p->now)
		net__pools_put__free_unpacked(p->now, NULL);
	p->now = NULL;
	if (!n)
		news_close(p);
	else if (!p->news)
		r = address_news_open(&p->news, e);
	if (r == 0 && n && !(p->now = pools_copy(pools, n)))
		r = err_set(e, ENOMEM, "network", "no memory");
	return r < 0 ? r : routes_put(p->host, pools, n, e);
}

int pools_fd(const struct pools *p)
{
	return p->news ? mnl_socket_get_fd(p->news) : -1;
}

void pools_go_on(struct pools *p)
{
	struct err e;

	if (address_news_heard(p->news) && p->now && routes_put(p->host, p->now->pools, p->now->n_pools, &e) < 0)
		log_err(&e, "pools of floating IPs");
}

/* supervisor/floating_route.c - pools of floating IPs that others route to the host: berth-net makes unreachable what of them leads to
 * nobody, and is not on a wire of the host. */
#include "supervisor/floating.h"

#include "base/log.h"
#include "supervisor/netd.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const struct floating_pool *pool_of(const struct table_node *n)
{
	return container_of(n, struct floating_pool, node);
}

#define ROUTED_FOUR_MAX 65536u

int floating_pool_can_be_routed(const struct range *range, struct err *e)
{
	bool small = range->first.len == 4 ? range_size(range) <= ROUTED_FOUR_MAX
					   : !memcmp(range->first.byte, range->last.byte, 8);

	return small ? 0
		     : err_set(e, EINVAL, "spec.range",
			       "without a link a pool is routed to the host, which has no other way to it then: "
			       "at most %u IPv4 addresses, or those of one IPv6 /64",
			       ROUTED_FOUR_MAX);
}

static bool is_routed(const struct floating_pool *p)
{
	return !p->obj->link && !p->removing;
}

static Net__Subnet *prefix_message(const struct subnet *s, struct arena *a)
{
	Net__Subnet *m = arena_alloc(a, sizeof *m);
	uint8_t *bytes = arena_alloc(a, sizeof s->first.byte);

	if (!m || !bytes)
		return NULL;
	memcpy(bytes, s->first.byte, s->first.len);
	net__subnet__init(m);
	SET(m, network, ((ProtobufCBinaryData){s->first.len, bytes}));
	SET(m, prefix, s->prefix);
	return m;
}

/* Up to max of them; list NULL: they are counted. */
static size_t prefixes(const struct supervisor *sv, Net__Subnet **list, size_t max, struct arena *a)
{
	const struct table_node *node;
	struct subnet s;
	size_t n = 0;

	list_each (node, &sv->floating_pools.all, link) {
		struct address at = {.len = 0};

		if (!is_routed(pool_of(node)))
			continue;
		while (n < max && range_prefix(&pool_of(node)->range, &at, &s)) {
			if (list)
				list[n] = prefix_message(&s, a);
			n++;
		}
	}
	return n;
}

Net__Subnet **floating_pools_message(const struct supervisor *sv, size_t *ret_n, struct arena *a)
{
	size_t n = prefixes(sv, NULL, SIZE_MAX, NULL);
	Net__Subnet **list = arena_alloc(a, (n + 1) * sizeof *list);

	*ret_n = list ? prefixes(sv, list, n, a) : 0;
	return a->failed ? NULL : list;
}

void floating_pools_tell(struct supervisor *sv, netd_done *done, void *arg)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__PoolsPut body = NET__POOLS_PUT__INIT;
	struct arena a = ARENA_INIT;
	struct err e;
	int r;

	body.pools = floating_pools_message(sv, &body.n_pools, &a);
	m.body_case = NET__NET_MESSAGE__BODY_POOLS_PUT;
	m.pools_put = &body;
	r = body.pools ? netd_ask(sv, &m, -1, done, arg, &e) : err_set(&e, ENOMEM, "network", "no memory");
	arena_fini(&a);
	if (r < 0 && done)
		done(arg, &e);
	else if (r < 0)
		log_err(&e, "pools of floating IPs");
}

void floating_pools_wake(struct supervisor *sv)
{
	if (prefixes(sv, NULL, 1, NULL))
		floating_pools_tell(sv, NULL, NULL);
}

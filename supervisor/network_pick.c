/* supervisor/network_pick.c - subnets of a network for which none were asked: the next IPv4 subnet that nobody has, and a random one of IPv6. */
#include "supervisor/network_pick.h"

#include "supervisor/floating.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define PICK_FIRST  210u /* 10.210.0.0/24 to 10.254.255.0/24: behind what default_subnet is by itself */
#define PICK_LAST   254u
#define PICK_PREFIX 24u

static bool is_free(struct supervisor *sv, const struct subnet *s)
{
	struct table_node *node;

	list_each (node, &sv->networks.all, link) {
		const struct network *n = container_of(node, struct network, node);

		for (unsigned i = 0; i < n->n_subnets; i++)
			if (subnets_overlap(&n->subnet[i], s))
				return false;
	}
	return !floating_pool_in(sv, s);
}

static Berth__Subnet *subnet_new(const struct subnet *s)
{
	Berth__Subnet *m = calloc(1, sizeof *m);
	char text[ADDRESS_TEXT];

	if (!m)
		return NULL;
	berth__subnet__init(m);
	set_text(&m->cidr, "%s/%u", address_text(&s->first, text), s->prefix);
	return m;
}

bool network_may_pick(const Berth__Network *obj)
{
	return !obj->parent || !obj->parent[0];
}

int network_pick(struct supervisor *sv, Berth__Network *obj, struct err *e)
{
	struct subnet four = {.first = {.len = 4}, .prefix = PICK_PREFIX}, six;
	const uint32_t n = (PICK_LAST - PICK_FIRST + 1) * 256;
	Berth__Subnet **list;
	uint32_t i = 0;

	for (; i < n; i++) {
		uint32_t k = PICK_FIRST * 256 + (sv->pick_next + i) % n;

		four.first.byte[0] = 10;
		four.first.byte[1] = (uint8_t)(k >> 8);
		four.first.byte[2] = (uint8_t)k;
		if (is_free(sv, &four))
			break;
	}
	if (i == n)
		return err_set(e, EDQUOT, "spec.subnets",
			       "no IPv4 subnet of 10.%u.0.0 to 10.%u.255.0 is free: name one", PICK_FIRST, PICK_LAST);
	sv->pick_next = (sv->pick_next + i + 1) % n;
	do {
		six = (struct subnet){.first = {.byte = {0xfd}, .len = 16}, .prefix = 64};
		if (getrandom(six.first.byte + 1, 5, 0) != 5)
			return err_set(e, EIO, "network", "no random numbers");
	} while (!is_free(sv, &six));
	list = calloc(NETWORK_SUBNETS, sizeof *list);
	if (!list)
		return err_set(e, ENOMEM, "network", "no memory");
	obj->subnets = list;
	obj->n_subnets = NETWORK_SUBNETS;
	list[0] = subnet_new(&four);
	list[1] = subnet_new(&six);
	return list[0] && list[1] && list[0]->cidr && list[1]->cidr ? 0 : err_set(e, ENOMEM, "network", "no memory");
}

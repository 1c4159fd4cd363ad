/* supervisor/network_state.c - networks and leases as berth-net hears of them. */
#include "supervisor/network.h"

#include "base/own.h"
#include "supervisor/floating.h"
#include "supervisor/mac.h"
#include "supervisor/net_holder.h"
#include "supervisor/publish.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"
#include "supervisor/slot.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

static ProtobufCBinaryData bytes_of(struct arena *a, const struct address *from)
{
	ProtobufCBinaryData b = {.len = from->len, .data = arena_alloc(a, sizeof from->byte)};

	if (b.data)
		memcpy(b.data, from->byte, from->len);
	return b;
}

static Net__Subnet **subnets_of(const struct network *n, struct arena *a)
{
	Net__Subnet **list = arena_alloc(a, n->n_subnets * sizeof(void *));

	for (unsigned i = 0; list && i < n->n_subnets; i++) {
		Net__Subnet *s = list[i] = arena_alloc(a, sizeof *s);

		if (!s)
			return NULL;
		net__subnet__init(s);
		SET(s, network, bytes_of(a, &n->subnet[i].first));
		SET(s, gateway, bytes_of(a, &n->gateway[i]));
		SET(s, prefix, n->subnet[i].prefix);
	}
	return list;
}

/* Of all but routed networks. */
static Net__Uplink *uplink_of(const struct network *n, struct arena *a)
{
	static const struct {
		const char *name;
		Net__Driver driver;
	} drivers[] = {{"bridge", NET__DRIVER__BRIDGE},
		       {"macvlan", NET__DRIVER__MACVLAN},
		       {"ipvlan", NET__DRIVER__IPVLAN},
		       {"phys", NET__DRIVER__PHYS}};
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		Net__Uplink *u = strcmp(n->obj->driver, drivers[i].name) ? NULL : arena_alloc(a, sizeof *u);

		if (!u)
			continue;
		net__uplink__init(u);
		SET(u, driver, drivers[i].driver);
		SET(u, mtu, n->obj->mtu);
		u->parent = n->obj->parent;
		u->mode = n->obj->mode;
		u->nic = network_nic(n, a);
		u->link = arena_strdup(a, host_link_name(n->node.id, name));
		return u;
	}
	return NULL;
}

Net__Network *network_message(const struct network *n, struct arena *a)
{
	Net__Network *m = arena_alloc(a, sizeof *m);

	if (!m)
		return NULL;
	net__network__init(m);
	SET(m, key, (uint32_t)n->node.id);
	SET(m, masquerade, !n->obj->internal && (n->obj->masquerade || !n->obj->has_masquerade));
	SET(m, internal, n->obj->internal);
	m->subnets = subnets_of(n, a);
	m->n_subnets = n->n_subnets;
	m->uplink = uplink_of(n, a);
	return a->failed ? NULL : m;
}

Net__Port *network_port(const struct net_holder *h, size_t index, struct arena *a)
{
	const struct supervisor *sv = h->sv;
	const struct net_stored stored = net_stored_of(h);
	const Berth__Lease *l = stored.leases[index];
	/* One that leaves was the first, if no other that stays is before it. */
	bool is_first = index <= net_first(&stored);
	struct table_node *node = table_find(&sv->networks, l->network_uuid ? l->network_uuid : "");
	const struct network *n = node ? container_of(node, struct network, node) : NULL;
	Net__Port *p = arena_alloc(a, sizeof *p);
	uint8_t *mac = arena_alloc(a, 6);

	if (!n || !p || !mac || (l->mac && mac_parse(l->mac, mac) < 0))
		return NULL;
	net__port__init(p);
	p->host_link = l->host_link;
	p->link = l->link;
	if (l->mac)
		SET(p, mac, ((ProtobufCBinaryData){6, mac}));
	SET(p, network_key, (uint32_t)n->node.id);
	SET(p, mtu, n->obj->mtu);
	SET(p, default_route, is_first);
	SET(p, internal, n->obj->internal);
	SET(p, rate_in, l->ingress_bps);
	SET(p, rate_out, l->egress_bps);
	if (is_first)
		publish_messages(stored.ports, stored.n_ports, p, a);
	security_groups_port(h->sv, l, p, a);
	floating_messages(h, l, p, a);
	p->addresses = arena_alloc(a, l->n_addresses * sizeof *p->addresses);
	p->subnets = subnets_of(n, a);
	p->n_subnets = n->n_subnets;
	p->uplink = uplink_of(n, a);
	for (size_t i = 0; p->addresses && i < l->n_addresses; i++) {
		struct address address;

		if (address_parse(l->addresses[i], &address) == 0)
			p->addresses[p->n_addresses++] = bytes_of(a, &address);
	}
	return a->failed ? NULL : p;
}

bool network_attach(const struct net_holder *h, size_t i, struct arena *a, Net__Attach *to)
{
	const struct net_stored stored = net_stored_of(h);
	size_t first = net_first(&stored), n = 0;

	for (size_t k = first; k < stored.n_leases; k++)
		n += !stored.leases[k]->leaving;
	to->port = network_port(h, i, a);
	to->first = n > 1 ? network_port(h, first, a) : NULL;
	return to->port && (n <= 1 || to->first);
}

Net__State *networks_state(struct supervisor *sv, struct arena *a)
{
	Net__State *s = arena_alloc(a, sizeof *s);
	struct table_node *node;
	struct net_holder *h;
	size_t n_ports = 0;

	if (!s)
		return NULL;
	net__state__init(s);
	list_each (h, &sv->net_holders, link)
		n_ports += net_stored_of(h).n_leases;
	s->networks = arena_alloc(a, (sv->networks.n + 1) * sizeof *s->networks);
	s->ports = arena_alloc(a, (n_ports + 1) * sizeof *s->ports);
	if (a->failed)
		return NULL;
	list_each (node, &sv->networks.all, link) {
		struct network *n = container_of(node, struct network, node);

		n->missed = n->trying;
		if (!n->trying)
			s->networks[s->n_networks++] = network_message(n, a);
	}
	list_each (h, &sv->net_holders, link)
		for (size_t i = 0, n = h->asked ? net_stored_of(h).n_leases : 0; i < n; i++)
			if (!net_stored_of(h).leases[i]->leaving)
				s->ports[s->n_ports++] = network_port(h, i, a);
	security_groups_state(sv, s, a);
	slots_state(sv, s, a);
	s->pools = floating_pools_message(sv, &s->n_pools, a);
	return a->failed ? NULL : s;
}

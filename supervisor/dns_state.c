/* supervisor/dns_state.c - networks and who is in them as berth-dns hears of them. */
#include "supervisor/dnsd.h"

#include "supervisor/address.h"
#include "supervisor/net_holder.h"
#include "supervisor/resolv.h"
#include "supervisor/set.h"

#include <string.h>

static bool bytes_of(struct arena *a, const struct address *from, ProtobufCBinaryData *ret)
{
	ret->data = arena_alloc(a, sizeof from->byte);
	if (!ret->data)
		return false;
	ret->len = from->len;
	memcpy(ret->data, from->byte, from->len);
	return true;
}

/* Those of the texts that are addresses: they were checked when they were taken. */
static ProtobufCBinaryData *addresses_of(struct arena *a, char *const *text, size_t n, size_t *ret_n)
{
	ProtobufCBinaryData *list = arena_alloc(a, (n + 1) * sizeof *list);
	struct address address;

	*ret_n = 0;
	for (size_t i = 0; list && i < n; i++)
		if (address_parse(text[i], &address) == 0 && bytes_of(a, &address, &list[*ret_n]))
			++*ret_n;
	return list;
}

Dns__Network *dns_network(const struct network *n, struct arena *a)
{
	Dns__Network *m = arena_alloc(a, sizeof *m);

	if (!m)
		return NULL;
	dns__network__init(m);
	SET(m, key, (uint32_t)n->node.id);
	m->name = n->obj->meta->name;
	SET(m, internal, n->obj->internal);
	m->servers = addresses_of(a, n->obj->dns, n->obj->n_dns, &m->n_servers);
	m->gateways = arena_alloc(a, NETWORK_SUBNETS * sizeof *m->gateways);
	for (unsigned i = 0; m->gateways && network_has_dns(n) && i < n->n_subnets; i++)
		m->n_gateways += bytes_of(a, &n->gateway[i], &m->gateways[m->n_gateways]);
	return a->failed ? NULL : m;
}

static const struct network *network_of(const struct net_holder *h, const Berth__Lease *l)
{
	struct table_node *node = table_find(&h->sv->networks, l->network_uuid ? l->network_uuid : "");

	return node ? container_of(node, struct network, node) : NULL;
}

static Dns__Interface *interface_of(const struct net_holder *h, const Berth__Lease *l, struct arena *a)
{
	const struct network *n = network_of(h, l);
	Dns__Interface *x = n ? arena_alloc(a, sizeof *x) : NULL;

	if (!x)
		return NULL;
	dns__interface__init(x);
	SET(x, network_key, (uint32_t)n->node.id);
	x->addresses = addresses_of(a, l->addresses, l->n_addresses, &x->n_addresses);
	x->aliases = l->aliases;
	x->n_aliases = l->n_aliases;
	return x;
}

Dns__Holder *dns_holder(const struct net_holder *h, struct arena *a)
{
	struct net_stored stored = net_stored_of(h);
	Dns__Holder *m = arena_alloc(a, sizeof *m);

	if (!m)
		return NULL;
	dns__holder__init(m);
	SET(m, id, stored.meta->id);
	m->project = stored.meta->project;
	m->names = h->kind->names(h, a, &m->n_names);
	m->servers = addresses_of(a, stored.names->dns, stored.names->n_dns, &m->n_servers);
	m->interfaces = arena_alloc(a, (stored.n_leases + 1) * sizeof *m->interfaces);
	for (size_t i = 0; m->interfaces && i < stored.n_leases; i++) {
		Dns__Interface *x = stored.leases[i]->leaving ? NULL : interface_of(h, stored.leases[i], a);

		if (x)
			m->interfaces[m->n_interfaces++] = x;
	}
	return a->failed ? NULL : m;
}

Dns__Servers *dns_servers(struct supervisor *sv, struct arena *a)
{
	Dns__Servers *m = arena_alloc(a, sizeof *m);

	if (!m)
		return NULL;
	dns__servers__init(m);
	m->servers = arena_alloc(a, RESOLV_SERVERS * sizeof *m->servers);
	for (unsigned i = 0; m->servers && i < resolv_servers(sv); i++)
		m->n_servers += bytes_of(a, resolv_server(sv, i), &m->servers[m->n_servers]);
	return a->failed ? NULL : m;
}

Dns__State *dns_state(struct supervisor *sv, struct arena *a)
{
	Dns__State *s = arena_alloc(a, sizeof *s);
	Dns__Servers *servers = dns_servers(sv, a);
	struct table_node *node;
	struct net_holder *h;
	size_t n = 0;

	if (!s || !servers)
		return NULL;
	dns__state__init(s);
	s->servers = servers->servers;
	s->n_servers = servers->n_servers;
	list_each (h, &sv->net_holders, link)
		n++;
	s->networks = arena_alloc(a, (sv->networks.n + 1) * sizeof *s->networks);
	s->holders = arena_alloc(a, (n + 1) * sizeof *s->holders);
	if (a->failed)
		return NULL;
	list_each (node, &sv->networks.all, link)
		s->networks[s->n_networks++] = dns_network(container_of(node, struct network, node), a);
	list_each (h, &sv->net_holders, link)
		if (h->asked && net_stored_of(h).n_leases)
			s->holders[s->n_holders++] = dns_holder(h, a);
	return a->failed ? NULL : s;
}

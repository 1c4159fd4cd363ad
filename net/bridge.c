/* net/bridge.c - see net/bridge.h */
#include "net/bridge.h"

#include "net/address.h"
#include "net/link.h"
#include "net/port.h"
#include "net/uplink.h"

#include <errno.h>
#include <string.h>

/* As good as any, of one machine's, and the same whenever it is made: who knows it need not ask again. */
static void bridge_mac(uint32_t key, uint8_t mac[6])
{
	mac[0] = 2;
	mac[1] = 'b';
	for (int i = 0; i < 4; i++)
		mac[2 + i] = (uint8_t)(key >> (24 - 8 * i));
}

/* Ours, complete whatever of it was there. Its index. */
static int bridge_make(struct nl *host, const Net__Uplink *u, uint32_t key, Net__Subnet *const *subnets, size_t n,
		       struct err *e)
{
	uint8_t mac[6];
	int r, index;

	bridge_mac(key, mac);
	r = link_bridge_add(host, u->link, mac, u->mtu, e);
	if (r == 0)
		r = port_routers_ignore(u->link, e);
	if (r < 0)
		return r;
	index = link_index(host, u->link);
	r = index < 0 ? err_set(e, -index, "network", "find the bridge %s", u->link) : link_up(host, index, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct ip gateway = ip_of(&subnets[i]->gateway);

		r = address_put(host, index, &gateway, subnets[i]->prefix, e);
	}
	return r < 0 ? r : index;
}

static int foreign_find(struct nl *host, const Net__Uplink *u, struct err *e)
{
	struct link parent;
	int r = uplink_parent(host, u, &parent, e);

	if (r == 0 && strcmp(parent.kind, "bridge") != 0)
		r = err_set(
			e, EINVAL, PARENT_FIELD,
			"%s is no bridge, and would lose the host's addresses as a port of one: make a bridge, or use "
			"macvlan",
			u->parent);
	return r < 0 ? r : parent.index;
}

int bridge_network_put(struct nl *host, const Net__Network *n, struct err *e)
{
	const Net__Uplink *u = n->uplink;
	int index = u->parent ? foreign_find(host, u, e) : bridge_make(host, u, n->key, n->subnets, n->n_subnets, e);

	return index < 0 ? index : 0;
}

int bridge_network_del(struct nl *host, const Net__Network *n, struct err *e)
{
	return n->uplink->parent ? 0 : link_del(host, n->uplink->link, e);
}

/* With br_netfilter, which other programs load, a container that asks for its own published port is answered within the bridge. */
static int published_let(struct nl *host, int port, const Net__Uplink *u, struct err *e)
{
	int r = port_loopback_let(u->link, e);

	return r < 0 ? r : link_hairpin(host, port, e);
}

int bridge_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e)
{
	const Net__Uplink *u = p->uplink;
	int master = u->parent ? foreign_find(host, u, e)
			       : bridge_make(host, u, p->network_key, p->subnets, p->n_subnets, e);
	struct link_pair pair = {.ns_fd = ns_fd, .master = master};
	int r = master < 0 ? master : port_pair_make(host, inside, p, &pair, e), outer;

	if (r < 0)
		return r;
	outer = link_index(host, p->host_link);
	r = outer < 0 ? err_set(e, ENODEV, "network", "the link %s is gone again", p->host_link)
		      : link_up_in_group(host, outer, p->policy, e);
	if (r == 0 && p->n_published)
		r = published_let(host, outer, u, e);
	return r < 0 ? r : port_inside(inside, p, e);
}

int bridge_again(struct nl *host, const Net__Port *p, struct err *e)
{
	int master = link_index(host, p->uplink->link), outer = link_index(host, p->host_link), r;

	if (master < 0 || outer < 0)
		return 0;
	r = link_master(host, outer, master, e);
	return r == 0 && p->n_published ? published_let(host, outer, p->uplink, e) : r;
}

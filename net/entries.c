/* net/entries.c - see net/entries.h */
#include "net/entries.h"

#include "net/bridge_table.h"
#include "net/group.h"

#include <string.h>

/* A port of one of our bridges has shown that it is who it says (net/bridge_table.h): the bridge is let through the guard. */
static void bridge_elements(struct elements *list, const Net__Network *n)
{
	const char *link = n->uplink->link;
	struct element el;

	element_in(&el, "spoofing");
	element_link(&el, link);
	elements_add(list, &el);
	element_in(&el, "network_of");
	element_link(&el, link);
	element_gives(&el);
	element_number(&el, n->key);
	elements_add(list, &el);
	element_in(&el, "members");
	element_link(&el, link);
	element_number(&el, n->key);
	elements_add(list, &el);
	if (n->internal) {
		element_in(&el, "closed");
		element_link(&el, link);
		elements_add(list, &el);
	}
}

/* Packets of the network pass the host's IP. */
static bool passes_ip(const Net__Uplink *u)
{
	return !u || (bridge_has_ports(u) && !u->parent);
}

void network_elements(struct elements *list, const Net__Network *n)
{
	struct element el;

	if (!passes_ip(n->uplink))
		return;
	if (n->uplink)
		bridge_elements(list, n);
	for (size_t i = 0; i < n->n_subnets; i++) {
		const Net__Subnet *s = n->subnets[i];
		bool six = s->network.len == 16;

		element_in(&el, six ? "gateways6" : "gateways4");
		element_ip(&el, &s->gateway);
		elements_add(list, &el);
		if (n->uplink) {
			element_in(&el, six ? "bridged6" : "bridged4");
			element_net(&el, &s->network, s->prefix);
			elements_add(list, &el);
		}
		if (n->masquerade) {
			element_in(&el, six ? "masked6" : "masked4");
			element_net(&el, &s->network, s->prefix);
			elements_add(list, &el);
		}
	}
}

static void published_element(struct elements *list, const Net__Published *p, const ProtobufCBinaryData *to)
{
	static const uint8_t any[16];
	bool six = to->len == 16;
	struct element el;

	if (p->host_ip.len && p->host_ip.len != to->len)
		return;
	if (p->host_ip.len && memcmp(p->host_ip.data, any, p->host_ip.len) != 0) {
		element_in(&el, six ? "at6" : "at4");
		element_ip(&el, &p->host_ip);
	} else {
		element_in(&el, six ? "to6" : "to4");
	}
	element_protocol(&el, p->protocol);
	element_port(&el, p->host_port);
	element_gives(&el);
	element_ip(&el, to);
	element_port(&el, p->port);
	elements_add(list, &el);
}

static void floating_elements(struct elements *list, const Net__Floating *f)
{
	bool six = f->address.len == 16;
	struct element el;

	element_in(&el, six ? "float6" : "float4");
	element_ip(&el, &f->address);
	element_gives(&el);
	element_ip(&el, &f->inside);
	elements_add(list, &el);
	element_in(&el, six ? "from6" : "from4");
	element_ip(&el, &f->inside);
	element_gives(&el);
	element_ip(&el, &f->address);
	elements_add(list, &el);
}

static void address_elements(struct elements *list, const Net__Port *p, const ProtobufCBinaryData *ip)
{
	bool six = ip->len == 16;
	char set[ELEMENT_SET];
	struct element el;

	if (!p->uplink) {
		element_in(&el, six ? "own6" : "own4");
		element_link(&el, p->host_link);
		element_mac(&el, p->mac.data);
		element_ip(&el, ip);
		elements_add(list, &el);
	}
	for (size_t i = 0; i < p->n_published; i++)
		published_element(list, p->published[i], ip);
	for (size_t i = 0; i < p->n_groups; i++) {
		GROUP_SET(set, p->groups[i], six);
		element_in(&el, set);
		element_ip(&el, ip);
		elements_add(list, &el);
	}
}

void port_elements(struct elements *list, const Net__Port *p)
{
	struct element el;

	if (bridge_has_ports(p->uplink))
		bridge_port_elements(list, p);
	for (size_t i = 0; passes_ip(p->uplink) && i < p->n_addresses; i++)
		address_elements(list, p, &p->addresses[i]);
	for (size_t i = 0; passes_ip(p->uplink) && i < p->n_floating; i++)
		floating_elements(list, p->floating[i]);
	if (p->uplink)
		return;
	element_in(&el, "network_of");
	element_link(&el, p->host_link);
	element_gives(&el);
	element_number(&el, p->network_key);
	elements_add(list, &el);
	element_in(&el, "members");
	element_link(&el, p->host_link);
	element_number(&el, p->network_key);
	elements_add(list, &el);
	if (p->internal) {
		element_in(&el, "closed");
		element_link(&el, p->host_link);
		elements_add(list, &el);
	}
	if (p->allow_spoofing) {
		element_in(&el, "spoofing");
		element_link(&el, p->host_link);
		elements_add(list, &el);
	}
}

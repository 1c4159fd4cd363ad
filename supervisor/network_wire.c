/* supervisor/network_wire.c - addresses that the host itself has on the wire of a network: on macvlan and ipvlan it would not even be heard that somebody else has
 * them. None of them is given to anybody there; who had it before the host got it is told. */
#include "supervisor/network.h"

#include "base/own.h"
#include "supervisor/duplicate.h"

#include <stdlib.h>
#include <string.h>

bool network_wire_has(const struct network *n, const struct address *a)
{
	for (size_t i = 0; i < n->n_on_wire; i++)
		if (address_is(&n->on_wire[i], a))
			return true;
	return false;
}

static void lease_look(struct supervisor *sv, const Berth__Lease *l, const struct address *a, const Net__WireSeen *seen)
{
	Net__DuplicateSeen twice = NET__DUPLICATE_SEEN__INIT;
	char text[ADDRESS_TEXT];

	address_text(a, text);
	for (size_t i = 0; i < l->n_addresses; i++) {
		if (strcmp(l->addresses[i], text) != 0)
			continue;
		twice.host_link = l->host_link;
		twice.has_address = twice.has_mac = 1;
		twice.address = (ProtobufCBinaryData){a->len, (uint8_t *)(uintptr_t)a->byte};
		twice.mac = seen->mac;
		duplicate_seen(sv, &twice);
	}
}

static void leases_look(struct supervisor *sv, const struct network *n, const struct address *a,
			const Net__WireSeen *seen)
{
	struct net_holder *h;

	list_each (h, &sv->net_holders, link) {
		const struct net_stored s = net_stored_of(h);

		for (size_t i = 0; i < s.n_leases; i++)
			if (s.leases[i]->network_uuid && !strcmp(s.leases[i]->network_uuid, n->node.uuid))
				lease_look(sv, s.leases[i], a, seen);
	}
}

void network_wire_seen(struct supervisor *sv, const Net__WireSeen *seen)
{
	struct network *n = network_by_key(sv, seen->network_key);
	struct address *list = n ? calloc(seen->n_addresses + 1, sizeof *list) : NULL;

	if (!list)
		return;
	free(n->on_wire);
	n->on_wire = list;
	n->n_on_wire = 0;
	for (size_t i = 0; i < seen->n_addresses; i++) {
		struct address a = {.len = (unsigned)seen->addresses[i].len};

		if (a.len != 4 && a.len != 16)
			continue;
		memcpy(a.byte, seen->addresses[i].data, a.len);
		list[n->n_on_wire++] = a;
		for (unsigned k = 0; k < n->n_subnets; k++)
			if (subnet_has(&n->subnet[k], &a))
				pool_take(&n->pool[k], &a);
		leases_look(sv, n, &a, seen);
	}
}

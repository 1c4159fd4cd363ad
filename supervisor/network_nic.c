/* supervisor/network_nic.c - the NIC of a network of the driver phys: what it was when the host had it last, stored with the network, so that it is given
 * back as that whoever dies meanwhile. */
#include "supervisor/network.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/mac.h"
#include "supervisor/set.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void text_put(char **to, const char *text)
{
	if (text && text[0])
		set_text(to, "%s", text);
	else
		set_null(to);
}

static void on_stored(void *arg, int result)
{
	if (result < 0)
		log_error("what is known of a NIC could not be stored: %s", strerror(-result));
}

struct network *network_by_key(struct supervisor *sv, uint32_t key)
{
	struct table_node *node;

	list_each (node, &sv->networks.all, link)
		if ((uint32_t)node->id == key)
			return container_of(node, struct network, node);
	return NULL;
}

void network_nic_seen(struct supervisor *sv, uint32_t key, const Net__Nic *seen)
{
	struct network *n = network_by_key(sv, key);
	Berth__NetworkNic *nic = n ? n->obj->nic : NULL;
	char text[MAC_TEXT];

	if (n && !nic && (nic = malloc(sizeof *nic))) {
		berth__network_nic__init(nic);
		n->obj->nic = nic;
	}
	if (!nic)
		return;
	text_put(&nic->mac, seen->mac.len == 6 ? mac_text(seen->mac.data, text) : NULL);
	text_put(&nic->permanent_mac,
		 seen->permanent.len == 6 && seen->has_permanent ? mac_text(seen->permanent.data, text) : NULL);
	text_put(&nic->device, seen->device);
	SET(nic, mtu, seen->mtu);
	SET(nic, up, seen->up);
	SET(nic, away, seen->away);
	nic->has_index = seen->has_index;
	nic->index = seen->index;
	/* One that is made is stored when it is. */
	if (n->stored && store_put(sv->store, STORE_NETWORK, n->obj->meta, &n->obj->base, false, on_stored, NULL) < 0)
		on_stored(NULL, -ENOBUFS);
}

static bool mac_put(const char *text, ProtobufCBinaryData *to, struct arena *a)
{
	uint8_t *m = text ? arena_alloc(a, 6) : NULL;

	if (!m || mac_parse(text, m) < 0)
		return false;
	*to = (ProtobufCBinaryData){6, m};
	return true;
}

Net__Nic *network_nic(const struct network *n, struct arena *a)
{
	const Berth__NetworkNic *from = n->obj->nic;
	Net__Nic *nic = from ? arena_alloc(a, sizeof *nic) : NULL;

	if (!nic)
		return NULL;
	net__nic__init(nic);
	nic->has_mac = mac_put(from->mac, &nic->mac, a);
	nic->has_permanent = mac_put(from->permanent_mac, &nic->permanent, a);
	nic->device = from->device;
	SET(nic, mtu, from->mtu);
	SET(nic, up, from->up);
	SET(nic, away, from->away);
	nic->has_index = from->has_index;
	nic->index = from->index;
	return nic;
}

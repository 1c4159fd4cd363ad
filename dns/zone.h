/* dns/zone.h - what berth-dns knows: networks, and who is in them under which names. Pure memory: no sockets, no clock.
 *
 * Who asks is known by the address that he asks from, and finds what is in one of his networks and of his project. Names are compared
 * in lower case. */
#pragma once

#include "base/list.h"
#include "dns/packet.h"
#include "proto/dns.h"
#include "proto/dns.pb-c.h"

struct zone;
struct zone_holder;

/* A network as its members ask it. */
struct zone_network {
	struct list link;      /* zone.networks */
	Dns__Network *said;    /* owned */
	struct list listeners; /* of dns/server.c */
	bool marked;	       /* said by the State that is being taken over */
};

struct zone *zone_new(void);
void zone_free(struct zone *z);

/* Take the message, or free it. Negative errno: bad, or no memory. What is there already under this key is replaced. */
int zone_network_put(struct zone *z, Dns__Network *n);
int zone_holder_put(struct zone *z, Dns__Holder *h);
void zone_network_del(struct zone *z, uint32_t key);
void zone_holder_del(struct zone *z, uint64_t id);
void zone_holders_clear(struct zone *z);
struct list *zone_networks(struct zone *z);
struct zone_network *zone_network(struct zone *z, uint32_t key);
unsigned zone_holders(const struct zone *z);

/* Who has this address; NULL: nobody, and then nobody is answered. */
struct zone_holder *zone_asker(struct zone *z, const uint8_t *ip, unsigned len);
uint64_t zone_holder_id(const struct zone_holder *h);
/* The first of his networks that leads outside; NULL: he asks nobody. */
struct zone_network *zone_way_out(struct zone *z, const struct zone_holder *h);
/* Whom he wants to be asked, else whom that network says; none: those of the host. */
struct zone_servers {
	const ProtobufCBinaryData *list;
	size_t n;
} zone_servers(struct zone *z, const struct zone_holder *h);

enum zone_result {
	ZONE_FOUND,  /* what there is of it is in the answer: perhaps nothing of this type */
	ZONE_NOBODY, /* it would be ours, and is not there */
	ZONE_OTHERS, /* no name of ours */
};
enum zone_result zone_look(struct zone *z, const struct zone_holder *asker, const struct question *q, struct answer *a);

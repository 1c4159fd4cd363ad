/* net/flows.h - connections that the kernel tracks: those by an address that now means something else end, others are not touched. */
#pragma once

#include "net/ip.h"

/* What goes to the address or leaves by it. Linear in all connections that there are. */
int flows_end(const struct ip *ip, struct err *e);

/* What the address has begun and means others than those of its network (the prefix), or has translated: of datagrams, which would go on as they began.
 * Connections of TCP are left to those who have them. Linear in all flows of UDP and ICMP. */
int flows_end_from(const struct ip *ip, const struct ip *network, unsigned prefix, struct err *e);

struct door {	       /* a port of UDP that the host has, and now leads somewhere else */
	struct ip at;  /* len 0: at all of its addresses */
	uint16_t port; /* network order */
};
/* Those of UDP that came to one of them, at one of the host's addresses: a datagram is led where the first of its flow was, for as long as they come. Linear in all
 * connections of UDP. */
int flows_end_at(const struct door *doors, size_t n, const struct ip *of_host, size_t n_of_host, struct err *e);

struct flow { /* of UDP, as a packet says; ports in network order */
	struct ip from, to;
	uint16_t from_port, to_port;
	bool ended; /* false at first */
};
/* Those that such packets belong to, in either direction. Linear in all connections of UDP, once for all of them, when one is translated at both ends. */
int flows_end_of(struct flow *flows, size_t n, struct err *e);

/* net/flows.h - connections that the kernel tracks: those by an address that now means something else end, others are not touched. */
#pragma once

#include "net/ip.h"

/* What goes to the address or leaves by it. Linear in all connections that there are. */
int flows_end(const struct ip *ip, struct err *e);

struct flow { /* of UDP, as a packet says; ports in network order */
	struct ip from, to;
	uint16_t from_port, to_port;
	bool ended; /* false at first */
};
/* Those that such packets belong to, in either direction. Linear in all connections of UDP, once for all of them, when one is translated at both ends. */
int flows_end_of(struct flow *flows, size_t n, struct err *e);

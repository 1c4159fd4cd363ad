/* net/flows.h - connections that the kernel tracks: those by an address that now means something else end, others are not touched. */
#pragma once

#include "net/ip.h"

/* What goes to the address or leaves by it. Linear in all connections that there are. */
int flows_end(const struct ip *ip, struct err *e);

struct flow { /* of UDP, as a packet says; ports in network order */
	struct ip from, to;
	uint16_t from_port, to_port;
};
/* The one that such a packet belongs to, in either direction. */
int flow_end(const struct flow *f, struct err *e);

/* net/driver.h - a network's driver: what is done at the host for it, and for a port of it. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

#include <stdbool.h>

/* Where the neighbours of its ports can be spoken to (net/claim.h). An ipvlan link hears no answer to a question that is nobody's yet: its
 * parent, whose MAC it has, does. */
enum wire { WIRE_NONE, WIRE_INSIDE, WIRE_PARENT };

struct net_driver {
	bool gateway; /* the host is it, and forwards */
	bool pair;    /* what is removed at the host takes the pod's end along */
	enum wire wire;
	int (*network_put)(struct nl *host, const Net__Network *n, struct err *e);
	int (*network_del)(struct nl *host, const Net__Network *n, struct err *e);
	/* inside: a socket in the pod's network namespace, which is ns_fd. What an earlier berth-net had begun is finished. UPPER_TAKEN: not yet. */
	int (*attach)(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);
	/* The host's link of its network was made anew: what hangs on that of a port that is there. NULL: nothing does. */
	int (*again)(struct nl *host, const Net__Port *p, struct err *e);
};

/* What the host has for all ports of a network, by name; NULL: nothing that we make. */
const char *net_driver_link(const Net__Uplink *u);

/* u NULL: routed. */
const struct net_driver *net_driver_of(const Net__Uplink *u);
bool uplink_is_sound(const Net__Uplink *u);

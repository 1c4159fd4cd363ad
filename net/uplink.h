/* net/uplink.h - the links of the host that networks lead to, and the drivers whose links lead there directly: macvlan and ipvlan. */
#pragma once

#include "net/link.h"
#include "proto/net.pb-c.h"

#define PARENT_FIELD "spec.parent" /* what an error about it names */

/* The parent as it is; of `eth0.100` that nobody has made the VLAN that we made for it. With MTU and all that could be wrong with it. */
int uplink_parent(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e);

int upper_network_put(struct nl *host, const Net__Network *n, struct err *e);
int upper_network_del(struct nl *host, const Net__Network *n, struct err *e);
/* A container that starts again may find its last namespace not taken apart yet, with a link in it that has its MAC (macvlan) or its addresses (ipvlan). e says so;
 * what was made stays, for the next try. */
#define UPPER_TAKEN 1
int upper_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);

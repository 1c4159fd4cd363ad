/* net/uplink.h - the links of the host that networks lead to, and the drivers whose links lead there directly: macvlan and ipvlan. */
#pragma once

#include "net/link.h"
#include "proto/net.pb-c.h"

#define PARENT_FIELD "spec.parent" /* what an error about it names */

/* The parent as it is; of `eth0.100` that nobody has made the VLAN that we made for it. With MTU and all that could be wrong with it. */
int uplink_parent(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e);

int upper_network_put(struct nl *host, const Net__Network *n, struct err *e);
int upper_network_del(struct nl *host, const Net__Network *n, struct err *e);
int upper_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);

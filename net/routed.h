/* net/routed.h - the driver `routed`: a pair of links for each interface, an address of its own (/32, /128) at the end in the pod and a route to
 * it at the host's; no bridge. The gateways of all networks are addresses of one link of the host that leads nowhere, on which ARP for them is answered at
 * any link; IPv6 goes by fe80::1, which nobody has: what stands for it is the MAC of the host's end. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

#define GATEWAY_LINK "berth0"

int routed_open(struct nl *host, struct err *e); /* the host forwards, the link of the gateways is there */
int routed_network_put(struct nl *host, const Net__Network *n, struct err *e);
int routed_network_del(struct nl *host, const Net__Network *n, struct err *e);
/* What there is of networks that are not in it. */
int routed_sweep(struct nl *host, const Net__State *s, struct err *e);
/* The port's allow_spoofing has changed: who may have another MAC is asked for it, who may not is not. */
int routed_asked(struct nl *host, const Net__Port *p, struct err *e);
/* The links of a port to come (net/slot.h); ns_fd and inside as below. */
int routed_slot(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);
/* ns_fd: the pod's network namespace; inside: a socket in it. What an earlier berth-net had begun is finished. */
int routed_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);
/* Its addresses once more, when berth0 was made anew under it. */
int routed_again(struct nl *host, const Net__Port *p, struct err *e);

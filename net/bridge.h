/* net/bridge.h - the driver `bridge`: the host's ends of the pairs are ports of a bridge, on which containers find each other. Of our own bridge
 * the host has the gateway's addresses; on a bridge that the host has already we add ports and nothing else. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

int bridge_network_put(struct nl *host, const Net__Network *n, struct err *e);
int bridge_network_del(struct nl *host, const Net__Network *n, struct err *e);
int bridge_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e);
int bridge_again(struct nl *host, const Net__Port *p, struct err *e);

/* net/wires.h - addresses that the host itself has on wires that networks lead to: berthd is told, so that it gives them to nobody there. When such a network
 * comes, and whenever they change. */
#pragma once

#include "net/ip.h"
#include "proto/net.pb-c.h"

struct wires; /* by network */

struct wires_ops {
	/* All that there are now, of the network's subnets, and the MAC that they are at. Negative: berthd is gone. */
	int (*seen)(void *arg, uint32_t key, const struct ip *ips, size_t n, const uint8_t mac[6]);
	void *arg;
};
#define WIRE_ADDRESSES 32u /* more are not told */

int wires_open(struct wires **ret, struct nl *host, const struct wires_ops *ops, struct err *e);
int wires_put(struct wires *ws, const Net__Network *n, struct err *e); /* one that leads to no wire is none */
void wires_forget(struct wires *ws, uint32_t key);
void wires_forget_all(struct wires *ws);
int wires_fd(const struct wires *ws); /* readable: wires_go_on */
int wires_go_on(struct wires *ws);

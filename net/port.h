/* net/port.h - what the drivers have in common of a port: a pair of links, or addresses and routes inside. */
#pragma once

#include "net/ip.h"
#include "net/link.h"
#include "proto/net.pb-c.h"

struct ip ip_of(const ProtobufCBinaryData *bytes);
unsigned ip_bits(const struct ip *ip); /* of a prefix that is this address alone */

int sysctl_set(const char *path, const char *value, struct err *e);
/* So that what is published can be reached at 127.0.0.1 too; the table lets nothing else of a container's come to it. */
int port_loopback_let(const char *link, struct err *e);
/* A link of ours, before it is up: nobody behind it tells the host of routers. (A host that forwards listens to those at its other links: net/routed.c.) */
int port_routers_ignore(const char *link, struct err *e);

/* The subnet of its network that has addresses as long, or NULL. */
const Net__Subnet *port_subnet(const Net__Port *p, unsigned len);
/* Somebody else's has its name. */
int port_link_taken(const Net__Port *p, struct err *e);
/* Both ends: pair says what hangs on the driver, the rest is filled in. 0: an earlier berth-net has made them; 1: they are new. */
int port_pair_make(struct nl *host, struct nl *inside, const Net__Port *p, struct link_pair *pair, struct err *e);
#define PORT_TABLE  100000u /* and the number of the link: routes for what has its addresses */
#define PORT_METRIC 2000u   /* and the number of the link: behind the first interface's, of 0 (IPv6: 1024) */
/* By which the rest of the world is reached from an address of len bytes in s; len 0: directly. */
struct ip port_gateway(const Net__Port *p, const Net__Subnet *s, unsigned len);
/* Where there are several: what has an address of this interface leaves by it. One that is not there (yet) is none. */
int port_answers(struct nl *inside, const Net__Port *p, struct err *e);
/* Up and with its addresses, in a network whose others are reached directly. */
int port_inside(struct nl *inside, const Net__Port *p, struct err *e);
/* The host's end of an interface of `routed`, for IPv6 (fe80::1). */
extern const struct ip port_link_local;

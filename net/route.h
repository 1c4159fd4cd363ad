/* net/route.h - routes, and rules that lead to tables of them, one request each. The family follows from the length of an address. What is there already, or is
 * gone, is no error. Negative errno with e filled. */
#pragma once

#include "net/ip.h"

struct route {
	struct ip to; /* len 0: the default, of the family of `gateway` */
	unsigned prefix;
	struct ip gateway, source; /* either may have len 0 */
	int index;		   /* 0: unreachable, so that what nobody has goes nowhere else */
	uint8_t protocol;	   /* who has made it: 0 as others do, or one of these */
	uint32_t metric;	   /* of several to the same, the least counts */
	uint32_t table;		   /* 0: main */
};
/* Nobody else's (rtnetlink.h), so that ours are found again. */
#define ROUTE_FLOATING 190	   /* of floating IPs */
#define ROUTE_NETWORK  191	   /* of networks */
#define ROUTE_LAST     0x7fffffffu /* the metric of what is for the rest: whatever route others have, theirs counts */
int route_put(struct nl *nl, const struct route *r, struct err *e);
int route_del(struct nl *nl, const struct route *r, struct err *e);
/* What is sent from the address asks this table first. */
int rule_put(struct nl *nl, const struct ip *from, uint32_t table, struct err *e);
/* How the host reaches r->to: prefix, gateway, index and protocol of the route that is taken, and to what it leads; of several ways at once
 * the index of the first, and no gateway if one of them has none. Negative errno: there is none in the main table. */
int route_find(struct nl *nl, struct route *r);
int rule_del(struct nl *nl, const struct ip *from, uint32_t table, struct err *e); /* 0: the first that there is */
/* Each that leads from one address. */
int rule_each(struct nl *nl, void (*fn)(void *arg, const struct ip *from, uint32_t table), void *arg, struct err *e);
/* Each of the main table by this link (0: unreachable) that has the protocol. */
int route_each(struct nl *nl, int index, uint8_t protocol,
	       void (*fn)(void *arg, const struct ip *to, unsigned prefix, uint32_t metric), void *arg, struct err *e);

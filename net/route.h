/* net/route.h - routes, and rules that lead to tables of them, one request each. The family follows from the length of an address. What is there already, or is
 * gone, is no error. Negative errno with e filled. */
#pragma once

#include "net/ip.h"

struct route {
	struct ip to; /* len 0: the default, of the family of `gateway` */
	unsigned prefix;
	struct ip gateway, source; /* either may have len 0 */
	int index;		   /* 0: unreachable, so that what nobody has goes nowhere else */
	uint8_t protocol;	   /* who has made it: 0 as others do, or ROUTE_FLOATING */
	uint32_t metric;	   /* of several to the same, the least counts */
	uint32_t table;		   /* 0: main */
};
#define ROUTE_FLOATING 190 /* of floating IPs: nobody else's (rtnetlink.h), so that ours are found again */
int route_put(struct nl *nl, const struct route *r, struct err *e);
int route_del(struct nl *nl, const struct route *r, struct err *e);
/* What is sent from the address asks this table first. */
int rule_put(struct nl *nl, const struct ip *from, uint32_t table, struct err *e);
int rule_del(struct nl *nl, const struct ip *from, struct err *e);
/* Each of the main table by this link (0: unreachable) that has the protocol. */
int route_each(struct nl *nl, int index, uint8_t protocol, void (*fn)(void *arg, const struct ip *to, unsigned prefix),
	       void *arg, struct err *e);

/* net/ip.h - an address as the kernel has it, and requests that are of its family: of addresses, routes, rules and neighbours the headers begin alike. */
#pragma once

#include "net/nl.h"

#include <stdbool.h>
#include <stddef.h>

struct ip {
	uint8_t byte[16]; /* network order */
	unsigned len;	  /* 4, 16; 0 = none */
};

bool ip_bits_equal(const struct ip *a, const struct ip *b, unsigned n); /* the first n, of two as long */

/* A request with a header of that size, of the family of an address that long. */
void *ip_request(struct nl *nl, uint16_t type, uint16_t flags, unsigned len, size_t size, struct nlmsghdr **ret);
void ip_put(struct nlmsghdr *h, uint16_t type, const struct ip *ip); /* none: nothing */
bool ip_take(const struct nlattr *a, struct ip *ip);		     /* false: it is none */
/* A dump of each family, the header otherwise as it is given; a host without IPv6 has none of those. */
int ip_dump(struct nl *nl, uint16_t type, const void *header, size_t size, mnl_cb_t fn, void *arg);

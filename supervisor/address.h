/* supervisor/address.h - IP addresses and subnets as numbers. Pure. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct address {
	uint8_t byte[16]; /* network order */
	unsigned len;	  /* 4 or 16; 0 = none */
};

struct subnet {
	struct address first; /* host bits are 0 */
	unsigned prefix;
};

#define ADDRESS_TEXT 46

/* "10.1.2.3", "fd00::1"; -EINVAL. */
int address_parse(const char *text, struct address *ret);
const char *address_text(const struct address *a, char buf[ADDRESS_TEXT]);
bool address_is_loopback(const struct address *a);
/* Not of several (multicast, the broadcast address), nor one that means another machine on each link, nor one of IPv4 in the dress
 * of IPv6, which no packet has. */
bool address_is_of_one(const struct address *a);
bool address_is(const struct address *a, const struct address *b);

/* "10.209.0.0/16": e says what is wrong, without naming a field. Between 2 and 2^64 addresses; none of the ranges that have a meaning of
 * their own (loopback, link-local, multicast). */
int subnet_parse(const char *text, struct subnet *ret, struct err *e);
bool subnet_has(const struct subnet *s, const struct address *a);
bool subnets_overlap(const struct subnet *a, const struct subnet *b);
/* May it be somebody's? Not the first and the last one, which mean the subnet and everybody in it. */
bool subnet_is_usable(const struct subnet *s, const struct address *a);
/* The one after a, the first behind the last: usable or not. a->len 0: the first. */
struct address subnet_next(const struct subnet *s, const struct address *a);
/* The how manieth it is, from 0, and back: the bits behind the prefix as a number. */
uint64_t subnet_index(const struct subnet *s, const struct address *a);
struct address subnet_at(const struct subnet *s, uint64_t index);
/* As subnet_parse, and inside of s. */
int subnet_parse_in(const struct subnet *s, const char *text, struct subnet *ret, struct err *e);
/* From the first to the last, both in it: of any length. */
struct range {
	struct address first, last;
};

/* "203.0.113.0/28", "203.0.113.8-203.0.113.20", "203.0.113.8"; e as of subnet_parse. */
int range_parse(const char *text, struct range *ret, struct err *e);
bool range_has(const struct range *r, const struct address *a);
bool range_meets(const struct range *r, const struct subnet *s);
struct address range_next(const struct range *r, const struct address *a); /* as subnet_next */
/* The range in prefixes: the next one begins at *at, which goes behind it; false: that was the last. at->len 0: the first. */
bool range_prefix(const struct range *r, struct address *at, struct subnet *ret);
uint64_t range_size(const struct range *r); /* at most UINT64_MAX */

/* How many there are, at most UINT64_MAX. */
uint64_t subnet_size(const struct subnet *s);

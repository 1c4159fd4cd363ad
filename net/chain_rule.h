/* net/chain_rule.h - a rule of a chain of our table: what a packet has to be, and where it goes then. Two forms of the same, as of elements: text for
 * libnftables, when the whole table is made, and messages for a change. */
#pragma once

#include "net/batch.h"
#include "net/ports.h"

#define CHAIN_NAME 32

struct chain_rule {
	char chain[CHAIN_NAME];
	int family; /* 4, 6; 0: both */

	/* Who is at the other end: a prefix, or the members of a set. Both have a family. */
	bool is_destination; /* the packet goes there, and does not come from there */
	unsigned len, prefix;
	uint8_t byte[16];
	char set[CHAIN_NAME];

	int protocol, icmp_type, icmp_code; /* -1: any. A type only with ICMP or ICMPv6, a code only with a type */
	bool answer;			    /* the ports are the source's */
	const struct ports *ports;	    /* or NULL */

	char jump[CHAIN_NAME]; /* "": it is accepted */
};

void chain_rule_init(struct chain_rule *r, const char *chain);
void chain_rule_text(struct buf *b, const struct chain_rule *r);
void chain_rule_put(struct batch *b, const struct chain_rule *r);

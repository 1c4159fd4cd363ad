/* net/element.h - an element of a set or map of our table, made of typed parts; and many of them changed at once.
 *
 * Two forms of the same: text for libnftables, when the whole table is made, and netlink attributes for single changes: these are some
 * 4 us each, text 60 to 100, and text first asks the kernel for the names of all sets and chains that there are. */
#pragma once

#include "net/batch.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELEMENT_SET   32
#define ELEMENT_PARTS 6

enum part_kind {
	PART_LINK,
	PART_MAC,
	PART_IP,
	PART_NET,
	PART_BITS,
	PART_NUMBER,
	PART_PROTOCOL,
	PART_PORT,
	PART_DIRECTION,
	PART_JUMP
};

struct part {
	enum part_kind kind;
	uint8_t len;	/* of byte: 4 or 16 of an address, all of it of a chain's name */
	uint8_t prefix; /* of a network */
	uint8_t byte[24];
};

struct element {
	char set[ELEMENT_SET];
	bool bridge;	   /* in the table of the bridge family, not of inet */
	unsigned n, n_key; /* parts; those of the key, the others are what a map has for it */
	struct part part[ELEMENT_PARTS];
};

/* element_in(&e, "own4"); element_link(&e, "bt1") …; element_gives(&e) in a map, between the key and what it gives. */
void element_in(struct element *e, const char *set);
void element_in_bridge(struct element *e, const char *set); /* no name of a set is in both tables */
void element_gives(struct element *e);
void element_link(struct element *e, const char *name);
void element_mac(struct element *e, const uint8_t mac[6]);
void element_ip(struct element *e, const ProtobufCBinaryData *ip); /* 4 or 16 bytes */
/* All of its addresses, alone in the key of a set of intervals. */
void element_net(struct element *e, const ProtobufCBinaryData *ip, uint32_t prefix);
void element_bits(struct element *e,
		  const ProtobufCBinaryData *ip);	 /* of a packet, where nft sees no address in them */
void element_number(struct element *e, uint32_t number); /* a mark */
void element_protocol(struct element *e, uint32_t protocol);
void element_port(struct element *e, uint32_t port);
void element_answer(struct element *e, bool is_answer); /* which way of its connection a packet goes */
void element_jump(struct element *e, const char *chain);

/* 0: the same. Those of a set follow each other. */
int element_order(const struct element *a, const struct element *b);
void element_text(struct buf *b, const struct element *e);

struct elements {
	struct element *v; /* owned */
	size_t n, max;
	bool failed;
};

void elements_add(struct elements *list, const struct element *e);
void elements_sort(struct elements *list);
/* Put in order, those of a set in one command: they are read some twenty times as fast as each in its own. */
void elements_text(struct buf *b, struct elements *list);
void elements_fini(struct elements *list);

/* Into a batch that has more than elements; one that is to be taken away has to be there. */
void element_put(struct batch *b, const struct element *e, bool add);
/* One transaction: what goes, where it is there, and what comes, which is put in order. Neither is an error if it is so already. */
int elements_change(struct batch_socket *s, const struct elements *gone, struct elements *come, struct err *e);

/* dns/packet.h - questions in, answers out, as bytes. Pure: no sockets, no memory but the caller's.
 *
 * Foreign packets are taken apart by glibc's ns_parse, which checks each length against the packet's end, follows no pointer out of it and
 * allocates nothing. What we write is a header, the question as it came, and records that point back to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_HEADER	12u
#define PACKET_MAX	65535u
#define PACKET_PLAIN	512u  /* what a UDP answer may have without EDNS */
#define PACKET_EDNS	1232u /* what we offer and send: fits in every path of IPv6 */
#define PACKET_NAME_MAX 1025u

struct question {
	uint16_t id, type, class;
	char name[PACKET_NAME_MAX]; /* lower case, without the last dot; what is no letter of a name is escaped */
	size_t len;		    /* of the question's bytes, behind the header */
	bool edns;
	size_t udp_max; /* that the asker takes */
};

enum packet_result {			 /* positive: expected */
		     PACKET_IGNORE = 1,	 /* no question at all: an answer to it could be one to a forged sender */
		     PACKET_MALFORMED,	 /* to be answered with FORMERR */
		     PACKET_UNSUPPORTED, /* … NOTIMP */
};

int question_parse(const uint8_t *data, size_t len, struct question *ret);

struct answer {
	uint8_t *data;
	size_t len, max;
	bool cut;
	unsigned n;
	const struct question *q;
};

/* Begins one to this packet, which question_parse has taken (or refused: then the question is left out). max of buf: at least PACKET_PLAIN. */
void answer_begin(struct answer *a, const uint8_t *packet, const struct question *q, bool with_question, uint8_t *buf,
		  size_t max);
void answer_address(struct answer *a, const uint8_t *ip, unsigned len);
void answer_name(struct answer *a, const char *name); /* PTR */
/* Its length. authority: we know, nobody else. */
size_t answer_end(struct answer *a, unsigned rcode, bool authority);

/* Is this packet an answer to that question, of which we sent out_id? */
bool reply_fits(const uint8_t *data, size_t len, uint16_t out_id, const uint8_t *question, size_t question_len);
bool reply_is_cut(const uint8_t *data, size_t len);
void packet_set_id(uint8_t *data, uint16_t id);
uint16_t packet_id(const uint8_t *data);

/* The address in a name of in-addr.arpa or ip6.arpa: its length (4, 16), or 0. */
unsigned reverse_parse(const char *name, uint8_t ret[16]);

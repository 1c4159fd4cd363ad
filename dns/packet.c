/* dns/packet.c - see dns/packet.h */
#include "dns/packet.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <ctype.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof((ns_rr *)0)->name <= PACKET_NAME_MAX, "a name has its room");

#define TTL 0u /* who is there may be gone with the next question */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void packet_set_id(uint8_t *data, uint16_t id)
{
	put16(data, id);
}

uint16_t packet_id(const uint8_t *data)
{
	return get16(data);
}

/* ---------------------------------------------------------------- questions */

static void edns_look(ns_msg *m, struct question *q)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_ar) && i < 8; i++)
		if (ns_parserr(m, ns_s_ar, i, &rr) == 0 && ns_rr_type(rr) == ns_t_opt) {
			q->edns = true;
			q->udp_max = ns_rr_class(rr) > PACKET_PLAIN ? ns_rr_class(rr) : PACKET_PLAIN;
		}
}

int question_parse(const uint8_t *data, size_t len, struct question *ret)
{
	uint8_t wire[NS_MAXCDNAME];
	size_t end;
	ns_msg m;
	ns_rr rr;
	int n;

	*ret = (struct question){.udp_max = PACKET_PLAIN};
	if (len < PACKET_HEADER || len > PACKET_MAX || data[2] & 0x80)
		return PACKET_IGNORE;
	ret->id = get16(data);
	if ((data[2] >> 3 & 0xf) != ns_o_query)
		return PACKET_UNSUPPORTED;
	if (ns_initparse(data, (int)len, &m) < 0 || ns_msg_count(m, ns_s_qd) != 1 ||
	    ns_parserr(&m, ns_s_qd, 0, &rr) < 0)
		return PACKET_MALFORMED;
	/* Not by a pointer: there is nothing before it that it could point to. So its length here is that of its copies. */
	n = ns_name_unpack(data, data + len, data + PACKET_HEADER, wire, sizeof wire);
	for (end = PACKET_HEADER; end < len && data[end]; end += data[end] + 1u)
		if (data[end] > NS_MAXLABEL)
			return PACKET_MALFORMED;
	ret->len = end + 1 + 4 - PACKET_HEADER;
	if (n < 0 || PACKET_HEADER + ret->len > len || (size_t)n != ret->len - 4)
		return PACKET_MALFORMED;
	ret->type = ns_rr_type(rr);
	ret->class = ns_rr_class(rr);
	strcpy(ret->name, ns_rr_name(rr));
	if (!strcmp(ret->name, "."))
		ret->name[0] = 0;
	for (char *p = ret->name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	edns_look(&m, ret);
	return 0;
}

/* ---------------------------------------------------------------- answers */

void answer_begin(struct answer *a, const uint8_t *packet, const struct question *q, bool with_question, uint8_t *buf,
		  size_t max)
{
	*a = (struct answer){.data = buf, .len = PACKET_HEADER, .max = max, .q = q};
	/* Its own id, opcode and wish for recursion, which we offer. */
	memset(buf, 0, PACKET_HEADER);
	memcpy(buf, packet, 2);
	buf[2] = (uint8_t)(0x80 | (packet[2] & 0x79));
	buf[3] = (uint8_t)(0x80 | (packet[3] & 0x10));
	if (!with_question)
		return;
	memcpy(buf + PACKET_HEADER, packet + PACKET_HEADER, q->len);
	a->len += q->len;
	put16(buf + 4, 1);
}

static const size_t opt_len = 11;

/* The head of a record about the name in the question; where its data goes, or NULL: there is no room. */
static uint8_t *record(struct answer *a, unsigned type, size_t len)
{
	uint8_t *p = a->data + a->len;

	if (a->len + 12 + len + (a->q->edns ? opt_len : 0) > a->max) {
		a->cut = true;
		return NULL;
	}
	put16(p, 0xc000 | PACKET_HEADER);
	put16(p + 2, type);
	put16(p + 4, ns_c_in);
	put16(p + 6, TTL >> 16);
	put16(p + 8, TTL);
	put16(p + 10, (unsigned)len);
	a->len += 12 + len;
	a->n++;
	return p + 12;
}

void answer_address(struct answer *a, const uint8_t *ip, unsigned len)
{
	uint8_t *p = record(a, len == 4 ? ns_t_a : ns_t_aaaa, len);

	if (p)
		memcpy(p, ip, len);
}

void answer_name(struct answer *a, const char *name)
{
	uint8_t wire[NS_MAXCDNAME];
	int r = ns_name_pton(name, wire, sizeof wire);
	size_t len = 0;
	uint8_t *p;

	if (r < 0) /* a name of ours that is none for others: too long, or a label of more than 63 */
		return;
	while (wire[len])
		len += wire[len] + 1u;
	p = record(a, ns_t_ptr, len + 1);
	if (p)
		memcpy(p, wire, len + 1);
}

size_t answer_end(struct answer *a, unsigned rcode, bool authority)
{
	uint8_t *p = a->data + a->len;

	put16(a->data + 6, a->n);
	if (authority)
		a->data[2] |= 0x04;
	if (a->cut)
		a->data[2] |= 0x02;
	a->data[3] = (uint8_t)((a->data[3] & 0xf0) | (rcode & 0xf));
	if (a->q->edns && a->len + opt_len <= a->max) {
		memset(p, 0, opt_len);
		put16(p + 1, ns_t_opt);
		put16(p + 3, PACKET_EDNS);
		put16(a->data + 10, 1);
		a->len += opt_len;
	}
	return a->len;
}

/* ---------------------------------------------------------------- what others answer */

bool reply_fits(const uint8_t *data, size_t len, uint16_t out_id, const uint8_t *question, size_t question_len)
{
	if (len < PACKET_HEADER || !(data[2] & 0x80) || get16(data) != out_id)
		return false;
	if (get16(data + 4) == 0) /* some say no without saying to what */
		return (data[3] & 0xf) != ns_r_noerror;
	if (get16(data + 4) != 1 || len < PACKET_HEADER + question_len)
		return false;
	/* Lengths of labels are no letters, so all of it may be compared as such. */
	for (size_t i = 0; i < question_len; i++)
		if (tolower(data[PACKET_HEADER + i]) != tolower(question[i]))
			return false;
	return true;
}

bool reply_is_cut(const uint8_t *data, size_t len)
{
	return len >= PACKET_HEADER && data[2] & 0x02;
}

/* ---------------------------------------------------------------- names of addresses */

static unsigned reverse4(const char *p, uint8_t ret[16])
{
	for (int i = 3; i >= 0; i--) {
		unsigned v = 0, digits = 0;

		for (; isdigit((unsigned char)*p) && digits < 3; p++, digits++)
			v = v * 10 + (unsigned)(*p - '0');
		if (!digits || v > 255 || *p++ != '.')
			return 0;
		ret[i] = (uint8_t)v;
	}
	return strcmp(p, "in-addr.arpa") ? 0 : 4;
}

static unsigned reverse6(const char *p, uint8_t ret[16])
{
	static const char hex[] = "0123456789abcdef";

	memset(ret, 0, 16);
	for (int i = 31; i >= 0; i--, p += 2) {
		const char *digit = *p ? strchr(hex, *p) : NULL;

		if (!digit || p[1] != '.')
			return 0;
		ret[i / 2] |= (uint8_t)((digit - hex) << (i % 2 ? 0 : 4));
	}
	return strcmp(p, "ip6.arpa") ? 0 : 16;
}

unsigned reverse_parse(const char *name, uint8_t ret[16])
{
	unsigned len = reverse4(name, ret);

	return len ? len : reverse6(name, ret);
}

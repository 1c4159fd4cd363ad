/* net/chain_rule.c - see net/chain_rule.h */
#include "net/chain_rule.h"

#include "net/table.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void chain_rule_init(struct chain_rule *r, const char *chain)
{
	*r = (struct chain_rule){.protocol = -1, .icmp_type = -1, .icmp_code = -1};
	snprintf(r->chain, sizeof r->chain, "%s", chain);
}

/* ---------------------------------------------------------------- text */

static void remote_text(struct buf *b, const struct chain_rule *r)
{
	const char *ip = r->family == 6 ? "ip6" : "ip", *side = r->is_destination ? "daddr" : "saddr";
	char text[INET6_ADDRSTRLEN] = "";

	if (r->len) {
		inet_ntop(r->family == 6 ? AF_INET6 : AF_INET, r->byte, text, sizeof text);
		buf_printf(b, " %s %s %s/%u", ip, side, text, r->prefix);
	} else if (*r->set) {
		buf_printf(b, " %s %s @%s", ip, side, r->set);
	} else if (r->family) {
		buf_printf(b, " meta nfproto ipv%d", r->family);
	}
}

void chain_rule_text(struct buf *b, const struct chain_rule *r)
{
	const char *name = r->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp";

	buf_printf(b, "add rule inet " TABLE_NAME " %s", r->chain);
	remote_text(b, r);
	if (r->icmp_type >= 0)
		buf_printf(b, " %s type %d", name, r->icmp_type);
	if (r->icmp_code >= 0)
		buf_printf(b, " %s code %d", name, r->icmp_code);
	if (r->icmp_type < 0 && r->protocol >= 0)
		buf_printf(b, " meta l4proto %d", r->protocol);
	if (r->ports) {
		buf_adds(b, r->answer ? " th sport " : " th dport ");
		ports_text(b, r->ports);
	}
	if (*r->jump)
		buf_printf(b, " jump %s\n", r->jump);
	else
		buf_adds(b, " accept\n");
}

/* ---------------------------------------------------------------- expressions
 *
 * One register does for all: what is loaded is compared at once, and a comparison that fails ends the rule. */

struct expr {
	struct nlmsghdr *h;
	struct nlattr *one, *data;
};

static struct expr begin(struct nlmsghdr *h, const char *name)
{
	struct expr x = {.h = h, .one = mnl_attr_nest_start(h, NFTA_LIST_ELEM)};

	mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
	x.data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
	return x;
}

static void end(struct expr x)
{
	mnl_attr_nest_end(x.h, x.data);
	mnl_attr_nest_end(x.h, x.one);
}

static void load_meta(struct nlmsghdr *h, uint32_t key)
{
	struct expr x = begin(h, "meta");

	batch_number(h, NFTA_META_KEY, key);
	batch_number(h, NFTA_META_DREG, NFT_REG_1);
	end(x);
}

static void load(struct nlmsghdr *h, uint32_t header, uint32_t at, uint32_t len)
{
	struct expr x = begin(h, "payload");

	batch_number(h, NFTA_PAYLOAD_DREG, NFT_REG_1);
	batch_number(h, NFTA_PAYLOAD_BASE, header);
	batch_number(h, NFTA_PAYLOAD_OFFSET, at);
	batch_number(h, NFTA_PAYLOAD_LEN, len);
	end(x);
}

static void compare(struct nlmsghdr *h, uint32_t op, const void *bytes, size_t len)
{
	struct expr x = begin(h, "cmp");

	batch_number(h, NFTA_CMP_SREG, NFT_REG_1);
	batch_number(h, NFTA_CMP_OP, op);
	batch_value(h, NFTA_CMP_DATA, bytes, len);
	end(x);
}

static void is_byte(struct nlmsghdr *h, int byte)
{
	compare(h, NFT_CMP_EQ, &(uint8_t){(uint8_t)byte}, 1);
}

static void mask(struct nlmsghdr *h, const uint8_t *bits, unsigned len)
{
	static const uint8_t nothing[16];
	struct expr x = begin(h, "bitwise");

	batch_number(h, NFTA_BITWISE_SREG, NFT_REG_1);
	batch_number(h, NFTA_BITWISE_DREG, NFT_REG_1);
	batch_number(h, NFTA_BITWISE_LEN, len);
	batch_value(h, NFTA_BITWISE_MASK, bits, len);
	batch_value(h, NFTA_BITWISE_XOR, nothing, len);
	end(x);
}

/* id: of a set that this batch makes; 0: it is there by its name. */
static void look_up(struct nlmsghdr *h, const char *set, uint32_t id)
{
	struct expr x = begin(h, "lookup");

	batch_number(h, NFTA_LOOKUP_SREG, NFT_REG_1);
	mnl_attr_put_strz(h, NFTA_LOOKUP_SET, set);
	if (id)
		batch_number(h, NFTA_LOOKUP_SET_ID, id);
	end(x);
}

static void verdict(struct nlmsghdr *h, const char *jump)
{
	struct expr x = begin(h, "immediate");

	batch_number(h, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	batch_verdict(h, NFTA_IMMEDIATE_DATA, jump);
	end(x);
}

/* ---------------------------------------------------------------- what a packet has to be */

static void remote_put(struct nlmsghdr *h, const struct chain_rule *r)
{
	bool six = r->family == 6;
	unsigned len = six ? 16 : 4;
	/* Source and destination follow each other in both headers. */
	uint32_t source = six ? 8 : 12;
	uint8_t bits[16] = {0}, net[16];

	load(h, NFT_PAYLOAD_NETWORK_HEADER, source + (r->is_destination ? len : 0), len);
	if (*r->set) {
		look_up(h, r->set, 0);
		return;
	}
	for (unsigned i = 0; i < r->prefix; i++)
		bits[i / 8] |= (uint8_t)(0x80 >> i % 8);
	for (unsigned i = 0; i < len; i++)
		net[i] = r->byte[i] & bits[i];
	if (r->prefix < len * 8)
		mask(h, bits, len);
	compare(h, NFT_CMP_EQ, net, len);
}

static void port_is(struct nlmsghdr *h, const struct chain_rule *r, uint32_t set)
{
	const struct ports *p = r->ports;
	uint16_t first = htons((uint16_t)p->v[0].first), last = htons((uint16_t)p->v[0].last);

	load(h, NFT_PAYLOAD_TRANSPORT_HEADER, r->answer ? 0 : 2, 2);
	if (set) {
		look_up(h, PORTS_SET, set);
	} else if (first == last) {
		compare(h, NFT_CMP_EQ, &first, sizeof first);
	} else {
		compare(h, NFT_CMP_GTE, &first, sizeof first);
		compare(h, NFT_CMP_LTE, &last, sizeof last);
	}
}

/* ---------------------------------------------------------------- a rule */

static int family_of(const struct chain_rule *r)
{
	return r->family ? r->family : r->icmp_type < 0 ? 0 : r->protocol == IPPROTO_ICMPV6 ? 6 : 4;
}

void chain_rule_put(struct batch *b, const struct chain_rule *r)
{
	uint32_t set = r->ports && r->ports->n > 1 ? ports_put(b, r->ports) : 0;
	struct nlmsghdr *h = batch_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET);
	int family = family_of(r);
	struct nlattr *list;

	if (!h)
		return;
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, TABLE_NAME);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, r->chain);
	list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
	if (family) {
		load_meta(h, NFT_META_NFPROTO);
		is_byte(h, family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	}
	if (r->len || *r->set)
		remote_put(h, r);
	if (r->protocol >= 0) {
		load_meta(h, NFT_META_L4PROTO);
		is_byte(h, r->protocol);
	}
	if (r->icmp_type >= 0) {
		uint8_t begins[] = {(uint8_t)r->icmp_type, (uint8_t)r->icmp_code};
		unsigned len = r->icmp_code >= 0 ? 2 : 1;

		load(h, NFT_PAYLOAD_TRANSPORT_HEADER, 0, len);
		compare(h, NFT_CMP_EQ, begins, len);
	}
	if (r->ports)
		port_is(h, r, set);
	verdict(h, r->jump);
	mnl_attr_nest_end(h, list);
	batch_message_end(b, h);
}

/* net/table.c - see net/table.h
 *
 * What the rules do: a container may send only from its own addresses (guard); containers of one network reach each other, those of
 * different networks do not (between); from outside comes only what was asked for (into), or goes to a port that is published; what leaves
 * the host has its address, where the network wants that. An accept of ours ends nothing but our own chain: a drop in somebody else's table stands. */
#include "net/table.h"

#include "base/buf.h"
#include "base/log.h"
#include "net/others.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
	struct nft_ctx *nft;
	struct others others;
	bool made;
};

static const char rules[] =
	"add table inet berth\n"
	"delete table inet berth\n"
	"table inet berth {\n"
	" set own4 { type ifname . ether_addr . ipv4_addr; }\n"
	" set own6 { type ifname . ether_addr . ipv6_addr; }\n"
	" map network_of { type ifname : mark; }\n"
	" set members { type ifname . mark; }\n"
	" set masked4 { type ipv4_addr; flags interval; }\n"
	" set masked6 { type ipv6_addr; flags interval; }\n"
	" map to4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	" map to6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	" map at4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	" map at6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	" chain prerouting { type filter hook prerouting priority raw; policy accept;\n"
	"  iifname \"" LINK_PREFIX "*\" jump guard\n"
	" }\n"
	" chain guard {\n"
	/* The links take packets for the host's loopback, so that what is published there can be answered: not from containers. */
	"  ip daddr 127.0.0.0/8 drop\n"
	"  iifname . ether saddr . ip saddr @own4 return\n"
	"  iifname . ether saddr . ip6 saddr @own6 return\n"
	"  ip6 saddr { ::, fe80::/64 } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit,\n"
	"   mld-listener-report, mld2-listener-report, mld-listener-done } return\n"
	"  drop\n"
	" }\n"
	/* The mark is ours for the length of this chain only. */
	" chain between {\n"
	"  ct status dnat accept\n"
	"  meta mark set iifname map @network_of\n"
	"  oifname . meta mark @members meta mark set 0 accept\n"
	"  drop\n"
	" }\n"
	" chain into {\n"
	"  ct status dnat accept\n"
	"  ct state established,related accept\n"
	"  drop\n"
	" }\n"
	" chain forward { type filter hook forward priority filter; policy accept;\n"
	"  iifname \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" jump between\n"
	"  iifname != \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" jump into\n"
	" }\n"
	" chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n"
	/* What was published comes back to a container, perhaps the same: it answers the host, else its answer would not come back this way. */
	"  iifname \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" ct status dnat masquerade\n"
	"  oifname \"" LINK_PREFIX "*\" ip saddr 127.0.0.0/8 masquerade\n"
	"  oifname \"" LINK_PREFIX "*\" accept\n"
	"  ip saddr @masked4 masquerade\n"
	"  ip6 saddr @masked6 masquerade\n"
	" }\n"
	" chain published {\n"
	"  dnat ip to ip daddr . meta l4proto . th dport map @at4\n"
	"  dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6\n"
	"  fib daddr type local dnat ip to meta l4proto . th dport map @to4\n"
	"  fib daddr type local dnat ip6 to meta l4proto . th dport map @to6\n"
	" }\n"
	" chain arrive { type nat hook prerouting priority dstnat; policy accept;\n"
	"  meta l4proto { tcp, udp, sctp } jump published\n"
	" }\n"
	" chain begin { type nat hook output priority -100; policy accept;\n"
	"  meta l4proto { tcp, udp, sctp } jump published\n"
	" }\n"
	"}\n";

int table_open(struct table **ret, struct err *e)
{
	struct table *t = calloc(1, sizeof *t);

	if (t)
		t->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!t || !t->nft || nft_ctx_buffer_error(t->nft)) {
		table_close(t);
		return err_set(e, ENOMEM, "nftables", "open libnftables");
	}
	*ret = t;
	return 0;
}

void table_close(struct table *t)
{
	if (t && t->nft)
		nft_ctx_free(t->nft);
	free(t);
}

static int run(struct table *t, struct buf *b, bool whole, struct err *e)
{
	const char *words;
	int r = 0;

	if (b->failed)
		r = err_set(e, ENOMEM, "nftables", "no memory for a change of the table");
	else if (b->len) {
		others_mute(&t->others);
		if (whole)
			others_forget(&t->others);
		if (nft_run_cmd_from_buffer(t->nft, b->data)) {
			words = nft_ctx_get_error_buffer(t->nft);
			r = err_set(e, 0, "nftables", "%.*s", (int)strcspn(words, "\n"), words);
		}
		others_unmute(&t->others);
	}
	buf_fini(b);
	return r;
}

/* Without any rule that knows connections or translates addresses the kernel forgets how to, and packets of a published port are then the host's
 * own: it resets the connections of all of them. A table that has an owner is not flushed by others, and goes with its owner. It decides
 * nothing: what is in it keeps the kernel's hooks where they are until our table is back. */
static void keep_hooks(struct table *t)
{
	char text[600];

	snprintf(
		text, sizeof text,
		"table inet " TABLE_NAME "_keep_%d {\n"
		" flags owner\n"
		" chain prerouting { type nat hook prerouting priority dstnat; policy accept;\n ct state invalid continue\n }\n"
		" chain output { type nat hook output priority -100; policy accept;\n }\n"
		" chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n }\n"
		" chain input { type nat hook input priority 100; policy accept;\n }\n"
		"}\n",
		(int)getpid());
	if (nft_run_cmd_from_buffer(t->nft, text))
		log_warn("connections may break when somebody flushes the nftables ruleset: %s",
			 nft_ctx_get_error_buffer(t->nft));
}

static int first_time(struct table *t, struct err *e)
{
	int r;

	if (t->made)
		return 0;
	keep_hooks(t);
	r = others_open(&t->others, e);
	t->made = r == 0;
	return r;
}

int table_fd(const struct table *t)
{
	return t->made ? others_fd(&t->others) : -1;
}

const char *table_touched(struct table *t)
{
	if (!t->made)
		return NULL;
	others_listen(&t->others);
	return t->others.reason[0] ? t->others.reason : NULL; /* who it was is said last */
}

static void element(struct buf *b, const char *verb, const char *set, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void element(struct buf *b, const char *verb, const char *set, const char *fmt, ...)
{
	va_list ap;

	buf_printf(b, "%s element inet berth %s { ", verb, set);
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
	buf_adds(b, " }\n");
}

static void network_elements(struct buf *b, const char *verb, const Net__Network *n)
{
	for (size_t i = 0; n->masquerade && i < n->n_subnets; i++) {
		const Net__Subnet *s = n->subnets[i];
		char text[INET6_ADDRSTRLEN];
		bool six = s->network.len == 16;

		if (inet_ntop(six ? AF_INET6 : AF_INET, s->network.data, text, sizeof text))
			element(b, verb, six ? "masked6" : "masked4", "%s/%u", text, s->prefix);
	}
}

static void published_element(struct buf *b, const char *verb, const Net__Published *p, const ProtobufCBinaryData *to)
{
	char from_text[INET6_ADDRSTRLEN], to_text[INET6_ADDRSTRLEN];
	bool six = to->len == 16;
	int family = six ? AF_INET6 : AF_INET;

	if (p->host_ip.len && p->host_ip.len != to->len)
		return;
	inet_ntop(family, to->data, to_text, sizeof to_text);
	if (!p->host_ip.len) {
		element(b, verb, six ? "to6" : "to4", "%u . %u : %s . %u", p->protocol, p->host_port, to_text, p->port);
		return;
	}
	inet_ntop(family, p->host_ip.data, from_text, sizeof from_text);
	element(b, verb, six ? "at6" : "at4", "%s . %u . %u : %s . %u", from_text, p->protocol, p->host_port, to_text,
		p->port);
}

static void port_elements(struct buf *b, const char *verb, const Net__Port *p)
{
	const uint8_t *m = p->mac.data;

	for (size_t i = 0; i < p->n_addresses; i++) {
		bool six = p->addresses[i].len == 16;
		char text[INET6_ADDRSTRLEN];

		if (inet_ntop(six ? AF_INET6 : AF_INET, p->addresses[i].data, text, sizeof text))
			element(b, verb, six ? "own6" : "own4", "\"%s\" . %02x:%02x:%02x:%02x:%02x:%02x . %s",
				p->host_link, m[0], m[1], m[2], m[3], m[4], m[5], text);
		for (size_t k = 0; k < p->n_published; k++)
			published_element(b, verb, p->published[k], &p->addresses[i]);
	}
	element(b, verb, "network_of", "\"%s\" : %u", p->host_link, p->network_key);
	element(b, verb, "members", "\"%s\" . %u", p->host_link, p->network_key);
}

int table_make(struct table *t, const Net__State *s, struct err *e)
{
	struct buf b;
	int r = first_time(t, e);

	if (r < 0)
		return r;
	buf_init(&b, 0);
	buf_adds(&b, rules);
	for (size_t i = 0; i < s->n_networks; i++)
		network_elements(&b, "add", s->networks[i]);
	for (size_t i = 0; i < s->n_ports; i++)
		port_elements(&b, "add", s->ports[i]);
	return run(t, &b, true, e);
}

/* Taking away what is not there would fail, slowly: it is put there first, in the same transaction. */
static int change(struct table *t, bool add, const Net__Network *n, const Net__Port *p, struct err *e)
{
	static const char *const verbs[] = {"add", "delete"};
	struct buf b;

	buf_init(&b, 0);
	for (int i = 0; i < (add ? 1 : 2); i++) {
		if (n)
			network_elements(&b, verbs[i], n);
		if (p)
			port_elements(&b, verbs[i], p);
	}
	return run(t, &b, false, e);
}

int table_network_add(struct table *t, const Net__Network *n, struct err *e)
{
	return change(t, true, n, NULL, e);
}

int table_network_del(struct table *t, const Net__Network *n, struct err *e)
{
	return change(t, false, n, NULL, e);
}

int table_port_add(struct table *t, const Net__Port *p, struct err *e)
{
	return change(t, true, NULL, p, e);
}

int table_port_del(struct table *t, const Net__Port *p, struct err *e)
{
	return change(t, false, NULL, p, e);
}

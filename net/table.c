/* net/table.c - see net/table.h
 *
 * What the rules do: a container may send only from its own addresses (guard); containers of one network reach each other, those of
 * different networks do not (between); from outside comes only what was asked for (into), or goes to a port that is published; what leaves
 * the host has its address, where the network wants that. An accept of ours ends nothing but our own chain: a drop in somebody else's table stands.
 *
 * What has security groups is measured by them beside that: `leave` when it comes from the interface, `enter` when it goes to it, the host's own packets
 * too. Both see the addresses of containers, and where a packet really comes from: after the one translation, before the other. The interface is known by
 * the group of its link, a number that the kernel has with the link, so nothing is looked up for it and nothing marked; 0 has no groups. */
#include "net/table.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/own.h"
#include "net/bridge_table.h"
#include "net/entries.h"
#include "net/group.h"
#include "net/others.h"
#include "net/refused.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_REFUSED "datagrams of a flow that is not let any more are refused in the other direction too"

struct table {
	struct nft_ctx *nft;
	struct others others;
	struct refused *refused; /* NULL: this kernel does not tell */
	bool made;
	bool bridges; /* the table of the bridge family is there too: some kernels have it, and few hosts need it */
	struct batch_socket *socket;
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
	" set bridged4 { type ipv4_addr; flags interval; }\n"
	" set bridged6 { type ipv6_addr; flags interval; }\n"
	" map to4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	" map to6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	" map at4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	" map float4 { type ipv4_addr : ipv4_addr; }\n"
	" map float6 { type ipv6_addr : ipv6_addr; }\n"
	" map from4 { type ipv4_addr : ipv4_addr; }\n"
	" map from6 { type ipv6_addr : ipv6_addr; }\n"
	" map at6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	" set spoofing { type ifname; }\n"
	" set closed { type ifname; }\n"
	" set gateways4 { type ipv4_addr; }\n"
	" set gateways6 { type ipv6_addr; }\n"
	" map enter { type devgroup . ct_dir : verdict; }\n"
	" map leave { type devgroup . ct_dir : verdict; }\n"
	" chain prerouting { type filter hook prerouting priority raw; policy accept;\n"
	"  iifname \"" LINK_PREFIX "*\" jump guard\n"
	" }\n"
	" chain guard {\n"
	/* The links take packets for the host's loopback, so that what is published there can be answered: not from containers. */
	"  ip daddr 127.0.0.0/8 drop\n"
	"  iifname @spoofing return\n"
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
	/* Of an internal network: what comes by a published port, or a floating IP, is answered. What is no part of any connection is no answer. */
	" chain out {\n"
	"  iifname != @closed return\n"
	"  ct direction reply return\n"
	"  drop\n"
	" }\n"
	" chain forward { type filter hook forward priority filter; policy accept;\n"
	"  iifname \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" jump between\n"
	"  iifname != \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" jump into\n"
	"  iifname \"" LINK_PREFIX "*\" oifname != \"" LINK_PREFIX "*\" jump out\n"
	" }\n"
	" chain refused {\n"
	"  drop\n"
	" }\n"
	" chain leave { type filter hook prerouting priority -90; policy accept;\n"
	"  iifname != \"" LINK_PREFIX "*\" accept\n"
	"  iifgroup 0 accept\n"
	/* Without neighbours there is no IPv6; and the names of a network are the host's service, not a stranger's. */
	"  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit,\n"
	"   mld-listener-report, mld2-listener-report, mld-listener-done } accept\n"
	"  meta l4proto { tcp, udp } th dport 53 ip daddr @gateways4 accept\n"
	"  meta l4proto { tcp, udp } th dport 53 ip6 daddr @gateways6 accept\n"
	"  meta l4proto { icmp, icmpv6 } ct state related accept\n"
	"  iifgroup . ct direction vmap @leave\n"
	"  goto refused\n"
	" }\n"
	" chain enter { type filter hook postrouting priority 0; policy accept;\n"
	"  oifname != \"" LINK_PREFIX "*\" accept\n"
	"  oifgroup 0 accept\n"
	"  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept\n"
	"  meta l4proto { tcp, udp } th sport 53 ip saddr @gateways4 ct direction reply accept\n"
	"  meta l4proto { tcp, udp } th sport 53 ip6 saddr @gateways6 ct direction reply accept\n"
	"  meta l4proto { icmp, icmpv6 } ct state related accept\n"
	"  oifgroup . ct direction vmap @enter\n"
	"  goto refused\n"
	" }\n"
	" chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n"
	/* What was published comes back to a container, perhaps the same: it answers the host, or the asker's floating IP, else its answer would not
	 * come back this way. */
	"  iifname \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" ct status dnat snat ip to ip saddr map @from4\n"
	"  iifname \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" ct status dnat snat ip6 to ip6 saddr map @from6\n"
	"  iifname \"" LINK_PREFIX "*\" oifname \"" LINK_PREFIX "*\" ct status dnat masquerade\n"
	/* With br_netfilter the same may pass within a bridge, and then has come in by no link. */
	"  oifname \"" LINK_PREFIX "*\" ct status dnat ip saddr @bridged4 masquerade\n"
	"  oifname \"" LINK_PREFIX "*\" ct status dnat ip6 saddr @bridged6 masquerade\n"
	"  oifname \"" LINK_PREFIX "*\" ip saddr 127.0.0.0/8 masquerade\n"
	"  oifname \"" LINK_PREFIX "*\" accept\n"
	"  snat ip to ip saddr map @from4\n"
	"  snat ip6 to ip6 saddr map @from6\n"
	"  ip saddr @masked4 masquerade\n"
	"  ip6 saddr @masked6 masquerade\n"
	" }\n"
	" chain published {\n"
	"  dnat ip to ip daddr . meta l4proto . th dport map @at4\n"
	"  dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6\n"
	/* Of all addresses of the host but these: containers ask for names there. */
	"  meta l4proto { tcp, udp } th dport 53 ip daddr @gateways4 return\n"
	"  meta l4proto { tcp, udp } th dport 53 ip6 daddr @gateways6 return\n"
	"  fib daddr type local dnat ip to meta l4proto . th dport map @to4\n"
	"  ip6 daddr ::1 return\n" /* from there nothing is led on: who asks hears at once that nobody listens, and tries 127.0.0.1 */
	"  fib daddr type local dnat ip6 to meta l4proto . th dport map @to6\n"
	" }\n"
	" chain floating {\n"
	"  dnat ip to ip daddr map @float4\n"
	"  dnat ip6 to ip6 daddr map @float6\n"
	" }\n"
	" chain arrive { type nat hook prerouting priority dstnat; policy accept;\n"
	"  jump floating\n"
	"  meta l4proto { tcp, udp, sctp } jump published\n"
	" }\n"
	" chain begin { type nat hook output priority -100; policy accept;\n"
	"  jump floating\n"
	"  meta l4proto { tcp, udp, sctp } jump published\n"
	" }\n"
	"}\n";

static const char tell[] =
	"insert rule inet berth refused meta l4proto udp ct state established limit rate 200/second burst 200 packets "
	"log group " REFUSED_GROUP_TEXT " queue-threshold 1\n";

int table_open(struct table **ret, struct err *e)
{
	struct table *t = calloc(1, sizeof *t);

	if (t)
		t->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!t || !t->nft || nft_ctx_buffer_error(t->nft)) {
		table_close(t);
		return err_set(e, ENOMEM, "nftables", "open libnftables");
	}
	if (batch_socket_open(&t->socket, e) < 0) {
		table_close(t);
		return -e->code;
	}
	*ret = t;
	return 0;
}

void table_close(struct table *t)
{
	if (t && t->nft)
		nft_ctx_free(t->nft);
	if (t) {
		batch_socket_close(t->socket);
		refused_close(t->refused);
	}
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

static void mute(void *others)
{
	others_mute(others);
}

static void unmute(void *others)
{
	others_unmute(others);
}

static int first_time(struct table *t, struct err *e)
{
	int r;

	if (t->made)
		return 0;
	keep_hooks(t);
	if (refused_open(&t->refused, e) < 0)
		log_err(e, NO_REFUSED);
	r = others_open(&t->others, e);
	t->made = r == 0;
	if (r == 0)
		batch_socket_tell(t->socket, &(struct batch_ops){.before = mute, .after = unmute, .arg = &t->others});
	return r;
}

int table_fd(const struct table *t)
{
	return t->made ? others_fd(&t->others) : -1;
}

int table_refused_fd(const struct table *t)
{
	return refused_fd(t->refused);
}

void table_refused(struct table *t)
{
	refused_read(t->refused);
}

const char *table_touched(struct table *t)
{
	if (!t->made)
		return NULL;
	others_listen(&t->others);
	return t->others.reason[0] ? t->others.reason : NULL; /* who it was is said last */
}

/* ---------------------------------------------------------------- networks */

/* Takes both. */
static int change_elements(struct table *t, struct elements *gone, struct elements *come, struct err *e)
{
	int r = elements_change(t->socket, gone, come, e);

	elements_fini(gone);
	elements_fini(come);
	return r;
}

int table_network_add(struct table *t, const Net__Network *n, struct err *e)
{
	struct elements gone = {0}, come = {0};
	struct buf b;
	int r = 0;

	if (bridge_has_ports(n->uplink) && !t->bridges) {
		buf_init(&b, 0);
		bridge_table_text(&b);
		r = run(t, &b, false, e);
		t->bridges = r == 0;
	}
	if (r < 0)
		return r;
	network_elements(&come, n);
	return change_elements(t, &gone, &come, e);
}

int table_network_del(struct table *t, const Net__Network *n, struct err *e)
{
	struct elements gone = {0}, come = {0};

	network_elements(&gone, n);
	return change_elements(t, &gone, &come, e);
}

/* ---------------------------------------------------------------- ports */

int table_port_change(struct table *t, const Net__Port *was, const Net__Port *p, struct err *e)
{
	struct elements gone = {0}, come = {0};

	if (was)
		port_elements(&gone, was);
	if (p)
		port_elements(&come, p);
	return change_elements(t, &gone, &come, e);
}

int table_port_add(struct table *t, const Net__Port *p, struct err *e)
{
	return table_port_change(t, NULL, p, e);
}

int table_port_del(struct table *t, const Net__Port *p, struct err *e)
{
	return table_port_change(t, p, NULL, e);
}

/* ---------------------------------------------------------------- groups */

int table_group_put(struct table *t, const Net__Group *g, struct err *e)
{
	struct batch b;

	batch_begin(&b);
	group_put(&b, g);
	return batch_send(&b, t->socket, "put the rules of a security group", e);
}

int table_group_del(struct table *t, uint32_t key, struct err *e)
{
	struct batch b;

	batch_begin(&b);
	group_del(&b, key);
	return batch_send(&b, t->socket, "remove a security group", e);
}

int table_policy_put(struct table *t, const Net__Policy *p, struct err *e)
{
	struct batch b;

	batch_begin(&b);
	policy_put(&b, p);
	return batch_send(&b, t->socket, "put together the security groups of an interface", e);
}

/* A State that came in between may have left it out already. */
int table_policy_del(struct table *t, uint32_t key, struct err *e)
{
	struct batch b;
	int r;

	batch_begin(&b);
	policy_del(&b, key);
	r = batch_send(&b, t->socket, "take apart the security groups of an interface", e);
	return r == -ENOENT ? 0 : r;
}

/* ---------------------------------------------------------------- everything */

static int make(struct table *t, const Net__State *s, struct err *e)
{
	struct elements list = {0};
	struct buf b;

	buf_init(&b, 0);
	buf_adds(&b, rules);
	if (t->refused)
		buf_adds(&b, tell);
	if (t->bridges)
		bridge_table_text(&b);
	for (size_t i = 0; i < s->n_groups; i++)
		group_sets_text(&b, s->groups[i]);
	for (size_t i = 0; i < s->n_groups; i++)
		group_rules_text(&b, s->groups[i]);
	for (size_t i = 0; i < s->n_policies; i++)
		policy_text(&b, s->policies[i]);
	for (size_t i = 0; i < s->n_policies; i++)
		policy_elements(&list, s->policies[i]);
	for (size_t i = 0; i < s->n_networks; i++)
		network_elements(&list, s->networks[i]);
	for (size_t i = 0; i < s->n_ports; i++)
		port_elements(&list, s->ports[i]);
	elements_text(&b, &list);
	elements_fini(&list);
	return run(t, &b, true, e);
}

int table_make(struct table *t, const Net__State *s, struct err *e)
{
	int r = first_time(t, e);
	struct err why;

	if (r < 0)
		return r;
	t->bridges = false;
	for (size_t i = 0; i < s->n_networks; i++)
		t->bridges |= bridge_has_ports(s->networks[i]->uplink);
	r = make(t, s, e);
	if (r == 0 || !t->refused)
		return r;
	/* Perhaps it knows whom to tell, and has no rule that does (nft_log). */
	why = *e;
	refused_close(take_ptr(t->refused));
	r = make(t, s, e);
	if (r == 0)
		log_err(&why, NO_REFUSED);
	return r;
}

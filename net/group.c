/* net/group.c - see net/group.h */
#include "net/group.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_NONE 256u
#define GROUP_PORTS (GROUP_RULES_MAX + 1) /* one more while a range is put between others */

bool group_is_sound(const Net__Group *g, struct err *e)
{
	bool sound = g && g->key && g->n_rules <= GROUP_RULES_MAX;

	for (size_t i = 0; sound && i < g->n_rules; i++) {
		const Net__Rule *r = g->rules[i];
		size_t len = r->remote.len;

		sound = (!len || (len == 4 && r->prefix <= 32) || (len == 16 && r->prefix <= 128)) &&
			(!r->family || r->family == 4 || r->family == 6) && r->protocol < 256 && r->first <= r->last &&
			r->last <= 65535 && r->icmp_type < 256 && r->icmp_code < 256;
	}
	if (!sound)
		err_set(e, EINVAL, "nftables", "not a security group");
	return sound;
}

/* ---------------------------------------------------------------- rules */

/* What answers an ICMP message: another type, and no code. Those that nothing answers are let through where they go only. */
static unsigned icmp_answer(uint32_t protocol, uint32_t type)
{
	static const uint8_t four[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}}, six[][2] = {{128, 129}, {139, 140}};

	for (size_t i = 0; protocol == IPPROTO_ICMP && i < ARRAY_SIZE(four); i++)
		if (four[i][0] == type)
			return four[i][1];
	for (size_t i = 0; protocol == IPPROTO_ICMPV6 && i < ARRAY_SIZE(six); i++)
		if (six[i][0] == type)
			return six[i][1];
	return ANSWER_NONE;
}

static void remote_text(struct buf *b, const Net__Rule *r, int family, const char *side)
{
	char text[INET6_ADDRSTRLEN] = "";
	const char *ip = family == 6 ? "ip6" : "ip";

	if (r->remote.len) {
		inet_ntop(family == 6 ? AF_INET6 : AF_INET, r->remote.data, text, sizeof text);
		buf_printf(b, " %s %s %s/%u", ip, side, text, r->prefix);
	} else if (r->remote_group) {
		buf_printf(b, " %s %s @g%u_%d", ip, side, r->remote_group, family);
	} else if (r->family) {
		buf_printf(b, " meta nfproto ipv%d", family);
	}
}

/* Rules that differ in their ports alone are one: a packet passes by fewer, and so does the kernel, which looks at all that can be reached whenever
 * one is changed. */
struct ports {
	struct {
		uint32_t first, last;
	} v[GROUP_PORTS]; /* in order, and apart from each other */
	size_t n;
};

static bool differs_in_ports(const Net__Rule *a, const Net__Rule *b)
{
	return a->has_first && b->has_first && a->egress == b->egress && a->family == b->family &&
	       a->has_protocol == b->has_protocol && a->protocol == b->protocol && a->prefix == b->prefix &&
	       a->remote_group == b->remote_group && a->remote.len == b->remote.len &&
	       (!a->remote.len || !memcmp(a->remote.data, b->remote.data, a->remote.len));
}

static void ports_add(struct ports *p, uint32_t first, uint32_t last)
{
	size_t at = 0, end;

	while (at < p->n && p->v[at].last + 1 < first)
		at++;
	for (end = at; end < p->n && p->v[end].first <= last + 1; end++) {
		first = first < p->v[end].first ? first : p->v[end].first;
		last = last > p->v[end].last ? last : p->v[end].last;
	}
	memmove(&p->v[at + 1], &p->v[end], (p->n - end) * sizeof p->v[0]);
	p->n = p->n - (end - at) + 1;
	p->v[at].first = first;
	p->v[at].last = last;
}

static void ports_text(struct buf *b, const struct ports *p, const char *side)
{
	if (!p->n)
		return;
	buf_printf(b, " th %s ", side);
	for (size_t i = 0; i < p->n; i++)
		buf_printf(b, "%s%u-%u", i ? ", " : p->n > 1 ? "{ " : "", p->v[i].first, p->v[i].last);
	buf_adds(b, p->n > 1 ? " }" : "");
}

static void rule_text(struct buf *b, uint32_t key, const char *chain, const Net__Rule *r, const struct ports *ports,
		      int family, bool answer)
{
	bool to_remote = r->egress != answer;
	bool icmp = r->protocol == IPPROTO_ICMP || r->protocol == IPPROTO_ICMPV6;
	const char *name = r->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp";
	unsigned type = answer ? icmp_answer(r->protocol, r->icmp_type) : r->icmp_type;

	if (icmp && r->has_icmp_type && type == ANSWER_NONE)
		return;
	buf_printf(b, "add rule inet berth g%u_%s", key, chain);
	remote_text(b, r, family, to_remote ? "daddr" : "saddr");
	if (icmp && r->has_icmp_type) {
		buf_printf(b, " %s type %u", name, type);
		if (r->has_icmp_code && !answer)
			buf_printf(b, " %s code %u", name, r->icmp_code);
	} else if (r->has_protocol) {
		buf_printf(b, " meta l4proto %u", r->protocol);
	}
	ports_text(b, ports, answer ? "sport" : "dport");
	buf_adds(b, " accept\n");
}

static void rule_texts(struct buf *b, uint32_t key, const Net__Rule *r, const struct ports *ports)
{
	for (int family = 4; family <= 6; family += 2) {
		bool one_for_both = !r->family && !r->remote.len && !r->remote_group;

		if ((r->family && (int)r->family != family) ||
		    (r->remote.len && (r->remote.len == 16) != (family == 6)) || (one_for_both && family == 6))
			continue;
		rule_text(b, key, r->egress ? "out" : "in", r, ports, family, false);
		rule_text(b, key, r->egress ? "out_answer" : "in_answer", r, ports, family, true);
	}
}

/* ---------------------------------------------------------------- a group, a policy */

static const char *const chains[] = {"in", "in_answer", "out", "out_answer"};

static void sets_text(struct buf *b, uint32_t key)
{
	buf_printf(b, "add set inet berth g%u_4 { type ipv4_addr; }\nadd set inet berth g%u_6 { type ipv6_addr; }\n",
		   key, key);
}

void group_sets_text(struct buf *b, const Net__Group *g)
{
	sets_text(b, g->key);
	for (size_t i = 0; i < g->n_rules; i++)
		if (g->rules[i]->remote_group && g->rules[i]->remote_group != g->key)
			sets_text(b, g->rules[i]->remote_group);
}

void group_rules_text(struct buf *b, const Net__Group *g)
{
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
		buf_printf(b, "add chain inet berth g%u_%s\nflush chain inet berth g%u_%s\n", g->key, chains[i], g->key,
			   chains[i]);
	for (size_t i = 0; i < g->n_rules; i++) {
		const Net__Rule *r = g->rules[i];
		struct ports ports = {.n = 0};
		size_t k = 0;

		while (k < i && !differs_in_ports(g->rules[k], r))
			k++;
		if (k < i) /* it is in that one's */
			continue;
		for (; r->has_first && k < g->n_rules; k++)
			if (differs_in_ports(g->rules[k], r))
				ports_add(&ports, g->rules[k]->first, g->rules[k]->last);
		rule_texts(b, g->key, r, &ports);
	}
}

void group_gone_text(struct buf *b, uint32_t key)
{
	sets_text(b, key); /* what is not there could not be deleted */
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
		buf_printf(b, "add chain inet berth g%u_%s\nflush chain inet berth g%u_%s\n", key, chains[i], key,
			   chains[i]);
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
		buf_printf(b, "delete chain inet berth g%u_%s\n", key, chains[i]);
	buf_printf(b, "delete set inet berth g%u_4\ndelete set inet berth g%u_6\n", key, key);
}

/* Which chain a packet goes to, by the group of the link (net/link.h) and the direction of its connection. */
static const struct {
	const char *map, *direction, *chain;
} ways[] = {{"enter", "original", "in"},
	    {"leave", "reply", "in_answer"},
	    {"leave", "original", "out"},
	    {"enter", "reply", "out_answer"}};

void policy_text(struct buf *b, const Net__Policy *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		buf_printf(b, "add chain inet berth p%u_%s\nflush chain inet berth p%u_%s\n", p->key, ways[i].chain,
			   p->key, ways[i].chain);
		for (size_t k = 0; k < p->n_groups; k++)
			buf_printf(b, "add rule inet berth p%u_%s jump g%u_%s\n", p->key, ways[i].chain, p->groups[k],
				   ways[i].chain);
		buf_printf(b, "add element inet berth %s { %u . %s : jump p%u_%s }\n", ways[i].map, p->key,
			   ways[i].direction, p->key, ways[i].chain);
	}
}

void policy_gone_text(struct buf *b, uint32_t key)
{
	static const Net__Policy nothing = NET__POLICY__INIT;
	Net__Policy p = nothing;

	p.key = key;
	policy_text(b, &p); /* what is not there could not be deleted */
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		buf_printf(b, "delete element inet berth %s { %u . %s }\ndelete chain inet berth p%u_%s\n", ways[i].map,
			   key, ways[i].direction, key, ways[i].chain);
}

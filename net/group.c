/* net/group.c - see net/group.h */
#include "net/group.h"

#include "base/own.h"
#include "net/chain_rule.h"
#include "net/table.h"

#include <arpa/inet.h> /* before linux/netfilter.h */
#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_NONE 256

static_assert(GROUP_RULES_MAX < PORTS_MAX, "all of its ranges");
static_assert(GROUP_NAME <= CHAIN_NAME && GROUP_NAME <= sizeof((struct part *)0)->byte, "each name that there can be");

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
static int icmp_answer(uint32_t protocol, uint32_t type)
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

/* Where the rules of a group go: into a text, or into a batch. */
struct sink {
	struct buf *text;
	struct batch *batch;
};

static void rule_to(const struct sink *to, const struct chain_rule *r)
{
	if (to->text)
		chain_rule_text(to->text, r);
	else
		chain_rule_put(to->batch, r);
}

/* Rules that differ in their ports alone are one: a packet passes by fewer, and so does the kernel, which looks at all that can be reached whenever
 * one is changed. */
static bool differs_in_ports(const Net__Rule *a, const Net__Rule *b)
{
	return a->has_first && b->has_first && a->egress == b->egress && a->family == b->family &&
	       a->has_protocol == b->has_protocol && a->protocol == b->protocol && a->prefix == b->prefix &&
	       a->remote_group == b->remote_group && a->remote.len == b->remote.len &&
	       (!a->remote.len || !memcmp(a->remote.data, b->remote.data, a->remote.len));
}

static const struct {
	const char *chain;
	bool egress, answer;
} chains[] = {{"in", false, false}, {"in_answer", false, true}, {"out", true, false}, {"out_answer", true, true}};

#define NAME(buf, kind, key, i) snprintf(buf, sizeof(buf), "%c%u_%s", kind, key, chains[i].chain)

static void rule_of(const struct sink *to, const Net__Rule *m, struct chain_rule *r, int family)
{
	bool icmp = m->protocol == IPPROTO_ICMP || m->protocol == IPPROTO_ICMPV6;

	r->family = m->family || m->remote.len || m->remote_group ? family : 0;
	r->is_destination = m->egress != r->answer;
	if (m->remote.len)
		memcpy(r->byte, m->remote.data, m->remote.len);
	r->len = (unsigned)m->remote.len;
	r->prefix = m->prefix;
	if (m->remote_group)
		GROUP_SET(r->set, m->remote_group, family == 6);
	if (m->has_protocol)
		r->protocol = (int)m->protocol;
	if (icmp && m->has_icmp_type) {
		r->icmp_type = r->answer ? icmp_answer(m->protocol, m->icmp_type) : (int)m->icmp_type;
		if (r->icmp_type == ANSWER_NONE)
			return;
		if (m->has_icmp_code && !r->answer)
			r->icmp_code = (int)m->icmp_code;
	}
	rule_to(to, r);
}

static void rules_of(const struct sink *to, uint32_t key, const Net__Rule *m, const struct ports *ports)
{
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
		for (int family = 4; family <= 6; family += 2) {
			bool one_for_both = !m->family && !m->remote.len && !m->remote_group;
			char chain[GROUP_NAME];
			struct chain_rule r;

			if (chains[i].egress != m->egress || (m->family && (int)m->family != family) ||
			    (m->remote.len && (m->remote.len == 16) != (family == 6)) || (one_for_both && family == 6))
				continue;
			NAME(chain, 'g', key, i);
			chain_rule_init(&r, chain);
			r.answer = chains[i].answer;
			r.ports = ports->n ? ports : NULL;
			rule_of(to, m, &r, family);
		}
}

static void rules_to(const struct sink *to, const Net__Group *g)
{
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
		rules_of(to, g->key, r, &ports);
	}
}

/* ---------------------------------------------------------------- sets and chains */

#define TYPE_IPV4 7 /* as nft(8) numbers them: it lists a set by that */
#define TYPE_IPV6 8

static void set_put(struct batch *b, uint32_t key, bool six, uint16_t type)
{
	bool add = type == NFT_MSG_NEWSET;
	struct nlmsghdr *h = batch_message(b, type, add ? NLM_F_CREATE : 0, NFPROTO_INET);
	char name[GROUP_NAME];

	if (!h)
		return;
	GROUP_SET(name, key, six);
	mnl_attr_put_strz(h, NFTA_SET_TABLE, TABLE_NAME);
	mnl_attr_put_strz(h, NFTA_SET_NAME, name);
	if (add) {
		batch_number(h, NFTA_SET_ID, ++b->sets);
		batch_number(h, NFTA_SET_FLAGS, 0);
		batch_number(h, NFTA_SET_KEY_TYPE, six ? TYPE_IPV6 : TYPE_IPV4);
		batch_number(h, NFTA_SET_KEY_LEN, six ? 16 : 4);
	}
	batch_message_end(b, h);
}

static void sets_to(const struct sink *to, uint32_t key)
{
	if (to->text)
		buf_printf(to->text,
			   "add set inet " TABLE_NAME " g%u_4 { type ipv4_addr; }\n"
			   "add set inet " TABLE_NAME " g%u_6 { type ipv6_addr; }\n",
			   key, key);
	else
		for (int six = 0; six < 2; six++)
			set_put(to->batch, key, six, NFT_MSG_NEWSET);
}

static bool is_named_before(const Net__Group *g, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (g->rules[k]->remote_group == g->rules[i]->remote_group)
			return true;
	return g->rules[i]->remote_group == g->key;
}

/* A group that nobody is in is only named. */
static void all_sets_to(const struct sink *to, const Net__Group *g)
{
	sets_to(to, g->key);
	for (size_t i = 0; i < g->n_rules; i++)
		if (g->rules[i]->remote_group && !is_named_before(g, i))
			sets_to(to, g->rules[i]->remote_group);
}

static void chain_put(struct batch *b, const char *name, uint16_t type)
{
	struct nlmsghdr *h = batch_message(b, type, type == NFT_MSG_NEWCHAIN ? NLM_F_CREATE : 0, NFPROTO_INET);

	if (!h)
		return;
	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, TABLE_NAME);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
	batch_message_end(b, h);
}

static void chain_flush(struct batch *b, const char *name)
{
	struct nlmsghdr *h = batch_message(b, NFT_MSG_DELRULE, 0, NFPROTO_INET);

	if (!h)
		return;
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, TABLE_NAME);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, name);
	batch_message_end(b, h);
}

static void chain_to(const struct sink *to, const char *name)
{
	if (to->text) {
		buf_printf(to->text, "add chain inet " TABLE_NAME " %s\n", name);
		return;
	}
	chain_put(to->batch, name, NFT_MSG_NEWCHAIN);
	chain_flush(to->batch, name);
}

/* ---------------------------------------------------------------- a group */

static void chains_to(const struct sink *to, const Net__Group *g)
{
	char name[GROUP_NAME];

	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		NAME(name, 'g', g->key, i);
		chain_to(to, name);
	}
}

void group_sets_text(struct buf *b, const Net__Group *g)
{
	all_sets_to(&(struct sink){.text = b}, g);
}

void group_rules_text(struct buf *b, const Net__Group *g)
{
	struct sink to = {.text = b};

	chains_to(&to, g);
	rules_to(&to, g);
}

void group_put(struct batch *b, const Net__Group *g)
{
	struct sink to = {.batch = b};

	all_sets_to(&to, g);
	chains_to(&to, g);
	rules_to(&to, g);
}

/* What is not there could not be deleted. */
void group_del(struct batch *b, uint32_t key)
{
	char name[GROUP_NAME];

	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		NAME(name, 'g', key, i);
		chain_put(b, name, NFT_MSG_NEWCHAIN);
		chain_put(b, name, NFT_MSG_DELCHAIN);
	}
	for (int six = 0; six < 2; six++) {
		set_put(b, key, six, NFT_MSG_NEWSET);
		set_put(b, key, six, NFT_MSG_DELSET);
	}
}

/* ---------------------------------------------------------------- a policy
 *
 * Which chain a packet goes to, by the group of the link (net/link.h) and the direction of its connection. Of one group, it is the group's own: what
 * there is to pass by is less, and what the kernel looks at for any change is too. */

static bool has_chains(const Net__Policy *p)
{
	return p->n_groups != 1;
}

static void policy_to(const struct sink *to, const Net__Policy *p)
{
	char name[GROUP_NAME];
	struct chain_rule r;

	for (size_t i = 0; has_chains(p) && i < ARRAY_SIZE(chains); i++) {
		NAME(name, 'p', p->key, i);
		chain_to(to, name);
		chain_rule_init(&r, name);
		for (size_t k = 0; k < p->n_groups; k++) {
			NAME(r.jump, 'g', p->groups[k], i);
			rule_to(to, &r);
		}
	}
}

/* What comes in begins a connection, or answers what went out. */
static void policy_element(struct element *e, const Net__Policy *p, size_t i)
{
	char name[GROUP_NAME];

	element_in(e, chains[i].egress == chains[i].answer ? "enter" : "leave");
	element_number(e, p->key);
	element_answer(e, chains[i].answer);
	element_gives(e);
	if (has_chains(p))
		NAME(name, 'p', p->key, i);
	else
		NAME(name, 'g', p->groups[0], i);
	element_jump(e, name);
}

void policy_text(struct buf *b, const Net__Policy *p)
{
	policy_to(&(struct sink){.text = b}, p);
}

void policy_elements(struct elements *list, const Net__Policy *p)
{
	struct element e;

	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		policy_element(&e, p, i);
		elements_add(list, &e);
	}
}

void policy_put(struct batch *b, const Net__Policy *p)
{
	struct element e;

	policy_to(&(struct sink){.batch = b}, p);
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		policy_element(&e, p, i);
		element_put(b, &e, true);
	}
}

void policy_del(struct batch *b, uint32_t key)
{
	Net__Policy p = NET__POLICY__INIT;
	char name[GROUP_NAME];
	struct element e;

	p.key = key;
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		policy_element(&e, &p, i);
		element_put(b, &e, false);
		NAME(name, 'p', key, i);
		chain_put(b, name, NFT_MSG_NEWCHAIN); /* what is not there could not be deleted */
		chain_put(b, name, NFT_MSG_DELCHAIN);
	}
}

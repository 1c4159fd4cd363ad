/* net/flows.c - see net/flows.h */
#include "net/flows.h"

#include "base/buf.h"
#include "base/own.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct search {
	const struct ip *ip; /* that a connection goes to, either way; or NULL: one of these datagrams' */
	struct flow *flows;
	const struct door *doors; /* or, if there are some: one that came to these */
	const struct ip *of_host;
	size_t n, n_of_host;
	const struct ip *begun_by, *network; /* or: what it sends to others than these, or as somebody else */
	unsigned prefix;
	struct buf found; /* an attribute CTA_TUPLE_ORIG after the other, each with its padding */
};

/* ---------------------------------------------------------------- what a connection is called */

static const struct nlattr *part_of(const struct nlattr *nest, unsigned type)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static bool has(const struct nlattr *tuple, unsigned four, unsigned six, const struct ip *ip)
{
	const struct nlattr *ips = part_of(tuple, CTA_TUPLE_IP);
	const struct nlattr *a = ips ? part_of(ips, ip->len == 16 ? six : four) : NULL;

	return a && mnl_attr_get_payload_len(a) == ip->len && !memcmp(mnl_attr_get_payload(a), ip->byte, ip->len);
}

static bool goes_to(const struct nlattr *tuple, const struct ip *ip)
{
	return has(tuple, CTA_IP_V4_DST, CTA_IP_V6_DST, ip);
}

static bool comes_from(const struct nlattr *tuple, const struct ip *ip, uint16_t port)
{
	const struct nlattr *proto = part_of(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *from = proto ? part_of(proto, CTA_PROTO_SRC_PORT) : NULL;

	return from && mnl_attr_get_u16(from) == port && has(tuple, CTA_IP_V4_SRC, CTA_IP_V6_SRC, ip);
}

/* Whatever is translated, who begins it and who answers are who they are. */
static bool is_of(const struct flow *f, const struct nlattr *begun, const struct nlattr *answer)
{
	return (comes_from(begun, &f->from, f->from_port) && comes_from(answer, &f->to, f->to_port)) ||
	       (comes_from(begun, &f->to, f->to_port) && comes_from(answer, &f->from, f->from_port));
}

static bool ip_in(const struct nlattr *tuple, unsigned four, unsigned six, unsigned len, struct ip *ret)
{
	const struct nlattr *ips = part_of(tuple, CTA_TUPLE_IP);
	const struct nlattr *a = ips ? part_of(ips, len == 16 ? six : four) : NULL;

	return a && ip_take(a, ret) && ret->len == len;
}

static bool leaves(const struct search *s, const struct nlattr *begun, const struct nlattr *answer)
{
	struct ip to;

	if (!has(begun, CTA_IP_V4_SRC, CTA_IP_V6_SRC, s->begun_by) ||
	    !ip_in(begun, CTA_IP_V4_DST, CTA_IP_V6_DST, s->begun_by->len, &to))
		return false;
	return !goes_to(answer, s->begun_by) || !ip_bits_equal(&to, s->network, s->prefix);
}

static bool comes_to(const struct nlattr *tuple, const struct door *d)
{
	const struct nlattr *proto = part_of(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *to = proto ? part_of(proto, CTA_PROTO_DST_PORT) : NULL;

	return to && mnl_attr_get_u16(to) == d->port && (!d->at.len || goes_to(tuple, &d->at));
}

static bool fits_door(const struct search *s, const struct nlattr *begun)
{
	bool fits = false;

	for (size_t i = 0; i < s->n && !fits; i++)
		fits = comes_to(begun, &s->doors[i]);
	for (size_t i = 0; fits && i < s->n_of_host; i++)
		if (goes_to(begun, &s->of_host[i]))
			return true;
	return false;
}

static bool fits(const struct search *s, const struct nlattr *begun, const struct nlattr *answer)
{
	if (s->doors)
		return fits_door(s, begun);
	if (s->begun_by)
		return leaves(s, begun, answer);
	if (s->ip)
		return goes_to(begun, s->ip) || goes_to(answer, s->ip);
	for (size_t i = 0; i < s->n; i++)
		if (!s->flows[i].ended && is_of(&s->flows[i], begun, answer))
			return true;
	return false;
}

static int look(const struct nlmsghdr *h, void *arg)
{
	struct search *s = arg;
	const struct nlattr *a, *begun = NULL, *answer = NULL;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG)
			begun = a;
		else if (mnl_attr_get_type(a) == CTA_TUPLE_REPLY)
			answer = a;
	}
	if (begun && answer && fits(s, begun, answer))
		buf_add(&s->found, begun, MNL_ALIGN(begun->nla_len));
	return MNL_CB_OK;
}

static struct nlmsghdr *request(struct nl *nl, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *h = nl_request(nl, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);

	g->nfgen_family = family;
	return h;
}

static int end(struct nl *nl, const struct nlattr *begun, uint8_t family)
{
	struct nlmsghdr *h = request(nl, IPCTNL_MSG_CT_DELETE, 0, family);
	int r;

	mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(begun), mnl_attr_get_payload(begun));
	r = nl_talk(nl, h, NULL, NULL);
	return r == -ENOENT ? 0 : r; /* over by itself */
}

/* As a connection is known by: what comes, or what answers it. */
static int end_called(struct nl *nl, const struct ip *from, uint16_t from_port, const struct ip *to, uint16_t to_port)
{
	bool six = from->len == 16;
	struct nlmsghdr *h = request(nl, IPCTNL_MSG_CT_DELETE, 0, six ? AF_INET6 : AF_INET);
	struct nlattr *tuple = mnl_attr_nest_start(h, CTA_TUPLE_ORIG), *part = mnl_attr_nest_start(h, CTA_TUPLE_IP);

	mnl_attr_put(h, six ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, from->len, from->byte);
	mnl_attr_put(h, six ? CTA_IP_V6_DST : CTA_IP_V4_DST, to->len, to->byte);
	mnl_attr_nest_end(h, part);
	part = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, IPPROTO_UDP);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, from_port);
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, to_port);
	mnl_attr_nest_end(h, part);
	mnl_attr_nest_end(h, tuple);
	return nl_talk(nl, h, NULL, NULL);
}

static int end_found(struct nl *nl, struct nlmsghdr *dump, struct search *s, uint8_t family)
{
	int r;

	buf_init(&s->found, 0);
	r = nl_talk(nl, dump, look, s);
	for (size_t at = 0; r == 0 && !s->found.failed && at < s->found.len;) {
		const struct nlattr *begun = (const void *)(s->found.data + at);

		r = end(nl, begun, family);
		at += MNL_ALIGN(begun->nla_len);
	}
	buf_fini(&s->found);
	return r;
}

/* ---------------------------------------------------------------- those of datagrams */

/* Where one of its ends was translated, the packet is called as the connection is at the other. */
static int end_by_name(struct nl *nl, struct flow *f)
{
	int r = end_called(nl, &f->from, f->from_port, &f->to, f->to_port);

	if (r == -ENOENT)
		r = end_called(nl, &f->to, f->to_port, &f->from, f->from_port);
	f->ended = r == 0;
	return r == -ENOENT ? 0 : r;
}

/* Where both were, as from a container to a published port of another, it is called so nowhere: those of UDP are looked through, for all of them at once.
 * (The kernel's filter knows ports too, but of one, and its one by addresses means with IPv6 all others.) */
#define FILTER_PROTOCOL (1u << 3) /* the kernel's CTA_FILTER_F_CTA_PROTO_NUM, which no header has */

static struct nlmsghdr *dump_of(struct nl *nl, uint8_t family, uint8_t protocol)
{
	struct nlmsghdr *h = request(nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
	struct nlattr *nest = mnl_attr_nest_start(h, CTA_TUPLE_ORIG), *part = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(h, CTA_PROTO_NUM, protocol);
	mnl_attr_nest_end(h, part);
	mnl_attr_nest_end(h, nest);
	nest = mnl_attr_nest_start(h, CTA_FILTER);
	mnl_attr_put_u32(h, CTA_FILTER_ORIG_FLAGS, FILTER_PROTOCOL);
	mnl_attr_nest_end(h, nest);
	return h;
}

static struct nlmsghdr *dump_of_datagrams(struct nl *nl, uint8_t family)
{
	return dump_of(nl, family, IPPROTO_UDP);
}

static int end_by_search(struct nl *nl, struct flow *flows, size_t n, unsigned len)
{
	uint8_t family = len == 16 ? AF_INET6 : AF_INET;
	struct search s = {.flows = flows, .n = n};
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= !flows[i].ended && flows[i].from.len == len;
	if (!any)
		return 0;
	return end_found(nl, dump_of_datagrams(nl, family), &s, family);
}

int flows_end_of(struct flow *flows, size_t n, struct err *e)
{
	static struct nl nl;
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++)
		r = end_by_name(&nl, &flows[i]);
	if (r == 0)
		r = end_by_search(&nl, flows, n, 4);
	if (r == 0)
		r = end_by_search(&nl, flows, n, 16);
	nl_close(&nl);
	return r < 0 ? err_set(e, -r, "network", "end flows of datagrams") : 0;
}

/* ---------------------------------------------------------------- those of ports */

int flows_end_at(const struct door *doors, size_t n, const struct ip *of_host, size_t n_of_host, struct err *e)
{
	static struct nl nl;
	struct search s = {.doors = doors, .n = n, .of_host = of_host, .n_of_host = n_of_host};
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	if (r < 0)
		return r;
	r = end_found(&nl, dump_of_datagrams(&nl, AF_INET), &s, AF_INET);
	if (r == 0)
		r = end_found(&nl, dump_of_datagrams(&nl, AF_INET6), &s, AF_INET6);
	nl_close(&nl);
	return r < 0 ? err_set(e, -r, "network", "end flows of datagrams to a published port") : 0;
}

/* ---------------------------------------------------------------- those of an address */

int flows_end(const struct ip *ip, struct err *e)
{
	static struct nl nl;
	uint8_t family = ip->len == 16 ? AF_INET6 : AF_INET;
	struct search s = {.ip = ip};
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	if (r == 0 && (r = end_found(&nl, request(&nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family), &s, family)) < 0)
		err_set(e, -r, "network", "end the connections of an address");
	nl_close(&nl);
	return r;
}

int flows_end_from(const struct ip *ip, const struct ip *network, unsigned prefix, struct err *e)
{
	static struct nl nl;
	uint8_t family = ip->len == 16 ? AF_INET6 : AF_INET;
	const uint8_t kinds[] = {IPPROTO_UDP, ip->len == 16 ? IPPROTO_ICMPV6 : IPPROTO_ICMP};
	struct search s = {.begun_by = ip, .network = network, .prefix = prefix};
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && r == 0; i++)
		r = end_found(&nl, dump_of(&nl, family, kinds[i]), &s, family);
	nl_close(&nl);
	return r < 0 ? err_set(e, -r, "network", "end flows of datagrams from an address") : 0;
}

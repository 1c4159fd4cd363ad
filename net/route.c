/* net/route.c - see net/route.h */
#include "net/route.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static struct nlmsghdr *route_request(struct nl *nl, uint16_t type, uint16_t flags, const struct route *r)
{
	struct nlmsghdr *h;
	struct rtmsg *m = ip_request(nl, type, flags, r->to.len ? r->to.len : r->gateway.len, sizeof *m, &h);

	m->rtm_dst_len = (uint8_t)(r->to.len ? r->prefix : 0);
	m->rtm_table = r->table ? RT_TABLE_UNSPEC : RT_TABLE_MAIN;
	m->rtm_protocol = r->protocol ? r->protocol : RTPROT_STATIC;
	m->rtm_type = r->index ? RTN_UNICAST : RTN_UNREACHABLE;
	m->rtm_scope = r->index && !r->gateway.len ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	/* The gateway's address is not in a subnet of the link: there is none. */
	m->rtm_flags = r->gateway.len ? RTNH_F_ONLINK : 0;
	ip_put(h, RTA_DST, &r->to);
	ip_put(h, RTA_GATEWAY, &r->gateway);
	ip_put(h, RTA_PREFSRC, &r->source);
	if (r->index)
		mnl_attr_put_u32(h, RTA_OIF, (uint32_t)r->index);
	if (r->metric)
		mnl_attr_put_u32(h, RTA_PRIORITY, r->metric);
	if (r->table)
		mnl_attr_put_u32(h, RTA_TABLE, r->table);
	return h;
}

int route_put(struct nl *nl, const struct route *r, struct err *e)
{
	int result = nl_talk(nl, route_request(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r), NULL, NULL);

	return result < 0 && result != -EEXIST ? err_set(e, -result, "network", "make a route") : 0;
}

int route_del(struct nl *nl, const struct route *r, struct err *e)
{
	int result = nl_talk(nl, route_request(nl, RTM_DELROUTE, 0, r), NULL, NULL);

	return result < 0 && result != -ESRCH ? err_set(e, -result, "network", "remove a route") : 0;
}

#define RULE_PRIORITY 1000u /* before those of the main table */

static int rule_change(struct nl *nl, uint16_t type, uint16_t flags, const struct ip *from, uint32_t table)
{
	struct nlmsghdr *h;
	struct fib_rule_hdr *m = ip_request(nl, type, flags, from->len, sizeof *m, &h);

	m->src_len = (uint8_t)(from->len * 8);
	m->action = FR_ACT_TO_TBL;
	ip_put(h, FRA_SRC, from);
	mnl_attr_put_u32(h, FRA_PRIORITY, RULE_PRIORITY);
	if (table)
		mnl_attr_put_u32(h, FRA_TABLE, table);
	return nl_talk(nl, h, NULL, NULL);
}

/* A kernel that has one table only does without. */
static bool no_rules(int r)
{
	return r == -EOPNOTSUPP || r == -EAFNOSUPPORT;
}

int rule_put(struct nl *nl, const struct ip *from, uint32_t table, struct err *e)
{
	int r = rule_change(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, from, table);

	return r < 0 && r != -EEXIST && !no_rules(r) ? err_set(e, -r, "network", "make a rule for an address") : 0;
}

int rule_del(struct nl *nl, const struct ip *from, uint32_t table, struct err *e)
{
	int r = rule_change(nl, RTM_DELRULE, 0, from, table);

	return r < 0 && r != -ENOENT && !no_rules(r) ? err_set(e, -r, "network", "remove the rule of an address") : 0;
}

/* Of several ways at once the first is told, without a gateway if any of them has none. */
static void take_hops(const struct nlattr *nest, struct route *r)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(nest);
	int left = mnl_attr_get_payload_len(nest);
	bool direct = false;

	for (; left > 0 && RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const char *end = (const char *)hop + hop->rtnh_len;
		const struct nlattr *a = (const void *)RTNH_DATA(hop);
		struct ip gateway = {.len = 0};

		for (; mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a))
			if (mnl_attr_get_type(a) == RTA_GATEWAY)
				(void)ip_take(a, &gateway);
			else if (mnl_attr_get_type(a) == RTA_VIA)
				gateway.len = 4;
		if (!r->index)
			r->index = hop->rtnh_ifindex;
		if (gateway.len)
			r->gateway = gateway;
		direct |= !gateway.len;
	}
	if (direct)
		r->gateway.len = 0;
}

static int take_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct route *r = arg;
	const struct nlattr *a;

	if (m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	r->prefix = m->rtm_dst_len;
	r->protocol = m->rtm_protocol;
	mnl_attr_for_each(a, h, sizeof *m)
	{
		if (mnl_attr_get_type(a) == RTA_DST)
			(void)ip_take(a, &r->to);
		else if (mnl_attr_get_type(a) == RTA_GATEWAY)
			(void)ip_take(a, &r->gateway);
		else if (mnl_attr_get_type(a) == RTA_VIA) /* of the other family */
			r->gateway.len = 4;
		else if (mnl_attr_get_type(a) == RTA_OIF)
			r->index = (int)mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == RTA_MULTIPATH)
			take_hops(a, r);
	}
	return MNL_CB_OK;
}

int route_find(struct nl *nl, struct route *r)
{
	struct nlmsghdr *h;
	struct rtmsg *m = ip_request(nl, RTM_GETROUTE, 0, r->to.len, sizeof *m, &h);
	int result;

	m->rtm_dst_len = (uint8_t)(r->to.len * 8);
	m->rtm_flags = RTM_F_FIB_MATCH;
	ip_put(h, RTA_DST, &r->to);
	result = nl_talk(nl, h, take_route, r);
	return result < 0 ? result : r->index ? 0 : -ESRCH;
}

struct rule_walk {
	void (*fn)(void *arg, const struct ip *from, uint32_t table);
	void *arg;
};

static int tell_rule(const struct nlmsghdr *h, void *arg)
{
	const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(h);
	const struct rule_walk *w = arg;
	const struct nlattr *a;
	struct ip from = {.len = 0};
	uint32_t table = m->table, priority = 0;

	mnl_attr_for_each(a, h, sizeof *m)
	{
		if (mnl_attr_get_type(a) == FRA_SRC)
			(void)ip_take(a, &from);
		else if (mnl_attr_get_type(a) == FRA_TABLE)
			table = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == FRA_PRIORITY)
			priority = mnl_attr_get_u32(a);
	}
	if (priority == RULE_PRIORITY && from.len && m->src_len == from.len * 8)
		w->fn(w->arg, &from, table);
	return MNL_CB_OK;
}

int rule_each(struct nl *nl, void (*fn)(void *arg, const struct ip *from, uint32_t table), void *arg, struct err *e)
{
	struct rule_walk w = {fn, arg};
	int r = ip_dump(nl, RTM_GETRULE, &(struct fib_rule_hdr){0}, sizeof(struct fib_rule_hdr), tell_rule, &w);

	return r < 0 && !no_rules(r) ? err_set(e, -r, "network", "list the rules of addresses") : 0;
}

struct route_walk {
	uint8_t protocol;
	int index;
	void (*fn)(void *arg, const struct ip *to, unsigned prefix, uint32_t metric);
	void *arg;
};

static int tell_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct route_walk *w = arg;
	const struct nlattr *a;
	struct ip to = {.len = 0};
	uint32_t metric = 0;
	int index = 0;

	mnl_attr_for_each(a, h, sizeof *m)
	{
		if (mnl_attr_get_type(a) == RTA_DST)
			(void)ip_take(a, &to);
		else if (mnl_attr_get_type(a) == RTA_OIF)
			index = (int)mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == RTA_PRIORITY)
			metric = mnl_attr_get_u32(a);
	}
	if (m->rtm_type == RTN_UNREACHABLE)
		index = 0;
	if (to.len && m->rtm_protocol == w->protocol && m->rtm_table == RT_TABLE_MAIN && index == w->index)
		w->fn(w->arg, &to, m->rtm_dst_len, metric);
	return MNL_CB_OK;
}

int route_each(struct nl *nl, int index, uint8_t protocol,
	       void (*fn)(void *arg, const struct ip *to, unsigned prefix, uint32_t metric), void *arg, struct err *e)
{
	struct route_walk w = {protocol, index, fn, arg};
	int r, on = 1, off = 0;

	/* The kernel chooses them, where it can: a host may know a million. */
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &on, sizeof on);
	r = ip_dump(nl, RTM_GETROUTE, &(struct rtmsg){.rtm_protocol = protocol}, sizeof(struct rtmsg), tell_route, &w);
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &off, sizeof off);
	return r < 0 ? err_set(e, -r, "network", "list the routes") : 0;
}

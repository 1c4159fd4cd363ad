/* net/flows.c - see net/flows.h */
#include "net/flows.h"

#include "base/buf.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct search {
	const struct ip *ip;
	struct buf found; /* an attribute CTA_TUPLE_ORIG after the other, each with its padding */
};

static int take_destination(const struct nlattr *a, void *arg)
{
	const struct nlattr **ret = arg;
	unsigned type = mnl_attr_get_type(a);

	if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST)
		*ret = a;
	return MNL_CB_OK;
}

static bool goes_to(const struct nlattr *tuple, const struct ip *ip)
{
	const struct nlattr *a, *to = NULL;

	mnl_attr_for_each_nested(a, tuple) if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
		mnl_attr_parse_nested(a, take_destination, &to);
	return to && mnl_attr_get_payload_len(to) == ip->len && !memcmp(mnl_attr_get_payload(to), ip->byte, ip->len);
}

static int look(const struct nlmsghdr *h, void *arg)
{
	struct search *s = arg;
	const struct nlattr *a, *begun = NULL;
	bool fits = false;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		unsigned type = mnl_attr_get_type(a);

		if (type == CTA_TUPLE_ORIG)
			begun = a;
		if (type == CTA_TUPLE_ORIG || type == CTA_TUPLE_REPLY)
			fits |= goes_to(a, s->ip);
	}
	if (begun && fits)
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

/* Where one of its ends was translated, the packet is called as the connection is at the other. */
int flow_end(const struct flow *f, struct err *e)
{
	static struct nl nl;
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	if (r == 0) {
		r = end_called(&nl, &f->from, f->from_port, &f->to, f->to_port);
		if (r == -ENOENT)
			r = end_called(&nl, &f->to, f->to_port, &f->from, f->from_port);
		r = r == -ENOENT ? 0 : r < 0 ? err_set(e, -r, "network", "end a flow") : 0;
	}
	nl_close(&nl);
	return r;
}

int flows_end(const struct ip *ip, struct err *e)
{
	static struct nl nl;
	uint8_t family = ip->len == 16 ? AF_INET6 : AF_INET;
	struct search s = {.ip = ip};
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	buf_init(&s.found, 0);
	if (r == 0)
		r = nl_talk(&nl, request(&nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family), look, &s);
	for (size_t at = 0; r == 0 && !s.found.failed && at < s.found.len;) {
		const struct nlattr *begun = (const void *)(s.found.data + at);

		r = end(&nl, begun, family);
		at += MNL_ALIGN(begun->nla_len);
	}
	if (r < 0)
		err_set(e, -r, "network", "end the connections of an address");
	buf_fini(&s.found);
	nl_close(&nl);
	return r;
}

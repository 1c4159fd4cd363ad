/* net/flows.c - see net/flows.h */
#include "net/flows.h"

#include "base/buf.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
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

static struct nlmsghdr *request(struct nl *nl, uint16_t type, uint16_t flags, const struct ip *ip)
{
	struct nlmsghdr *h = nl_request(nl, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);

	g->nfgen_family = ip->len == 16 ? AF_INET6 : AF_INET;
	return h;
}

int flows_end(const struct ip *ip, struct err *e)
{
	static struct nl nl;
	struct search s = {.ip = ip};
	int r = nl_open_of(&nl, NETLINK_NETFILTER, e);

	buf_init(&s.found, 0);
	if (r == 0)
		r = nl_talk(&nl, request(&nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, ip), look, &s);
	for (size_t at = 0; r == 0 && !s.found.failed && at < s.found.len;) {
		const struct nlattr *begun = (const void *)(s.found.data + at);
		struct nlmsghdr *h = request(&nl, IPCTNL_MSG_CT_DELETE, 0, ip);

		mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(begun),
			     mnl_attr_get_payload(begun));
		r = nl_talk(&nl, h, NULL, NULL);
		if (r == -ENOENT) /* over by itself */
			r = 0;
		at += MNL_ALIGN(begun->nla_len);
	}
	if (r < 0)
		err_set(e, -r, "network", "end the connections of an address");
	buf_fini(&s.found);
	nl_close(&nl);
	return r;
}

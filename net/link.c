/* net/link.c - see net/link.h */
#include "net/link.h"

#include "base/own.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static unsigned char family_of(unsigned len)
{
	return len == 16 ? AF_INET6 : AF_INET;
}

static struct ifinfomsg *link_request(struct nl *nl, uint16_t type, uint16_t flags, struct nlmsghdr **ret)
{
	*ret = nl_request(nl, type, flags);
	return mnl_nlmsg_put_extra_header(*ret, sizeof(struct ifinfomsg));
}

static int take_index(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);

	*(int *)arg = info->ifi_index;
	return MNL_CB_OK;
}

int link_index(struct nl *nl, const char *name)
{
	struct nlmsghdr *h;
	int index = 0, r;

	link_request(nl, RTM_GETLINK, 0, &h);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	r = nl_talk(nl, h, take_index, &index);
	return r < 0 ? r : index > 0 ? index : -ENODEV;
}

static bool take_mac(const struct nlattr *a, uint8_t mac[6])
{
	if (mnl_attr_get_payload_len(a) != 6)
		return false;
	memcpy(mac, mnl_attr_get_payload(a), 6);
	return true;
}

static int take_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	struct link *l = arg;
	const struct nlattr *a, *k;

	l->index = info->ifi_index;
	l->up = info->ifi_flags & IFF_UP;
	mnl_attr_for_each(a, h, sizeof *info)
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			snprintf(l->name, sizeof l->name, "%s", mnl_attr_get_str(a));
			break;
		case IFLA_MTU:
			l->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_MASTER:
			l->master = (int)mnl_attr_get_u32(a);
			break;
		case IFLA_ADDRESS:
			take_mac(a, l->mac);
			break;
		case IFLA_PERM_ADDRESS:
			l->has_permanent = take_mac(a, l->permanent);
			break;
		case IFLA_PARENT_DEV_NAME:
			snprintf(l->device, sizeof l->device, "%s", mnl_attr_get_str(a));
			break;
		case IFLA_LINKINFO:
			mnl_attr_for_each_nested(k, a) if (mnl_attr_get_type(k) == IFLA_INFO_KIND)
				snprintf(l->kind, sizeof l->kind, "%s", mnl_attr_get_str(k));
			break;
		default:
			break;
		}
	}
	return MNL_CB_OK;
}

int link_get(struct nl *nl, const char *name, struct link *ret)
{
	struct nlmsghdr *h;
	int r;

	*ret = (struct link){0};
	link_request(nl, RTM_GETLINK, 0, &h);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	r = nl_talk(nl, h, take_link, ret);
	return r < 0 ? r : ret->index > 0 ? 0 : -ENODEV;
}

int link_at(struct nl *nl, int index, struct link *ret)
{
	struct nlmsghdr *h;
	int r;

	*ret = (struct link){0};
	link_request(nl, RTM_GETLINK, 0, &h)->ifi_index = index;
	r = nl_talk(nl, h, take_link, ret);
	return r < 0 ? r : ret->index > 0 ? 0 : -ENODEV;
}

int link_pair_add(struct nl *nl, const char *host, const char *inside, int ns_fd, const uint8_t mac[6], uint32_t mtu,
		  int master, struct err *e)
{
	struct nlattr *info, *data, *peer;
	struct nlmsghdr *h;
	int r;

	link_request(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h);
	mnl_attr_put_strz(h, IFLA_IFNAME, host);
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	if (master)
		mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)master);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, inside);
	mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)ns_fd);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "make the pair of links %s and %s", host, inside) : 0;
}

/* ---------------------------------------------------------------- other kinds */

struct birth {
	struct nlmsghdr *h;
	struct nlattr *info, *data;
};

static struct birth birth_begin(struct nl *nl, const char *kind, const char *name, uint32_t mtu)
{
	struct birth b;

	link_request(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &b.h);
	mnl_attr_put_strz(b.h, IFLA_IFNAME, name);
	if (mtu)
		mnl_attr_put_u32(b.h, IFLA_MTU, mtu);
	b.info = mnl_attr_nest_start(b.h, IFLA_LINKINFO);
	mnl_attr_put_strz(b.h, IFLA_INFO_KIND, kind);
	b.data = mnl_attr_nest_start(b.h, IFLA_INFO_DATA);
	return b;
}

static void birth_data_end(struct birth *b)
{
	mnl_attr_nest_end(b->h, b->data);
	mnl_attr_nest_end(b->h, b->info);
}

int link_bridge_add(struct nl *nl, const char *name, const uint8_t mac[6], uint32_t mtu, struct err *e)
{
	struct birth b = birth_begin(nl, "bridge", name, mtu);
	int r;

	/* Nobody asks on it who listens to what, so listeners would be forgotten, and IPv6 lives by multicast. */
	mnl_attr_put_u8(b.h, IFLA_BR_MCAST_SNOOPING, 0);
	birth_data_end(&b);
	/* Else it has the lowest of its ports' addresses, another one each time that ports come and go. */
	mnl_attr_put(b.h, IFLA_ADDRESS, 6, mac);
	r = nl_talk(nl, b.h, NULL, NULL);
	return r < 0 && r != -EEXIST ? err_set(e, -r, "network", "make the bridge %s", name) : 0;
}

int link_vlan_add(struct nl *nl, const char *name, int parent, uint16_t id, uint32_t mtu, struct err *e)
{
	struct birth b = birth_begin(nl, "vlan", name, mtu);
	int r;

	mnl_attr_put_u16(b.h, IFLA_VLAN_ID, id);
	birth_data_end(&b);
	mnl_attr_put_u32(b.h, IFLA_LINK, (uint32_t)parent);
	r = nl_talk(nl, b.h, NULL, NULL);
	return r < 0 && r != -EEXIST ? err_set(e, -r, "network", "make VLAN %u", id) : 0;
}

static const struct {
	const char *kind, *word;
	uint32_t value;
} modes[] = {
	{"macvlan", "bridge", MACVLAN_MODE_BRIDGE}, {"macvlan", "private", MACVLAN_MODE_PRIVATE},
	{"macvlan", "vepa", MACVLAN_MODE_VEPA},	    {"macvlan", "passthru", MACVLAN_MODE_PASSTHRU},
	{"ipvlan", "l2", IPVLAN_MODE_L2},	    {"ipvlan", "l3", IPVLAN_MODE_L3},
	{"ipvlan", "l3s", IPVLAN_MODE_L3S},
};

int link_upper_add(struct nl *nl, const char *kind, const char *mode, int parent, const char *inside, int ns_fd,
		   const uint8_t *mac, uint32_t mtu, struct err *e)
{
	struct birth b = birth_begin(nl, kind, inside, mtu);
	size_t i = 0;
	int r;

	while (i < ARRAY_SIZE(modes) && (strcmp(modes[i].kind, kind) != 0 || strcmp(modes[i].word, mode) != 0))
		i++;
	if (i == ARRAY_SIZE(modes))
		return err_set(e, EINVAL, "network", "%s has no mode %s", kind, mode);
	if (!strcmp(kind, "macvlan"))
		mnl_attr_put_u32(b.h, IFLA_MACVLAN_MODE, modes[i].value);
	else
		mnl_attr_put_u16(b.h, IFLA_IPVLAN_MODE, (uint16_t)modes[i].value);
	birth_data_end(&b);
	if (mac)
		mnl_attr_put(b.h, IFLA_ADDRESS, 6, mac);
	mnl_attr_put_u32(b.h, IFLA_LINK, (uint32_t)parent);
	mnl_attr_put_u32(b.h, IFLA_NET_NS_FD, (uint32_t)ns_fd);
	r = nl_talk(nl, b.h, NULL, NULL);
	return r < 0 && r != -EEXIST ? err_set(e, -r, "network", "make the %s link %s", kind, inside) : 0;
}

int link_lone_add(struct nl *nl, const char *name, struct err *e)
{
	static const char *const kinds[] = {"dummy", "bridge"};
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && r == -EOPNOTSUPP; i++) {
		struct nlattr *info;
		struct nlmsghdr *h;

		link_request(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h);
		mnl_attr_put_strz(h, IFLA_IFNAME, name);
		info = mnl_attr_nest_start(h, IFLA_LINKINFO);
		mnl_attr_put_strz(h, IFLA_INFO_KIND, kinds[i]);
		mnl_attr_nest_end(h, info);
		r = nl_talk(nl, h, NULL, NULL);
	}
	return r < 0 && r != -EEXIST ? err_set(e, -r, "network", "make the link %s", name) : 0;
}

static int bring_up(struct nl *nl, int index, const uint32_t *group, struct err *e)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = link_request(nl, RTM_NEWLINK, 0, &h);
	int r;

	info->ifi_index = index;
	info->ifi_flags = info->ifi_change = IFF_UP;
	if (group)
		mnl_attr_put_u32(h, IFLA_GROUP, *group);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "bring link %d up", index) : 0;
}

int link_up(struct nl *nl, int index, struct err *e)
{
	return bring_up(nl, index, NULL, e);
}

/* A change of one that is there; what is to change is put behind it. */
static struct nlmsghdr *change_begin(struct nl *nl, int index, struct ifinfomsg **ret_info)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = link_request(nl, RTM_NEWLINK, 0, &h);

	info->ifi_index = index;
	if (ret_info)
		*ret_info = info;
	return h;
}

int link_down(struct nl *nl, int index, struct err *e)
{
	struct ifinfomsg *info;
	struct nlmsghdr *h = change_begin(nl, index, &info);
	int r;

	info->ifi_change = IFF_UP;
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "bring link %d down", index) : 0;
}

int link_move(struct nl *nl, int index, int ns_fd, const char *name, struct err *e)
{
	struct nlmsghdr *h = change_begin(nl, index, NULL);
	int r;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)ns_fd);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "move link %d to another namespace as %s", index, name) : 0;
}

int link_name(struct nl *nl, int index, const char *name, struct err *e)
{
	struct nlmsghdr *h = change_begin(nl, index, NULL);
	int r;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "call link %d %s", index, name) : 0;
}

int link_mtu(struct nl *nl, int index, uint32_t mtu, struct err *e)
{
	struct nlmsghdr *h = change_begin(nl, index, NULL);
	int r;

	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "give link %d the MTU %u", index, mtu) : 0;
}

int link_mac(struct nl *nl, int index, const uint8_t mac[6], struct err *e)
{
	struct nlmsghdr *h = change_begin(nl, index, NULL);
	int r;

	mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "give link %d its MAC", index) : 0;
}

int link_up_in_group(struct nl *nl, int index, uint32_t group, struct err *e)
{
	return bring_up(nl, index, &group, e);
}

int link_hairpin(struct nl *nl, int index, struct err *e)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = link_request(nl, RTM_SETLINK, 0, &h);
	struct nlattr *port;
	int r;

	info->ifi_family = AF_BRIDGE;
	info->ifi_index = index;
	port = mnl_attr_nest_start(h, IFLA_PROTINFO);
	mnl_attr_put_u8(h, IFLA_BRPORT_MODE, 1);
	mnl_attr_nest_end(h, port);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "let packets of link %d come back to it", index) : 0;
}

int link_group(struct nl *nl, const char *name, uint32_t group, struct err *e)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info;
	int index = link_index(nl, name), r = index;

	if (index > 0) {
		info = link_request(nl, RTM_NEWLINK, 0, &h);
		info->ifi_index = index;
		mnl_attr_put_u32(h, IFLA_GROUP, group);
		r = nl_talk(nl, h, NULL, NULL);
	}
	return r < 0 && r != -ENODEV ? err_set(e, -r, "network", "give the link %s its group", name) : 0;
}

int link_del(struct nl *nl, const char *name, struct err *e)
{
	struct nlmsghdr *h;
	int r;

	link_request(nl, RTM_DELLINK, 0, &h);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 && r != -ENODEV ? err_set(e, -r, "network", "remove the link %s", name) : 0;
}

struct link_walk {
	void (*fn)(void *arg, const char *name, uint32_t group);
	void *arg;
};

static int tell_name(const struct nlmsghdr *h, void *arg)
{
	struct link_walk *w = arg;
	const char *name = NULL;
	struct nlattr *a;
	uint32_t group = 0;

	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == IFLA_GROUP && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
			group = mnl_attr_get_u32(a);
	}
	if (name)
		w->fn(w->arg, name, group);
	return MNL_CB_OK;
}

int link_each(struct nl *nl, void (*fn)(void *arg, const char *name, uint32_t group), void *arg, struct err *e)
{
	struct link_walk w = {fn, arg};
	struct nlmsghdr *h;
	int r;

	link_request(nl, RTM_GETLINK, NLM_F_DUMP, &h);
	r = nl_talk(nl, h, tell_name, &w);
	return r < 0 ? err_set(e, -r, "network", "list the links") : 0;
}

struct whole_walk {
	void (*fn)(void *arg, const struct link *l);
	void *arg;
};

static int tell_whole(const struct nlmsghdr *h, void *arg)
{
	const struct whole_walk *w = arg;
	struct link l = {0};

	take_link(h, &l);
	w->fn(w->arg, &l);
	return MNL_CB_OK;
}

int link_each_whole(struct nl *nl, void (*fn)(void *arg, const struct link *l), void *arg, struct err *e)
{
	struct whole_walk w = {fn, arg};
	struct nlmsghdr *h;
	int r;

	link_request(nl, RTM_GETLINK, NLM_F_DUMP, &h);
	r = nl_talk(nl, h, tell_whole, &w);
	return r < 0 ? err_set(e, -r, "network", "list the links") : 0;
}

/* ---------------------------------------------------------------- addresses */

struct address_look {
	uint32_t index;
	bool found;
};

static int look_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
	struct address_look *look = arg;

	look->found |= a->ifa_index == look->index && a->ifa_scope < RT_SCOPE_LINK;
	return MNL_CB_OK;
}

int address_any(struct nl *nl, int index)
{
	struct address_look look = {.index = (uint32_t)index};
	struct nlmsghdr *h = nl_request(nl, RTM_GETADDR, NLM_F_DUMP);
	int r;

	mnl_nlmsg_put_extra_header(h, sizeof(struct ifaddrmsg));
	r = nl_talk(nl, h, look_address, &look);
	return r < 0 ? r : look.found;
}

static int address_change(struct nl *nl, uint16_t type, uint16_t flags, int index, const struct ip *ip, unsigned prefix)
{
	struct nlmsghdr *h = nl_request(nl, type, flags);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);

	a->ifa_family = family_of(ip->len);
	a->ifa_prefixlen = (uint8_t)prefix;
	a->ifa_index = (uint32_t)index;
	/* Nobody else can have it, and a second of waiting would be longer than the start. */
	a->ifa_flags = ip->len == 16 ? IFA_F_NODAD : 0;
	if (ip->len == 16 && ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80)
		a->ifa_scope = RT_SCOPE_LINK;
	mnl_attr_put(h, IFA_LOCAL, ip->len, ip->byte);
	mnl_attr_put(h, IFA_ADDRESS, ip->len, ip->byte);
	return nl_talk(nl, h, NULL, NULL);
}

int address_put(struct nl *nl, int index, const struct ip *ip, unsigned prefix, struct err *e)
{
	int r = address_change(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, ip, prefix);

	return r < 0 && r != -EEXIST
		       ? err_set(e, -r, "network", "give link %d its IPv%c address", index, ip->len == 16 ? '6' : '4')
		       : 0;
}

int address_del(struct nl *nl, int index, const struct ip *ip, unsigned prefix, struct err *e)
{
	int r = address_change(nl, RTM_DELADDR, 0, index, ip, prefix);

	return r < 0 && r != -EADDRNOTAVAIL ? err_set(e, -r, "network", "take an address from link %d", index) : 0;
}

/* ---------------------------------------------------------------- routes */

static struct nlmsghdr *route_request(struct nl *nl, uint16_t type, uint16_t flags, const struct route *r)
{
	struct nlmsghdr *h = nl_request(nl, type, flags);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

	m->rtm_family = family_of(r->to.len ? r->to.len : r->gateway.len);
	m->rtm_dst_len = (uint8_t)(r->to.len ? r->prefix : 0);
	m->rtm_table = r->table ? RT_TABLE_UNSPEC : RT_TABLE_MAIN;
	m->rtm_protocol = r->protocol ? r->protocol : RTPROT_STATIC;
	m->rtm_type = r->index ? RTN_UNICAST : RTN_UNREACHABLE;
	m->rtm_scope = r->index && !r->gateway.len ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	/* The gateway's address is not in a subnet of the link: there is none. */
	m->rtm_flags = r->gateway.len ? RTNH_F_ONLINK : 0;
	if (r->to.len)
		mnl_attr_put(h, RTA_DST, r->to.len, r->to.byte);
	if (r->gateway.len)
		mnl_attr_put(h, RTA_GATEWAY, r->gateway.len, r->gateway.byte);
	if (r->source.len)
		mnl_attr_put(h, RTA_PREFSRC, r->source.len, r->source.byte);
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
	struct nlmsghdr *h = nl_request(nl, type, flags);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

	m->family = family_of(from->len);
	m->src_len = (uint8_t)(from->len * 8);
	m->action = FR_ACT_TO_TBL;
	mnl_attr_put(h, FRA_SRC, from->len, from->byte);
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

int rule_del(struct nl *nl, const struct ip *from, struct err *e)
{
	int r = rule_change(nl, RTM_DELRULE, 0, from, 0);

	return r < 0 && r != -ENOENT && !no_rules(r) ? err_set(e, -r, "network", "remove the rule of an address") : 0;
}

struct route_walk {
	uint8_t protocol;
	int index;
	void (*fn)(void *arg, const struct ip *to, unsigned prefix);
	void *arg;
};

static int tell_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct route_walk *w = arg;
	const struct nlattr *a;
	struct ip to = {.len = 0};
	int index = 0;

	mnl_attr_for_each(a, h, sizeof *m)
	{
		if (mnl_attr_get_type(a) == RTA_DST && mnl_attr_get_payload_len(a) <= sizeof to.byte) {
			to.len = mnl_attr_get_payload_len(a);
			memcpy(to.byte, mnl_attr_get_payload(a), to.len);
		} else if (mnl_attr_get_type(a) == RTA_OIF) {
			index = (int)mnl_attr_get_u32(a);
		}
	}
	if (m->rtm_type == RTN_UNREACHABLE)
		index = 0;
	if (to.len && m->rtm_protocol == w->protocol && m->rtm_table == RT_TABLE_MAIN && index == w->index)
		w->fn(w->arg, &to, m->rtm_dst_len);
	return MNL_CB_OK;
}

int route_each(struct nl *nl, int index, uint8_t protocol, void (*fn)(void *arg, const struct ip *to, unsigned prefix),
	       void *arg, struct err *e)
{
	struct route_walk w = {protocol, index, fn, arg};
	int r = 0, on = 1, off = 0;

	/* The kernel chooses them, where it can: a host may know a million. */
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &on, sizeof on);
	for (unsigned len = 4; len <= 16 && r == 0; len += 12) {
		struct nlmsghdr *h = nl_request(nl, RTM_GETROUTE, NLM_F_DUMP);
		struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

		m->rtm_family = family_of(len);
		m->rtm_protocol = protocol;
		r = nl_talk(nl, h, tell_route, &w);
	}
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &off, sizeof off);
	return r < 0 ? err_set(e, -r, "network", "list the routes of floating IPs") : 0;
}

/* ---------------------------------------------------------------- addresses that are answered for */

static struct ndmsg *proxy_request(struct nl *nl, uint16_t type, uint16_t flags, struct nlmsghdr **ret)
{
	struct ndmsg *m;

	*ret = nl_request(nl, type, flags);
	m = mnl_nlmsg_put_extra_header(*ret, sizeof *m);
	m->ndm_flags = NTF_PROXY;
	return m;
}

static int proxy_change(struct nl *nl, uint16_t type, uint16_t flags, int index, const struct ip *ip)
{
	struct nlmsghdr *h;
	struct ndmsg *m = proxy_request(nl, type, flags, &h);

	m->ndm_family = family_of(ip->len);
	m->ndm_ifindex = index;
	mnl_attr_put(h, NDA_DST, ip->len, ip->byte);
	if (type == RTM_NEWNEIGH)
		mnl_attr_put_u8(h, NDA_PROTOCOL, ROUTE_FLOATING);
	return nl_talk(nl, h, NULL, NULL);
}

int proxy_put(struct nl *nl, int index, const struct ip *ip, struct err *e)
{
	int r = proxy_change(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index, ip);

	return r < 0 && r != -EEXIST ? err_set(e, -r, "network", "answer for an address on link %d", index) : 0;
}

int proxy_del(struct nl *nl, int index, const struct ip *ip, struct err *e)
{
	int r = proxy_change(nl, RTM_DELNEIGH, 0, index, ip);

	return r < 0 && r != -ENOENT && r != -ENODEV
		       ? err_set(e, -r, "network", "answer no longer for an address on link %d", index)
		       : 0;
}

struct proxy_walk {
	void (*fn)(void *arg, const struct ip *ip, int index);
	void *arg;
};

static int tell_proxy(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	struct proxy_walk *w = arg;
	const struct nlattr *a;
	struct ip ip = {.len = 0};
	bool ours = false;

	mnl_attr_for_each(a, h, sizeof *m)
	{
		if (mnl_attr_get_type(a) == NDA_DST && mnl_attr_get_payload_len(a) <= sizeof ip.byte) {
			ip.len = mnl_attr_get_payload_len(a);
			memcpy(ip.byte, mnl_attr_get_payload(a), ip.len);
		} else if (mnl_attr_get_type(a) == NDA_PROTOCOL) {
			ours = mnl_attr_get_u8(a) == ROUTE_FLOATING;
		}
	}
	if (ours && ip.len && m->ndm_ifindex > 0)
		w->fn(w->arg, &ip, m->ndm_ifindex);
	return MNL_CB_OK;
}

int proxy_each(struct nl *nl, void (*fn)(void *arg, const struct ip *ip, int index), void *arg, struct err *e)
{
	struct proxy_walk w = {fn, arg};
	int r = 0;

	for (unsigned len = 4; len <= 16 && r == 0; len += 12) {
		struct nlmsghdr *h;

		proxy_request(nl, RTM_GETNEIGH, NLM_F_DUMP, &h)->ndm_family = family_of(len);
		r = nl_talk(nl, h, tell_proxy, &w);
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP) /* a host without IPv6 */
			r = 0;
	}
	return r < 0 ? err_set(e, -r, "network", "list the addresses that are answered for") : 0;
}

/* net/link.c - see net/link.h */
#include "net/link.h"

#include "base/own.h"
#include "net/remover.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LINK_TRIED "bttried"

static struct ifinfomsg *link_request(struct nl *nl, uint16_t type, uint16_t flags, struct nlmsghdr **ret)
{
	*ret = nl_request(nl, type, flags);
	return mnl_nlmsg_put_extra_header(*ret, sizeof(struct ifinfomsg));
}

/* Not by RTM_GETLINK: the kernel tells by which number its namespace knows the other end's, for which it looks through all that it knows. */
int link_index(struct nl *nl, const char *name)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	return ioctl(mnl_socket_get_fd(nl->sock), SIOCGIFINDEX, &r) < 0 ? -errno : r.ifr_ifindex;
}

bool link_is(struct nl *nl, const char *name, const uint8_t mac[6], uint32_t mtu)
{
	int fd = mnl_socket_get_fd(nl->sock);
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	return ioctl(fd, SIOCGIFFLAGS, &r) == 0 && r.ifr_flags & IFF_UP && ioctl(fd, SIOCGIFMTU, &r) == 0 &&
	       r.ifr_mtu == (int)(mtu ? mtu : ETH_DATA_LEN) && ioctl(fd, SIOCGIFHWADDR, &r) == 0 &&
	       !memcmp(r.ifr_hwaddr.sa_data, mac, 6);
}

void link_settle(struct nl *nl, const char *name)
{
	struct ethtool_value has = {.cmd = ETHTOOL_GLINK};
	struct ifreq r = {.ifr_data = (void *)&has};

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	(void)ioctl(mnl_socket_get_fd(nl->sock), SIOCETHTOOL, &r); /* what it says does not matter */
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
		case IFLA_LINK:
			l->lower = (int)mnl_attr_get_u32(a);
			break;
		case IFLA_LINK_NETNSID:
			l->elsewhere = true;
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

/* A queue for each processor would be for sharing work that the processor which sends does; making them takes half as long as the pair. */
static void one_queue(struct nlmsghdr *h)
{
	mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, 1);
}

int link_pair_add(struct nl *nl, const struct link_pair *p, struct err *e)
{
	struct nlattr *info, *data, *peer;
	struct nlmsghdr *h;
	int r;

	link_request(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h);
	mnl_attr_put_strz(h, IFLA_IFNAME, p->host);
	one_queue(h);
	if (p->host_mac)
		mnl_attr_put(h, IFLA_ADDRESS, 6, p->host_mac);
	if (p->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, p->mtu);
	if (p->group)
		mnl_attr_put_u32(h, IFLA_GROUP, p->group);
	if (p->master)
		mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)p->master);
	if (p->dormant)
		mnl_attr_put_u8(h, IFLA_LINKMODE, IF_LINK_MODE_DORMANT);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, p->inside);
	mnl_attr_put(h, IFLA_ADDRESS, 6, p->mac);
	one_queue(h);
	if (p->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, p->mtu);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)p->ns_fd);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "make the pair of links %s and %s", p->host, p->inside) : 0;
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

static int kind_missing(const char *kind, struct err *e)
{
	return err_set(e, EOPNOTSUPP, "spec.driver",
		       "this kernel has no %s, and no module of it to load (`berth check` says what it has)", kind);
}

/* Of a birth: an earlier berth-net may have done the same. lower 0: it lies on nothing. */
static int birth_result(struct nl *nl, int r, const char *name, const char *kind, int lower, struct err *e)
{
	struct link l;

	if (r == -EEXIST && link_get(nl, name, &l) == 0 && !strcmp(l.kind, kind) && l.lower == lower && !l.elsewhere)
		return 0;
	if (r == -EOPNOTSUPP)
		return kind_missing(kind, e);
	return r < 0 ? err_set(e, -r, "network", "make the %s %s", kind, name) : 0;
}

int link_kind_find(struct nl *nl, const char *kind, struct err *e)
{
	struct birth b = birth_begin(nl, kind, LINK_TRIED, 0);

	birth_data_end(&b);
	return nl_talk(nl, b.h, NULL, NULL) == -EOPNOTSUPP ? kind_missing(kind, e) : 0;
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
	return birth_result(nl, r, name, "bridge", 0, e);
}

int link_vlan_add(struct nl *nl, const char *name, int parent, uint16_t id, uint32_t mtu, struct err *e)
{
	struct birth b = birth_begin(nl, "vlan", name, mtu);
	int r;

	mnl_attr_put_u16(b.h, IFLA_VLAN_ID, id);
	birth_data_end(&b);
	mnl_attr_put_u32(b.h, IFLA_LINK, (uint32_t)parent);
	r = nl_talk(nl, b.h, NULL, NULL);
	r = birth_result(nl, r, name, "vlan", parent, e);
	return r < 0 ? err_wrap(e, "VLAN %u", id) : 0;
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
	return r < 0 ? err_set(e, -r, "network", "make the %s link %s", kind, inside) : 0;
}

int link_lone_add(struct nl *nl, const char *name, struct err *e)
{
	static const char *const kinds[] = {"dummy", "bridge"};
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && (r == -EOPNOTSUPP || r == -EEXIST); i++) {
		struct nlattr *info;
		struct nlmsghdr *h;

		link_request(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h);
		mnl_attr_put_strz(h, IFLA_IFNAME, name);
		info = mnl_attr_nest_start(h, IFLA_LINKINFO);
		mnl_attr_put_strz(h, IFLA_INFO_KIND, kinds[i]);
		mnl_attr_nest_end(h, info);
		r = birth_result(nl, nl_talk(nl, h, NULL, NULL), name, kinds[i], 0, e);
	}
	return r;
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

int link_master(struct nl *nl, int index, int master, struct err *e)
{
	struct nlmsghdr *h = change_begin(nl, index, NULL);
	int r;

	mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)master);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "make link %d a port of its bridge", index) : 0;
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

/* By its number, which no other link gets: one of that name may be another by then. */
int link_del_at(struct nl *nl, int index)
{
	struct nlmsghdr *h;
	int r;

	link_request(nl, RTM_DELLINK, 0, &h)->ifi_index = index;
	r = nl_talk(nl, h, NULL, NULL);
	return r == -ENODEV ? 0 : r;
}

bool link_is_there(struct nl *nl, int index)
{
	struct ifreq r = {.ifr_ifindex = index};

	return ioctl(mnl_socket_get_fd(nl->sock), SIOCGIFNAME, &r) == 0;
}

void link_lock_wait(struct nl *nl)
{
	struct nlmsghdr *h;

	link_request(nl, RTM_SETLINK, 0, &h)->ifi_index = 1; /* the loopback; nothing of it is changed */
	(void)nl_talk(nl, h, NULL, NULL);
}

int link_del(struct nl *nl, const char *name, struct err *e)
{
	int index = link_index(nl, name), r;

	if (index == -ENODEV)
		return 0;
	r = index < 0 ? index : nl->remover ? remover_remove(nl->remover, nl, index) : link_del_at(nl, index);
	return r < 0 ? err_set(e, -r, "network", "remove the link %s", name) : 0;
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

/* net/address.c - see net/address.h */
#include "net/address.h"

#include "base/own.h"
#include "net/route.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

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

struct address_search {
	uint32_t index;
	const struct ip *ip;
	bool found;
};

static int search_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct address_search *s = arg;
	const struct nlattr *a;
	struct ip ip;

	mnl_attr_for_each(a, h, sizeof *m)
	{
		uint16_t type = mnl_attr_get_type(a);

		/* Of a link with a peer IFA_ADDRESS is the other end's. */
		if (m->ifa_index == s->index && type == (m->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS) &&
		    ip_take(a, &ip))
			s->found |= ip.len == s->ip->len && !memcmp(ip.byte, s->ip->byte, ip.len);
	}
	return MNL_CB_OK;
}

int address_is_on(struct nl *nl, int index, const struct ip *ip)
{
	struct address_search s = {(uint32_t)index, ip, false};
	int r = ip_dump(nl, RTM_GETADDR, &(struct ifaddrmsg){0}, sizeof(struct ifaddrmsg), search_address, &s);

	return r < 0 ? r : s.found;
}

struct address_walk {
	void (*fn)(void *arg, const struct ip *ip, unsigned prefix, int index);
	void *arg;
};

static int tell_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct address_walk *w = arg;
	const struct nlattr *a;
	struct ip ip;

	mnl_attr_for_each(a, h, sizeof *m) if (mnl_attr_get_type(a) == IFA_ADDRESS &&
					       ip_take(a, &ip)) /* of a link with a peer: his end, and its prefix */
		w->fn(w->arg, &ip, m->ifa_prefixlen, (int)m->ifa_index);
	return MNL_CB_OK;
}

int address_each(struct nl *nl, void (*fn)(void *arg, const struct ip *ip, unsigned prefix, int index), void *arg,
		 struct err *e)
{
	struct address_walk w = {fn, arg};
	int r = ip_dump(nl, RTM_GETADDR, &(struct ifaddrmsg){0}, sizeof(struct ifaddrmsg), tell_address, &w);

	return r < 0 ? err_set(e, -r, "network", "list the addresses of the host") : 0;
}

static int address_change(struct nl *nl, uint16_t type, uint16_t flags, int index, const struct ip *ip, unsigned prefix)
{
	struct nlmsghdr *h;
	struct ifaddrmsg *a = ip_request(nl, type, flags, ip->len, sizeof *a, &h);

	a->ifa_prefixlen = (uint8_t)prefix;
	a->ifa_index = (uint32_t)index;
	/* Until the kernel had asked, for a second, it could not be used; on wires with others net/claim.c asks meanwhile. */
	a->ifa_flags = ip->len == 16 ? IFA_F_NODAD : 0;
	if (ip->len == 16 && ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80)
		a->ifa_scope = RT_SCOPE_LINK;
	ip_put(h, IFA_LOCAL, ip);
	ip_put(h, IFA_ADDRESS, ip);
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

int neighbour_put(struct nl *nl, int index, const struct ip *ip, const uint8_t mac[6], bool asked, struct err *e)
{
	struct nlmsghdr *h;
	struct ndmsg *m = ip_request(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, ip->len, sizeof *m, &h);
	int r;

	m->ndm_ifindex = index;
	m->ndm_state = asked ? NUD_STALE : NUD_PERMANENT;
	ip_put(h, NDA_DST, ip);
	mnl_attr_put(h, NDA_LLADDR, 6, mac);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? err_set(e, -r, "network", "say whose address is at which MAC on link %d", index) : 0;
}

/* ---------------------------------------------------------------- addresses that are answered for */

static int proxy_change(struct nl *nl, uint16_t type, uint16_t flags, int index, const struct ip *ip)
{
	struct nlmsghdr *h;
	struct ndmsg *m = ip_request(nl, type, flags, ip->len, sizeof *m, &h);

	m->ndm_flags = NTF_PROXY;
	m->ndm_ifindex = index;
	ip_put(h, NDA_DST, ip);
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
		if (mnl_attr_get_type(a) == NDA_DST)
			(void)ip_take(a, &ip);
		else if (mnl_attr_get_type(a) == NDA_PROTOCOL)
			ours = mnl_attr_get_u8(a) == ROUTE_FLOATING;
	}
	if (ours && ip.len && m->ndm_ifindex > 0)
		w->fn(w->arg, &ip, m->ndm_ifindex);
	return MNL_CB_OK;
}

int proxy_each(struct nl *nl, void (*fn)(void *arg, const struct ip *ip, int index), void *arg, struct err *e)
{
	struct proxy_walk w = {fn, arg};
	int r = ip_dump(nl, RTM_GETNEIGH, &(struct ndmsg){.ndm_flags = NTF_PROXY}, sizeof(struct ndmsg), tell_proxy,
			&w);

	return r < 0 ? err_set(e, -r, "network", "list the addresses that are answered for") : 0;
}

/* ---------------------------------------------------------------- news */

/* Of all addresses that the host gets and loses those of links alone, which each interface of ours has, are nobody's wire. */
static int filter_put(struct mnl_socket *sock)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifaddrmsg, ifa_scope)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, RT_SCOPE_LINK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	return setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int address_news_open(struct mnl_socket **ret, struct err *e)
{
	struct mnl_socket *news = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	*ret = news;
	if (news && filter_put(news) == 0 &&
	    mnl_socket_bind(news, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, MNL_SOCKET_AUTOPID) == 0)
		return 0;
	r = err_set(e, errno, "network", "hear of addresses of the host");
	if (news)
		mnl_socket_close(news);
	*ret = NULL;
	return r;
}

bool address_news_heard(struct mnl_socket *news)
{
	static char buf[8192];
	bool heard = false;
	ssize_t n;

	/* What was too much at once (ENOBUFS) is news too. */
	while ((n = recv(mnl_socket_get_fd(news), buf, sizeof buf, MSG_DONTWAIT)) > 0 || (n < 0 && errno == ENOBUFS))
		heard = true;
	return heard;
}

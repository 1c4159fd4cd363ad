/* net/watch.c - see net/watch.h
 *
 * Of each wire two packet sockets, for ARP and for IPv6: not one for everything, which would have a copy of each packet that is sent. Their filters name
 * the addresses and whose they are, and are made anew a moment after a change, for all that came with it. A wire with more addresses than a filter
 * has room for hears all that is said of neighbours there. */
#include "net/watch.h"

#include "base/list.h"
#include "base/loop.h"
#include "base/own.h"
#include "net/announce.h"
#include "net/closer.h"
#include "net/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define EVENTS	      16
#define HEARD_AT_ONCE 64u /* frames of a wire */
#define FILTER_NS     (100 * NS_PER_MS)
/* A socket may have 20 KiB of filters before 6.8, where nobody has said otherwise, as the kernel translates them; a new one comes beside the old one. */
#define FILTER_ADDRESSES 120u
#define FILTER_EACH	 5u
#define FILTER_HEAD	 11u

struct held {
	struct list link; /* lan.addresses */
	char host_link[IF_NAMESIZE];
	struct ip ip;
	uint8_t mac[6];
	bool told; /* somebody else has it, and berthd knows */
};

struct lan {
	struct list link; /* watches.lans */
	struct watches *ws;
	int index;
	char host_link[IF_NAMESIZE]; /* of the one port, in whose namespace it is; "": of the host */
	struct ear {
		struct lan *lan;
		int fd;
	} ear[2]; /* ARP, IPv6 */
	struct list addresses;
	uint64_t due_ns; /* of the next filter; 0: it is as it should be */
};

struct watches {
	struct claim_ops ops;
	struct list lans;
	int epoll_fd, closer;
};

int watches_open(struct watches **ret, int closer, const struct claim_ops *ops, struct err *e)
{
	struct watches *ws = calloc(1, sizeof *ws);

	if (!ws)
		return err_set(e, ENOMEM, "network", "no memory");
	ws->ops = *ops;
	ws->closer = closer;
	list_init(&ws->lans);
	ws->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	*ret = ws;
	return ws->epoll_fd < 0 ? err_set(e, errno, "network", "watch wires") : 0;
}

/* ---------------------------------------------------------------- the filter */

#define SENDER_AT    offsetof(struct ether_header, ether_shost)
#define ARP_AT	     sizeof(struct ether_header)
#define ARP_MAC_AT   (ARP_AT + offsetof(struct ether_arp, arp_sha))
#define ARP_IP_AT    (ARP_AT + offsetof(struct ether_arp, arp_spa))
#define NEXT_AT	     (ARP_AT + offsetof(struct ip6_hdr, ip6_nxt))
#define SOURCE_AT    (ARP_AT + offsetof(struct ip6_hdr, ip6_src))
#define ICMP_AT	     (ARP_AT + sizeof(struct ip6_hdr))
#define ND_TARGET_AT (ICMP_AT + offsetof(struct nd_neighbor_advert, nd_na_target))
#define LAST_WORD    12u /* of an address of 16 bytes: the rest is compared when it is heard */

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* In A then: the address that the frame says is its sender's. */
static size_t head_arp(struct sock_filter *f)
{
	f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARP_IP_AT);
	return 1;
}

static size_t head_nd(struct sock_filter *f)
{
	const struct sock_filter code[FILTER_HEAD - 1] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NEXT_AT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ICMP_AT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_NEIGHBOR_ADVERT, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_NEIGHBOR_SOLICIT, 3, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ND_TARGET_AT + LAST_WORD),
		BPF_STMT(BPF_JMP | BPF_JA, 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SOURCE_AT + LAST_WORD),
	};

	memcpy(f, code, sizeof code);
	return ARRAY_SIZE(code);
}

/* One of ours, and not from whoever has it. */
static size_t held_filter(struct sock_filter *f, const struct held *x)
{
	unsigned mac_at = x->ip.len == 4 ? ARP_MAC_AT : SENDER_AT;
	const struct sock_filter code[FILTER_EACH] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(x->ip.byte + x->ip.len - 4), 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, mac_at + 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(x->mac + 2), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 256),
	};

	memcpy(f, code, sizeof code);
	return ARRAY_SIZE(code);
}

static int filter_set(int fd, struct sock_filter *code, size_t n, bool rest)
{
	struct sock_fprog program = {(unsigned short)(n + 1), code};

	code[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, rest ? 256 : 0);
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

static int filter_put(const struct lan *w, unsigned len, int fd)
{
	static struct sock_filter code[FILTER_HEAD + FILTER_ADDRESSES * FILTER_EACH + 1];
	size_t head = len == 4 ? head_arp(code) : head_nd(code), n = head;
	struct sock_filter first;
	const struct held *x;
	bool room = true;
	int r;

	list_each (x, &w->addresses, link) {
		if (x->told || x->ip.len != len)
			continue;
		room = n + FILTER_EACH < ARRAY_SIZE(code);
		if (!room)
			break;
		n += held_filter(code + n, x);
	}
	if (room && filter_set(fd, code, n, false) == 0)
		return 0;
	first = code[head];
	r = filter_set(fd, code, head, true);
	if (r < 0 || !room)
		return r;
	code[head] = first; /* beside that one there may be room for it, as there was not beside the last */
	(void)filter_set(fd, code, n, false);
	return 0;
}

static void lan_dirty(struct lan *w)
{
	if (!w->due_ns)
		w->due_ns = now_ns() + FILTER_NS;
}

/* ---------------------------------------------------------------- wires */

static const struct {
	unsigned len;
	uint16_t protocol;
} families[2] = {{4, ETH_P_ARP}, {16, ETH_P_IPV6}};

static void lan_free(struct lan *w)
{
	struct held *x;

	for (size_t i = 0; i < ARRAY_SIZE(w->ear); i++) {
		if (w->ear[i].fd >= 0)
			(void)epoll_ctl(w->ws->epoll_fd, EPOLL_CTL_DEL, w->ear[i].fd, NULL);
		closer_close(w->ws->closer, &w->ear[i].fd);
	}
	while ((x = list_pop(&w->addresses, struct held, link)))
		free(x);
	list_del(&w->link);
	free(w);
}

/* Nothing is heard before the filter is there. */
static int ear_open(struct lan *w, size_t i, int fd)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(families[i].protocol), .sll_ifindex = w->index};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &w->ear[i]};
	int r;

	w->ear[i].fd = fd;
	if (fd < 0)
		return -EPERM;
	r = filter_put(w, families[i].len, fd);
	if (r == 0 &&
	    (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || epoll_ctl(w->ws->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0))
		r = -errno;
	return r;
}

static int lan_new(struct watches *ws, const char *host_link, int index, int fd[2], struct lan **ret)
{
	struct lan *w = calloc(1, sizeof *w);
	int r = w ? 0 : -ENOMEM;

	*ret = w;
	if (!w) {
		closer_close(ws->closer, &fd[0]);
		closer_close(ws->closer, &fd[1]);
		return r;
	}
	w->ws = ws;
	w->index = index;
	snprintf(w->host_link, sizeof w->host_link, "%s", host_link);
	list_init(&w->addresses);
	list_init(&w->link);
	list_push(&ws->lans, &w->link);
	for (size_t i = 0; i < ARRAY_SIZE(w->ear); i++)
		w->ear[i] = (struct ear){w, -1};
	for (size_t i = 0; i < ARRAY_SIZE(w->ear); i++) {
		int opened = ear_open(w, i, take_fd(&fd[i]));

		r = r < 0 ? r : opened;
	}
	if (r < 0)
		lan_free(w);
	return r;
}

static struct lan *lan_of_host(struct watches *ws, int index)
{
	struct lan *w;

	list_each (w, &ws->lans, link)
		if (!w->host_link[0] && w->index == index)
			return w;
	return NULL;
}

static int hold(struct lan *w, const Net__Port *p, const uint8_t mac[6])
{
	for (size_t i = 0; i < p->n_addresses; i++) {
		struct held *x = calloc(1, sizeof *x);

		if (!x)
			return -ENOMEM;
		x->ip = ip_of(&p->addresses[i]);
		memcpy(x->mac, mac, sizeof x->mac);
		snprintf(x->host_link, sizeof x->host_link, "%s", p->host_link);
		list_init(&x->link);
		list_push(&w->addresses, &x->link);
	}
	lan_dirty(w);
	return 0;
}

static int added(int r, const Net__Port *p, struct err *e)
{
	return r < 0 ? err_set(e, -r, "network", "watch the wire of %s", p->host_link) : 0;
}

int watch_add(struct watches *ws, const Net__Port *p, int index, const uint8_t mac[6], struct err *e)
{
	struct lan *w;
	int fd[2], r = 0;

	watch_del(ws, p->host_link);
	w = lan_of_host(ws, index);
	if (!w) {
		fd[0] = announce_open();
		fd[1] = announce_open();
		r = lan_new(ws, "", index, fd, &w);
	}
	return added(r < 0 ? r : hold(w, p, mac), p, e);
}

int watch_add_inside(struct watches *ws, const Net__Port *p, int fd[2], int index, const uint8_t mac[6], struct err *e)
{
	struct lan *w;
	int r;

	watch_del(ws, p->host_link);
	r = lan_new(ws, p->host_link, index, fd, &w);
	return added(r < 0 ? r : hold(w, p, mac), p, e);
}

static void lan_drop(struct lan *w, const char *host_link)
{
	struct held *x;

	list_each (x, &w->addresses, link) {
		if (host_link && strcmp(x->host_link, host_link) != 0)
			continue;
		list_del(&x->link);
		free(x);
		lan_dirty(w);
	}
}

void watch_del(struct watches *ws, const char *host_link)
{
	struct lan *w;

	list_each (w, &ws->lans, link) {
		lan_drop(w, host_link);
		if (list_empty(&w->addresses))
			lan_free(w);
	}
}

/* ---------------------------------------------------------------- what is heard */

static int heard(struct watches *ws, struct lan *w, const struct ip *ip, const uint8_t mac[6])
{
	struct held *x;

	list_each (x, &w->addresses, link) {
		if (x->told || x->ip.len != ip->len || memcmp(x->ip.byte, ip->byte, ip->len) != 0 ||
		    !memcmp(x->mac, mac, sizeof x->mac))
			continue;
		x->told = true; /* and is heard no more: who says it goes on saying it */
		lan_dirty(w);
		return ws->ops.duplicate(ws->ops.arg, x->host_link, ip, mac);
	}
	return 0;
}

int watches_fd(const struct watches *ws)
{
	return ws->epoll_fd;
}

uint64_t watches_due(const struct watches *ws)
{
	uint64_t due = 0;
	const struct lan *w;

	list_each (w, &ws->lans, link)
		if (w->due_ns && (!due || w->due_ns < due))
			due = w->due_ns;
	return due;
}

int watches_go_on(struct watches *ws)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(ws->epoll_fd, ev, EVENTS, 0), r = 0;
	struct lan *w;

	for (int i = 0; i < n && r == 0; i++) {
		const struct ear *ear = ev[i].data.ptr;
		unsigned left = HEARD_AT_ONCE;
		uint8_t mac[6];
		struct ip ip;

		while (r == 0 && announce_next(ear->fd, &ip, mac, &left))
			r = heard(ws, ear->lan, &ip, mac);
	}
	list_each (w, &ws->lans, link) {
		if (!w->due_ns || now_ns() < w->due_ns)
			continue;
		w->due_ns = 0;
		for (size_t i = 0; i < ARRAY_SIZE(w->ear); i++)
			(void)filter_put(w, families[i].len, w->ear[i].fd); /* the last one hears less than it might */
	}
	return r;
}

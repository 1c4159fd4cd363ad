/* net/announce.c - see net/announce.h */
#include "net/announce.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>

int announce_open(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* protocol 0: it hears nothing */
}

/* ---------------------------------------------------------------- said */

static void frame_send(int fd, int index, const struct ether_header *frame, size_t len)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = frame->ether_type, .sll_ifindex = index, .sll_halen = 6};

	/* A link that is down, a queue that is full: it was a courtesy. */
	(void)sendto(fd, frame, len, MSG_DONTWAIT, (struct sockaddr *)&a, sizeof a);
}

struct arp_frame {
	struct ether_header ether;
	struct ether_arp arp;
} __attribute__((packed));

/* from NULL: of nobody yet */
static void arp_send(int fd, int index, const uint8_t mac[6], const struct ip *from, const struct ip *about)
{
	struct arp_frame f = {.ether.ether_type = htons(ETH_P_ARP),
			      .arp.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
					     .ar_pro = htons(ETH_P_IP),
					     .ar_hln = 6,
					     .ar_pln = 4,
					     .ar_op = htons(ARPOP_REQUEST)}};

	memset(f.ether.ether_dhost, 0xff, 6);
	memcpy(f.ether.ether_shost, mac, 6);
	memcpy(f.arp.arp_sha, mac, 6);
	if (from)
		memcpy(f.arp.arp_spa, from->byte, 4);
	memcpy(f.arp.arp_tpa, about->byte, 4);
	frame_send(fd, index, &f.ether, sizeof f);
}

struct nd_frame {
	struct ether_header ether;
	struct ip6_hdr ip;
	union {
		struct nd_neighbor_advert advert;
		struct nd_neighbor_solicit solicit;
		struct icmp6_hdr icmp;
	};
	struct nd_opt_hdr option;
	uint8_t mac[6];
} __attribute__((packed));

#define ND_AT	  offsetof(struct nd_frame, advert)
#define OPTION_AT offsetof(struct nd_frame, option)

static uint32_t sum(uint32_t so_far, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		so_far += (uint32_t)(p[i] << 8 | p[i + 1]);
	return so_far;
}

/* len: of the whole frame; addresses and ICMP are there. */
static void nd_send(int fd, int index, struct nd_frame *f, size_t len)
{
	const uint8_t *packet = (const uint8_t *)f;
	uint32_t s;

	f->ether.ether_type = htons(ETH_P_IPV6);
	f->ether.ether_dhost[0] = f->ether.ether_dhost[1] = 0x33;
	memcpy(f->ether.ether_dhost + 2, (const uint8_t *)&f->ip.ip6_dst + 12, 4);
	f->ip.ip6_flow = htonl(6u << 28);
	f->ip.ip6_plen = htons((uint16_t)(len - ND_AT));
	f->ip.ip6_nxt = IPPROTO_ICMPV6;
	f->ip.ip6_hlim = 255;
	s = sum((uint32_t)(len - ND_AT) + IPPROTO_ICMPV6, packet + offsetof(struct nd_frame, ip.ip6_src), 32);
	s = sum(s, packet + ND_AT, len - ND_AT);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	f->icmp.icmp6_cksum = htons((uint16_t)~s);
	frame_send(fd, index, &f->ether, len);
}

static void advert_send(int fd, int index, const uint8_t mac[6], const struct ip *ip, bool router)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	struct nd_frame f = {.advert.nd_na_type = ND_NEIGHBOR_ADVERT,
			     .advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE | (router ? ND_NA_FLAG_ROUTER : 0),
			     .option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1}};

	memcpy(f.ether.ether_shost, mac, 6);
	memcpy(&f.ip.ip6_src, ip->byte, 16);
	memcpy(&f.ip.ip6_dst, all_nodes, 16);
	memcpy(&f.advert.nd_na_target, ip->byte, 16);
	memcpy(f.mac, mac, 6);
	nd_send(fd, index, &f, sizeof f);
}

static void solicit_send(int fd, int index, const uint8_t mac[6], const struct ip *ip)
{
	uint8_t asked[16] = {0xff, 0x02, [11] = 1, 0xff, ip->byte[13], ip->byte[14], ip->byte[15]};
	struct nd_frame f = {.solicit.nd_ns_type = ND_NEIGHBOR_SOLICIT};

	memcpy(f.ether.ether_shost, mac, 6);
	memcpy(&f.ip.ip6_dst, asked, 16);
	memcpy(&f.solicit.nd_ns_target, ip->byte, 16);
	nd_send(fd, index, &f, OPTION_AT);
}

void announce(int fd, int index, const uint8_t mac[6], const struct ip *ip, bool router)
{
	if (fd >= 0 && ip->len == 16)
		advert_send(fd, index, mac, ip, router);
	else if (fd >= 0)
		arp_send(fd, index, mac, ip, ip);
}

void announce_ask(int fd, int index, const uint8_t mac[6], const struct ip *ip)
{
	if (ip->len == 16)
		solicit_send(fd, index, mac, ip);
	else
		arp_send(fd, index, mac, NULL, ip);
}

/* ---------------------------------------------------------------- heard */

/* Of all that comes in on the link what is ARP or a neighbour advertisement: decided in the kernel, which has it all. */
static int filter_put(int fd)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 8, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct ether_header, ether_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct nd_frame, ip.ip6_nxt)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ND_AT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_NEIGHBOR_ADVERT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 256),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int announce_hear(int fd, int index)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
	int r = filter_put(fd);

	if (r == 0 && bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		r = -errno;
	return r;
}

/* The MAC of the option, if it is there; else of whoever has sent it. Who asks has the address that he asks from, and one that asks for itself has none yet. */
static bool nd_take(const struct nd_frame *f, size_t len, struct ip *ip, uint8_t mac[6])
{
	bool advert = f->advert.nd_na_type == ND_NEIGHBOR_ADVERT;
	uint8_t type = advert ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR;
	bool option = len >= sizeof *f && f->option.nd_opt_type == type && f->option.nd_opt_len == 1;
	struct in6_addr whose = advert ? f->advert.nd_na_target : f->ip.ip6_src;

	if (len < OPTION_AT || f->ip.ip6_nxt != IPPROTO_ICMPV6 || f->ip.ip6_hlim != 255 ||
	    (!advert && f->solicit.nd_ns_type != ND_NEIGHBOR_SOLICIT) || IN6_IS_ADDR_UNSPECIFIED(&whose))
		return false;
	ip->len = 16;
	memcpy(ip->byte, &whose, 16);
	memcpy(mac, option ? f->mac : f->ether.ether_shost, 6);
	return true;
}

static bool arp_take(const struct arp_frame *f, size_t len, struct ip *ip, uint8_t mac[6])
{
	static const uint8_t nobody[4];

	if (len < sizeof *f || f->arp.arp_pro != htons(ETH_P_IP) || f->arp.arp_hln != 6 || f->arp.arp_pln != 4 ||
	    !memcmp(f->arp.arp_spa, nobody, 4))
		return false;
	ip->len = 4;
	memcpy(ip->byte, f->arp.arp_spa, 4);
	memcpy(mac, f->arp.arp_sha, 6);
	return true;
}

bool announce_next(int fd, struct ip *ip, uint8_t mac[6], unsigned *left)
{
	union {
		struct ether_header ether;
		struct arp_frame arp;
		struct nd_frame nd;
		uint8_t byte[256];
	} f;
	ssize_t n;

	while (*left && ((n = recv(fd, &f, sizeof f, MSG_DONTWAIT)) >= 0 || errno == EINTR || errno == ENETDOWN)) {
		--*left;
		if (n < (ssize_t)sizeof f.ether)
			continue;
		if (f.ether.ether_type == htons(ETH_P_ARP) ? arp_take(&f.arp, (size_t)n, ip, mac)
							   : nd_take(&f.nd, (size_t)n, ip, mac))
			return true;
	}
	return false;
}

/* net/announce.c - see net/announce.h */
#include "net/announce.h"

#include <arpa/inet.h>
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
	return socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* protocol 0: it hears nothing */
}

static void send_to(int fd, int index, uint16_t protocol, const uint8_t to[6], const void *packet, size_t len)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = index, .sll_halen = 6};

	memcpy(a.sll_addr, to, 6);
	/* A link that is down, a queue that is full: it was a courtesy. */
	(void)sendto(fd, packet, len, MSG_DONTWAIT, (struct sockaddr *)&a, sizeof a);
}

static void announce4(int fd, int index, const uint8_t mac[6], const struct ip *ip)
{
	static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ether_arp p = {.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
					 .ar_pro = htons(ETH_P_IP),
					 .ar_hln = 6,
					 .ar_pln = 4,
					 .ar_op = htons(ARPOP_REQUEST)}};

	memcpy(p.arp_sha, mac, 6);
	memcpy(p.arp_spa, ip->byte, 4);
	memcpy(p.arp_tpa, ip->byte, 4);
	send_to(fd, index, ETH_P_ARP, everybody, &p, sizeof p);
}

struct advert {
	struct ip6_hdr ip;
	struct nd_neighbor_advert na;
	struct nd_opt_hdr option;
	uint8_t mac[6];
} __attribute__((packed));

static uint32_t sum(uint32_t so_far, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		so_far += (uint32_t)(p[i] << 8 | p[i + 1]);
	return so_far;
}

static void announce6(int fd, int index, const uint8_t mac[6], const struct ip *ip)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1}, everybody[6] = {0x33, 0x33, 0, 0, 0, 1};
	const size_t len = sizeof(struct advert) - sizeof(struct ip6_hdr);
	struct advert a = {0};
	uint32_t s;

	a.ip.ip6_flow = htonl(6u << 28);
	a.ip.ip6_plen = htons((uint16_t)len);
	a.ip.ip6_nxt = IPPROTO_ICMPV6;
	a.ip.ip6_hlim = 255;
	memcpy(&a.ip.ip6_src, ip->byte, 16);
	memcpy(&a.ip.ip6_dst, all_nodes, 16);
	a.na.nd_na_type = ND_NEIGHBOR_ADVERT;
	a.na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE | ND_NA_FLAG_ROUTER;
	memcpy(&a.na.nd_na_target, ip->byte, 16);
	a.option.nd_opt_type = ND_OPT_TARGET_LINKADDR;
	a.option.nd_opt_len = 1;
	memcpy(a.mac, mac, 6);
	s = sum(sum(sum((uint32_t)len + IPPROTO_ICMPV6, ip->byte, 16), all_nodes, 16), &a.na, len);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	a.na.nd_na_cksum = htons((uint16_t)~s);
	send_to(fd, index, ETH_P_IPV6, everybody, &a, sizeof a);
}

void announce(int fd, int index, const uint8_t mac[6], const struct ip *ip)
{
	if (fd < 0)
		return;
	if (ip->len == 16)
		announce6(fd, index, mac, ip);
	else
		announce4(fd, index, mac, ip);
}

/* tests/unit/test_net_announce.c - what neighbours say of addresses, and how much of it is heard before others have their turn. */
#include "net/announce.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t theirs[6] = {2, 0, 0, 0, 0, 7};

/* A frame as it comes in on a link: head, and what is behind it. */
static void put(int fd, uint16_t type, const void *body, size_t len)
{
	uint8_t frame[256] = {0};
	struct ether_header h = {.ether_type = htons(type)};

	memcpy(h.ether_shost, theirs, 6);
	memcpy(frame, &h, sizeof h);
	memcpy(frame + sizeof h, body, len);
	assert_int_equal(send(fd, frame, sizeof h + len, 0), sizeof h + len);
}

static void put_arp(int fd, const char *from)
{
	struct ether_arp a = {.ea_hdr = {htons(ARPHRD_ETHER), htons(ETH_P_IP), 6, 4, htons(ARPOP_REQUEST)}};

	memcpy(a.arp_sha, theirs, 6);
	inet_pton(AF_INET, from, a.arp_spa);
	put(fd, ETH_P_ARP, &a, sizeof a);
}

/* type: of a solicitation or an advertisement; whose link-layer address is in its option. */
static void put_nd(int fd, uint8_t type, const char *source, const char *target, const uint8_t option[6])
{
	struct {
		struct ip6_hdr ip;
		struct nd_neighbor_advert nd;
		struct nd_opt_hdr option;
		uint8_t mac[6];
	} p = {.ip = {.ip6_nxt = IPPROTO_ICMPV6, .ip6_hlim = 255},
	       .nd.nd_na_type = type,
	       .option = {type == ND_NEIGHBOR_ADVERT ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR, 1}};

	inet_pton(AF_INET6, source, &p.ip.ip6_src);
	inet_pton(AF_INET6, target, &p.nd.nd_na_target);
	memcpy(p.mac, option, 6);
	put(fd, ETH_P_IPV6, &p, sizeof p);
}

static int pair_open(int pair[2])
{
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	return pair[0];
}

static const char *heard(int fd, uint8_t mac[6])
{
	static char text[INET6_ADDRSTRLEN];
	unsigned left = 100;
	struct ip ip;

	return announce_next(fd, &ip, mac, &left)
		       ? inet_ntop(ip.len == 4 ? AF_INET : AF_INET6, ip.byte, text, sizeof text)
		       : "nobody";
}

static void who_uses_an_address_says_that_it_is_his_and_who_asks_for_one_does_not(void **state)
{
	static const uint8_t own[6] = {2, 0, 0, 0, 0, 8};
	int pair[2], fd = pair_open(pair);
	uint8_t mac[6];

	put_arp(pair[1], "0.0.0.0"); /* a question whose it is (RFC 5227) */
	put_arp(pair[1], "192.0.2.7");
	assert_string_equal(heard(fd, mac), "192.0.2.7");
	assert_memory_equal(mac, theirs, 6);
	put_nd(pair[1], ND_NEIGHBOR_SOLICIT, "::", "2001:db8::7", theirs); /* RFC 4862 */
	put_nd(pair[1], ND_NEIGHBOR_SOLICIT, "2001:db8::7", "2001:db8::8", own);
	assert_string_equal(heard(fd, mac), "2001:db8::7");
	assert_memory_equal(mac, own, 6);
	put_nd(pair[1], ND_ROUTER_ADVERT, "2001:db8::7", "2001:db8::8", own);
	put_nd(pair[1], ND_NEIGHBOR_ADVERT, "2001:db8::7", "2001:db8::9", own);
	assert_string_equal(heard(fd, mac), "2001:db8::9");
	assert_string_equal(heard(fd, mac), "nobody");
	close(pair[0]);
	close(pair[1]);
}

static void so_many_frames_are_looked_at_whatever_they_are_and_no_more(void **state)
{
	int pair[2], fd = pair_open(pair);
	unsigned left = 5, rest = 0;
	uint8_t mac[6];
	struct ip ip;

	for (int i = 0; i < 10; i++)
		put_arp(pair[1], i % 2 ? "192.0.2.7" : "0.0.0.0");
	while (announce_next(fd, &ip, mac, &left))
		;
	assert_int_equal(left, 0);
	while (recv(fd, &(char){0}, 1, MSG_DONTWAIT) > 0)
		rest++;
	assert_int_equal(rest, 5);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_uses_an_address_says_that_it_is_his_and_who_asks_for_one_does_not),
		cmocka_unit_test(so_many_frames_are_looked_at_whatever_they_are_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

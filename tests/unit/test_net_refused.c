/* tests/unit/test_net_refused.c - which flows end when packets of them were refused. What the kernel tells, and the end of flows, are the test's (--wrap). */
#include "net/refused.h"

#include "net/flows.h"
#include "net/nl.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ip.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <string.h>

#define FLOWS 150u
#define MOST  64u /* of which refused.c knows at a time */

static unsigned told, repeats;	 /* of flows, by their ports; how often each is said */
static size_t ended[8], n_ended; /* how many at once */
static unsigned times[FLOWS];

int __wrap_nl_talk(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg);
int __wrap_nl_talk(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg)
{
	return 0;
}

static size_t packet_say(char *buf, unsigned flow)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} p = {.ip = {.version = 4,
		      .ihl = 5,
		      .protocol = IPPROTO_UDP,
		      .saddr = htonl(0x0a000001),
		      .daddr = htonl(0x0a000002)},
	       .udp = {.source = htons((uint16_t)(1000 + flow)), .dest = htons(53)}};
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	mnl_nlmsg_put_extra_header(h, sizeof(struct nfgenmsg));
	mnl_attr_put(h, NFULA_PAYLOAD, sizeof p, &p);
	return h->nlmsg_len;
}

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	if (told == FLOWS) {
		errno = EAGAIN;
		return -1;
	}
	if (repeats++ < 2)
		return (ssize_t)packet_say(buf, told);
	repeats = 0;
	return (ssize_t)packet_say(buf, told++);
}

int __wrap_flows_end_of(struct flow *flows, size_t n, struct err *e);
int __wrap_flows_end_of(struct flow *flows, size_t n, struct err *e)
{
	assert_true(n_ended < ARRAY_SIZE(ended));
	ended[n_ended++] = n;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(flows[i].from.len, 4);
		assert_int_equal(ntohs(flows[i].to_port), 53);
		times[ntohs(flows[i].from_port) - 1000]++;
	}
	return 0;
}

static void test_more_flows_than_are_known_at_a_time_all_end_and_each_once_however_many_packets_it_has(void **state)
{
	struct refused *r;
	struct err e;

	assert_int_equal(refused_open(&r, &e), 0);
	refused_read(r);
	assert_int_equal(n_ended, 3);
	assert_int_equal(ended[0], MOST);
	assert_int_equal(ended[1], MOST);
	assert_int_equal(ended[2], FLOWS - 2 * MOST);
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(times[i], 1);
	refused_read(r); /* nothing is left of them */
	assert_int_equal(n_ended, 3);
	refused_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(
		test_more_flows_than_are_known_at_a_time_all_end_and_each_once_however_many_packets_it_has)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_net_watch.c - what the filters of a wire are. Sockets, how much a kernel lets them have, and the time are the test's (--wrap). */
#include "net/announce.h"
#include "net/watch.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define ROOM 1000u /* for instructions, the old filter's and the new one's together */

static int arp_fd = -1; /* the first that is opened */
static size_t len;	/* of its filter */
static uint32_t rest;	/* what becomes of a frame that is nobody's */
static uint64_t now = 1;

int __wrap_announce_open(void);
int __wrap_announce_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	arp_fd = arp_fd < 0 ? fd : arp_fd;
	return fd;
}

int __wrap_bind(int fd, const struct sockaddr *a, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *a, socklen_t size)
{
	return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	const struct sock_fprog *p = value;

	if (fd != arp_fd)
		return 0;
	if (len + p->len > ROOM) {
		errno = ENOMEM;
		return -1;
	}
	len = p->len;
	rest = p->filter[len - 1].k;
	return 0;
}

uint64_t __wrap_now_ns(void);
uint64_t __wrap_now_ns(void)
{
	return now;
}

static void add(struct watches *ws, const char *host_link, unsigned n)
{
	static uint8_t bytes[256][4];
	ProtobufCBinaryData addresses[256];
	Net__Port p = NET__PORT__INIT;
	struct err e;

	for (unsigned i = 0; i < n; i++) {
		bytes[i][0] = 10;
		bytes[i][3] = (uint8_t)i;
		addresses[i] = (ProtobufCBinaryData){4, bytes[i]};
	}
	p.host_link = (char *)(uintptr_t)host_link;
	p.addresses = addresses;
	p.n_addresses = n;
	assert_int_equal(watch_add(ws, &p, 7, (const uint8_t[]){2, 0, 0, 0, 0, 1}, &e), 0);
	now = watches_due(ws);
	assert_int_equal(watches_go_on(ws), 0);
}

static void a_filter_for_which_there_is_no_room_beside_the_last_one_takes_its_place_all_the_same(void **state)
{
	static const struct claim_ops ops = {.duplicate = NULL};
	struct watches *ws;
	struct err e;
	size_t one;

	assert_int_equal(watches_open(&ws, -1, &ops, &e), 0);
	add(ws, "bt1", 99);
	assert_int_equal(rest, 0);
	one = len;
	assert_true(one > ROOM / 2 - 20 && one < ROOM / 2);
	for (int i = 0; i < 2; i++) {
		add(ws, "bt2", 10);
		assert_int_equal(rest, 0);
		assert_true(len > ROOM / 2);
	}
	watch_del(ws, "bt2");
	now = watches_due(ws);
	assert_int_equal(watches_go_on(ws), 0);
	assert_int_equal(rest, 0);
	assert_int_equal(len, one);
	add(ws, "bt2", 100); /* more than there is ever room for */
	assert_true(rest > 0 && len < 10);
	watch_del(ws, NULL);
	close(watches_fd(ws));
	free(ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_for_which_there_is_no_room_beside_the_last_one_takes_its_place_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_net_closer.c - one close that takes its time keeps no other waiting. */
#include "net/closer.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW	    7	  /* as many as may take their time while there is one thread more */
#define PATIENCE_MS 10000 /* what should come comes at once */

/* Its close waits until the other end, which does not read, has everything; or a minute. */
static void pair_slow(int listener, int pair[2])
{
	struct linger wait = {1, 60};
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	static char much[65536];

	assert_return_code(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(connect(pair[0], (struct sockaddr *)&a, len), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
	assert_return_code(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
	while (send(pair[0], much, sizeof much, MSG_DONTWAIT) > 0)
		;
}

static bool is_closed_within(int other_end, int ms)
{
	struct pollfd p = {.fd = other_end, .events = POLLIN};

	return poll(&p, 1, ms) == 1 && (p.revents & POLLHUP);
}

static void seven_that_take_their_time_keep_an_eighth_from_nothing(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), slow[SLOW][2], quick[2], closer;
	struct err e;

	assert_return_code(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_return_code(listen(listener, SLOW), 0);
	assert_int_equal(closer_open(&closer, &e), 0);
	for (int i = 0; i < SLOW; i++) {
		pair_slow(listener, slow[i]);
		closer_close(closer, &slow[i][0]);
		assert_int_equal(slow[i][0], -1);
	}
	assert_return_code(pipe(quick), 0);
	closer_close(closer, &quick[1]);
	assert_true(is_closed_within(quick[0], PATIENCE_MS));
	for (int i = 0; i < SLOW; i++)
		close(slow[i][1]); /* unread: that is the end of the others too */
	close(quick[0]);
	close(listener);
}

static void what_nobody_has_opened_is_closed_already(void **state)
{
	int closer, none = -1;
	struct err e;

	assert_int_equal(closer_open(&closer, &e), 0);
	closer_close(closer, &none);
	assert_int_equal(none, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seven_that_take_their_time_keep_an_eighth_from_nothing),
		cmocka_unit_test(what_nobody_has_opened_is_closed_already),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

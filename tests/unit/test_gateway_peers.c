/* tests/unit/test_gateway_peers.c - the table of peers against a slow one that cannot be wrong. */
#include "tests/unit/unit.h"

#include "gateway/peers.h"

#include <arpa/inet.h>

static struct peer_key of(const char *address)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *four = (void *)&a;
	struct sockaddr_in6 *six = (void *)&a;

	if (inet_pton(AF_INET, address, &four->sin_addr) == 1)
		a.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1)
		a.ss_family = AF_INET6;
	return peer_key_of(-1, (struct sockaddr *)&a);
}

static bool same(const char *a, const char *b)
{
	struct peer_key x = of(a), y = of(b);

	return x.id == y.id && x.family == y.family;
}

static void a_peer_is_an_address_or_a_household(void **state)
{
	assert_true(same("10.0.0.1", "10.0.0.1"));
	assert_false(same("10.0.0.1", "10.0.0.2"));
	assert_true(same("10.0.0.1", "::ffff:10.0.0.1"));
	assert_true(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
	assert_false(same("2001:db8:1:2::1", "2001:db8:1:3::1"));
}

static void a_local_peer_is_its_user(void **state)
{
	struct sockaddr_storage a = {.ss_family = AF_UNIX};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct peer_key key = peer_key_of(pair[0], (struct sockaddr *)&a);

	assert_int_equal(key.family, AF_UNIX);
	assert_int_equal(key.id, geteuid());
	close(pair[0]);
	close(pair[1]);
}

static void counts_are_right_whatever_comes_and_goes(void **state)
{
	uint32_t n[64] = {0}, all = 0, random = 1;
	struct peers p;

	assert_int_equal(peers_init(&p, 60), 0);
	for (int i = 0; i < 200000; i++) {
		random = random * 1664525 + 1013904223;
		uint32_t k = random >> 24 & 63;
		struct peer_key key = {.id = (uint64_t)k << (k % 3 ? 0 : 32),
				       .family = (uint8_t)(k % 2 ? AF_INET : AF_INET6)};

		if (random >> 8 & 1 && all < 60) {
			peers_add(&p, key);
			n[k]++;
			all++;
		} else {
			peers_del(&p, key);
			all -= n[k] != 0;
			n[k] -= n[k] != 0;
		}
		assert_int_equal(peers_count(&p, key), n[k]);
	}
	for (uint32_t k = 0; k < 64; k++)
		assert_int_equal(peers_count(&p, (struct peer_key){.id = (uint64_t)k << (k % 3 ? 0 : 32),
								   .family = (uint8_t)(k % 2 ? AF_INET : AF_INET6)}),
				 n[k]);
	peers_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_is_an_address_or_a_household),
		cmocka_unit_test(a_local_peer_is_its_user),
		cmocka_unit_test(counts_are_right_whatever_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_pool.c - the next free address of a subnet: each once, and how often the leases are looked at for it. */
#include "base/own.h"
#include "supervisor/pool.h"
#include "tests/unit/unit.h"

#include <errno.h>

static struct subnet subnet(const char *text)
{
	struct subnet s;
	struct err e;

	if (subnet_parse(text, &s, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	return s;
}

static struct address address(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

struct leases {
	struct address a[20000];
	size_t n;
	unsigned looks;
};

static void fill(struct pool *p, void *arg)
{
	struct leases *l = arg;

	l->looks++;
	for (size_t i = 0; i < l->n; i++)
		pool_take(p, &l->a[i]);
}

static const char *give(struct pool *p, struct leases *l)
{
	static char text[ADDRESS_TEXT];
	struct address a;

	if (pool_give(p, fill, l, &a) < 0)
		return NULL;
	l->a[l->n++] = a;
	return address_text(&a, text);
}

static struct pool pool(const char *of, const char *range_text)
{
	struct subnet s = subnet(of), range = s;
	struct pool p;
	struct err e;

	if (range_text)
		assert_int_equal(subnet_parse_in(&s, range_text, &range, &e), 0);
	pool_init(&p, &s, &range);
	return p;
}

static void every_address_once_and_then_none(void **state)
{
	AUTO_FREE struct leases *l = calloc(1, sizeof *l);
	struct pool p = pool("10.0.0.0/28", NULL);

	l->a[l->n++] = address("10.0.0.1"); /* the gateway */
	l->a[l->n++] = address("10.9.0.5"); /* of another subnet */
	for (unsigned i = 2; i < 15; i++) {
		char want[ADDRESS_TEXT];

		snprintf(want, sizeof want, "10.0.0.%u", i);
		assert_string_equal(give(&p, l), want);
	}
	assert_null(give(&p, l));
	l->a[8] = address("10.9.0.6"); /* 10.0.0.8 is free again */
	assert_string_equal(give(&p, l), "10.0.0.8");
	assert_null(give(&p, l));
}

static void a_freed_address_rests_until_the_others_were_given(void **state)
{
	AUTO_FREE struct leases *l = calloc(1, sizeof *l);
	struct pool p = pool("10.0.0.0/28", NULL);

	assert_string_equal(give(&p, l), "10.0.0.1");
	l->n = 0;
	assert_string_equal(give(&p, l), "10.0.0.2");
	for (unsigned i = 3; i < 15; i++)
		assert_non_null(give(&p, l));
	assert_string_equal(give(&p, l), "10.0.0.1");
}

static void one_that_was_taken_by_name_is_not_given(void **state)
{
	AUTO_FREE struct leases *l = calloc(1, sizeof *l);
	struct pool p = pool("fd00::/64", NULL);

	assert_string_equal(give(&p, l), "fd00::1");
	l->a[l->n] = address("fd00::2"); /* asked for, and given; the piece was looked at before */
	pool_take(&p, &l->a[l->n++]);
	assert_string_equal(give(&p, l), "fd00::3");
}

static void a_range_bounds_what_is_given_and_the_ends_of_the_subnet_stay_nobodys(void **state)
{
	AUTO_FREE struct leases *l = calloc(1, sizeof *l);
	struct pool p = pool("10.0.0.0/24", "10.0.0.252/30");

	assert_string_equal(give(&p, l), "10.0.0.252");
	assert_string_equal(give(&p, l), "10.0.0.253");
	assert_string_equal(give(&p, l), "10.0.0.254");
	assert_null(give(&p, l)); /* .255 means all of them */
	p = pool("10.0.0.0/24", "10.0.0.64/32");
	assert_string_equal(give(&p, l), "10.0.0.64");
	assert_null(give(&p, l));
}

/* With thousands of leases each of them is looked at for one in thousands that are given, also when all of the first pieces are full. */
static void thousands_of_leases_are_looked_at_seldom(void **state)
{
	AUTO_FREE struct leases *l = calloc(1, sizeof *l);
	struct pool p = pool("10.0.0.0/16", NULL);

	for (unsigned i = 0; i < 15000; i++)
		assert_non_null(give(&p, l));
	assert_in_range(l->looks, 4, 4);
	p = pool("10.0.0.0/16", NULL); /* berthd was started again */
	l->looks = 0;
	assert_string_equal(give(&p, l), "10.0.58.153");
	for (unsigned i = 0; i < 1000; i++)
		assert_non_null(give(&p, l));
	assert_in_range(l->looks, 4, 4);
}

static void indices_and_addresses_are_each_others(void **state)
{
	static const char *const subnets[] = {"10.0.0.0/8", "10.1.2.0/30", "fd00::/64", "fd00::8:0/112"};
	static const uint64_t at[] = {0, 1, 2, 3};
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(subnets); i++)
		for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
			struct subnet s = subnet(subnets[i]);
			struct address a = subnet_at(&s, at[k]);

			assert_true(subnet_has(&s, &a));
			assert_true(subnet_index(&s, &a) == at[k]);
		}
	struct subnet six = subnet("fd00::/64");
	struct address a = subnet_at(&six, 0xffffffffffffff02u);
	assert_string_equal(address_text(&a, text), "fd00::ffff:ffff:ffff:ff02");
	assert_true(subnet_index(&six, &a) == 0xffffffffffffff02u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_once_and_then_none),
		cmocka_unit_test(a_freed_address_rests_until_the_others_were_given),
		cmocka_unit_test(one_that_was_taken_by_name_is_not_given),
		cmocka_unit_test(a_range_bounds_what_is_given_and_the_ends_of_the_subnet_stay_nobodys),
		cmocka_unit_test(thousands_of_leases_are_looked_at_seldom),
		cmocka_unit_test(indices_and_addresses_are_each_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

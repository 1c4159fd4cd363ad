/* tests/unit/test_ctl_security_text.c - rules of security groups as people write and read them. */
#include "ctl/security_text.h"
#include "tests/unit/unit.h"

#include <string.h>

static void test_ports_are_one_or_a_range_and_nothing_else(void **state)
{
	static const struct {
		const char *text;
		bool good, range;
		uint32_t min, max;
	} rows[] = {
		{"80", true, false, 80, 0},	  {"80-90", true, true, 80, 90},    {"80:90", true, true, 80, 90},
		{"70000", true, false, 70000, 0}, /* berthd says what is wrong with it */
		{"", false, false, 0, 0},	  {"-", false, false, 0, 0},	    {"80-", false, false, 0, 0},
		{"-80", false, false, 0, 0},	  {"80-90-99", false, false, 0, 0}, {"http", false, false, 0, 0},
		{" 80", false, false, 0, 0},	  {"80,90", false, false, 0, 0},    {"99999999999", false, false, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__SecurityGroupRule r = BERTH__SECURITY_GROUP_RULE__INIT;
		struct err e = {0};

		assert_int_equal(security_port_text(&r, rows[i].text, &e) == 0, rows[i].good);
		if (!rows[i].good) {
			assert_non_null(strstr(e.text, "is not a port"));
			continue;
		}
		assert_true(r.has_port_min);
		assert_int_equal(r.has_port_max, rows[i].range);
		assert_int_equal(r.port_min, rows[i].min);
		assert_int_equal(r.has_port_max ? r.port_max : 0, rows[i].max);
	}
}

static void test_icmp_is_a_type_perhaps_with_a_code(void **state)
{
	Berth__SecurityGroupRule r = BERTH__SECURITY_GROUP_RULE__INIT;
	static const char *const bad[] = {"", ":", "8:", ":0", "8:0:0", "echo", "8-0"};
	struct err e = {0};
	char words[PRINT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_not_equal(security_icmp_text(&r, bad[i], &e), 0);
	assert_int_equal(security_icmp_text(&r, "8", &e), 0);
	assert_false(r.has_icmp_code);
	assert_string_equal(security_port_words(&r, words), "type 8");
	assert_int_equal(security_icmp_text(&r, "3:4", &e), 0);
	assert_string_equal(security_port_words(&r, words), "type 3:4");
}

static void test_a_remote_is_addresses_if_it_looks_like_them(void **state)
{
	static const struct {
		const char *text;
		bool addresses;
	} rows[] = {
		{"10.0.0.0/8", true}, {"10.0.0.1", true}, {"2001:db8::/32", true}, {"::1", true},
		{"10.0.0.0.0", true}, {"web", false},	  {"web.front", false},	   {"10", false},
		{"1a2b-cafe", false}, {"", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__SecurityGroupRule *r = malloc(sizeof *r);

		berth__security_group_rule__init(r);
		security_remote_text(r, rows[i].text);
		assert_string_equal(rows[i].addresses ? r->remote_cidr : r->remote_group, rows[i].text);
		assert_null(rows[i].addresses ? r->remote_group : r->remote_cidr);
		assert_string_equal(security_remote_words(r), rows[i].text);
		berth__security_group_rule__free_unpacked(r, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports_are_one_or_a_range_and_nothing_else),
		cmocka_unit_test(test_icmp_is_a_type_perhaps_with_a_code),
		cmocka_unit_test(test_a_remote_is_addresses_if_it_looks_like_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

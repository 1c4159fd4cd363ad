/* tests/unit/test_address.c - IP addresses and subnets as numbers. */
#include "base/own.h"
#include "supervisor/address.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static void text_there_and_back(void **state)
{
	static const char *const good[] = {"10.0.0.1", "255.255.255.255", "::", "fd00::1", "2001:db8::ff00:42"};
	static const char *const bad[] = {"",	       "1",   "10.0.0",	   "10.0.0.256",
					  "10.0.0.1 ", "::g", "1.2.3.4.5", "fe80::1%eth0"};
	char buf[ADDRESS_TEXT];
	struct address a;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		a = address(good[i]);
		assert_string_equal(address_text(&a, buf), good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (address_parse(bad[i], &a) == 0)
			fail_msg("'%s' is taken for an address", bad[i]);
}

static void subnets_that_cannot_be_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"10.0.0.0", "not a subnet"},	   {"/8", "not a subnet"},
		{"10.0.0.0/33", "not a subnet"},   {"10.0.0.0/-1", "not a subnet"},
		{"10.0.0.0/8x", "not a subnet"},   {"10.0.1.0/16", "behind its prefix"},
		{"10.0.0.0/31", "/8 to /30"},	   {"0.0.0.0/0", "/8 to /30"},
		{"fd00::/63", "/64 to /126"},	   {"fd00::/127", "/64 to /126"},
		{"127.0.0.0/8", "something else"}, {"169.254.1.0/24", "something else"},
		{"239.0.0.0/8", "something else"}, {"fe80::/64", "something else"},
		{"ff02::/64", "something else"},   {"::/64", "something else"},
	};
	struct subnet s;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (subnet_parse(bad[i].text, &s, &e) == 0)
			fail_msg("%s is taken for a subnet", bad[i].text);
		if (!strstr(e.text, bad[i].why))
			fail_msg("%s: %s", bad[i].text, e.text);
	}
}

static void what_lies_in_it_and_what_may_be_somebodys(void **state)
{
	static const struct {
		const char *subnet, *address;
		bool has, usable;
	} rows[] = {
		{"10.1.0.0/16", "10.1.0.0", true, false},	{"10.1.0.0/16", "10.1.0.1", true, true},
		{"10.1.0.0/16", "10.1.255.255", true, false},	{"10.1.0.0/16", "10.1.255.254", true, true},
		{"10.1.0.0/16", "10.2.0.0", false, false},	{"10.1.0.0/16", "fd00::1", false, false},
		{"10.1.0.4/30", "10.1.0.6", true, true},	{"10.1.0.4/30", "10.1.0.7", true, false},
		{"fd00:1::/64", "fd00:1::", true, false},	{"fd00:1::/64", "fd00:1::1", true, true},
		{"fd00:1::/64", "fd00:1:0:1::1", false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct subnet s = subnet(rows[i].subnet);
		struct address a = address(rows[i].address);

		if (subnet_has(&s, &a) != rows[i].has || subnet_is_usable(&s, &a) != rows[i].usable)
			fail_msg("%s in %s", rows[i].address, rows[i].subnet);
	}
}

static void addresses_that_are_of_one_machine(void **state)
{
	static const struct {
		const char *address;
		bool is;
	} rows[] = {
		{"0.0.0.0", true},    {"127.0.0.1", true},	  {"192.0.2.1", true}, {"223.255.255.255", true},
		{"224.0.0.1", false}, {"239.255.255.255", false}, {"240.0.0.1", true}, {"255.255.255.255", false},
		{"::", true},	      {"2001:db8::1", true},	  {"fd00::1", true},   {"fec0::1", true},
		{"fe80::1", false},   {"febf::1", false},	  {"ff02::1", false},  {"::ffff:192.0.2.1", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address a = address(rows[i].address);

		if (address_is_of_one(&a) != rows[i].is)
			fail_msg("%s", rows[i].address);
	}
}

static void overlaps(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = {
		{"10.1.0.0/16", "10.1.0.0/16", true},  {"10.0.0.0/8", "10.9.9.0/24", true},
		{"10.1.0.0/24", "10.1.1.0/24", false}, {"fd00:1::/64", "fd00:1::/96", true},
		{"fd00:1::/64", "fd00:2::/64", false}, {"10.0.0.0/8", "fd00:1::/64", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct subnet a = subnet(rows[i].a), b = subnet(rows[i].b);

		if (subnets_overlap(&a, &b) != rows[i].overlap || subnets_overlap(&b, &a) != rows[i].overlap)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
	}
}

/* From anywhere, every address comes once before any comes again. */
static void next_goes_through_all_and_begins_again(void **state)
{
	struct subnet s = subnet("10.1.0.16/28");
	struct address a = address("10.1.0.30"), first = a;
	char buf[ADDRESS_TEXT];
	unsigned n = 0;

	assert_int_equal(subnet_size(&s), 16);
	do {
		a = subnet_next(&s, &a);
		assert_true(subnet_has(&s, &a));
		n++;
	} while (!address_is(&a, &first) && n < 100);
	assert_int_equal(n, 16);
	a = address("10.1.0.255");
	a = subnet_next(&s, &a);
	assert_string_equal(address_text(&a, buf), "10.1.0.16");
	s = subnet("10.1.0.0/16");
	a = address("10.1.0.255");
	a = subnet_next(&s, &a);
	assert_string_equal(address_text(&a, buf), "10.1.1.0");
	s = subnet("fd00:1::/64");
	assert_true(subnet_size(&s) == UINT64_MAX);
}

static void a_range_is_made_of_prefixes(void **state)
{
	static const struct {
		const char *range, *prefixes;
	} rows[] = {
		{"203.0.113.0/28", "203.0.113.0/28 "},
		{"203.0.113.7", "203.0.113.7/32 "},
		{"203.0.113.3-203.0.113.17", "203.0.113.3/32 203.0.113.4/30 203.0.113.8/29 203.0.113.16/31 "},
		{"203.0.113.255-203.0.114.0", "203.0.113.255/32 203.0.114.0/32 "},
		{"223.255.255.254-223.255.255.255", "223.255.255.254/31 "},
		{"2001:db8::1-2001:db8::4", "2001:db8::1/128 2001:db8::2/127 2001:db8::4/128 "},
		{"2001:db8::/64", "2001:db8::/64 "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[ADDRESS_TEXT], got[400] = "";
		struct address at = {.len = 0};
		struct range r;
		struct subnet s;
		struct err e;

		assert_int_equal(range_parse(rows[i].range, &r, &e), 0);
		while (range_prefix(&r, &at, &s))
			snprintf(got + strlen(got), sizeof got - strlen(got), "%s/%u ", address_text(&s.first, text),
				 s.prefix);
		assert_string_equal(got, rows[i].prefixes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_there_and_back),
		cmocka_unit_test(subnets_that_cannot_be_are_refused_with_the_reason),
		cmocka_unit_test(what_lies_in_it_and_what_may_be_somebodys),
		cmocka_unit_test(addresses_that_are_of_one_machine),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(a_range_is_made_of_prefixes),
		cmocka_unit_test(next_goes_through_all_and_begins_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

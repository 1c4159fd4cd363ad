/* tests/unit/test_mac.c - MAC addresses and names of interfaces. */
#include "tests/unit/unit.h"

#include "supervisor/mac.h"

#include <errno.h>
#include <string.h>

static void macs_are_read_strictly(void **state)
{
	static const char *const bad[] = {"",
					  "02:00:00:00:00",
					  "02:00:00:00:00:0",
					  "02:00:00:00:00:001",
					  "02-00-00-00-00-01",
					  "02:00:00:00:00:0g",
					  "2:0:0:0:0:1",
					  " 2:00:00:00:00:01",
					  "02:00:00:00:00:01 "};
	uint8_t mac[6];

	assert_int_equal(mac_parse("02:aB:00:Ff:10:0a", mac), 0);
	assert_memory_equal(mac, ((uint8_t[]){2, 0xab, 0, 0xff, 0x10, 0x0a}), 6);
	assert_int_equal(mac_parse(NULL, mac), -EINVAL);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(mac_parse(bad[i], mac), -EINVAL);
}

static void groups_and_nobody_are_no_machine(void **state)
{
	assert_true(mac_is_unicast((uint8_t[]){2, 0, 0, 0, 0, 0}));
	assert_true(mac_is_unicast((uint8_t[]){0, 0, 0, 0, 0, 1}));
	assert_false(mac_is_unicast((uint8_t[]){1, 0, 0, 0, 0, 1}));
	assert_false(mac_is_unicast((uint8_t[]){255, 255, 255, 255, 255, 255}));
	assert_false(mac_is_unicast((uint8_t[]){0, 0, 0, 0, 0, 0}));
}

static void names_of_interfaces_are_as_the_kernel_has_them(void **state)
{
	static const char *const good[] = {"e", "eth0", "wan.100", "a-b_c@d", "abcdefghijklmno"};
	static const char *const bad[] = {
		"",	"lo",	"all",	 "default",	     ".",	"..", "a b", "a/b", "a:b",
		"a\tb", "a\"b", "eth%d", "abcdefghijklmnop", "\xc3\xa4"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(link_name_is_good(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(link_name_is_good(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macs_are_read_strictly),
		cmocka_unit_test(groups_and_nobody_are_no_machine),
		cmocka_unit_test(names_of_interfaces_are_as_the_kernel_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

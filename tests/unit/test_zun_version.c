/* tests/unit/test_zun_version.c - microversions: what the header may say, and how it is refused. */
#include "unit.h"

#include "gateway/zun/version.h"

#define BAD_SERVICE "Invalid service type for OpenStack-API-Version header"
#define BAD_VALUE   "Invalid value for OpenStack-API-Version header"

static void the_header_names_a_version_or_is_refused_in_zuns_words(void **state)
{
	static const struct {
		const char *header;
		int result;
		unsigned minor;
		const char *text; /* begins with */
	} rows[] = {
		{NULL, 0, 1},
		{"container 1.1", 0, 1},
		{"container 1.40", 0, 40},
		{"  container \t 1.22 ", 0, 22},
		{"container latest", 0, 40},
		{"container LATEST", 0, 40},
		{"compute 1.1", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"compute latest", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"Container 1.1", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"1.40", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"latest", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"container 1.1 1.2", ZUN_VERSION_BAD, 0, BAD_SERVICE},
		{"container 1", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container 1.2.3", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container x.y", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container 1.", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container .1", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container 1.-1", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container 1.11111111111111111111111111111111111111111", ZUN_VERSION_BAD, 0, BAD_VALUE},
		{"container 1.0", ZUN_VERSION_RANGE, 0, "Version 1.0 was requested"},
		{"container 1.41", ZUN_VERSION_RANGE, 0, "Version 1.41 was requested"},
		{"container 1.99", ZUN_VERSION_RANGE, 0, "Version 1.99 was requested"},
		{"container 2.1", ZUN_VERSION_RANGE, 0, "Version 2.1 was requested"},
		{"container 0.40", ZUN_VERSION_RANGE, 0, "Version 0.40 was requested"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned minor = 77;
		struct err e = {0};

		assert_row(zun_version_parse(rows[i].header, &minor, &e) == rows[i].result, i);
		assert_row(minor == (rows[i].result ? 77 : rows[i].minor), i);
		assert_row(!rows[i].result || !strncmp(e.text, rows[i].text, strlen(rows[i].text)), i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_names_a_version_or_is_refused_in_zuns_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_zun_value.c - the forms of single values: what Zun takes for a boolean, a signal, a name, a time. */
#include "unit.h"

#include "gateway/zun/value.h"

#include <signal.h>

static void filters_take_booleans_in_many_words(void **state)
{
	static const char *const yes[] = {"1", "t", "T", "true", "tRuE", "on", "ON", "y", "yes", "YES"},
				 *const no[] = {"0", "f", "False", "off", "n", "No"},
				 *const bad[] = {"", "2", "None", "true "};
	bool is;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_row(zun_bool(yes[i], &is) == 0 && is, i);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_row(zun_bool(no[i], &is) == 0 && !is, i);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_row(zun_bool(bad[i], &is) == -EINVAL, i);
}

static void none_is_the_default_signal(void **state)
{
	static const struct {
		const char *text;
		int result, sig;
	} rows[] = {
		{NULL, 0, 0},
		{"None", 0, 0},
		{"SIGTERM", 0, SIGTERM},
		{"TERM", 0, SIGTERM},
		{"sigterm", 0, SIGTERM},
		{"term", 0, SIGTERM},
		{"15", 0, 15},
		{"SIGUSR1", 0, SIGUSR1},
		{"WINCH", 0, SIGWINCH},
		{"SIGSTKFLT", 0, SIGSTKFLT},
		{"none", -EINVAL},
		{"SIGNOPE", -EINVAL},
		{"", -EINVAL},
		{"0", -EINVAL},
		{"-9", -EINVAL},
		{"99", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int sig = 77;

		assert_row(zun_signal(rows[i].text, &sig) == rows[i].result, i);
		assert_row(rows[i].result || sig == rows[i].sig, i);
	}
}

static void names_images_and_hostnames_have_their_letters(void **state)
{
	static const struct {
		const char *text;
		bool name, image, hostname;
	} rows[] = {
		{"ab", true, true, true},     {"a", false, false, true},
		{"", false, false, false},    {"web-1.x_y", true, true, true},
		{"-ab", false, true, true},   {"_a", false, false, true},
		{"a b", false, false, false}, {"docker.io/library/busybox:1", false, true, false},
		{"--", false, false, true},   {"a/b", false, false, false},
	};
	char longest[257];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_row(zun_is_name(rows[i].text) == rows[i].name, i);
		assert_row(zun_is_image(rows[i].text) == rows[i].image, i);
		assert_row(zun_is_hostname(rows[i].text) == rows[i].hostname, i);
	}
	memset(longest, 'a', 256);
	longest[256] = 0;
	assert_false(zun_is_name(longest) || zun_is_image(longest) || zun_is_hostname(longest));
	assert_true(zun_is_name(longest + 1) && zun_is_image(longest + 1) && zun_is_hostname(longest + 1));
}

static void a_name_is_made_of_a_greek_letter_and_a_number(void **state)
{
	char first[ZUN_NAME_SIZE], name[ZUN_NAME_SIZE];
	bool other = false;

	zun_name_make(first);
	for (int i = 0; i < 200; i++) {
		char letter[16];
		unsigned n;
		int end = 0;

		zun_name_make(name);
		assert_int_equal(sscanf(name, "%15[a-z]-%u-container%n", letter, &n, &end), 2);
		assert_int_equal((int)strlen(name), end);
		assert_in_range(n, 1, 24);
		assert_true(zun_is_name(name));
		other |= strcmp(first, name) != 0;
	}
	assert_true(other);
}

static void times_have_a_blank_or_a_t_and_six_digits(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{0, "1970-01-01 00:00:00.000000"},
		{1795307517353379999, "2026-11-22 00:31:57.353379"},
		{1795307517000000000, "2026-11-22 00:31:57.000000"},
		{-1, "1969-12-31 23:59:59.999999"},
	};
	char buf[ZUN_TIME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(!strcmp(zun_time(rows[i].ns, ' ', buf), rows[i].text), i);
	assert_string_equal(zun_time(1795307517353379999, 'T', buf), "2026-11-22T00:31:57.353379");
}

static void since_is_seconds_or_zuns_own_form(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t ns;
	} rows[] = {
		{"0", 0, 0},
		{"1795307517", 0, 1795307517000000000},
		{"2026-11-22 00:31:57,353", 0, 1795307517353000000},
		{"2026-11-22 00:31:57,3", 0, 1795307517300000000},
		{"None", -EINVAL},
		{"", -EINVAL},
		{"2026-11-22T00:31:57,353", -EINVAL},
		{"2026-11-22 00:31:57", -EINVAL},
		{"2026-11-22 00:31:57,", -EINVAL},
		{"2026-13-22 00:31:57,353", -EINVAL},
		{"2026-11-22 00:31:57,35x", -EINVAL},
		{"99999999999999999999", -EINVAL},
		{"9999999999999", -EINVAL},
		{"-1", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ns = 77;

		assert_row(zun_since(rows[i].text, &ns) == rows[i].result, i);
		assert_row(ns == (rows[i].result ? 77 : rows[i].ns), i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_take_booleans_in_many_words),
		cmocka_unit_test(none_is_the_default_signal),
		cmocka_unit_test(names_images_and_hostnames_have_their_letters),
		cmocka_unit_test(a_name_is_made_of_a_greek_letter_and_a_number),
		cmocka_unit_test(times_have_a_blank_or_a_t_and_six_digits),
		cmocka_unit_test(since_is_seconds_or_zuns_own_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

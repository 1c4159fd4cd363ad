/* tests/unit/test_str.c - text becomes numbers, sizes, times, signals and names, whole or not at all. */
#include "tests/unit/unit.h"

#include "base/str.h"

#include <limits.h>
#include <signal.h>

struct number {
	const char *text;
	int result;
	uint64_t value;
};

static void numbers_are_read_whole_or_not_at_all(void **state)
{
	static const struct number rows[] = {
		{"0", 0, 0},
		{"00012", 0, 12},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999x", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"\xd9\xa1", -EINVAL, 0}, /* an Arabic digit */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t n = 77;

		assert_row(str_to_u64(rows[i].text, &n) == rows[i].result, i);
		assert_row(n == (rows[i].result ? 77 : rows[i].value), i);
	}
}

static void signed_and_short_numbers_keep_their_range(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t value;
	} rows[] = {
		{"-0", 0, 0},
		{"-1", 0, -1},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775808", 0, INT64_MIN},
		{"-9223372036854775809", -ERANGE, 0},
		{"-", -EINVAL, 0},
		{"--1", -EINVAL, 0},
	};
	uint32_t n;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t v = 0;

		assert_row(str_to_i64(rows[i].text, &v) == rows[i].result, i);
		assert_row(rows[i].result || v == rows[i].value, i);
	}
	assert_int_equal(str_to_u32("4294967295", &n), 0);
	assert_true(n == UINT32_MAX);
	assert_int_equal(str_to_u32("4294967296", &n), -ERANGE);
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct number rows[] = {
		{"512", 0, 512},
		{"0", 0, 0},
		{"1b", 0, 1},
		{"64k", 0, 65536},
		{"64K", 0, 65536},
		{"64kb", 0, 65536},
		{"64KiB", 0, 65536},
		{"1.5g", 0, 3ull << 29},
		{"10MiB", 0, 10 << 20},
		{"0.1k", 0, 102},
		{"2t", 0, 2ull << 40},
		{"1p", 0, 1ull << 50},
		{"15e", 0, 15ull << 60},
		{"16e", -ERANGE, 0},
		{"15.9999999999999999999999e", 0, 18446744073709551614ull},
		{"99999999999999999999k", -ERANGE, 0},
		{"1.5", -EINVAL, 0},
		{"1.5b", -EINVAL, 0},
		{".5g", -EINVAL, 0},
		{"1.g", -EINVAL, 0},
		{"-1k", -EINVAL, 0},
		{"k", -EINVAL, 0},
		{"1ki", -EINVAL, 0},
		{"1kk", -EINVAL, 0},
		{"1 k", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t n = 0;

		assert_row(str_to_bytes(rows[i].text, &n) == rows[i].result, i);
		assert_row(rows[i].result || n == rows[i].value, i);
	}
}

static void durations_have_units_and_a_bare_number_is_seconds(void **state)
{
	static const struct number rows[] = {
		{"10", 0, 10000000000},
		{"1.5", 0, 1500000000},
		{"10s", 0, 10000000000},
		{"1m30s", 0, 90000000000},
		{"2h", 0, 7200000000000},
		{"500ms", 0, 500000000},
		{"250us", 0, 250000},
		{"7ns", 0, 7},
		{"3d", 0, 259200000000000},
		{"1.5h", 0, 5400000000000},
		{"0s", 0, 0},
		{"1m30", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"-5s", -EINVAL, 0},
		{"5 s", -EINVAL, 0},
		{"5w", -EINVAL, 0},
		{"300000d", -ERANGE, 0},
		{"200000d200000d", -ERANGE, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t n = 0;

		assert_row(str_to_duration_ns(rows[i].text, &n) == rows[i].result, i);
		assert_row(rows[i].result || n == rows[i].value, i);
	}
}

static void signals_have_names_and_numbers(void **state)
{
	static const struct {
		const char *text;
		int sig; /* 0: refused */
	} rows[] = {
		{"SIGTERM", SIGTERM},
		{"term", SIGTERM},
		{"Sigkill", SIGKILL},
		{"15", 15},
		{"64", 64},
		{"WINCH", SIGWINCH},
		{"CHLD", SIGCHLD},
		{"CLD", SIGCHLD},
		{"IOT", SIGABRT},
		{"POLL", SIGIO},
		{"SYS", SIGSYS},
		{"RTMIN", 34},
		{"SIGRTMIN+3", 37},
		{"RTMAX", 64},
		{"RTMAX-2", 62},
		{"SIGRTMIN+30", 64},
		{"SIGRTMIN+31", 0},
		{"RTMIN-1", 0},
		{"RTMAX+1", 0},
		{"RTMIN+", 0},
		{"0", 0},
		{"65", 0},
		{"-9", 0},
		{"", 0},
		{"SIG", 0},
		{"SIGSIGTERM", 0},
		{"TERMINATE", 0},
		{"KILL ", 0},
		{"SIGRTMINX", 0},
		{"SIGTERMSIGTERMSIGTERMSIGTERM", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int sig = 0;

		assert_row(str_to_signal(rows[i].text, &sig) == (rows[i].sig ? 0 : -EINVAL), i);
		assert_row(sig == rows[i].sig, i);
	}
}

static void every_signal_reads_back_from_its_name(void **state)
{
	char name[24];

	for (int sig = 1; sig <= 64; sig++) {
		int back = 0;

		signal_name(sig, name, sizeof name);
		if (sig == 32 || sig == 33) /* libc's own */
			continue;
		assert_int_equal(str_to_signal(name, &back), 0);
		assert_int_equal(back, sig);
	}
	assert_string_equal(signal_name(SIGTERM, name, sizeof name), "SIGTERM");
	assert_string_equal(signal_name(37, name, sizeof name), "SIGRTMIN+3");
	assert_string_equal(signal_name(77, name, sizeof name), "signal 77");
	assert_string_equal(signal_name(0, name, sizeof name), "signal 0");
}

static void names_keep_their_charset_and_length(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{"web", true},	      {"a", true},	{"0", true},	 {"web-1.example_2", true}, {"", false},
		{"-web", false},      {".web", false},	{"_web", false}, {"web/1", false},	    {"web 1", false},
		{"w\xc3\xa9", false}, {"web\n", false}, {"..", false},
	};
	char text[260];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(str_is_name(rows[i].text) == rows[i].ok, i);
	memset(text, 'a', sizeof text);
	text[255] = 0;
	assert_true(str_is_name(text));
	text[255] = 'a';
	text[256] = 0;
	assert_false(str_is_name(text));
}

static void clean_paths_have_no_dots_and_no_empty_parts(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{"/", true},	  {"/a", true},	      {"/a/b.c/..d", true}, {"/.a", true},  {"/...", true},
		{"", false},	  {"a", false},	      {"a/b", false},	    {"/a/", false}, {"//", false},
		{"//a", false},	  {"/a//b", false},   {"/.", false},	    {"/..", false}, {"/a/./b", false},
		{"/a/..", false}, {"/a/../b", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(str_is_clean_path(rows[i].text) == rows[i].ok, i);
}

static void base64_of_rfc_4648(void **state)
{
	static const struct {
		const char *plain, *packed;
	} rows[] = {{"", ""},
		    {"f", "Zg=="},
		    {"fo", "Zm8="},
		    {"foo", "Zm9v"},
		    {"foob", "Zm9vYg=="},
		    {"fooba", "Zm9vYmE="},
		    {"foobar", "Zm9vYmFy"},
		    {"\xff\xef\xbe", "/+++"}};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zg==Zg==", "Z===", "Zm8 ", "Zm-_", "Zh==", "Zm9=", "Zm9v\n"};
	char packed[16], plain[16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].plain);

		str_base64(rows[i].plain, len, packed);
		assert_row(!strcmp(packed, rows[i].packed) && strlen(packed) + 1 == STR_BASE64_SIZE(len), i);
		assert_row(str_base64_decode(packed, plain) == (ssize_t)len && !memcmp(plain, rows[i].plain, len), i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_row(str_base64_decode(bad[i], plain) == -EINVAL, i);
}

static void utf8_is_checked_strictly(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{"", true},
		{"plain", true},
		{"\xc3\xa9", true},
		{"\xe2\x82\xac", true},
		{"\xf0\x9f\x98\x80", true},
		{"\xf4\x8f\xbf\xbf", true},
		{"\xed\x9f\xbf", true},
		{"\xee\x80\x80", true},
		{"\xc0\x80", false},	     /* overlong NUL */
		{"\xc1\xbf", false},	     /* overlong */
		{"\xe0\x9f\xbf", false},     /* overlong */
		{"\xf0\x8f\xbf\xbf", false}, /* overlong */
		{"\xed\xa0\x80", false},     /* surrogate */
		{"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
		{"\xf5\x80\x80\x80", false},
		{"\x80", false},
		{"a\xff", false},
		{"\xc3", false},	 /* cut */
		{"\xe2\x82", false},	 /* cut */
		{"\xf0\x9f\x98", false}, /* cut */
		{"\xc3(", false},
		{"\xe2(\xa1", false},
		{"\xe2\x82(", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* Exactly as long as the text: a step too far is seen by the sanitizer. */
		size_t len = strlen(rows[i].text);
		AUTO_FREE char *copy = malloc(len ? len : 1);

		memcpy(copy, rows[i].text, len);
		assert_row(str_is_utf8(copy, len) == rows[i].ok, i);
	}
	assert_true(str_is_utf8("a\0b", 3));
}

static void words_are_found_without_changing_the_text(void **state)
{
	const char *p = ",,one, two,three,,", *word;
	size_t len;
	static const char *const want[] = {"one", "two", "three"};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		word = str_word(&p, ", ", &len);
		assert_non_null(word);
		assert_int_equal(len, strlen(want[i]));
		assert_memory_equal(word, want[i], len);
	}
	assert_null(str_word(&p, ", ", &len));
	assert_null(str_word(&p, ", ", &len));
	p = "";
	assert_null(str_word(&p, ", ", &len));
}

static void times_are_read_in_every_form(void **state)
{
	const int64_t now = 1700000000000000000;
	static const struct {
		const char *text;
		int result;
		int64_t value;
	} rows[] = {
		{"2023-11-14T22:13:20Z", 0, 1700000000000000000},
		{"2023-11-14t22:13:20z", 0, 1700000000000000000},
		{"2023-11-14 22:13:20Z", 0, 1700000000000000000},
		{"2023-11-14T22:13:20.5Z", 0, 1700000000500000000},
		{"2023-11-14T22:13:20.000000001Z", 0, 1700000000000000001},
		{"2023-11-14T22:13:20.0000000019999Z", 0, 1700000000000000001},
		{"2023-11-14T23:13:20+01:00", 0, 1700000000000000000},
		{"2023-11-14T16:43:20-05:30", 0, 1700000000000000000},
		{"2024-02-29T00:00:00Z", 0, 1709164800000000000},
		{"2016-12-31T23:59:60Z", 0, 1483228800000000000},
		{"1970-01-01T00:00:00Z", 0, 0},
		{"@1700000000", 0, 1700000000000000000},
		{"@1700000000.25", 0, 1700000000250000000},
		{"10m", 0, 1700000000000000000 - 600000000000},
		{"5", 0, 1700000000000000000 - 5000000000},
		{"2023-02-29T00:00:00Z", -EINVAL, 0},
		{"2023-13-01T00:00:00Z", -EINVAL, 0},
		{"2023-00-01T00:00:00Z", -EINVAL, 0},
		{"2023-11-31T00:00:00Z", -EINVAL, 0},
		{"2023-11-14T24:00:00Z", -EINVAL, 0},
		{"2023-11-14T22:60:00Z", -EINVAL, 0},
		{"2023-11-14T22:13:61Z", -EINVAL, 0},
		{"2023-11-14T22:13:20", -EINVAL, 0},
		{"2023-11-14T22:13:20.Z", -EINVAL, 0},
		{"2023-11-14T22:13:20Zx", -EINVAL, 0},
		{"2023-11-14T22:13:20+1:00", -EINVAL, 0},
		{"2023-11-14T22:13:20+01:60", -EINVAL, 0},
		{"2023-11-14", -EINVAL, 0},
		{"2023-1-14T22:13:20Z", -EINVAL, 0},
		{"9999-12-31T23:59:59Z", -ERANGE, 0},
		{"@", -EINVAL, 0},
		{"@-1", -EINVAL, 0},
		{"@1x", -EINVAL, 0},
		{"@9223372036854775807", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"yesterday", -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t v = 0;

		assert_row(str_to_time(rows[i].text, now, &v) == rows[i].result, i);
		assert_row(rows[i].result || v == rows[i].value, i);
	}
}

static void printed_times_read_back(void **state)
{
	static const int64_t rows[] = {0, 1, -1, 1700000000000000001, INT64_MAX, INT64_MIN, 951782399999999999};
	char text[STR_TIME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t back = 0;

		assert_row(strlen(str_time(rows[i], text)) == 30, i);
		/* The first representable second lies below the range by its nanoseconds. */
		if (rows[i] == INT64_MIN)
			continue;
		assert_row(str_to_time(text, 0, &back) == 0, i);
		assert_row(back == rows[i], i);
	}
	assert_string_equal(str_time(1700000000000000001, text), "2023-11-14T22:13:20.000000001Z");
	assert_string_equal(str_time(INT64_MIN, text), "1677-09-21T00:12:43.145224192Z");
}

static void uuids_are_version_4_and_differ(void **state)
{
	char a[UUID_SIZE], b[UUID_SIZE];
	static const char *const bad[] = {
		"",
		"00000000-0000-4000-8000-00000000000",
		"00000000-0000-4000-8000-0000000000000",
		"00000000-0000-4000-8000-00000000000G",
		"00000000-0000-4000-8000-00000000000A",
		"00000000x0000-4000-8000-000000000000",
	};

	uuid_make(a);
	uuid_make(b);
	assert_true(uuid_is(a));
	assert_string_not_equal(a, b);
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_row(!uuid_is(bad[i]), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
		cmocka_unit_test(signed_and_short_numbers_keep_their_range),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(durations_have_units_and_a_bare_number_is_seconds),
		cmocka_unit_test(signals_have_names_and_numbers),
		cmocka_unit_test(every_signal_reads_back_from_its_name),
		cmocka_unit_test(names_keep_their_charset_and_length),
		cmocka_unit_test(clean_paths_have_no_dots_and_no_empty_parts),
		cmocka_unit_test(base64_of_rfc_4648),
		cmocka_unit_test(utf8_is_checked_strictly),
		cmocka_unit_test(words_are_found_without_changing_the_text),
		cmocka_unit_test(times_are_read_in_every_form),
		cmocka_unit_test(printed_times_read_back),
		cmocka_unit_test(uuids_are_version_4_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

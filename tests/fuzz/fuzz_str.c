/* tests/fuzz/fuzz_str.c - every reader of base/str.h on any text; what is printed of a value reads back as that value. */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void numbers(const char *s)
{
	char text[32];
	uint64_t u;
	uint32_t small;
	int64_t i;

	if (str_to_u64(s, &u) == 0) {
		uint64_t bytes, ns;

		snprintf(text, sizeof text, "%llu", (unsigned long long)u);
		require(str_to_u64(text, &u) == 0 && strtoull(s, NULL, 10) == u);
		require(str_to_bytes(s, &bytes) == 0 && bytes == u);
		require(str_to_duration_ns(s, &ns) != -EINVAL);
		require((str_to_u32(s, &small) == 0) == (u <= UINT32_MAX));
	}
	if (str_to_i64(s, &i) == 0)
		require(strtoll(s, NULL, 10) == i);
	(void)str_to_bytes(s, &u);
	(void)str_to_duration_ns(s, &u);
}

static void times_and_signals(const char *s)
{
	char text[STR_TIME_SIZE], name[24];
	int64_t at, back;
	int sig, again;

	if (str_to_time(s, 1700000000000000000, &at) == 0 && at > INT64_MIN + 1000000000) {
		require(str_to_time(str_time(at, text), 0, &back) == 0);
		require(back == at);
	}
	if (str_to_signal(s, &sig) == 0) {
		require(sig >= 1 && sig <= 64);
		if (sig != 32 && sig != 33)
			require(str_to_signal(signal_name(sig, name, sizeof name), &again) == 0 && again == sig);
	}
}

static void charsets(const char *s, size_t len)
{
	const char *p = s, *word;
	size_t n, seen = 0;

	if (str_is_name(s))
		require(str_is_utf8(s, strlen(s)) && strlen(s) <= 255 && !strchr(s, '/'));
	if (str_is_clean_path(s))
		require(s[0] == '/' && !strstr(s, "//") && !strstr(s, "/../") && !strstr(s, "/./"));
	(void)str_is_utf8(s, len);
	(void)uuid_is(s);
	while ((word = str_word(&p, " ,", &n))) {
		require(n > 0 && word + n == p && !memchr(word, ',', n));
		seen += n;
	}
	require(seen <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s = malloc(len + 1);

	memcpy(s, data, len);
	s[len] = 0;
	numbers(s);
	times_and_signals(s);
	charsets(s, len);
	free(s);
	return 0;
}

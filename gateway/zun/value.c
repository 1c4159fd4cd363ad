/* gateway/zun/value.c - see gateway/zun/value.h */
#include "gateway/zun/value.h"

#include "base/own.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ll

int zun_bool(const char *text, bool *ret)
{
	static const char *const words[] = {"0", "1", "f", "t", "false", "true", "off", "on", "n", "y", "no", "yes"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(words[i], text)) {
			*ret = i & 1;
			return 0;
		}
	return -EINVAL;
}

int zun_signal(const char *text, int *ret)
{
	if (!text || !strcmp(text, "None")) {
		*ret = 0;
		return 0;
	}
	return str_to_signal(text, ret) < 0 ? -EINVAL : 0;
}

/* ---------------------------------------------------------------- names */

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

bool zun_is_name(const char *s)
{
	return strlen(s) >= 2 && str_is_name(s);
}

bool zun_is_image(const char *s)
{
	size_t len = strlen(s);

	if (len < 2 || len > 255)
		return false;
	for (; s[1]; s++)
		if (isalnum((unsigned char)s[0]) && is_name_char(s[1]))
			return true;
	return false;
}

bool zun_is_hostname(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 255)
		return false;
	for (; *s; s++)
		if (!is_name_char(*s))
			return false;
	return true;
}

/* Zun's own range of names, small as it is: people know it. Whoever wants no two alike gives names. */
void zun_name_make(char buf[ZUN_NAME_SIZE])
{
	static const char *const greek[] = {
		"alpha", "beta",  "gamma",  "delta",   "epsilon", "zeta", "eta",     "theta",
		"iota",	 "kappa", "lambda", "mu",      "nu",	  "xi",	  "omicron", "pi",
		"rho",	 "sigma", "tau",    "upsilon", "phi",	  "chi",  "psi",     "omega",
	};
	uint16_t random[2] = {0};

	/* Without randomness all would be alpha-1-container: poor, but a name. */
	if (getrandom(random, sizeof random, 0) < 0)
		random[0] = (uint16_t)clock();
	snprintf(buf, ZUN_NAME_SIZE, "%s-%u-container", greek[random[0] % ARRAY_SIZE(greek)], 1u + random[1] % 24);
}

/* ---------------------------------------------------------------- times */

const char *zun_time(int64_t wall_ns, char between, char buf[ZUN_TIME_SIZE])
{
	time_t seconds = (time_t)(wall_ns / NS_PER_SECOND);
	int64_t ns = wall_ns % NS_PER_SECOND;
	struct tm tm;
	size_t n;

	if (ns < 0) {
		seconds--;
		ns += NS_PER_SECOND;
	}
	gmtime_r(&seconds, &tm);
	n = strftime(buf, ZUN_TIME_SIZE, between == 'T' ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(buf + n, ZUN_TIME_SIZE - n, ".%06" PRId64, ns / 1000);
	return buf;
}

int zun_since(const char *text, int64_t *ret_wall_ns)
{
	char rfc3339[40];
	uint64_t seconds;
	int64_t at;

	if (!str_to_u64(text, &seconds) && seconds <= (uint64_t)(INT64_MAX / NS_PER_SECOND)) {
		*ret_wall_ns = (int64_t)seconds * NS_PER_SECOND;
		return 0;
	}
	/* 2026-11-22 00:31:57,353 */
	if (strlen(text) < 21 || strlen(text) > 23 || text[10] != ' ' || text[19] != ',')
		return -EINVAL;
	snprintf(rfc3339, sizeof rfc3339, "%.10sT%.8s.%sZ", text, text + 11, text + 20);
	if (str_to_time(rfc3339, 0, &at) < 0)
		return -EINVAL;
	*ret_wall_ns = at;
	return 0;
}

/* ctl/time_text.c - see ctl/time_text.h */
#include "ctl/time_text.h"

#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/mem.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* A bare number is a point in time for Docker's users; elsewhere in berth it would be a number of seconds. */
static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789.") == strlen(s);
}

/* The fraction of a second at s, to its end. */
static int fraction_parse(const char *s, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S;

	*ret_ns = 0;
	if (!*s)
		return 0;
	if (*s++ != '.' || !*s)
		return -EINVAL;
	for (; *s >= '0' && *s <= '9' && unit > 1; s++)
		*ret_ns += (*s - '0') * (unit /= 10);
	return *s ? -EINVAL : 0;
}

static int local_parse(const char *text, int64_t *ret)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
					    "%Y-%m-%d %H:%M", "%Y-%m-%d"};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = {0}, want;
		const char *rest = strptime(text, forms[i], &tm);
		int64_t ns;
		time_t s;

		if (!rest || fraction_parse(rest, &ns) < 0 || (*rest && i > 1))
			continue;
		tm.tm_isdst = -1;
		want = tm;
		s = mktime(&tm);
		if (tm.tm_mday != want.tm_mday || tm.tm_mon != want.tm_mon) /* 30 February */
			return -EINVAL;
		if (__builtin_mul_overflow((int64_t)s, (int64_t)NS_PER_S, ret) || __builtin_add_overflow(*ret, ns, ret))
			return -EINVAL;
		return 0;
	}
	return -EINVAL;
}

int time_parse(const char *text, int64_t now_ns, int64_t *ret)
{
	AUTO_FREE char *at = is_number(text) ? mem_printf("@%s", text) : NULL;

	if (at)
		return str_to_time(at, now_ns, ret) == 0 ? 0 : -EINVAL;
	return str_to_time(text, now_ns, ret) == 0 ? 0 : local_parse(text, ret);
}

/* gateway/zun/version.c - see gateway/zun/version.h */
#include "gateway/zun/version.h"

#include "base/str.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADER "OpenStack-API-Version"

static int bad(struct err *e, const char *what)
{
	err_set(e, 0, HEADER, "Invalid %s " HEADER " header", what);
	return ZUN_VERSION_BAD;
}

/* "1.40", and nothing around it. */
static bool numbers(const char *text, uint32_t *major, uint32_t *minor)
{
	const char *dot = strchr(text, '.');
	char first[16];

	if (!dot || dot - text >= (long)sizeof first)
		return false;
	snprintf(first, sizeof first, "%.*s", (int)(dot - text), text);
	return !str_to_u32(first, major) && !str_to_u32(dot + 1, minor);
}

int zun_version_parse(const char *header, unsigned *ret_minor, struct err *e)
{
	const char *at = header, *service, *word;
	size_t service_len, len;
	uint32_t major, minor;
	char text[32];

	if (!header) {
		*ret_minor = ZUN_VERSION_MIN;
		return 0;
	}
	service = str_word(&at, " \t", &service_len);
	word = service ? str_word(&at, " \t", &len) : NULL;
	if (!word || str_word(&at, " \t", &(size_t){0}) || service_len != strlen("container") ||
	    memcmp(service, "container", service_len) != 0)
		return bad(e, "service type for");
	snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), word);
	if (!strcasecmp(text, "latest")) {
		*ret_minor = ZUN_VERSION_MAX;
		return 0;
	}
	if (len >= sizeof text || !numbers(text, &major, &minor))
		return bad(e, "value for");
	if (major != 1 || minor < ZUN_VERSION_MIN || minor > ZUN_VERSION_MAX) {
		err_set(e, 0, HEADER,
			"Version %u.%u was requested but is not supported by this service. The supported version range "
			"is: [container 1.%d, container 1.%d].",
			major, minor, ZUN_VERSION_MIN, ZUN_VERSION_MAX);
		return ZUN_VERSION_RANGE;
	}
	*ret_minor = minor;
	return 0;
}

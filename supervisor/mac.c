/* supervisor/mac.c - see supervisor/mac.h */
#include "supervisor/mac.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

int mac_parse(const char *text, uint8_t mac[6])
{
	if (!text || strlen(text) != 17)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		int high = digit(text[3 * i]), low = digit(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

const char *mac_text(const uint8_t m[6], char buf[MAC_TEXT])
{
	snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return buf;
}

int mac_make(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		return -EIO;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
	return 0;
}

bool mac_is_unicast(const uint8_t mac[6])
{
	static const uint8_t nobody[6];

	return !(mac[0] & 1) && memcmp(mac, nobody, sizeof nobody) != 0;
}

bool link_name_is_good(const char *text)
{
	/* The loopback's; folders in /proc/sys/net beside those of interfaces; folders everywhere. */
	static const char *const taken[] = {"lo", "all", "default", ".", ".."};
	size_t len = strlen(text);

	if (!len || len >= IF_NAMESIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)text[i]) || strchr("/:%\"\\", text[i]))
			return false;
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (!strcmp(text, taken[i]))
			return false;
	return true;
}

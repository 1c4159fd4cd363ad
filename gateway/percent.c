/* gateway/percent.c - see gateway/percent.h */
#include "gateway/percent.h"

#include "base/str.h"

#include <ctype.h>

static int hex(char c)
{
	return c >= '0' && c <= '9'	    ? c - '0'
	       : isxdigit((unsigned char)c) ? (tolower((unsigned char)c) - 'a') + 10
					    : -1;
}

ssize_t percent_decode(char *to, const char *from, size_t len, bool plus)
{
	char *out = to;

	for (size_t i = 0; i < len; i++) {
		char c = plus && from[i] == '+' ? ' ' : from[i];

		if (c == '%') {
			int high = len - i > 2 ? hex(from[i + 1]) : -1, low = high < 0 ? -1 : hex(from[i + 2]);

			if (low < 0)
				return -1;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c)
			return -1;
		*out++ = c;
	}
	*out = 0;
	return str_is_utf8(to, (size_t)(out - to)) ? out - to : -1;
}

/* base/text.c - see base/text.h */
#include "base/text.h"

#include "base/str.h"

#include <string.h>

void text_clean(char *text)
{
	for (size_t left = strlen(text), len; left; text += len, left -= len) {
		len = str_utf8_length(text, left);
		if (!len) {
			*text = '?';
			len = 1;
		}
	}
}

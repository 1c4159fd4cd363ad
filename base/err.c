/* base/err.c - see base/err.h */
#include "base/err.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *step, const char *fmt, ...)
{
	va_list ap;

	if (code < 0)
		code = -code;
	if (e) {
		e->code = code;
		snprintf(e->step, sizeof e->step, "%s", step ? step : "");
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
		text_clean(e->step);
		text_clean(e->text);
	}
	return code ? -code : -EINVAL;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof e->text], words[sizeof e->text];
	va_list ap;

	if (!e)
		return -EINVAL;
	memcpy(old, e->text, sizeof old);
	va_start(ap, fmt);
	vsnprintf(words, sizeof words, fmt, ap);
	va_end(ap);
	/* Cutting is meant: the words nearest to the caller matter most. */
	size_t n = (size_t)snprintf(e->text, sizeof e->text, "%.*s: ", (int)sizeof e->text - 4, words);
	size_t len = strnlen(old, sizeof e->text - 1 - n);

	memcpy(e->text + n, old, len);
	e->text[n + len] = 0;
	text_clean(e->text);
	return e->code ? -e->code : -EINVAL;
}

const char *err_format(const struct err *e, char *buf, unsigned size)
{
	if (!e->code)
		snprintf(buf, size, "%s", e->text);
	else if (!e->text[0])
		snprintf(buf, size, "%s: %s", e->step, strerror(e->code));
	else
		snprintf(buf, size, "%s: %s", e->text, strerror(e->code));
	text_clean(buf);
	return buf;
}

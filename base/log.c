/* base/log.c - see base/log.h
 *
 * The only state is how to print, set once at start, and what a thread's lines are about. A line is one write(2): lines of threads and of children on the same
 * stderr never mix. What others named (containers, paths) may hold control characters: they are shown as '?'. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char program[64];
	enum log_level max;
	int prefix; /* write <N> */
} style = {.max = LOG_LEVEL_INFO};

static _Thread_local char about[72];

void log_about(const char *id)
{
	snprintf(about, sizeof about, "%s", id ? id : "");
}

const char *log_about_now(void)
{
	return about;
}

void log_init(const char *program, enum log_level max)
{
	/* The journal knows by itself who speaks. */
	if (getenv("JOURNAL_STREAM"))
		style.program[0] = 0;
	else
		snprintf(style.program, sizeof style.program, "%s: ", program);
	style.max = max;
	style.prefix = !isatty(STDERR_FILENO);
}

__attribute__((format(printf, 3, 0))) static void log_line(enum log_level level, const char *tail, const char *fmt,
							   va_list ap)
{
	int saved = errno, n;
	char line[2048];
	size_t len = 0, start;

	if (level > style.max)
		return;
	if (style.prefix)
		len += (size_t)snprintf(line, sizeof line, "<%d>", (int)level);
	len += (size_t)snprintf(line + len, sizeof line - len, "%s", style.program);
	start = len;
	if (*about)
		len += (size_t)snprintf(line + len, sizeof line - len, "[%s] ", about);
	n = vsnprintf(line + len, sizeof line - len - 1, fmt, ap);
	len += n < 0 ? 0 : (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
	if (tail) {
		n = snprintf(line + len, sizeof line - len - 1, ": %s", tail);
		len += (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
	}
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	line[len++] = '\n';
	/* With nobody to read it there is nobody to tell. */
	(void)!write(STDERR_FILENO, line, len);
	errno = saved;
}

#define LOG_VERB(name, level)                                                                                          \
	void name(const char *fmt, ...)                                                                                \
	{                                                                                                              \
		va_list ap;                                                                                            \
                                                                                                                       \
		va_start(ap, fmt);                                                                                     \
		log_line(level, NULL, fmt, ap);                                                                        \
		va_end(ap);                                                                                            \
	}

LOG_VERB(log_error, LOG_LEVEL_ERROR)
LOG_VERB(log_warn, LOG_LEVEL_WARN)
LOG_VERB(log_info, LOG_LEVEL_INFO)
LOG_VERB(log_debug, LOG_LEVEL_DEBUG)

void log_err(const struct err *e, const char *fmt, ...)
{
	char tail[sizeof e->text + sizeof e->step + 64];
	va_list ap;
	int saved = errno;

	err_format(e, tail, sizeof tail);
	errno = saved;
	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, tail, fmt, ap);
	va_end(ap);
}

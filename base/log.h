/* base/log.h - how a process speaks of what it consumed: to stderr with <N> priority prefixes (journald reads them) or
 * plain when stderr is a terminal. errno is preserved. Only programs log, never base, proto, cgroup, net or image. */
#pragma once

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* What the lines of this thread are about from now on (a request's id), written before their words; NULL or "": nothing. Copied. */
void log_about(const char *id);
const char *log_about_now(void); /* "" when nothing */
void log_init(const char *program, enum log_level max);
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_err(const struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* "words: text: errno" at error */

/* base/str.h - the only place that turns text into numbers, and the charsets of names. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whole string or nothing: 0, or -EINVAL (not a number), -ERANGE. Decimal, no sign for u64, no spaces. */
int str_to_u64(const char *s, uint64_t *ret);
int str_to_i64(const char *s, int64_t *ret);
int str_to_u32(const char *s, uint32_t *ret);

/* "512", "64k", "1.5g", "10MiB" (powers of 1024, as Docker). -EINVAL, -ERANGE. */
int str_to_bytes(const char *s, uint64_t *ret);
/* "10s", "1m30s", "2h", "500ms", "3d"; a bare number is seconds. */
int str_to_duration_ns(const char *s, uint64_t *ret);
/* "SIGTERM", "term", "15", "SIGRTMIN+3" -> number; -EINVAL. 0 is refused. */
int str_to_signal(const char *s, int *ret);
const char *signal_name(int sig, char *buf, size_t size); /* "SIGTERM", "SIGRTMIN+3", "signal 77" */

bool str_is_name(const char *s); /* [A-Za-z0-9][A-Za-z0-9_.-]*, 1..255 long (a container's, pod's, volume's name) */
bool str_is_clean_path(const char *s); /* absolute, no empty, "." or ".." part, no trailing slash but for "/" */
bool str_is_utf8(const char *s, size_t len);
size_t str_utf8_length(const char *s, size_t left); /* bytes of the well-formed character at s, 0 if there is none */
bool str_starts(const char *s, const char *prefix);

/* The next word of *p up to one of seps, "" skipped; NULL at the end. Does not change the text: length in *len. */
const char *str_word(const char **p, const char *seps, size_t *len);

/* RFC 3339 in UTC with nanoseconds, "2026-11-22T02:09:33.000000001Z": 30 characters. */
#define STR_TIME_SIZE 32
const char *str_time(int64_t wall_ns, char buf[STR_TIME_SIZE]);
/* RFC 3339 (any fraction, Z or offset), "@unixtime", or a duration meaning that long ago. */
int str_to_time(const char *s, int64_t now_wall_ns, int64_t *ret);

/* Base64 as RFC 4648 has it, with padding. Decoding is strict, out has room for strlen(s) / 4 * 3 bytes: their number, or -EINVAL. */
#define STR_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void str_base64(const void *data, size_t len, char *out);
ssize_t str_base64_decode(const char *s, void *out);

/* Random (version 4) uuid, 36 characters and a NUL. Aborts only if the kernel has no randomness. */
#define UUID_SIZE 37
void uuid_make(char buf[UUID_SIZE]);
bool uuid_is(const char *s);

/* base/str.c - see base/str.h
 *
 * Every number that a person or a file gives us is read here, digit by digit: strtoull takes signs, spaces and half a string,
 * and its locale. Real-time signals are numbered as glibc shows them (SIGRTMIN 34): the shim is musl, which would say 35, and
 * the program in the container is somebody else's anyway. */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/own.h"

#define RT_MIN 34
#define RT_MAX 64
#define NS_S   1000000000ull

typedef unsigned __int128 u128;

/* ---------------------------------------------------------------- numbers */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at *p, at least one; *p is moved behind them. */
static int digits(const char **p, uint64_t *ret)
{
	uint64_t n = 0;

	if (!is_digit(**p))
		return -EINVAL;
	for (; is_digit(**p); (*p)++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(**p - '0'), &n))
			return -ERANGE;
	*ret = n;
	return 0;
}

int str_to_u64(const char *s, uint64_t *ret)
{
	uint64_t n = 0;
	int r = digits(&s, &n);

	/* "99999999999999999999x" is no number rather than one too large: what follows the digits decides first. */
	while (is_digit(*s))
		s++;
	if (*s)
		return -EINVAL;
	if (r == 0)
		*ret = n;
	return r;
}

int str_to_i64(const char *s, int64_t *ret)
{
	bool minus = *s == '-';
	uint64_t n, limit = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	int r = str_to_u64(s + minus, &n);

	if (r < 0)
		return r;
	if (n > limit)
		return -ERANGE;
	*ret = minus ? (int64_t)-n : (int64_t)n;
	return 0;
}

int str_to_u32(const char *s, uint32_t *ret)
{
	uint64_t n;
	int r = str_to_u64(s, &n);

	if (r < 0)
		return r;
	if (n > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)n;
	return 0;
}

/* A number with an optional fraction: whole + frac / scale. A fraction finer than 10^-18 is cut. */
struct decimal {
	uint64_t whole, frac, scale;
};

static int decimal_read(const char **p, struct decimal *d)
{
	int r;

	*d = (struct decimal){.scale = 1};
	r = digits(p, &d->whole);
	if (r < 0 || **p != '.')
		return r;
	if (!is_digit(*++*p))
		return -EINVAL;
	for (; is_digit(**p); (*p)++)
		if (d->scale < 1000000000000000000ull) {
			d->frac = d->frac * 10 + (uint64_t)(**p - '0');
			d->scale *= 10;
		}
	return 0;
}

static int decimal_times(const struct decimal *d, uint64_t unit, uint64_t *ret)
{
	u128 n = (u128)d->whole * unit + (u128)d->frac * unit / d->scale;

	if (n > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)n;
	return 0;
}

int str_to_bytes(const char *s, uint64_t *ret)
{
	static const char prefixes[] = "kmgtpe";
	struct decimal d;
	const char *at;
	unsigned shift = 0;
	int r = decimal_read(&s, &d);

	if (r < 0)
		return r;
	at = *s ? strchr(prefixes, tolower((unsigned char)*s)) : NULL;
	if (at) {
		shift = 10 * (unsigned)(at - prefixes + 1);
		s++;
		if (tolower((unsigned char)s[0]) == 'i' && tolower((unsigned char)s[1]) == 'b')
			s++;
	}
	if (tolower((unsigned char)*s) == 'b')
		s++;
	/* Half a byte is a mistake, not a size. */
	if (*s || (!shift && d.scale > 1))
		return -EINVAL;
	return decimal_times(&d, 1ull << shift, ret);
}

static uint64_t duration_unit(const char **p)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		/* "ms" before "m" */
		{"ns", 1},	  {"us", 1000},	      {"ms", 1000000},	       {"s", NS_S},
		{"m", 60 * NS_S}, {"h", 3600 * NS_S}, {"d", 24 * 3600 * NS_S},
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_starts(*p, units[i].name)) {
			*p += strlen(units[i].name);
			return units[i].ns;
		}
	return 0;
}

int str_to_duration_ns(const char *s, uint64_t *ret)
{
	uint64_t sum = 0, unit, part;
	bool first = true;
	struct decimal d;
	int r;

	do {
		r = decimal_read(&s, &d);
		if (r < 0)
			return r;
		if (first && !*s)
			unit = NS_S;
		else
			unit = duration_unit(&s);
		if (!unit)
			return -EINVAL;
		r = decimal_times(&d, unit, &part);
		if (r < 0 || __builtin_add_overflow(sum, part, &sum))
			return -ERANGE;
		first = false;
	} while (*s);
	*ret = sum;
	return 0;
}

/* ---------------------------------------------------------------- signals */

/* The numbers of x86_64 and aarch64, which agree; the index is the number. */
static const char *const signals[] = {
	NULL,	"HUP",	"INT",	"QUIT", "ILL",	  "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
	"SEGV", "USR2", "PIPE", "ALRM", "TERM",	  "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
	"TTOU", "URG",	"XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS",
};

static int signal_realtime(const char *s, int *ret)
{
	bool from_min = str_starts(s, "RTMIN");
	char sign = from_min ? '+' : '-';
	uint32_t n = 0;

	if (!from_min && !str_starts(s, "RTMAX"))
		return -EINVAL;
	s += 5;
	if (*s && (*s != sign || str_to_u32(s + 1, &n) < 0))
		return -EINVAL;
	if (n > RT_MAX - RT_MIN)
		return -EINVAL;
	*ret = from_min ? RT_MIN + (int)n : RT_MAX - (int)n;
	return 0;
}

int str_to_signal(const char *s, int *ret)
{
	char upper[24];
	const char *name = upper;
	size_t len = strlen(s);
	uint32_t n;

	if (str_to_u32(s, &n) == 0) {
		if (n < 1 || n > RT_MAX)
			return -EINVAL;
		*ret = (int)n;
		return 0;
	}
	if (len >= sizeof upper)
		return -EINVAL;
	for (size_t i = 0; i <= len; i++)
		upper[i] = (char)toupper((unsigned char)s[i]);
	if (str_starts(name, "SIG"))
		name += 3;
	for (size_t i = 1; i < ARRAY_SIZE(signals); i++)
		if (!strcmp(name, signals[i])) {
			*ret = (int)i;
			return 0;
		}
	static const struct {
		const char *name;
		int sig;
	} others[] = {{"IOT", 6}, {"CLD", 17}, {"POLL", 29}};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(name, others[i].name)) {
			*ret = others[i].sig;
			return 0;
		}
	return signal_realtime(name, ret);
}

const char *signal_name(int sig, char *buf, size_t size)
{
	if (sig > 0 && (size_t)sig < ARRAY_SIZE(signals))
		snprintf(buf, size, "SIG%s", signals[sig]);
	else if (sig == RT_MIN)
		snprintf(buf, size, "SIGRTMIN");
	else if (sig > RT_MIN && sig <= RT_MAX)
		snprintf(buf, size, "SIGRTMIN+%d", sig - RT_MIN);
	else
		snprintf(buf, size, "signal %d", sig);
	return buf;
}

/* ---------------------------------------------------------------- charsets */

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool str_is_name(const char *s)
{
	size_t len = 0;

	if (!is_alnum(*s))
		return false;
	for (; s[len]; len++)
		if (len == 255 || (!is_alnum(s[len]) && s[len] != '_' && s[len] != '.' && s[len] != '-'))
			return false;
	return true;
}

bool str_is_clean_path(const char *s)
{
	if (*s != '/')
		return false;
	if (!s[1])
		return true;
	while (*s) {
		size_t len = strcspn(++s, "/");

		if (len == 0 || (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += len;
	}
	return true;
}

/* Length of the well-formed sequence at s (Unicode 15, table 3-7), 0 if it is none. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (len > left || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

size_t str_utf8_length(const char *s, size_t left)
{
	return left ? utf8_sequence((const unsigned char *)s, left) : 0;
}

bool str_is_utf8(const char *s, size_t len)
{
	while (len) {
		size_t n = utf8_sequence((const unsigned char *)s, len);

		if (!n)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

bool str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

const char *str_word(const char **p, const char *seps, size_t *len)
{
	const char *word = *p + strspn(*p, seps);

	*len = strcspn(word, seps);
	*p = word + *len;
	return *len ? word : NULL;
}

/* ---------------------------------------------------------------- time */

const char *str_time(int64_t wall_ns, char buf[STR_TIME_SIZE])
{
	int64_t s = wall_ns / (int64_t)NS_S, ns = wall_ns % (int64_t)NS_S;
	struct tm tm;
	time_t t;

	if (ns < 0) {
		ns += (int64_t)NS_S;
		s--;
	}
	t = (time_t)s;
	gmtime_r(&t, &tm);
	/* Unsigned and in range by construction: 64 bits of nanoseconds reach the years 1677 to 2262. */
	snprintf(buf, STR_TIME_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ", (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)ns % 1000000000u);
	return buf;
}

/* Exactly n digits and the character after them (0: none is asked for). */
static bool field(const char **p, int n, char after, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (!is_digit(**p))
			return false;
		v = v * 10 + (**p - '0');
	}
	if (after && *(*p)++ != after)
		return false;
	*ret = v;
	return true;
}

/* "Z" or "+hh:mm", to the end of the text. */
static bool time_zone(const char *p, int *ret_seconds)
{
	int sign = *p == '-' ? -1 : 1, hours, minutes;

	*ret_seconds = 0;
	if (*p == 'Z' || *p == 'z')
		return !p[1];
	if (*p != '+' && *p != '-')
		return false;
	p++;
	if (!field(&p, 2, ':', &hours) || !field(&p, 2, 0, &minutes) || *p || hours > 23 || minutes > 59)
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

static uint64_t fraction_ns(const char **p)
{
	uint64_t ns = 0, digit = NS_S;

	for (; is_digit(**p); (*p)++) {
		digit /= 10;
		ns += digit * (uint64_t)(**p - '0');
	}
	return ns;
}

static bool day_exists(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

static int time_from(int64_t s, uint64_t ns, int64_t *ret)
{
	if (__builtin_mul_overflow(s, (int64_t)NS_S, &s) || __builtin_add_overflow(s, (int64_t)ns, ret))
		return -ERANGE;
	return 0;
}

static int str_to_time_rfc3339(const char *s, int64_t *ret)
{
	struct tm tm = {0};
	uint64_t ns = 0;
	int offset;

	if (!field(&s, 4, '-', &tm.tm_year) || !field(&s, 2, '-', &tm.tm_mon) || !field(&s, 2, 0, &tm.tm_mday))
		return -EINVAL;
	if (*s != 'T' && *s != 't' && *s != ' ')
		return -EINVAL;
	s++;
	if (!field(&s, 2, ':', &tm.tm_hour) || !field(&s, 2, ':', &tm.tm_min) || !field(&s, 2, 0, &tm.tm_sec))
		return -EINVAL;
	if (*s == '.') {
		if (!is_digit(*++s))
			return -EINVAL;
		ns = fraction_ns(&s);
	}
	/* A leap second, :60, is the next minute's first. */
	if (!time_zone(s, &offset) || !day_exists(tm.tm_year, tm.tm_mon, tm.tm_mday) || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return time_from((int64_t)timegm(&tm) - offset, ns, ret);
}

int str_to_time(const char *s, int64_t now_wall_ns, int64_t *ret)
{
	uint64_t n;
	int r;

	if (*s == '@') {
		s++;
		r = digits(&s, &n);
		if (r < 0)
			return r;
		uint64_t ns = 0;
		if (*s == '.' && is_digit(s[1])) {
			s++;
			ns = fraction_ns(&s);
		}
		if (*s)
			return -EINVAL;
		return n > INT64_MAX ? -ERANGE : time_from((int64_t)n, ns, ret);
	}
	if (strlen(s) > 4 && s[4] == '-')
		return str_to_time_rfc3339(s, ret);
	r = str_to_duration_ns(s, &n);
	if (r < 0)
		return r;
	if (n > INT64_MAX || __builtin_sub_overflow(now_wall_ns, (int64_t)n, ret))
		return -ERANGE;
	return 0;
}

/* ---------------------------------------------------------------- base64 */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void str_base64(const void *data, size_t len, char *out)
{
	const unsigned char *in = data;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits =
			(uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);

		*out++ = base64_digits[bits >> 18];
		*out++ = base64_digits[bits >> 12 & 63];
		*out++ = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_digits[bits & 63] : '=';
	}
	*out = 0;
}

ssize_t str_base64_decode(const char *s, void *out)
{
	unsigned char *to = out;
	size_t len = strlen(s), pad = 0;

	if (len % 4)
		return -EINVAL;
	while (pad < 2 && pad < len && s[len - pad - 1] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		size_t n = i + 4 == len ? 4 - pad : 4;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			const char *digit = k < n ? strchr(base64_digits, s[i + k]) : base64_digits;

			if (!digit)
				return -EINVAL;
			bits = bits << 6 | (uint32_t)(digit - base64_digits);
		}
		/* What the last digit has beyond the last byte says nothing: one text for each content. */
		if (bits & ((1u << (4 - n) * 8) - 1))
			return -EINVAL;
		for (size_t k = 0; k + 1 < n; k++)
			*to++ = (unsigned char)(bits >> (16 - 8 * k));
	}
	return to - (unsigned char *)out;
}

/* ---------------------------------------------------------------- uuid */

void uuid_make(char buf[UUID_SIZE])
{
	unsigned char b[16];

	/* 16 bytes never come in parts once the pool is ready, and before that getrandom waits. */
	while (getrandom(b, sizeof b, 0) != sizeof b)
		if (errno != EINTR)
			abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(buf, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool uuid_is(const char *s)
{
	for (int i = 0; i < UUID_SIZE - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	}
	return !s[UUID_SIZE - 1];
}

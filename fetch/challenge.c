/* fetch/challenge.c - see fetch/challenge.h. "Basic realm="x", Bearer realm="https://a/token",service="r"": commas stand between
 * parameters and between challenges alike; a word that no "=" follows begins a challenge. */
#include "fetch/challenge.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *blanks_skip(const char *p, bool commas)
{
	while (*p == ' ' || *p == '\t' || (commas && *p == ','))
		p++;
	return p;
}

/* A quoted string or a word into buf; too long a one becomes "". */
static const char *value_take(const char *p, char *buf, size_t size)
{
	bool quoted = *p == '"';
	size_t n = 0;

	p += quoted;
	while (*p && (quoted ? *p != '"' : is_token(*p) || strchr("/:=?", *p))) {
		if (quoted && *p == '\\' && p[1])
			p++;
		if (n < size)
			buf[n] = *p;
		n++;
		p++;
	}
	buf[n < size ? n : 0] = 0;
	return quoted && *p ? p + 1 : p;
}

static void field_keep(struct challenge *c, const char *name, size_t len, const char *value)
{
	struct {
		const char *name;
		char *to;
		size_t size;
	} fields[] = {{"realm", c->realm, sizeof c->realm},
		      {"service", c->service, sizeof c->service},
		      {"error", c->error, sizeof c->error}};

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strlen(fields[i].name) == len && !strncasecmp(fields[i].name, name, len) &&
		    strlen(value) < fields[i].size)
			memcpy(fields[i].to, value, strlen(value) + 1);
}

void challenge_parse(const char *p, struct challenge *c)
{
	struct challenge found = {0};
	char value[1024];

	for (p = blanks_skip(p, true); *p; p = blanks_skip(p, true)) {
		const char *word = p, *after;
		size_t len = 0;

		while (is_token(word[len]))
			len++;
		if (!len) { /* nothing that could be understood */
			p = word + 1;
			continue;
		}
		after = blanks_skip(word + len, false);
		if (*after == '=' && found.scheme != CHALLENGE_NONE) {
			p = value_take(blanks_skip(after + 1, false), value, sizeof value);
			if (found.scheme == c->scheme)
				field_keep(c, word, len, value);
			continue;
		}
		if (*after == '=') { /* of a scheme that is not known here */
			p = value_take(blanks_skip(after + 1, false), value, sizeof value);
			continue;
		}
		found.scheme = len == 5 && !strncasecmp(word, "Basic", 5)    ? CHALLENGE_BASIC
			       : len == 6 && !strncasecmp(word, "Bearer", 6) ? CHALLENGE_BEARER
									     : CHALLENGE_NONE;
		if (found.scheme > c->scheme)
			*c = (struct challenge){.scheme = found.scheme};
		p = after;
	}
}

/* image/reference.c - see image/reference.h. The grammar is the one that registries and Docker agree on:
 *
 *   [domain/]path[:tag][@sha256:hex]     domain = what stands before the first slash, if it has a dot, a colon, an upper case
 *                                        letter, or is "localhost"
 *
 * Characters are compared as ASCII by hand: the locale must not change what a name is. */
#include "image/reference.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_LEN 255 /* domain and path, as in the distribution spec */
#define TAG_MAX_LEN  128
#define HEX_LEN	     64

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex_digest(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return len == HEX_LEN;
}

/* One part of a path: runs of [a-z0-9] with ".", "_", "__" or dashes between. */
static bool part_is_valid(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t run = i, sep;

		while (i < len && (is_lower(s[i]) || is_digit(s[i])))
			i++;
		if (i == run)
			return false;
		if (i == len)
			return true;
		sep = i;
		while (i < len && s[i] == s[sep] && (s[i] == '-' || s[i] == '_' || s[i] == '.'))
			i++;
		if (i == sep || (s[sep] == '.' && i - sep > 1) || (s[sep] == '_' && i - sep > 2))
			return false;
	}
	return false;
}

static bool path_is_valid(const char *s, size_t len)
{
	while (len) {
		const char *slash = memchr(s, '/', len);
		size_t part = slash ? (size_t)(slash - s) : len;

		if (!part_is_valid(s, part))
			return false;
		if (!slash)
			return true;
		s += part + 1;
		len -= part + 1;
	}
	return false;
}

static bool host_is_valid(const char *s, size_t len)
{
	bool edge = true; /* at the start or end of a label only letters and digits may stand */

	for (size_t i = 0; i < len; i++) {
		if (is_lower(s[i]) || is_upper(s[i]) || is_digit(s[i]))
			edge = false;
		else if (edge || (s[i] != '-' && s[i] != '.'))
			return false;
		else if (s[i] == '.' && s[i - 1] == '-')
			return false;
		else
			edge = s[i] == '.';
	}
	return len && !edge && s[len - 1] != '-';
}

static bool domain_is_valid(const char *s, size_t len)
{
	const char *colon = memrchr(s, ':', len);
	size_t host = len;

	if (s[0] == '[') { /* IPv6 */
		const char *end = memchr(s, ']', len);

		if (!end || end == s + 1)
			return false;
		for (const char *p = s + 1; p < end; p++)
			if (!is_digit(*p) && *p != ':' && !(*p >= 'a' && *p <= 'f') && !(*p >= 'A' && *p <= 'F'))
				return false;
		host = (size_t)(end - s) + 1;
		if (host == len)
			return true;
		if (s[host] != ':')
			return false;
	} else if (colon) {
		host = (size_t)(colon - s);
	}
	if (host < len) {
		if (len - host < 2 || len - host > 6)
			return false;
		for (size_t i = host + 1; i < len; i++)
			if (!is_digit(s[i]))
				return false;
	}
	return s[0] == '[' || host_is_valid(s, host);
}

static bool is_domain(const char *s, size_t len)
{
	if (len == 9 && !memcmp(s, "localhost", 9))
		return true;
	for (size_t i = 0; i < len; i++)
		if (s[i] == '.' || s[i] == ':' || is_upper(s[i]))
			return true;
	return false;
}

static bool tag_is_valid(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool word = is_lower(s[i]) || is_upper(s[i]) || is_digit(s[i]) || s[i] == '_';

		if (!word && (!i || (s[i] != '.' && s[i] != '-')))
			return false;
	}
	return len && len <= TAG_MAX_LEN;
}

int reference_canonical(const char *text, char buf[REFERENCE_SIZE], struct err *e)
{
	const char *at = strchr(text, '@'), *end = at ? at : text + strlen(text);
	const char *slash, *colon, *tag = NULL, *domain = "docker.io", *path = text;
	size_t domain_len = 9, path_len;
	bool library;
	int n;

	if (!*text)
		return err_set(e, 0, "reference", "the name of an image is empty");
	if (at && (strncmp(at, "@sha256:", 8) || !is_hex_digest(at + 8, strlen(at + 8))))
		return err_set(e, 0, "reference", "'%.200s': what follows @ must be sha256: and 64 of 0-9a-f", text);
	colon = memrchr(text, ':', (size_t)(end - text));
	if (colon && !memchr(colon, '/', (size_t)(end - colon))) {
		tag = colon + 1;
		if (!tag_is_valid(tag, (size_t)(end - tag)))
			return err_set(e, 0, "reference", "'%.200s': bad tag", text);
		end = colon;
	}
	slash = memchr(text, '/', (size_t)(end - text));
	if (slash && is_domain(text, (size_t)(slash - text))) {
		domain = text;
		domain_len = (size_t)(slash - text);
		path = slash + 1;
		if (!domain_is_valid(domain, domain_len))
			return err_set(e, 0, "reference", "'%.200s': bad registry name '%.*s'", text,
				       (int)(domain_len < 200 ? domain_len : 200), domain);
	}
	path_len = (size_t)(end - path);
	if (domain_len == 15 && !memcmp(domain, "index.docker.io", 15)) {
		domain = "docker.io";
		domain_len = 9;
	}
	if (!path_is_valid(path, path_len))
		return err_set(
			e, 0, "reference",
			"'%.200s': an image's name is made of a-z, 0-9 and single '.', '_', '-' or '/' between them",
			text);
	if (!tag && !at && domain != text && is_hex_digest(path, path_len))
		return err_set(e, 0, "reference", "'%.200s' is an id, not a name", text);
	library = domain_len == 9 && !memcmp(domain, "docker.io", 9) && !memchr(path, '/', path_len);
	if (domain_len + 1 + (library ? 8 : 0) + path_len > NAME_MAX_LEN)
		return err_set(e, 0, "reference", "the name of an image is longer than %d characters", NAME_MAX_LEN);
	n = snprintf(buf, REFERENCE_SIZE, "%.*s/%s%.*s%s%.*s%s", (int)domain_len, domain, library ? "library/" : "",
		     (int)path_len, path, tag || !at ? ":" : "", tag ? (int)strcspn(tag, "@") : (at ? 0 : 6),
		     tag ? tag : "latest", at ? at : "");
	return n < 0 || n >= REFERENCE_SIZE ? err_set(e, 0, "reference", "'%.200s' is too long", text) : 0;
}

static int part_take(char *to, size_t size, const char *from, size_t len, struct err *e)
{
	if (len >= size)
		return err_set(e, 0, "reference", "'%.200s' is too long", from);
	memcpy(to, from, len);
	to[len] = 0;
	return 0;
}

int reference_split(const char *canonical, struct reference *ret, struct err *e)
{
	const char *slash = strchr(canonical, '/'), *at = strchr(canonical, '@'), *end, *tag;
	int r;

	*ret = (struct reference){0};
	if (!slash)
		return err_set(e, 0, "reference", "'%.200s' names no registry", canonical);
	end = at ? at : canonical + strlen(canonical);
	tag = memchr(slash, ':', (size_t)(end - slash));
	if ((r = part_take(ret->registry, sizeof ret->registry, canonical, (size_t)(slash - canonical), e)) < 0 ||
	    (r = part_take(ret->path, sizeof ret->path, slash + 1, (size_t)((tag ? tag : end) - slash - 1), e)) < 0 ||
	    (tag && (r = part_take(ret->tag, sizeof ret->tag, tag + 1, (size_t)(end - tag - 1), e)) < 0))
		return r;
	return at ? part_take(ret->digest, sizeof ret->digest, at + 1, strlen(at + 1), e) : 0;
}

const char *reference_host(const char *registry)
{
	return strcmp(registry, "docker.io") ? registry : "registry-1.docker.io";
}

bool reference_is_host(const char *text)
{
	return *text && domain_is_valid(text, strlen(text));
}

int platform_parse(const char *text, char architecture[32], char variant[32], struct err *e)
{
	char os[32] = "linux";
	const char *rest = text;
	int n = 0;

	if (strchr(text, '/'))
		if (sscanf(text, "%31[a-z0-9]/%n", os, &n) == 1 && n)
			rest = text + n;
	architecture[0] = variant[0] = 0;
	n = 0;
	if (sscanf(rest, "%31[a-z0-9_]%n", architecture, &n) == 1 && rest[n] == '/') {
		rest += n + 1;
		n = 0;
		(void)sscanf(rest, "%31[a-z0-9]%n", variant, &n);
	}
	if (!n || rest[n])
		return err_set(e, EINVAL, "platform", "'%.60s' is not OS/ARCHITECTURE[/VARIANT], like linux/arm64",
			       text);
	if (strcmp(os, "linux"))
		return err_set(e, EINVAL, "platform", "images for %s cannot run here", os);
	if (!strcmp(architecture, "x86_64"))
		strcpy(architecture, "amd64");
	if (!strcmp(architecture, "aarch64"))
		strcpy(architecture, "arm64");
	if (!strcmp(architecture, "arm64") && !variant[0])
		strcpy(variant, "v8");
	return 0;
}

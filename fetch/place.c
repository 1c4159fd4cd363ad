/* fetch/place.c - see fetch/place.h */
#include "fetch/place.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SEPS " ,\t"

static bool word_is(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && !strncasecmp(word, text, len);
}

bool place_is_plain(const char *host, const char *plain_http)
{
	const char *p = plain_http, *word;
	size_t len;

	while ((word = str_word(&p, SEPS, &len)))
		if (word_is(word, len, host))
			return true;
	return false;
}

/* "docker.io=h:5000/proxy" */
static int mirror_parse(const char *word, size_t len, struct place *p, size_t *ret_registry_len, struct err *e)
{
	const char *eq = memchr(word, '=', len), *host = eq ? eq + 1 : NULL;
	size_t left = eq ? len - (size_t)(host - word) : 0, host_len;
	const char *slash = left ? memchr(host, '/', left) : NULL;
	char registry[264];
	int n;

	host_len = slash ? (size_t)(slash - host) : left;
	if (!eq || (size_t)(eq - word) >= sizeof registry || host_len >= sizeof p->host)
		return err_set(e, EINVAL, "mirrors", "'%.*s' is not REGISTRY=HOST[:PORT][/PATH]", (int)len, word);
	snprintf(registry, sizeof registry, "%.*s", (int)(eq - word), word);
	snprintf(p->host, sizeof p->host, "%.*s", (int)host_len, host);
	n = slash && left > host_len + 1
		    ? snprintf(p->prefix, sizeof p->prefix, "%.*s/", (int)(left - host_len - 1), slash + 1)
		    : 0;
	if (!reference_is_host(registry) || !reference_is_host(p->host) || n >= (int)sizeof p->prefix)
		return err_set(e, EINVAL, "mirrors", "'%.*s' is not REGISTRY=HOST[:PORT][/PATH]", (int)len, word);
	if (strspn(p->prefix, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != strlen(p->prefix) || p->prefix[0] == '/' ||
	    strstr(p->prefix, "..") || strstr(p->prefix, "//"))
		return err_set(e, EINVAL, "mirrors", "'%.*s': the path has more than a-z, 0-9, '.', '_', '-' and '/'",
			       (int)len, word);
	*ret_registry_len = (size_t)(eq - word);
	return 0;
}

int places_make(struct place ret[PLACES_MAX], const struct reference *ref, const char *plain_http, const char *mirrors,
		bool verify, struct err *e)
{
	const char *p = mirrors, *word;
	struct place own = {.registry = true, .verify = verify};
	size_t len, registry_len = 0;
	int n = 0, r;

	while ((word = str_word(&p, SEPS, &len))) {
		struct place place = {.verify = true};

		if ((r = mirror_parse(word, len, &place, &registry_len, e)) < 0)
			return r;
		if (!word_is(word, registry_len, ref->registry))
			continue;
		if (n == PLACES_MAX - 2)
			return err_set(e, 0, "mirrors", "%s has more than %d mirrors", ref->registry, PLACES_MAX - 2);
		place.tls = !place_is_plain(place.host, plain_http);
		ret[n++] = place;
	}
	snprintf(own.host, sizeof own.host, "%s", reference_host(ref->registry));
	own.tls = !place_is_plain(ref->registry, plain_http);
	ret[n++] = own;
	if (own.tls && !verify) { /* as others do: TLS of any kind, else none */
		own.tls = false;
		own.last_resort = true;
		ret[n++] = own;
	}
	return n;
}

int place_url(const struct place *p, const struct reference *ref, const char *kind, const char *what,
	      char buf[URL_SIZE])
{
	int n = snprintf(buf, URL_SIZE, "%s://%s/v2/%s%s/%s/%s", p->tls ? "https" : "http", p->host, p->prefix,
			 ref->path, kind, what);

	return n < 0 || n >= URL_SIZE ? -ENAMETOOLONG : 0;
}

/* gateway/route.c - see gateway/route.h */
#include "gateway/route.h"

#include "gateway/percent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- paths */

bool path_parse(struct path *p, const char *raw, size_t len, struct fault *f)
{
	const char *end = raw + len;
	char *to;

	*p = (struct path){.text = malloc(len + ROUTE_SEGMENTS_MAX + 1)};
	if (!p->text)
		return fault_set(f, FAULT_BUSY, NULL, "no memory for the path");
	to = p->text;
	while (raw < end) {
		const char *slash = memchr(raw, '/', (size_t)(end - raw));
		const char *stop = slash ? slash : end;

		if (stop > raw) {
			if (p->n == ROUTE_SEGMENTS_MAX)
				return fault_set(f, FAULT_ROUTE, NULL, "the path has too many segments");
			ssize_t n = percent_decode(to, raw, (size_t)(stop - raw), false);

			if (n < 0)
				return fault_set(
					f, FAULT_SYNTAX, NULL,
					"the path has a %% without two hexadecimal digits, a NUL, or no UTF-8");
			p->segment[p->n++] = to;
			to += n + 1;
		}
		raw = stop + 1;
	}
	return true;
}

void path_free(struct path *p)
{
	free(p->text);
	*p = (struct path){0};
}

/* The next segment of a pattern; false at its end. */
static bool pattern_next(const char **at, const char **seg, size_t *len)
{
	while (**at == '/')
		++*at;
	*seg = *at;
	*len = strcspn(*at, "/]");
	*at += *len;
	return *len != 0;
}

static bool segment_is(const char *text, const char *seg, size_t len)
{
	return !strncmp(text, seg, len) && !text[len];
}

bool path_below(const struct path *p, const char *root)
{
	const char *seg;
	size_t len;

	for (unsigned i = 0; pattern_next(&root, &seg, &len); i++)
		if (i >= p->n || !segment_is(p->segment[i], seg, len))
			return false;
	return true;
}

/* ---------------------------------------------------------------- patterns */

static bool pattern_fits(const char *pattern, const struct path *p, unsigned from, struct path_args *args)
{
	const char *seg;
	size_t len;
	unsigned i = from;

	args->n = 0;
	for (; pattern_next(&pattern, &seg, &len); i++) {
		if (i >= p->n)
			return false;
		if (*seg != '{') {
			if (!segment_is(p->segment[i], seg, len))
				return false;
		} else if (args->n < ROUTE_PARAMS_MAX) {
			args->arg[args->n].name = seg + 1;
			args->arg[args->n].name_len = (unsigned)len - 2;
			args->arg[args->n++].value = p->segment[i];
		}
	}
	return i == p->n;
}

/* "[/v1]/x": with what stands in the brackets, or without. */
static bool route_fits(const struct route *r, const struct path *p, struct path_args *args)
{
	const char *rest = *r->path == '[' ? strchr(r->path, ']') : NULL, *at = r->path + 1, *seg;
	size_t len;
	unsigned i = 0;

	if (!rest)
		return pattern_fits(r->path, p, 0, args);
	for (; pattern_next(&at, &seg, &len) && i < p->n && segment_is(p->segment[i], seg, len);)
		i++;
	if (*at == ']' && !len && pattern_fits(rest + 1, p, i, args))
		return true;
	return pattern_fits(rest + 1, p, 0, args);
}

static bool version_has(const struct route *r, unsigned version)
{
	return (!r->since || version >= r->since) && (!r->until || version <= r->until);
}

static void allow_add(char *allow, size_t size, const char *method)
{
	size_t len = strlen(allow), n = strlen(method);
	const char *seen = strstr(allow, method);

	if (seen && (seen[n] == ',' || !seen[n]))
		return;
	if (len + n + 3 <= size)
		snprintf(allow + len, size - len, "%s%s", len ? ", " : "", method);
}

const struct route *route_find(const struct route *routes, const char *method, const struct path *path,
			       unsigned version, struct path_args *args, char *allow, size_t allow_size,
			       struct fault *f)
{
	bool of_another_version = false;

	*allow = 0;
	for (const struct route *r = routes; r->path; r++) {
		if (!route_fits(r, path, args))
			continue;
		if (r->method && strcmp(r->method, method)) {
			allow_add(allow, allow_size, r->method);
			continue;
		}
		if (version_has(r, version))
			return r;
		of_another_version = true;
	}
	args->n = 0;
	if (of_another_version)
		fault_set(f, FAULT_VERSION, NULL, "not in the version that was asked for");
	else if (*allow)
		fault_set(f, FAULT_METHOD, NULL, "%.16s is not possible here, but %s", method, allow);
	else
		fault_set(f, FAULT_ROUTE, NULL, "there is nothing of this path");
	return NULL;
}

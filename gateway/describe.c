/* gateway/describe.c - see gateway/describe.h */
#include "gateway/describe.h"

static void versions(struct jw *j, unsigned since, unsigned until)
{
	if (since)
		jw_uint(j, "since", since);
	if (until)
		jw_uint(j, "until", until);
}

static void flag(struct jw *j, const char *key, bool is)
{
	if (is)
		jw_bool(j, key, true);
}

static void schema(struct jw *j, const char *key, const struct schema *s);

static void param(struct jw *j, const char *key, const struct param *p)
{
	static const char *const types[] = {
		[P_ANY] = "any",      [P_STRING] = "string", [P_INT] = "integer", [P_NUMBER] = "number",
		[P_BOOL] = "boolean", [P_ARRAY] = "array",   [P_MAP] = "map",	  [P_OBJECT] = "object",
	};

	jw_object(j, key);
	jw_str(j, "type", types[p->type]);
	flag(j, "required", p->flags & P_REQUIRED);
	flag(j, "null", p->flags & P_NULL);
	flag(j, "text", p->flags & P_TEXT);
	if (p->flags & (P_QUERY | P_BODY))
		jw_str(j, "in", p->flags & P_QUERY ? "query" : "body");
	if (p->min != 0 || p->max != 0) {
		jw_real(j, "min", p->min);
		jw_real(j, "max", p->max);
	}
	versions(j, p->since, p->until);
	if (p->words)
		jw_str(j, "words", p->words);
	if (p->item)
		param(j, "item", p->item);
	if (p->inner)
		schema(j, "fields", p->inner);
	jw_end(j);
}

static void schema(struct jw *j, const char *key, const struct schema *s)
{
	jw_object(j, key);
	for (const struct param *p = s->params; p->name; p++)
		param(j, p->name, p);
	jw_end(j);
}

static void route(struct jw *j, const struct route *r)
{
	jw_object(j, NULL);
	jw_str(j, "method", r->method ? r->method : "*");
	jw_str(j, "path", r->path);
	jw_str(j, "who", r->flags & ROUTE_PUBLIC ? "public" : r->flags & ROUTE_ADMIN ? "admin" : "token");
	flag(j, "json", r->flags & ROUTE_JSON);
	versions(j, r->since, r->until);
	if (r->args) {
		flag(j, "open", r->args->open);
		schema(j, "args", r->args);
	}
	jw_end(j);
}

void describe(struct jw *j, const struct dialect *const *dialects)
{
	jw_object(j, NULL);
	for (; *dialects; dialects++) {
		const struct dialect *d = *dialects;

		jw_object(j, d->name);
		jw_array(j, "routes");
		for (const struct route *r = d->routes; r->path; r++)
			route(j, r);
		jw_end(j);
		if (d->describe)
			d->describe(j);
		jw_end(j);
	}
	jw_end(j);
}

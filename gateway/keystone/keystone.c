/* gateway/keystone/keystone.c - see gateway/keystone/keystone.h
 *
 * Names are ids here: of users, projects, roles, and the one domain. Who names another user or project than the token's is refused, as
 * Keystone would: a login that seems to be alice must not act as bob. */
#include "gateway/keystone/keystone.h"

#include "base/loop.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define DOMAIN "default"

/* ---------------------------------------------------------------- what is asked */

/* What a login is scoped to beyond a project has no meaning here, and is let through by clients that send it by habit. */
static const struct param named_params[] = {
	{.name = "id", .type = P_STRING},
	{.name = "name", .type = P_STRING},
	{.name = "password", .type = P_STRING},
	{.name = "domain", .flags = P_IGNORE},
	{0},
};
static const struct schema named = {.params = named_params, .open = true};

static const struct param password_params[] = {
	{.name = "user", .type = P_OBJECT, .flags = P_REQUIRED, .inner = &named},
	{0},
};
static const struct schema password = {.params = password_params, .open = true};

static const struct param method = {.type = P_STRING};
static const struct param identity_params[] = {
	{.name = "methods", .type = P_ARRAY, .flags = P_REQUIRED, .item = &method, .max = 4},
	{.name = "password", .type = P_OBJECT, .inner = &password},
	{.name = "token", .type = P_OBJECT, .inner = &named},
	{0},
};
static const struct schema identity = {.params = identity_params, .open = true};

static const struct param scope_params[] = {
	{.name = "project", .type = P_OBJECT, .inner = &named},
	{0},
};
static const struct schema scope = {.params = scope_params, .open = true};

static bool scope_check(const struct param *p, json_t **value, struct fault *f);

static const struct param auth_params[] = {
	{.name = "identity", .type = P_OBJECT, .flags = P_REQUIRED, .inner = &identity},
	{.name = "scope", .type = P_ANY, .flags = P_NULL, .check = scope_check}, /* or the string "unscoped" */
	{0},
};
static const struct schema auth = {.params = auth_params};

static const struct param login_params[] = {
	{.name = "auth", .type = P_OBJECT, .flags = P_REQUIRED | P_BODY, .inner = &auth},
	{.name = "nocatalog", .flags = P_QUERY | P_IGNORE},
	{0},
};
static const struct schema login_args = {.params = login_params};

static bool scope_check(const struct param *p, json_t **value, struct fault *f)
{
	json_t *read;

	if (!json_is_object(*value))
		return true;
	read = params_read(&scope, 0, NULL, *value, f);
	if (!read)
		return false;
	json_decref(*value);
	*value = read;
	return true;
}

/* ---------------------------------------------------------------- what is answered */

static void wrong(struct call *c)
{
	call_refuse(c, 401, 0, "user, password or project is wrong"); /* never which; fail() has Keystone's words */
}

static void time_write(struct jw *j, const char *key, int64_t at_ns)
{
	char text[STR_TIME_SIZE];

	if (at_ns) /* nanoseconds to the microseconds that clients expect */
		jw_fmt(j, key, "%.26sZ", str_time(at_ns, text));
	else
		jw_str(j, key, "9999-12-31T23:59:59.000000Z");
}

static void named_write(struct jw *j, const char *key, const char *name)
{
	jw_object(j, key);
	jw_str(j, "id", name);
	jw_str(j, "name", name);
	jw_object(j, "domain");
	jw_str(j, "id", DOMAIN);
	jw_str(j, "name", "Default");
	jw_end(j);
	jw_end(j);
}

static void service_write(struct jw *j, const char *type, const char *name, const char *url, const char *path)
{
	static const char *const interfaces[] = {"public", "internal", "admin"};

	jw_object(j, NULL);
	jw_str(j, "type", type);
	jw_str(j, "id", name);
	jw_str(j, "name", name);
	jw_array(j, "endpoints");
	for (size_t i = 0; i < sizeof interfaces / sizeof interfaces[0]; i++) {
		jw_object(j, NULL);
		jw_fmt(j, "id", "%s-%s", name, interfaces[i]);
		jw_str(j, "interface", interfaces[i]);
		jw_str(j, "region", "RegionOne");
		jw_str(j, "region_id", "RegionOne");
		jw_fmt(j, "url", "%s%s", url, path);
		jw_end(j);
	}
	jw_end(j);
	jw_end(j);
}

static void token_write(struct call *c, struct jw *j)
{
	const char *role = c->who.admin ? "admin" : "member";

	jw_object(j, "token");
	jw_array(j, "methods");
	jw_str(j, NULL, "password");
	jw_end(j);
	named_write(j, "user", c->who.user);
	named_write(j, "project", c->who.project);
	jw_bool(j, "is_domain", false);
	jw_array(j, "roles");
	jw_object(j, NULL);
	jw_str(j, "id", role);
	jw_str(j, "name", role);
	jw_end(j);
	jw_end(j);
	jw_array(j, "audit_ids");
	jw_str(j, NULL, c->id);
	jw_end(j);
	time_write(j, "issued_at", wall_ns());
	time_write(j, "expires_at", c->who.expires_at);
	jw_array(j, "catalog");
	service_write(j, "container", "zun", call_base(c), "/v1");
	service_write(j, "identity", "keystone", call_base(c), "/v3");
	jw_end(j);
	jw_end(j);
}

/* True: it is named by neither name nor id, or by the right one. */
static bool is_named(json_t *object, const char *name)
{
	const char *given = arg_str(object, "name"), *id = arg_str(object, "id");

	return (!given || !strcmp(given, name)) && (!id || !strcmp(id, name));
}

static void login_answer(struct call *c)
{
	json_t *a = arg_any(c->args, "auth"), *user = arg_any(arg_any(arg_any(a, "identity"), "password"), "user");

	if (!is_named(user, c->who.user) || !is_named(arg_any(arg_any(a, "scope"), "project"), c->who.project)) {
		wrong(c);
		return;
	}
	jw_object(&c->out, NULL);
	token_write(c, &c->out);
	jw_end(&c->out);
	call_set(c, "X-Subject-Token", "%s", c->token);
	call_set(c, "Vary", "X-Auth-Token");
	call_reply(c, 201);
}

static void login(struct call *c)
{
	json_t *who = arg_any(arg_any(c->args, "auth"), "identity");
	const char *secret = arg_str(arg_any(arg_any(who, "password"), "user"), "password");

	if (!secret)
		secret = arg_str(arg_any(who, "token"), "id");
	if (secret && call_token(c, secret))
		call_who(c, login_answer);
	else
		wrong(c);
}

static void version(struct call *c)
{
	struct jw *j = &c->out;

	jw_object(j, NULL);
	jw_object(j, "version");
	jw_str(j, "id", "v3.14");
	jw_str(j, "status", "stable");
	jw_str(j, "updated", "2020-04-07T00:00:00Z");
	jw_array(j, "links");
	jw_object(j, NULL);
	jw_str(j, "rel", "self");
	jw_fmt(j, "href", "%s/v3/", call_base(c));
	jw_end(j);
	jw_end(j);
	jw_array(j, "media-types");
	jw_object(j, NULL);
	jw_str(j, "base", "application/json");
	jw_str(j, "type", "application/vnd.openstack.identity-v3+json");
	jw_end(j);
	jw_end(j);
	jw_end(j);
	jw_end(j);
	call_reply(c, 200);
}

/* ---------------------------------------------------------------- the dialect */

static int fail(struct call *c, const struct fault *f)
{
	/* Keystone has one text for all that is wrong with a token or password. */
	bool is_token = f->kind == FAULT_TOKEN || f->status == 401;

	jw_object(&c->out, NULL);
	jw_object(&c->out, "error");
	jw_int(&c->out, "code", f->status);
	jw_fmt(&c->out, "message", "%s%s%s", is_token ? "" : f->field, *f->field && !is_token ? ": " : "",
	       is_token ? "The request you have made requires authentication." : f->text);
	jw_str(&c->out, "title", fault_title(f->status));
	jw_end(&c->out);
	jw_end(&c->out);
	return f->status;
}

static void finish(struct call *c, int status)
{
	call_set(c, "X-Openstack-Request-Id", "%s", c->id);
}

static const char *const roots[] = {"/v3", NULL};

static const struct route routes[] = {
	{.method = "GET", .path = "/v3", .handle = version, .flags = ROUTE_PUBLIC},
	{.method = "POST",
	 .path = "/v3/auth/tokens",
	 .handle = login,
	 .args = &login_args,
	 .flags = ROUTE_PUBLIC | ROUTE_JSON},
	{0},
};

const struct dialect keystone_dialect = {
	.name = "keystone", .roots = roots, .routes = routes, .fail = fail, .finish = finish};

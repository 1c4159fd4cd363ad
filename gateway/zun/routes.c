/* gateway/zun/routes.c - the dialect as tables: what may be asked, with which arguments, from which version on. And the little that
 * all its answers have in common: versions, headers, errors.
 *
 * Zun merges query and body into one set of arguments, and so does the core. What a key may be was observed of Zun's schemas; what
 * berth cannot honour is refused by name (create.c), never accepted and ignored. */
#include "gateway/zun/handlers.h"
#include "gateway/zun/value.h"
#include "gateway/zun/version.h"
#include "gateway/zun/zun.h"

#include "base/own.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- kinds of values */

#define EXT_YES "True TRUE true 1 ON On on YES Yes yes"
#define EXT_NO	"False FALSE false 0 OFF Off off NO No no"

/* What clients send for nothing. */
static bool none_is_null(const struct param *p, json_t **value, struct fault *f)
{
	if (json_is_string(*value) && !strcmp(json_string_value(*value), "None")) {
		json_decref(*value);
		*value = json_null();
	}
	return true;
}

static bool list_bool(const struct param *p, json_t **value, struct fault *f)
{
	bool is;

	if (json_is_boolean(*value))
		return true;
	if (!json_is_string(*value) || zun_bool(json_string_value(*value), &is) < 0)
		return fault_text(f, "must be true or false");
	json_decref(*value);
	*value = json_boolean(is);
	return true;
}

static bool signal_known(const char *text)
{
	int sig;

	return zun_signal(text, &sig) == 0;
}

static bool since_known(const char *text)
{
	int64_t at;

	return !*text || zun_since(text, &at) == 0;
}

/* Zun keeps labels of any kind as text. */
static bool label_text(const struct param *p, json_t **value, struct fault *f)
{
	AUTO_FREE char *text = NULL;

	if (json_is_string(*value))
		return true;
	text = json_dumps(*value, JSON_ENCODE_ANY);
	json_decref(*value);
	*value = text ? json_string(text) : NULL;
	return *value || fault_text(f, "out of memory");
}

static const struct param text_item = {.type = P_STRING, .flags = P_STRINGIFY};
static const struct param string_item = {.type = P_STRING};
static const struct param label_item = {.type = P_ANY, .check = label_text};

#define NAME(flag)                                                                                                     \
	.type = P_STRING, .flags = P_NULL | (flag), .min = 2, .max = 255, .fits = zun_is_name,                         \
	.shape = "is not a name: a letter or digit, then letters, digits, _ . or -"
#define PLAIN_BOOL(flag) .type = P_BOOL, .flags = P_TEXT | (flag)
#define EXT_BOOL	 .type = P_BOOL, .flags = P_TEXT, .yes = EXT_YES, .no = EXT_NO
#define CPU(flag)	 .type = P_NUMBER, .flags = P_TEXT | (flag), .min = 0.1, .max = 16
#define MEMORY(flag)	 .type = P_INT, .flags = P_TEXT | (flag), .min = 4, .max = 8192
#define SECONDS		 .type = P_INT, .flags = P_TEXT | P_NULL, .min = 0, .max = 4294967295

/* ---------------------------------------------------------------- arguments */

static const struct param restart_params[] = {
	{"Name", P_STRING, P_REQUIRED, .words = "no always on-failure unless-stopped"},
	{"MaximumRetryCount", P_INT, P_TEXT | P_NULL, .min = 0, .max = 4294967295},
	{NULL},
};
static const struct schema restart_schema = {restart_params};

#define CREATE_PARAMS                                                                                                  \
	{"run", EXT_BOOL}, {"image",                                                                                   \
			    P_STRING,                                                                                  \
			    P_REQUIRED | P_BODY,                                                                       \
			    .min = 2,                                                                                  \
			    .max = 255,                                                                                \
			    .fits = zun_is_image,                                                                      \
			    .shape = "is not an image"},                                                               \
		{"name", NAME(P_BODY)}, {"cpu", CPU(P_BODY)},                                                          \
		{"cpu_policy", P_STRING, P_BODY, .words = "shared dedicated"}, {"memory", MEMORY(P_BODY)},             \
		{"disk", P_INT, P_TEXT | P_NULL | P_BODY, .min = 1, .max = 160},                                       \
		{"environment", P_MAP, P_NULL | P_BODY, .item = &string_item},                                         \
		{"labels", P_MAP, P_NULL | P_BODY, .item = &label_item}, {"workdir", P_STRING, P_NULL | P_BODY},       \
		{"hostname",                                                                                           \
		 P_STRING,                                                                                             \
		 P_BODY,                                                                                               \
		 .min = 1,                                                                                             \
		 .max = 255,                                                                                           \
		 .since = 9,                                                                                           \
		 .fits = zun_is_hostname,                                                                              \
		 .shape = "is not a host's name"},                                                                     \
		{"interactive", PLAIN_BOOL(P_BODY)}, {"tty", PLAIN_BOOL(P_BODY)},                                      \
		{"auto_remove", P_BOOL, P_NULL | P_BODY, .since = 3}, {"auto_heal", PLAIN_BOOL(P_BODY)},               \
		{"restart_policy", P_OBJECT, P_NULL | P_BODY, .inner = &restart_schema},                               \
		{"image_driver", P_STRING, P_NULL | P_BODY, .words = "docker glance None"},                            \
		{"image_pull_policy", P_STRING, P_NULL | P_BODY,                                                       \
		 .words = "never always ifnotpresent Never Always IfNotPresent"},                                      \
		{"security_groups", P_ARRAY, P_NULL | P_BODY, .item = &string_item},                                   \
		{"exposed_ports", P_MAP, P_NULL | P_BODY, .since = 24}, {"nets", P_ARRAY, P_BODY},                     \
		{"mounts", P_ARRAY, P_NULL | P_BODY, .since = 11}, {"hints", P_MAP, P_NULL | P_BODY},                  \
		{"availability_zone", P_STRING, P_NULL | P_BODY, .min = 1, .max = 255},                                \
		{"runtime", P_STRING, P_NULL | P_BODY, .since = 5}, {"privileged", PLAIN_BOOL(P_BODY), .since = 21},   \
		{"healthcheck", P_MAP, P_NULL | P_BODY, .since = 22},                                                  \
		{"registry", P_STRING, P_BODY, .min = 2, .max = 255, .since = 31},                                     \
		{"host", P_STRING, P_BODY, .min = 1, .max = 255, .since = 39},                                         \
		{"entrypoint", P_ARRAY, P_NULL | P_BODY, .since = 40, .item = &text_item},                             \
	{                                                                                                              \
		NULL                                                                                                   \
	}

/* Until 1.19 the command is one string, from 1.20 on a list. */
static const struct param create_string_params[] = {{"command", P_STRING, P_NULL | P_BODY}, CREATE_PARAMS};
static const struct param create_list_params[] = {{"command", P_ARRAY, P_NULL | P_BODY, .item = &text_item},
						  CREATE_PARAMS};

static const struct param list_params[] = {
	{"limit", P_STRING},
	{"marker", P_STRING},
	{"sort_key", P_STRING},
	{"sort_dir", P_STRING},
	{"all_projects", P_STRING, .check = list_bool},
	{"name", P_STRING},
	{"image", P_STRING},
	{"project_id", P_STRING},
	{"user_id", P_STRING},
	{"memory", P_STRING},
	{"host", P_STRING},
	{"task_state", P_STRING},
	{"status", P_STRING},
	{"auto_remove", P_STRING, .check = list_bool},
	{NULL},
};

static const struct param show_params[] = {{"all_projects", P_STRING, .check = list_bool}, {NULL}};
static const struct param delete_params[] = {
	{"force", EXT_BOOL}, {"stop", EXT_BOOL}, {"all_projects", EXT_BOOL}, {NULL}};
static const struct param update_params[] = {
	{"cpu", CPU(0)}, {"memory", MEMORY(0)}, {"name", NAME(0)}, {"auto_heal", PLAIN_BOOL(0)}, {NULL}};
static const struct param rename_params[] = {{"name", NAME(P_REQUIRED)}, {NULL}};
static const struct param timeout_params[] = {{"timeout", SECONDS}, {NULL}};
static const struct param kill_params[] = {{"signal", P_STRING, P_NULL | P_STRINGIFY, .fits = signal_known,
					    .shape = "is not a signal", .check = none_is_null},
					   {NULL}};
static const struct param logs_params[] = {
	{"stdout", EXT_BOOL},
	{"stderr", EXT_BOOL},
	{"timestamps", EXT_BOOL},
	{"tail", P_STRING, P_NULL | P_STRINGIFY},
	{"since", P_STRING, P_NULL | P_STRINGIFY, .fits = since_known,
	 .shape = "must be seconds since the epoch, or of the form 2026-11-22 00:31:57,353"},
	{NULL},
};
static const struct param execute_params[] = {
	{"command", P_STRING, P_REQUIRED, .min = 1}, {"run", PLAIN_BOOL(0)}, {"interactive", PLAIN_BOOL(0)}, {NULL}};
static const struct param top_params[] = {{"ps_args", P_STRING, P_STRINGIFY | P_NULL, .check = none_is_null}, {NULL}};

#define SCHEMA(name, ...) static const struct schema name##_args = {name##_params, __VA_ARGS__}
SCHEMA(create_string);
SCHEMA(create_list);
SCHEMA(list);
SCHEMA(show, .open = true);
SCHEMA(delete);
SCHEMA(update);
SCHEMA(rename);
SCHEMA(timeout);
SCHEMA(kill);
SCHEMA(logs);
SCHEMA(execute);
SCHEMA(top);

/* ---------------------------------------------------------------- routes */

#define CONTAINERS "[/v1]/containers"
#define CONTAINER  CONTAINERS "/{id}"
#define ROW(m, p, f, ...)                                                                                              \
	{                                                                                                              \
		.method = m, .path = p, .handle = f, .flags = ROUTE_WHO, .state = ZUN_STATE, __VA_ARGS__               \
	}
#define ROW_JSON(m, p, f, ...)                                                                                         \
	{                                                                                                              \
		.method = m, .path = p, .handle = f, .flags = ROUTE_WHO | ROUTE_JSON, .state = ZUN_STATE, __VA_ARGS__  \
	}
/* Zun has it; berth not yet. */
#define LATER(m, p, ...)                                                                                               \
	{                                                                                                              \
		.method = m, .path = p, .handle = on_not_implemented, .flags = ROUTE_WHO, __VA_ARGS__                  \
	}
#define LATER_ADMIN(m, p, ...)                                                                                         \
	{                                                                                                              \
		.method = m, .path = p, .handle = on_not_implemented, .flags = ROUTE_ADMIN, __VA_ARGS__                \
	}

static const struct route routes[] = {
	{"GET", "/", on_root, .flags = ROUTE_PUBLIC},
	{"GET", "/v1", on_v1, .flags = ROUTE_PUBLIC},

	ROW_JSON("POST", CONTAINERS, on_create, .args = &create_string_args, .until = 19),
	ROW_JSON("POST", CONTAINERS, on_create, .args = &create_list_args, .since = 20),
	ROW("GET", CONTAINERS, on_list, .args = &list_args),
	ROW("GET", CONTAINER, on_show, .args = &show_args),
	ROW("PATCH", CONTAINER, on_update, .args = &update_args),
	ROW("DELETE", CONTAINER, on_delete, .args = &delete_args),
	ROW("POST", CONTAINER "/start", on_start),
	ROW("POST", CONTAINER "/stop", on_stop, .args = &timeout_args),
	ROW("POST", CONTAINER "/reboot", on_reboot, .args = &timeout_args),
	ROW("POST", CONTAINER "/pause", on_pause),
	ROW("POST", CONTAINER "/unpause", on_unpause),
	ROW("POST", CONTAINER "/kill", on_kill, .args = &kill_args),
	ROW("POST", CONTAINER "/rename", on_rename, .args = &rename_args, .until = 13),
	ROW("GET", CONTAINER "/logs", on_logs, .args = &logs_args),
	ROW("POST", CONTAINER "/execute", on_execute, .args = &execute_args),
	ROW("GET", CONTAINER "/top", on_top, .args = &top_args),
	ROW("GET", CONTAINER "/stats", on_stats),
	ROW("GET", CONTAINER "/container_actions", on_actions),
	ROW("GET", CONTAINER "/container_actions/{request}", on_action),
	ROW("GET", "[/v1]/availability_zones", on_availability_zones),

	LATER("POST", CONTAINER "/rebuild"),
	LATER("GET", CONTAINER "/attach"),
	LATER("POST", CONTAINER "/resize"),
	LATER("POST", CONTAINER "/execute_resize"),
	LATER("GET", CONTAINER "/get_archive"),
	LATER("POST", CONTAINER "/put_archive"),
	LATER("POST", CONTAINER "/commit"),
	LATER("POST", CONTAINER "/network_attach", .since = 8),
	LATER("POST", CONTAINER "/network_detach", .since = 6),
	LATER("GET", CONTAINER "/network_list", .since = 13),
	LATER("POST", CONTAINER "/resize_container", .since = 19),
	LATER("POST", CONTAINER "/add_security_group", .until = 14),
	LATER("POST", CONTAINER "/remove_security_group", .until = 14),

	LATER("POST", "[/v1]/capsules"),
	LATER("GET", "[/v1]/capsules"),
	LATER("GET", "[/v1]/capsules/{id}"),
	LATER("DELETE", "[/v1]/capsules/{id}"),
	LATER_ADMIN("GET", "[/v1]/services"),
	LATER_ADMIN("DELETE", "[/v1]/services"),
	LATER_ADMIN("PUT", "[/v1]/services/enable"),
	LATER_ADMIN("PUT", "[/v1]/services/disable"),
	LATER_ADMIN("PUT", "[/v1]/services/force_down"),
	LATER_ADMIN("GET", "[/v1]/hosts", .since = 4),
	LATER_ADMIN("GET", "[/v1]/hosts/{id}", .since = 4),
	LATER_ADMIN("GET", "[/v1]/images"),
	LATER_ADMIN("POST", "[/v1]/images"),
	LATER_ADMIN("GET", "[/v1]/images/{id}"),
	LATER_ADMIN("DELETE", "[/v1]/images/{id}"),
	LATER("GET", "[/v1]/images/{id}/search"),
	LATER_ADMIN("POST", "[/v1]/networks"),
	LATER_ADMIN("DELETE", "[/v1]/networks/{id}", .since = 27),
	LATER("GET", "[/v1]/quotas/{project}"),
	LATER("GET", "[/v1]/quotas/{project}/defaults"),
	LATER_ADMIN("PUT", "[/v1]/quotas/{project}"),
	LATER_ADMIN("DELETE", "[/v1]/quotas/{project}"),
	LATER_ADMIN("GET", "[/v1]/quota_classes/{class}"),
	LATER_ADMIN("PUT", "[/v1]/quota_classes/{class}"),
	LATER("POST", "[/v1]/registries"),
	LATER("GET", "[/v1]/registries"),
	LATER("GET", "[/v1]/registries/{id}"),
	LATER("PATCH", "[/v1]/registries/{id}"),
	LATER("DELETE", "[/v1]/registries/{id}"),
	{NULL},
};

/* ---------------------------------------------------------------- on every answer */

static bool begin(struct call *c, struct fault *f)
{
	unsigned minor = ZUN_VERSION_MIN;
	struct err e = {0};
	int r = zun_version_parse(call_header(c, "OpenStack-API-Version"), &minor, &e);

	/* The document of all versions has none itself. */
	if (strspn(call_path(c), "/") == strlen(call_path(c))) {
		c->version = ZUN_VERSION_MAX;
		return true;
	}
	c->version = minor;
	call_set(c, "OpenStack-API-Version", "container 1.%u", minor);
	call_set(c, "OpenStack-API-Minimum-Version", "container 1.%d", ZUN_VERSION_MIN);
	call_set(c, "OpenStack-API-Maximum-Version", "container 1.%d", ZUN_VERSION_MAX);
	call_set(c, "Vary", "OpenStack-API-Version");
	if (r == 0)
		return true;
	fault_set(f, FAULT_VERSION, NULL, "%s", e.text);
	f->code = r;
	return false;
}

/* Who shows no token learns nothing, not even which paths there are; which versions are spoken is public. */
static bool hides(const struct call *c, const struct fault *f)
{
	return !c->token &&
	       (f->kind == FAULT_ROUTE || f->kind == FAULT_METHOD || (f->kind == FAULT_VERSION && !f->code));
}

static int fail(struct call *c, const struct fault *f)
{
	struct fault unknown = {.kind = FAULT_TOKEN};
	struct zun_error_about about = {
		.ident = call_param(c, "id"),
		.version = c->version,
		.args = c->route ? c->route->args : NULL,
		.lists = c->route && c->route->handle == on_list,
		.correlation = c->id,
	};
	struct zun_error e;

	zun_error_of(&e, hides(c, f) ? &unknown : f, &about);
	if (e.kind == ZUN_E_AUTH)
		call_set(c, "WWW-Authenticate", "Keystone uri=\"%s/v3\"", call_base(c));
	zun_error_write(&c->out, &e);
	return e.status;
}

static void finish(struct call *c, int status)
{
	call_set(c, "X-Openstack-Request-Id", "%s", c->id);
}

/* "actions": {"start": ["Created", "Stopped", "Error"], …} */
static void describe(struct jw *j)
{
	jw_object(j, "actions");
	for (int a = 0; a < ZUN_ACTION_N_; a++) {
		jw_array(j, zun_action_name((enum zun_action)a));
		for (int s = 0; s < ZUN_STATUS_N_; s++)
			if (zun_action_allowed((enum zun_action)a, (enum zun_status)s))
				jw_str(j, NULL, zun_status_name((enum zun_status)s));
		jw_end(j);
	}
	jw_end(j);
}

const struct dialect zun_dialect = {
	.name = "zun",
	.roots = (const char *const[]){"/", NULL},
	.routes = routes,
	.begin = begin,
	.fail = fail,
	.finish = finish,
	.describe = describe,
};

/* gateway/zun/view.c - see gateway/zun/view.h
 *
 * The keys stand in the order of Zun's documents. All are always there, whatever the version: only what admins alone may see and
 * the links of list entries are left out. Zun's quirks are kept because clients know them: memory is text, processors are a
 * float, the number of retries is text; what was not given is null in the answer to the creation and {} or [] ever after. */
#include "gateway/zun/view.h"

#include "base/own.h"
#include "base/str.h"
#include "gateway/params.h"
#include "gateway/zun/state.h"
#include "gateway/zun/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *zun_note(const Berth__ContainerSpec *spec, const char *key)
{
	for (size_t i = 0; i < spec->n_annotations; i++)
		if (spec->annotations[i]->key && !strcmp(spec->annotations[i]->key, key))
			return spec->annotations[i]->value ? spec->annotations[i]->value : "";
	return NULL;
}

size_t zun_user_length(const char *principal)
{
	const char *at = strrchr(principal, '@');

	return at ? (size_t)(at - principal) : strlen(principal);
}

void zun_view_user(struct jw *j, const char *key, const char *principal)
{
	if (principal)
		jw_text(j, key, principal, zun_user_length(principal));
	else
		jw_null(j, key);
}

static void link_one(struct jw *j, const char *rel, const char *base, const char *version, const char *collection,
		     const char *uuid)
{
	jw_object(j, NULL);
	jw_fmt(j, "href", "%s%s/%s/%s", base, version, collection, uuid);
	jw_str(j, "rel", rel);
	jw_end(j);
}

void zun_view_links(struct jw *j, const char *key, const char *base, const char *collection, const char *uuid)
{
	jw_array(j, key);
	link_one(j, "self", base, "/v1", collection, uuid);
	link_one(j, "bookmark", base, "", collection, uuid);
	jw_end(j);
}

/* ---------------------------------------------------------------- values */

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void texts(struct jw *j, const char *key, char *const *list, size_t n)
{
	jw_array(j, key);
	for (size_t i = 0; i < n; i++)
		jw_str(j, NULL, list[i]);
	jw_end(j);
}

/* In the answer to the creation: nobody has said what it is to be. */
static bool unsaid(const struct zun_view *v, const char *key)
{
	return v->created && !arg_given(v->created, key);
}

static void empty(struct jw *j, const char *key, const struct zun_view *v, bool is_array)
{
	if (unsaid(v, key)) {
		jw_null(j, key);
		return;
	}
	if (is_array)
		jw_array(j, key);
	else
		jw_object(j, key);
	jw_end(j);
}

/* Zun shows what was asked for; once the container is made, what the image says in its place. */
static void command(struct jw *j, const Berth__Container *obj, const struct zun_view *v)
{
	const Berth__ContainerSpec *spec = obj->spec;
	const Berth__ImageConfig *image = obj->image_config;

	if (spec->n_command && !unsaid(v, "command"))
		texts(j, "command", spec->command, spec->n_command);
	else if (image && !v->created && !spec->entrypoint_set)
		texts(j, "command", image->command, image->n_command);
	else
		empty(j, "command", v, true);
}

static void entrypoint(struct jw *j, const Berth__Container *obj, const struct zun_view *v)
{
	const Berth__ContainerSpec *spec = obj->spec;
	const Berth__ImageConfig *image = obj->image_config;

	if (spec->entrypoint_set && !unsaid(v, "entrypoint"))
		texts(j, "entrypoint", spec->entrypoint, spec->n_entrypoint);
	else if (image && !v->created)
		texts(j, "entrypoint", image->entrypoint, image->n_entrypoint);
	else
		empty(j, "entrypoint", v, true);
}

static void resources(struct jw *j, const Berth__ContainerSpec *spec)
{
	const Berth__Resources *r = spec->resources;

	if (r && r->cpus_milli)
		jw_real(j, "cpu", (double)r->cpus_milli / 1000);
	else
		jw_null(j, "cpu");
	jw_str(j, "cpu_policy", "shared");
	if (r && r->memory_bytes)
		jw_fmt(j, "memory", "%" PRIu64, r->memory_bytes >> 20);
	else
		jw_null(j, "memory");
	jw_int(j, "disk", 0);
}

static void status(struct jw *j, const Berth__ContainerStatus *st, const struct zun_view *v)
{
	struct buf detail;

	buf_init(&detail, 0);
	zun_status_detail(&detail, st, v->now_ns);
	jw_str(j, "status", zun_status_name(zun_status_of(st)));
	jw_str(j, "status_reason", zun_status_reason(st));
	jw_str(j, "status_detail", detail.len && !v->created ? detail.data : NULL);
	jw_str(j, "task_state", zun_task_state_of(st));
	buf_fini(&detail);
}

/* berth keeps what a container has, its image's share included; Zun shows what was asked for. */
static bool is_of_image(const Berth__ImageConfig *image, const char *env)
{
	for (size_t i = 0; image && i < image->n_env; i++)
		if (!strcmp(image->env[i], env))
			return true;
	return false;
}

static bool label_is_of_image(const Berth__ImageConfig *image, const Berth__KeyValue *label)
{
	for (size_t i = 0; image && i < image->n_labels; i++)
		if (same(image->labels[i]->key, label->key) && same(image->labels[i]->value, label->value))
			return true;
	return false;
}

static void environment(struct jw *j, const Berth__Container *obj, const struct zun_view *v)
{
	const Berth__ContainerSpec *spec = obj->spec;
	bool any = false;

	for (size_t i = 0; i < spec->n_env; i++) {
		const char *equals = strchr(spec->env[i], '=');
		AUTO_FREE char *name = NULL;

		if (is_of_image(obj->image_config, spec->env[i]))
			continue;
		if (!any)
			jw_object(j, "environment");
		any = true;
		name = strndup(spec->env[i], equals ? (size_t)(equals - spec->env[i]) : strlen(spec->env[i]));
		if (name)
			jw_str(j, name, equals ? equals + 1 : "");
		else
			j->buf.failed = true;
	}
	if (any)
		jw_end(j);
	else
		empty(j, "environment", v, false);
}

static void labels(struct jw *j, const Berth__Container *obj, const struct zun_view *v)
{
	const Berth__ContainerSpec *spec = obj->spec;
	bool any = false;

	for (size_t i = 0; i < spec->n_labels; i++) {
		const Berth__KeyValue *label = spec->labels[i];

		if (label_is_of_image(obj->image_config, label))
			continue;
		if (!any)
			jw_object(j, "labels");
		any = true;
		jw_str(j, label->key ? label->key : "", label->value ? label->value : "");
	}
	if (any)
		jw_end(j);
	else
		empty(j, "labels", v, false);
}

/* The runtime's default: the first twelve digits of the id. */
static void hostname(struct jw *j, const Berth__Container *obj, const struct zun_view *v)
{
	if (obj->spec->hostname && *obj->spec->hostname)
		jw_str(j, "hostname", obj->spec->hostname);
	else if (v->created || obj->spec->pod)
		jw_null(j, "hostname");
	else
		jw_fmt(j, "hostname", "%.8s%.4s", obj->meta->uuid, obj->meta->uuid + strlen("01234567-"));
}

/* "80/tcp" -> 80 */
static void ports(struct jw *j, const Berth__Container *obj, const struct zun_view *v)
{
	const Berth__ImageConfig *image = obj->image_config;

	if (v->created || !image) {
		empty(j, "ports", v, true);
		return;
	}
	jw_array(j, "ports");
	for (size_t i = 0; i < image->n_exposed_ports; i++)
		jw_int(j, NULL, strtol(image->exposed_ports[i], NULL, 10));
	jw_end(j);
}

static void restart_policy(struct jw *j, const Berth__ContainerSpec *spec, const struct zun_view *v)
{
	static const char *const names[] = {
		[BERTH__RESTART_POLICY__KIND__NO] = "no",
		[BERTH__RESTART_POLICY__KIND__ON_FAILURE] = "on-failure",
		[BERTH__RESTART_POLICY__KIND__ALWAYS] = "always",
		[BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED] = "unless-stopped",
	};
	const Berth__RestartPolicy *p = spec->restart;
	bool is_no = !p || p->kind == BERTH__RESTART_POLICY__KIND__NO;

	if (!p || (size_t)p->kind >= ARRAY_SIZE(names) || (is_no && !zun_note(spec, ZUN_NOTE_RESTART))) {
		empty(j, "restart_policy", v, false);
		return;
	}
	jw_object(j, "restart_policy");
	jw_str(j, "Name", names[p->kind]);
	jw_fmt(j, "MaximumRetryCount", "%u", p->max_retries);
	jw_end(j);
}

static void times(struct jw *j, const Berth__Meta *meta, const struct zun_view *v)
{
	char buf[ZUN_TIME_SIZE];

	jw_str(j, "created_at", zun_time(meta->created_at, ' ', buf));
	if (v->created || !meta->updated_at)
		jw_null(j, "updated_at");
	else
		jw_str(j, "updated_at", zun_time(meta->updated_at, ' ', buf));
}

static void for_admins(struct jw *j, const Berth__ContainerSpec *spec, const struct zun_view *v)
{
	const char *pull = zun_note(spec, ZUN_NOTE_PULL_POLICY);

	jw_str(j, "host", v->host);
	jw_str(j, "image_pull_policy", pull ? pull : "ifnotpresent");
	jw_str(j, "runtime", "berth");
	jw_bool(j, "privileged", spec->security && spec->security->privileged);
}

/* ---------------------------------------------------------------- the object */

void zun_view_container(struct jw *j, const char *key, const Berth__Container *obj, const struct zun_view *v)
{
	const Berth__ContainerSpec *spec = obj->spec;
	const Berth__Meta *meta = obj->meta;

	jw_object(j, key);
	jw_str(j, "uuid", meta->uuid);
	if (!v->listed)
		zun_view_links(j, "links", v->base, "containers", meta->uuid);
	jw_str(j, "name", meta->name);
	jw_str(j, "project_id", meta->project);
	zun_view_user(j, "user_id", meta->owner);
	jw_str(j, "image", spec->image);
	jw_str(j, "image_driver", "docker");
	command(j, obj, v);
	entrypoint(j, obj, v);
	resources(j, spec);
	status(j, obj->status, v);
	environment(j, obj, v);
	labels(j, obj, v);
	jw_str(j, "workdir", spec->workdir && *spec->workdir ? spec->workdir : NULL);
	hostname(j, obj, v);
	ports(j, obj, v);
	empty(j, "addresses", v, false);
	empty(j, "security_groups", v, true);
	restart_policy(j, spec, v);
	jw_bool(j, "interactive", spec->stdin_open);
	jw_bool(j, "tty", spec->tty);
	jw_bool(j, "auto_remove", spec->auto_remove);
	jw_bool(j, "auto_heal", false);
	empty(j, "healthcheck", v, false);
	jw_null(j, "registry_id");
	times(j, meta, v);
	if (v->admin)
		for_admins(j, spec, v);
	jw_end(j);
}

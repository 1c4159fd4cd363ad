/* gateway/zun/container.c - create, show, update, rename, delete. */
#include "gateway/zun/create.h"
#include "gateway/zun/handlers.h"
#include "gateway/zun/value.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const struct ask_options accept = {.accept = true};

/* ---------------------------------------------------------------- create
 *
 * Two things are tried and given up when berthd refuses them: Zun's default limits, which a host without the cgroup controller
 * cannot keep, and a generated name that is taken. */

#define NAMES_TRIED 16

struct making {
	char name[ZUN_NAME_SIZE];
	unsigned names_left; /* to be tried; 0: the last one, taken or not */
	bool without_memory, without_cpu;
};
STATE_FITS(struct making);

static void create_ask(struct call *c);

static void on_created(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__Container *obj =
		reply->body_case == BERTH__ENVELOPE__BODY_CONTAINER_REPLY ? reply->container_reply->container : NULL;

	if (!container_is_whole(c, obj))
		return;
	call_set(c, "Location", "%s/v1/containers/%s", call_base(c), obj->meta->uuid);
	zun_show(c, obj, true);
	call_reply(c, 202);
}

static bool about(const Berth__Error *error, const char *field)
{
	return error->field && strstr(error->field, field);
}

static void on_create_refused(struct call *c, const Berth__Error *error)
{
	struct making *s = c->state;
	bool limits = error->code == BERTH__ERROR__CODE__UNSUPPORTED;

	if (limits && about(error, "resources.memory") && !arg_given(c->args, "memory") && !s->without_memory) {
		s->without_memory = true;
	} else if (limits && about(error, "resources.cpu") && !arg_given(c->args, "cpu") && !s->without_cpu) {
		s->without_cpu = true;
	} else if (error->code == BERTH__ERROR__CODE__EXISTS && s->names_left && !arg_given(c->args, "name")) {
		s->names_left--;
		zun_name_make(s->name);
	} else {
		zun_refuse_error(c, error);
		return;
	}
	create_ask(c);
}

static void create_ask(struct call *c)
{
	static const struct ask_options options = {.accept = true, .refused = on_create_refused};
	struct making *s = c->state;
	struct create_refusal why;
	struct utsname host = {0};
	struct create made;

	uname(&host);
	if (create_build(&made, c->args,
			 &(const struct create_options){
				 .version = c->version,
				 .admin = c->who.admin,
				 .host = host.nodename,
				 .name = s->name,
				 .default_memory = !s->without_memory,
				 .default_cpu = !s->without_cpu,
			 },
			 &why)) {
		made.m.has_unique_name = made.m.unique_name = s->names_left && !arg_given(c->args, "name");
		call_ask_with(c, BERTH__ENVELOPE__BODY_CONTAINER_CREATE, &made.m, on_created, &options);
	} else {
		zun_refuse(c, why.kind, "%s", why.text);
	}
	create_fini(&made);
}

void on_create(struct call *c)
{
	struct making *s = c->state;

	zun_name_make(s->name);
	s->names_left = NAMES_TRIED;
	create_ask(c);
}

/* ---------------------------------------------------------------- show */

static void show_found(struct call *c, const Berth__Container *obj)
{
	zun_show(c, obj, false);
	call_reply(c, 200);
}

void on_show(struct call *c)
{
	if (all_projects_allowed(c, "container:get_one_all_projects"))
		target_find(c, ZUN_ACTION_N_, show_found);
}

/* ---------------------------------------------------------------- update, rename */

static void on_updated(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	const Berth__Container *obj =
		reply->body_case == BERTH__ENVELOPE__BODY_CONTAINER_REPLY ? reply->container_reply->container : NULL;

	if (container_is_whole(c, obj))
		show_found(c, obj);
}

static void update_ask(struct call *c, const char *name)
{
	Berth__ContainerUpdate m = BERTH__CONTAINER_UPDATE__INIT;
	Berth__Resources resources = BERTH__RESOURCES__INIT;

	m.ref = ((struct target *)c->state)->uuid;
	m.name = (char *)(uintptr_t)name;
	zun_resources(&resources, c->args, false, false);
	if (resources.has_memory_bytes || resources.has_cpus_milli)
		m.resources = &resources;
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_UPDATE, &m, on_updated);
}

static void update_found(struct call *c, const Berth__Container *obj)
{
	const char *name = arg_str(c->args, "name");

	if (arg_bool(c->args, "auto_heal", false))
		zun_refuse(c, ZUN_E_VALUE,
			   "Invalid input for field 'auto_heal'. Containers are not healed yet; restart_policy is what "
			   "restarts them.");
	else if (name || arg_given(c->args, "memory") || arg_given(c->args, "cpu"))
		update_ask(c, name);
	else
		show_found(c, obj); /* nothing is to be changed */
}

void on_update(struct call *c)
{
	target_find(c, ZUN_UPDATE, update_found);
}

static void rename_found(struct call *c, const Berth__Container *obj)
{
	const char *name = arg_str(c->args, "name");

	if (!strcmp(name, obj->meta->name ? obj->meta->name : ""))
		zun_refuse(c, ZUN_E_CONFLICT, "The new name for the container is the same as the old name.");
	else
		update_ask(c, name);
}

void on_rename(struct call *c)
{
	target_find(c, ZUN_ACTION_N_, rename_found);
}

/* ---------------------------------------------------------------- delete */

struct removal {
	struct target target;
	enum zun_action how;
};
STATE_FITS(struct removal);

static void on_deleted(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	call_reply(c, 204);
}

/* Not even where it would be allowed, before the version that brought it. */
static bool since(struct call *c, const char *key, unsigned version)
{
	if (c->version >= version)
		return true;
	zun_refuse(c, ZUN_E_VERSION_PARAM,
		   "Invalid param %s because current request version is 1.%u. %s is only supported from version 1.%u",
		   key, c->version, key, version);
	return false;
}

static bool delete_may(struct call *c, enum zun_action how)
{
	if (how == ZUN_DELETE_AFTER_STOP)
		return since(c, "stop", 12);
	if (how != ZUN_DELETE_FORCE)
		return true;
	if (!since(c, "force", 7))
		return false;
	if (!c->who.admin)
		zun_refuse_policy(c, "container:delete_force");
	return c->who.admin;
}

/* It has ended, or never ran: berthd removes it as it is, and refuses should it run by now. */
static bool stands(const Berth__Container *obj)
{
	enum zun_status s = zun_status_of(obj->status);

	return s == ZUN_CREATING || s == ZUN_CREATED || s == ZUN_STOPPED || s == ZUN_ERROR;
}

/* With `stop` what runs is ended kindly first; with `force`, and when it is paused, about to be restarted or lost, at once. */
static void delete_found(struct call *c, const Berth__Container *obj)
{
	Berth__ContainerRemove m = BERTH__CONTAINER_REMOVE__INIT;
	struct removal *s = c->state;

	if (!delete_may(c, s->how) || !target_allows(c, s->how, obj))
		return;
	m.ref = s->target.uuid;
	m.has_force = m.has_stop = true;
	m.stop = s->how == ZUN_DELETE_AFTER_STOP;
	m.force = s->how == ZUN_DELETE_FORCE || (s->how == ZUN_DELETE && !stands(obj));
	/* Until 1.9 the answer comes when it is gone. */
	if (c->version >= 10)
		call_ask_with(c, BERTH__ENVELOPE__BODY_CONTAINER_REMOVE, &m, on_deleted, &accept);
	else
		call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_REMOVE, &m, on_deleted);
}

void on_delete(struct call *c)
{
	struct removal *s = c->state;

	if (!all_projects_allowed(c, "container:delete_all_projects"))
		return;
	s->how = arg_bool(c->args, "stop", false)    ? ZUN_DELETE_AFTER_STOP
		 : arg_bool(c->args, "force", false) ? ZUN_DELETE_FORCE
						     : ZUN_DELETE;
	target_find(c, ZUN_ACTION_N_, delete_found);
}

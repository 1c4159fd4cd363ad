/* gateway/zun/target.c - what handlers share: the container that a request is about, what to say when it is refused, how it is shown. */
#include "gateway/zun/handlers.h"

#include "base/loop.h"
#include "gateway/zun/version.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

void zun_refuse_policy(struct call *c, const char *rule)
{
	zun_refuse(c, ZUN_E_POLICY, "Policy doesn't allow %s to be performed.", rule);
}

void zun_refuse_error(struct call *c, const Berth__Error *error)
{
	struct fault f = {.kind = FAULT_REFUSED, .error = error};

	call_fail(c, &f);
}

void zun_refuse_upstream(struct call *c, const char *what)
{
	struct fault f = {0};

	fault_set(&f, FAULT_INTERNAL, NULL, "berthd's answer is no %s", what);
	call_fail(c, &f);
}

bool all_projects_allowed(struct call *c, const char *rule)
{
	if (c->who.admin || !arg_bool(c->args, "all_projects", false))
		return true;
	zun_refuse_policy(c, rule);
	return false;
}

/* ---------------------------------------------------------------- the container */

bool container_is_whole(struct call *c, const Berth__Container *obj)
{
	if (obj && obj->meta && obj->meta->uuid && obj->spec && obj->status)
		return true;
	zun_refuse_upstream(c, "container");
	return false;
}

bool target_allows(struct call *c, enum zun_action action, const Berth__Container *obj)
{
	enum zun_status status = zun_status_of(obj->status);

	if (zun_action_allowed(action, status))
		return true;
	zun_refuse(c, ZUN_E_STATE, "Cannot %s container %s in %s state", zun_action_name(action), obj->meta->uuid,
		   zun_status_name(status));
	return false;
}

static void on_found(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	struct target *t = c->state;
	const Berth__Container *obj =
		reply->body_case == BERTH__ENVELOPE__BODY_CONTAINER_REPLY ? reply->container_reply->container : NULL;

	if (!container_is_whole(c, obj) || (t->action != ZUN_ACTION_N_ && !target_allows(c, t->action, obj)))
		return;
	snprintf(t->uuid, sizeof t->uuid, "%s", obj->meta->uuid);
	t->found(c, obj);
}

void target_find(struct call *c, enum zun_action action, void (*found)(struct call *c, const Berth__Container *obj))
{
	Berth__ContainerInspect m = BERTH__CONTAINER_INSPECT__INIT;
	struct target *t = c->state;

	t->action = action;
	t->found = found;
	m.ref = call_param(c, "id");
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &m, on_found);
}

void zun_show(struct call *c, const Berth__Container *obj, bool created)
{
	struct utsname host = {0};

	uname(&host); /* berthd's too: its socket is a file here */
	zun_view_container(&c->out, NULL, obj,
			   &(const struct zun_view){
				   .base = call_base(c),
				   .host = host.nodename,
				   .now_ns = wall_ns(),
				   .admin = c->who.admin,
				   .created = created ? c->args : NULL,
			   });
}

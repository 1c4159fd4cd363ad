/* supervisor/security_request.c - requests about security groups; about their rules: security_rule_request.c. */
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/check.h"
#include "supervisor/check_field.h"
#include "supervisor/filter.h"
#include "supervisor/net_holder.h"
#include "supervisor/request.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTION_MAX 255u

static void reply_groups(struct supervisor *sv, struct parked p, Berth__SecurityGroup **groups, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__SecurityGroupReply body = BERTH__SECURITY_GROUP_REPLY__INIT;

	body.groups = groups;
	body.n_groups = n;
	env.body_case = BERTH__ENVELOPE__BODY_SECURITY_GROUP_REPLY;
	env.security_group_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

/* ---------------------------------------------------------------- create */

static void on_created(void *arg, int result)
{
	struct security_group *g = arg;
	struct supervisor *sv = g->sv;
	struct parked p = g->parked;

	g->parked = (struct parked){0};
	if (result < 0) {
		reply_error(sv, p, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the security group could not be stored: %s",
			    strerror(-result));
		security_group_free(g);
		return;
	}
	g->stored = true;
	watch_publish(sv, "security_group", "create", g->obj->meta, NULL, NULL);
	reply_groups(sv, p, &g->obj, 1);
}

static int labels_take(Berth__SecurityGroup *obj, const Berth__SecurityGroupCreate *ask, struct err *e)
{
	Berth__SecurityGroupCreate *copy = message_copy(&ask->base);
	int r = copy ? field_labels("labels", copy->labels, &copy->n_labels, e)
		     : err_set(e, ENOMEM, "labels", "no memory");

	if (r == 0) {
		obj->labels = copy->labels;
		obj->n_labels = copy->n_labels;
		copy->labels = NULL;
		copy->n_labels = 0;
	}
	if (copy)
		berth__security_group_create__free_unpacked(copy, NULL);
	return r;
}

static unsigned project_groups(const struct supervisor *sv, const char *project)
{
	struct table_node *node;
	unsigned n = 0;

	list_each (node, &sv->security_groups.all, link)
		n += !strcmp(container_of(node, struct security_group, node)->obj->meta->project, project);
	return n;
}

static int create_check(struct request *rq, const Berth__SecurityGroupCreate *ask, struct err *e)
{
	const char *name = ask->name ? ask->name : "";
	int r = check_name("name", name, e);

	if (r < 0)
		return r;
	if (ask->description && strlen(ask->description) > DESCRIPTION_MAX)
		return field_bad(e, "description", "longer than %u bytes", DESCRIPTION_MAX);
	if (security_group_find(rq->sv, rq->who.project, name))
		return err_set(e, EEXIST, "name", "there is a security group %s", name);
	if (project_groups(rq->sv, rq->who.project) >= SECURITY_GROUPS_MAX)
		return err_set(e, ENOSPC, "name", "a project has at most %u security groups", SECURITY_GROUPS_MAX);
	return 0;
}

void on_security_group_create(struct request *rq)
{
	const Berth__SecurityGroupCreate *ask = rq->env->security_group_create;
	struct supervisor *sv = rq->sv;
	struct security_group *g;
	struct err e;

	if (create_check(rq, ask, &e) < 0) {
		security_refuse(rq, &e);
		return;
	}
	g = security_group_new(sv, rq->who.project, rq->who.name, ask->name, ask->empty);
	if (!g) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "there are too many security groups");
		return;
	}
	if (ask->description && ask->description[0])
		set_text(&g->obj->description, "%s", ask->description);
	if (labels_take(g->obj, ask, &e) < 0) {
		security_group_free(g);
		security_refuse(rq, &e);
		return;
	}
	request_audit(rq, "security_group", g->obj->meta);
	g->parked = rq->parked;
	if (store_put(sv->store, STORE_SECURITY_GROUP, g->obj->meta, &g->obj->base, false, on_created, g) < 0) {
		g->parked = (struct parked){0};
		security_group_free(g);
		reply_store_full(sv, rq->parked);
	}
}

/* ---------------------------------------------------------------- list, inspect */

static bool filter_name(const void *listing, const void *obj, const char *value)
{
	return strstr(((const Berth__SecurityGroup *)obj)->meta->name, value) != NULL;
}

static bool filter_label(const void *listing, const void *obj, const char *value)
{
	const Berth__SecurityGroup *g = obj;

	return filter_label_fits(g->labels, g->n_labels, value);
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"label", filter_label, .all = true},
};

void on_security_group_list(struct request *rq)
{
	const Berth__SecurityGroupList *ask = rq->env->security_group_list;
	struct supervisor *sv = rq->sv;
	struct table_node *node;
	size_t k = 0;

	if ((ask->all_projects && !request_sees_all(rq)) ||
	    !filters_check(rq, filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters))
		return;
	(void)security_group_find(sv, rq->who.project, SECURITY_GROUP_DEFAULT); /* it is there for who looks */
	AUTO_FREE Berth__SecurityGroup **list = calloc(sv->security_groups.n + 1, sizeof *list);
	if (!list) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	list_each (node, &sv->security_groups.all, link) {
		struct security_group *g = container_of(node, struct security_group, node);

		if (g->removing || (!ask->all_projects && strcmp(g->obj->meta->project, rq->who.project) != 0))
			continue;
		if (filters_fit(filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters, NULL, g->obj))
			list[k++] = g->obj;
	}
	reply_groups(sv, rq->parked, list, k);
}

static void names_fill(struct supervisor *sv, Berth__SecurityGroup *view)
{
	for (size_t i = 0; i < view->n_rules; i++) {
		Berth__SecurityGroupRule *r = view->rules[i];
		const struct security_group *remote =
			r->remote_group ? security_group_by_uuid(sv, r->remote_group) : NULL;

		if (remote)
			set_text(&r->remote_group_name, "%s", remote->obj->meta->name);
	}
}

void on_security_group_inspect(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	struct security_group *g = security_group_asked(rq, rq->env->security_group_inspect->name);
	Berth__SecurityGroup *view = g ? message_copy(&g->obj->base) : NULL;
	struct net_holder *h;
	int r = 0;

	if (!g)
		return;
	if (view)
		names_fill(sv, view);
	list_each (h, &sv->net_holders, link)
		if (view && r == 0 && security_group_has(g, h))
			r = strings_add(&view->used_by, &view->n_used_by, net_stored_of(h).meta->uuid);
	if (!view || r < 0)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	else
		reply_groups(sv, rq->parked, &view, 1);
	if (view)
		berth__security_group__free_unpacked(view, NULL);
}

/* ---------------------------------------------------------------- remove */

static void on_removed(void *arg, int result)
{
	struct security_group *g = arg;
	struct supervisor *sv = g->sv;

	if (result < 0) {
		g->removing = false;
		reply_error(sv, g->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "security group %s could not be removed: %s", g->obj->meta->name, strerror(-result));
		return;
	}
	watch_publish(sv, "security_group", "remove", g->obj->meta, NULL, NULL);
	security_policies_tidy(sv, true);
	security_group_gone(g);
	reply_done(sv, g->parked, g->node.uuid);
	security_group_free(g);
}

/* Of another one: its own go with it. */
static const struct security_group *group_that_names(struct supervisor *sv, const struct security_group *g)
{
	struct table_node *node;

	list_each (node, &sv->security_groups.all, link) {
		const struct security_group *other = container_of(node, struct security_group, node);

		for (size_t i = 0; other != g && i < other->obj->n_rules; i++)
			if (other->obj->rules[i]->remote_group &&
			    !strcmp(other->obj->rules[i]->remote_group, g->node.uuid))
				return other;
	}
	return NULL;
}

#define USERS_SHOWN 5

/* "container web-1, pod db", so that one knows where to begin; false: nobody has it. */
static bool users_text(struct supervisor *sv, const struct security_group *g, char *buf, size_t size)
{
	const struct security_group *other = group_that_names(sv, g);
	struct net_holder *h;
	size_t n = 0, len = 0;

	buf[0] = 0;
	if (other)
		len = (size_t)snprintf(buf, size, "a rule of security group %.60s", other->obj->meta->name);
	list_each (h, &sv->net_holders, link) {
		if (!security_group_has(g, h))
			continue;
		if (n++ < USERS_SHOWN && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s %.60s", len ? ", " : "", h->kind->noun,
						net_stored_of(h).meta->name);
	}
	if (n > USERS_SHOWN && len < size)
		snprintf(buf + len, size - len, " and %zu more", n - USERS_SHOWN);
	return other || n;
}

void on_security_group_remove(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	struct security_group *g = security_group_asked(rq, rq->env->security_group_remove->name);
	char users[600];

	if (!g)
		return;
	request_audit(rq, "security_group", g->obj->meta);
	if (!strcmp(g->obj->meta->name, SECURITY_GROUP_DEFAULT)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "name",
			    "the security group " SECURITY_GROUP_DEFAULT " is always there; its rules can be removed");
		return;
	}
	if (users_text(sv, g, users, sizeof users)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "security group %s is used by %s",
			    g->obj->meta->name, users);
		return;
	}
	if (!g->stored) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "security group %s is just being made",
			    g->obj->meta->name);
		return;
	}
	g->parked = rq->parked;
	g->removing = store_delete(sv->store, STORE_SECURITY_GROUP, g->node.uuid, on_removed, g) >= 0;
	if (!g->removing)
		reply_store_full(sv, rq->parked);
}

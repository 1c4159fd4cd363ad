/* supervisor/security_request.c - requests about security groups and their rules. */
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/check.h"
#include "supervisor/check_field.h"
#include "supervisor/filter.h"
#include "supervisor/meta.h"
#include "supervisor/net_holder.h"
#include "supervisor/request.h"
#include "supervisor/security_group.h"
#include "supervisor/security_rule.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTION_MAX 255u

/* The one that a request names: of the project; for those who see all, any by its uuid. NULL: refused. */
static struct security_group *group_asked(struct request *rq, const char *ref)
{
	struct security_group *g = ref && ref[0] ? security_group_find(rq->sv, rq->who.project, ref) : NULL;

	if (!g && ref && principal_sees_all(&rq->who))
		g = security_group_by_uuid(rq->sv, ref);
	if (g && !g->removing)
		return g;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, "name",
		    "project %s has no security group '%.200s'", rq->who.project, ref ? ref : "");
	return NULL;
}

static void refuse(struct request *rq, const struct err *e)
{
	reply_error(rq->sv, rq->parked, error_code_of(e), e->step, "%s", e->text);
}

static void store_is_full(struct request *rq)
{
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the store takes no more for now");
}

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
	struct parked p = g->creation;
	struct err e;

	g->creation = (struct parked){0};
	if (result < 0) {
		reply_error(sv, p, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the security group could not be stored: %s",
			    strerror(-result));
		security_group_free(g);
		return;
	}
	g->stored = true;
	if (security_group_tell(g, NULL, NULL, &e) < 0)
		log_err(&e, "security group %s", g->obj->meta->name);
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
	return 0;
}

void on_security_group_create(struct request *rq)
{
	const Berth__SecurityGroupCreate *ask = rq->env->security_group_create;
	struct supervisor *sv = rq->sv;
	struct security_group *g;
	struct err e;

	if (create_check(rq, ask, &e) < 0) {
		refuse(rq, &e);
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
		refuse(rq, &e);
		return;
	}
	request_audit(rq, "security_group", g->obj->meta);
	g->creation = rq->parked;
	if (store_put(sv->store, STORE_SECURITY_GROUP, g->obj->meta, &g->obj->base, false, on_created, g) < 0) {
		g->creation = (struct parked){0};
		security_group_free(g);
		store_is_full(rq);
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
	struct security_group *g = group_asked(rq, rq->env->security_group_inspect->name);
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

/* ---------------------------------------------------------------- rules */

/* A rule more or less: in memory at once, then on disk, then in force; then it is answered. */
struct change {
	struct supervisor *sv;
	struct parked parked;
	char group[UUID_SIZE], rule[UUID_SIZE];
	Berth__SecurityGroupRule *removed; /* owned; NULL: it was added */
};

static void change_free(struct change *c)
{
	if (c->removed)
		berth__security_group_rule__free_unpacked(c->removed, NULL);
	free(c);
}

static struct change *change_new(struct request *rq, const struct security_group *g, const char *rule)
{
	struct change *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->sv = rq->sv;
	c->parked = rq->parked;
	snprintf(c->group, sizeof c->group, "%s", g->node.uuid);
	snprintf(c->rule, sizeof c->rule, "%s", rule);
	return c;
}

static size_t rule_index(const struct security_group *g, const char *uuid)
{
	size_t i = 0;

	while (i < g->obj->n_rules && strcmp(g->obj->rules[i]->uuid, uuid) != 0)
		i++;
	return i;
}

static void change_undo(struct change *c, struct security_group *g)
{
	size_t i = rule_index(g, c->rule);

	if (!c->removed && i < g->obj->n_rules)
		security_group_rule_drop(g, i);
	else if (c->removed && security_group_rule_append(g, c->removed) == 0)
		c->removed = NULL;
}

static void on_in_force(void *arg, const struct err *e)
{
	struct change *c = arg;

	if (e)
		reply_error(c->sv, c->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "it is stored, but not in force: %s",
			    e->text);
	else
		reply_done(c->sv, c->parked, c->rule);
	change_free(c);
}

static void on_changed(void *arg, int result)
{
	struct change *c = arg;
	struct security_group *g = security_group_by_uuid(c->sv, c->group);
	struct err e;

	if (!g) { /* it was removed meanwhile, and all its rules */
		reply_error(c->sv, c->parked, BERTH__ERROR__CODE__NOT_FOUND, "name", "the security group is gone");
		change_free(c);
		return;
	}
	if (result < 0) {
		change_undo(c, g);
		reply_error(c->sv, c->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the rule could not be stored: %s",
			    strerror(-result));
		change_free(c);
		return;
	}
	watch_publish(c->sv, "security_group", "update", g->obj->meta, NULL, NULL);
	if (security_group_tell(g, on_in_force, c, &e) < 0)
		on_in_force(c, &e);
}

/* Takes c. */
static void change_store(struct request *rq, struct security_group *g, struct change *c)
{
	Berth__Meta *meta = g->obj->meta;

	SET(meta, revision, supervisor_next_revision(rq->sv));
	SET(meta, generation, meta->generation + 1);
	SET(meta, updated_at, wall_ns());
	if (store_put(rq->sv->store, STORE_SECURITY_GROUP, meta, &g->obj->base, false, on_changed, c) == 0)
		return;
	change_undo(c, g);
	change_free(c);
	store_is_full(rq);
}

static int rule_check(struct request *rq, struct security_group *g, Berth__SecurityGroupRule *r, struct err *e)
{
	const struct security_group *remote;
	int x = security_rule_check(r, e);

	if (x < 0)
		return x;
	if (r->remote_group) {
		remote = security_group_find(rq->sv, g->obj->meta->project, r->remote_group);
		if (!remote)
			return err_set(e, ENOENT, "rule.remote_group", "project %s has no security group '%.200s'",
				       g->obj->meta->project, r->remote_group);
		set_text(&r->remote_group, "%s", remote->node.uuid);
	}
	for (size_t i = 0; i < g->obj->n_rules; i++)
		if (security_rule_is(g->obj->rules[i], r))
			return err_set(e, EEXIST, "rule", "security group %s has this rule: %s", g->obj->meta->name,
				       g->obj->rules[i]->uuid);
	if (g->obj->n_rules >= SECURITY_RULES_MAX)
		return err_set(e, ENOSPC, "rule",
			       "a security group has at most %u rules: an interface may be in several groups",
			       SECURITY_RULES_MAX);
	return 0;
}

void on_security_group_rule_add(struct request *rq)
{
	const Berth__SecurityGroupRuleAdd *ask = rq->env->security_group_rule_add;
	struct security_group *g = group_asked(rq, ask->name);
	Berth__SecurityGroupRule *r = g && ask->rule ? message_copy(&ask->rule->base) : NULL;
	char uuid[UUID_SIZE];
	struct change *c;
	struct err e;

	if (!g)
		return;
	request_audit(rq, "security_group", g->obj->meta);
	if (!r) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "rule", "which rule?");
		return;
	}
	if (rule_check(rq, g, r, &e) < 0) {
		berth__security_group_rule__free_unpacked(r, NULL);
		refuse(rq, &e);
		return;
	}
	uuid_make(uuid);
	set_text(&r->uuid, "%s", uuid);
	set_null(&r->remote_group_name);
	c = change_new(rq, g, uuid);
	if (!c || security_group_rule_append(g, r) < 0) {
		free(c);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	change_store(rq, g, c);
}

/* By its uuid or a beginning that fits one only; n_rules: it was refused. */
static size_t rule_asked(struct request *rq, const struct security_group *g, const char *ref)
{
	size_t found = g->obj->n_rules, n = 0;

	for (size_t i = 0; ref && ref[0] && i < g->obj->n_rules; i++)
		if (rq->who.exact ? !strcmp(g->obj->rules[i]->uuid, ref) : str_starts(g->obj->rules[i]->uuid, ref)) {
			found = i;
			n++;
		}
	if (n == 1)
		return found;
	reply_error(rq->sv, rq->parked, n ? BERTH__ERROR__CODE__AMBIGUOUS : BERTH__ERROR__CODE__NOT_FOUND, "rule",
		    n ? "%3$zu rules of security group %1$s begin with '%2$.200s'"
		      : "security group %1$s has no rule '%2$.200s'",
		    g->obj->meta->name, ref ? ref : "", n);
	return g->obj->n_rules;
}

void on_security_group_rule_remove(struct request *rq)
{
	const Berth__SecurityGroupRuleRemove *ask = rq->env->security_group_rule_remove;
	struct security_group *g = group_asked(rq, ask->name);
	struct change *c;
	size_t i;

	if (!g)
		return;
	request_audit(rq, "security_group", g->obj->meta);
	i = rule_asked(rq, g, ask->rule);
	if (i == g->obj->n_rules)
		return;
	c = change_new(rq, g, g->obj->rules[i]->uuid);
	if (c)
		c->removed = message_copy(&g->obj->rules[i]->base);
	if (!c || !c->removed) {
		free(c);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	security_group_rule_drop(g, i);
	change_store(rq, g, c);
}

/* ---------------------------------------------------------------- remove */

struct removal {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE];
};

static void on_removed(void *arg, int result)
{
	struct removal *w = arg;
	struct security_group *g = security_group_by_uuid(w->sv, w->uuid);

	if (g && result < 0) {
		g->removing = false;
		reply_error(w->sv, w->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "security group %s could not be removed: %s", g->obj->meta->name, strerror(-result));
	} else if (g) {
		watch_publish(w->sv, "security_group", "remove", g->obj->meta, NULL, NULL);
		security_policies_tidy(w->sv, true);
		security_group_gone(g);
		security_group_free(g);
		reply_done(w->sv, w->parked, w->uuid);
	}
	free(w);
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
	struct security_group *g = group_asked(rq, rq->env->security_group_remove->name);
	struct removal *w;
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
	w = g->stored ? calloc(1, sizeof *w) : NULL;
	if (w) {
		w->sv = sv;
		w->parked = rq->parked;
		memcpy(w->uuid, g->node.uuid, sizeof w->uuid);
	}
	if (!w || store_delete(sv->store, STORE_SECURITY_GROUP, w->uuid, on_removed, w) < 0) {
		free(w);
		store_is_full(rq);
		return;
	}
	g->removing = true;
}

/* supervisor/security_rule_request.c - requests about the rules of security groups, and what all requests about groups share. */
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/repeat.h"
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

struct security_group *security_group_asked(struct request *rq, const char *ref)
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

void security_refuse(struct request *rq, const struct err *e)
{
	reply_error(rq->sv, rq->parked, error_code_of(e), e->step, "%s", e->text);
}

/* ---------------------------------------------------------------- a change */

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
	repeat_note(rq->sv, rq->parked, c->rule);
	if (store_put(rq->sv->store, STORE_SECURITY_GROUP, meta, &g->obj->base, false, on_changed, c) == 0)
		return;
	change_undo(c, g);
	change_free(c);
	reply_store_full(rq->sv, rq->parked);
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
	struct security_group *g = security_group_asked(rq, ask->name);
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
		security_refuse(rq, &e);
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
	struct security_group *g = security_group_asked(rq, ask->name);
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

/* It was stored; whether berth-net has heard of it nobody knows any more. */
bool security_rule_repeated(struct request *rq, const char *id)
{
	bool added = rq->env->body_case == BERTH__ENVELOPE__BODY_SECURITY_GROUP_RULE_ADD;
	struct security_group *g = security_group_asked(rq, added ? rq->env->security_group_rule_add->name
								  : rq->env->security_group_rule_remove->name);
	struct change *c;
	struct err e;

	if (g && (rule_index(g, id) < g->obj->n_rules) != added)
		return false;
	if (!g)
		return true;
	request_audit(rq, "security_group", g->obj->meta);
	c = change_new(rq, g, id);
	if (!c)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	else if (security_group_tell(g, on_in_force, c, &e) < 0)
		on_in_force(c, &e);
	return true;
}

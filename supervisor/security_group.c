/* supervisor/security_group.c - see supervisor/security_group.h */
#include "supervisor/security_group.h"

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/driver.h"
#include "supervisor/meta.h"
#include "supervisor/net_holder.h"
#include "supervisor/network.h"
#include "supervisor/set.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the object */

int security_group_rule_append(struct security_group *g, Berth__SecurityGroupRule *r)
{
	Berth__SecurityGroup *obj = g->obj;
	Berth__SecurityGroupRule **list = r ? realloc(obj->rules, (obj->n_rules + 1) * sizeof(void *)) : NULL;

	if (!list) {
		if (r)
			berth__security_group_rule__free_unpacked(r, NULL);
		return -ENOMEM;
	}
	obj->rules = list;
	list[obj->n_rules++] = r;
	return 0;
}

void security_group_rule_drop(struct security_group *g, size_t i)
{
	Berth__SecurityGroup *obj = g->obj;

	berth__security_group_rule__free_unpacked(obj->rules[i], NULL);
	obj->n_rules--;
	memmove(obj->rules + i, obj->rules + i + 1, (obj->n_rules - i) * sizeof(void *));
}

static int first_rule(struct security_group *g, Berth__SecurityGroupRule__Direction direction, const char *remote_group)
{
	Berth__SecurityGroupRule *r = malloc(sizeof *r);
	char uuid[UUID_SIZE];

	if (!r)
		return -ENOMEM;
	berth__security_group_rule__init(r);
	uuid_make(uuid);
	set_text(&r->uuid, "%s", uuid);
	SET(r, direction, direction);
	if (remote_group)
		set_text(&r->remote_group, "%s", remote_group);
	return security_group_rule_append(g, r);
}

/* Takes obj. */
static struct security_group *group_take(struct supervisor *sv, Berth__SecurityGroup *obj)
{
	struct security_group *g = calloc(1, sizeof *g);

	if (g) {
		g->sv = sv;
		g->obj = obj;
		g->node.id = obj->meta->id;
		snprintf(g->node.uuid, sizeof g->node.uuid, "%s", obj->meta->uuid);
	}
	if (!g || table_add(&sv->security_groups, &g->node) < 0) {
		berth__security_group__free_unpacked(obj, NULL);
		free(g);
		return NULL;
	}
	return g;
}

struct security_group *security_group_new(struct supervisor *sv, const char *project, const char *owner,
					  const char *name, bool empty)
{
	Berth__SecurityGroup *obj = malloc(sizeof *obj);
	struct security_group *g;

	if (!obj)
		return NULL;
	berth__security_group__init(obj);
	obj->meta = meta_new(sv, NULL, project, owner, name);
	if (!obj->meta) {
		free(obj);
		return NULL;
	}
	g = group_take(sv, obj);
	if (g && !empty && first_rule(g, BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS, NULL) < 0) {
		security_group_free(g);
		return NULL;
	}
	return g;
}

void security_group_free(struct security_group *g)
{
	table_del(&g->sv->security_groups, &g->node);
	berth__security_group__free_unpacked(g->obj, NULL);
	free(g);
}

/* ---------------------------------------------------------------- the one that every project has */

static struct security_group *group_named(struct supervisor *sv, const char *project, const char *ref)
{
	struct table_node *node;

	list_each (node, &sv->security_groups.all, link) {
		struct security_group *g = container_of(node, struct security_group, node);

		if (!strcmp(g->obj->meta->project, project) &&
		    (!strcmp(g->obj->meta->name, ref) || !strcmp(node->uuid, ref)))
			return g;
	}
	return NULL;
}

static struct security_group *default_make(struct supervisor *sv, const char *project)
{
	struct security_group *g = security_group_new(sv, project, "berthd", SECURITY_GROUP_DEFAULT, false);

	if (!g || first_rule(g, BERTH__SECURITY_GROUP_RULE__DIRECTION__INGRESS, g->node.uuid) < 0) {
		if (g)
			security_group_free(g);
		log_error("no memory for the security group " SECURITY_GROUP_DEFAULT " of project %s", project);
		return NULL;
	}
	set_text(&g->obj->description, "what is there from the start");
	g->stored = true; /* … or will be: nobody waits for it, and it is made again where it is not */
	if (store_put(sv->store, STORE_SECURITY_GROUP, g->obj->meta, &g->obj->base, true, NULL, NULL) < 0)
		log_warn("the security group " SECURITY_GROUP_DEFAULT " of project %s is not stored yet", project);
	return g;
}

struct security_group *security_group_find(struct supervisor *sv, const char *project, const char *ref)
{
	struct security_group *g = group_named(sv, project, ref);

	if (!g && !strcmp(ref, SECURITY_GROUP_DEFAULT))
		g = default_make(sv, project);
	return g && !g->removing ? g : NULL;
}

struct security_group *security_group_by_uuid(struct supervisor *sv, const char *uuid)
{
	struct table_node *node = table_find(&sv->security_groups, uuid);

	return node ? container_of(node, struct security_group, node) : NULL;
}

/* ---------------------------------------------------------------- at start */

static int load_row(void *arg, const void *blob, size_t len)
{
	Berth__SecurityGroup *obj = message_unpack(&berth__security_group__descriptor, blob, len);
	struct security_group *g = NULL;

	if (obj && obj->meta && obj->meta->uuid && obj->meta->name && obj->meta->project)
		g = group_take(arg, obj);
	if (!g)
		log_error("a security group in the store cannot be read and is left alone there");
	else
		g->stored = true;
	return 0;
}

int security_groups_open(struct supervisor *sv, struct err *e)
{
	int r = store_load(sv->store, STORE_SECURITY_GROUP, load_row, sv, e);

	if (r == 0 && !security_group_find(sv, "default", SECURITY_GROUP_DEFAULT))
		r = err_set(e, ENOMEM, "security group", "make the one that is always there");
	return r;
}

void security_groups_close(struct supervisor *sv)
{
	struct table_node *node;

	security_policies_close(sv);
	while (sv->security_groups.bucket && (node = list_first(&sv->security_groups.all, struct table_node, link)))
		security_group_free(container_of(node, struct security_group, node));
}

/* ---------------------------------------------------------------- of an interface */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int lease_add_group(struct supervisor *sv, const char *project, const char *ref, Berth__Lease *l, struct err *e)
{
	struct security_group *g = ref[0] ? security_group_find(sv, project, ref) : NULL;

	if (!g)
		return err_set(e, ENOENT, "", "project %s has no security group '%.200s'", project, ref);
	for (size_t i = 0; i < l->n_security_group_uuids; i++)
		if (!strcmp(l->security_group_uuids[i], g->node.uuid))
			return 0;
	return strings_add(&l->security_group_uuids, &l->n_security_group_uuids, g->node.uuid) < 0
		       ? err_set(e, ENOMEM, "", "no memory")
		       : 0;
}

int security_groups_lease(const struct network *net, const char *project, char *const *names, size_t n, Berth__Lease *l,
			  struct err *e)
{
	Berth__Lease now = BERTH__LEASE__INIT;
	struct supervisor *sv = net->sv;
	int r = n ? driver_needs(net, FEATURE_SECURITY_GROUPS, e) : 0;

	if (r < 0)
		snprintf(e->step, sizeof e->step, "security_groups");
	else if (n > SECURITY_GROUPS_EACH)
		r = err_set(e, EINVAL, "security_groups", "an interface is in at most %u groups", SECURITY_GROUPS_EACH);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = lease_add_group(sv, project, names[i], &now, e);
		if (r < 0)
			snprintf(e->step, sizeof e->step, "security_groups[%zu]", i);
	}
	if (r == 0 && now.n_security_group_uuids)
		qsort(now.security_group_uuids, now.n_security_group_uuids, sizeof(char *), by_text);
	for (size_t i = 0; i < now.n_security_group_uuids && r == 0; i++)
		r = strings_add(&now.security_groups, &now.n_security_groups,
				security_group_by_uuid(sv, now.security_group_uuids[i])->obj->meta->name);
	if (r == 0) {
		SET(&now, policy, security_policy_number(sv, &now));
		if (now.n_security_groups && !now.policy)
			r = err_set(e, ENOMEM, "security_groups", "no memory");
	}
	if (r == 0) {
		strings_free(&l->security_groups, &l->n_security_groups);
		strings_free(&l->security_group_uuids, &l->n_security_group_uuids);
		l->security_groups = now.security_groups;
		l->n_security_groups = now.n_security_groups;
		l->security_group_uuids = now.security_group_uuids;
		l->n_security_group_uuids = now.n_security_group_uuids;
		SET(l, policy, now.policy);
		return 0;
	}
	strings_free(&now.security_groups, &now.n_security_groups);
	strings_free(&now.security_group_uuids, &now.n_security_group_uuids);
	return r;
}

int security_groups_asked(const struct network *n, const char *project, const Berth__NetworkAsk *ask, Berth__Lease *l,
			  struct err *e)
{
	int r = security_groups_lease(n, project, ask->security_groups, ask->n_security_groups, l, e);

	if (r == 0 && ask->allow_spoofing) {
		r = driver_needs(n, FEATURE_ANTI_SPOOFING, e);
		snprintf(e->step, sizeof e->step, "allow_spoofing");
		SET(l, allow_spoofing, 1);
	}
	return r;
}

bool security_group_has(const struct security_group *g, const struct net_holder *h)
{
	struct net_stored stored = net_stored_of(h);

	for (size_t i = 0; i < stored.n_leases; i++)
		for (size_t k = 0; k < stored.leases[i]->n_security_group_uuids; k++)
			if (!strcmp(stored.leases[i]->security_group_uuids[k], g->node.uuid))
				return true;
	return false;
}

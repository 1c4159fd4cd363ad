/* supervisor/security_state.c - security groups as berth-net hears of them (supervisor/security_group.h). */
#include "supervisor/security_group.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/net_holder.h"
#include "supervisor/netd.h"
#include "supervisor/security_rule.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIDY_NS (200 * NS_PER_MS)

struct policy { /* of a lease, or lately of one */
	struct list link;
	uint32_t key;
	char **groups; /* owned: uuids, in order */
	size_t n_groups;
	bool told; /* to the berth-net that runs */
	bool wanted;
};

static uint32_t key_of(const struct security_group *g)
{
	return (uint32_t)g->node.id;
}

/* ---------------------------------------------------------------- groups */

static Net__Group *group_message(const struct security_group *g, struct arena *a)
{
	const Berth__SecurityGroup *obj = g->obj;
	Net__Group *m = arena_alloc(a, sizeof *m);

	if (!m)
		return NULL;
	net__group__init(m);
	SET(m, key, key_of(g));
	m->rules = arena_alloc(a, (obj->n_rules + 1) * sizeof *m->rules);
	for (size_t i = 0; m->rules && i < obj->n_rules; i++) {
		const Berth__SecurityGroupRule *r = obj->rules[i];
		const struct security_group *remote =
			r->remote_group ? security_group_by_uuid(g->sv, r->remote_group) : NULL;

		if (!r->remote_group || remote)
			m->rules[m->n_rules++] = security_rule_message(r, remote ? key_of(remote) : 0, a);
	}
	return a->failed ? NULL : m;
}

int security_group_tell(struct security_group *g, netd_done *done, void *arg, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__GroupPut body = NET__GROUP_PUT__INIT;
	struct arena a = ARENA_INIT;
	int r;

	if (!g->told || !netd_runs(g->sv)) {
		if (done)
			done(arg, NULL);
		return 0;
	}
	body.group = group_message(g, &a);
	m.body_case = NET__NET_MESSAGE__BODY_GROUP_PUT;
	m.group_put = &body;
	r = body.group ? netd_ask(g->sv, &m, -1, done, arg, e) : err_set(e, ENOMEM, "network", "no memory");
	arena_fini(&a);
	return r;
}

void security_group_gone(struct security_group *g)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__GroupDelete body = NET__GROUP_DELETE__INIT;
	struct err e;

	if (!netd_runs(g->sv))
		return;
	SET(&body, key, key_of(g));
	m.body_case = NET__NET_MESSAGE__BODY_GROUP_DELETE;
	m.group_delete = &body;
	if (netd_ask(g->sv, &m, -1, NULL, NULL, &e) < 0)
		log_err(&e, "security group %s", g->obj->meta->name);
}

/* ---------------------------------------------------------------- interfaces */

static uint32_t *keys_of(struct supervisor *sv, const Berth__Lease *l, size_t *ret_n, struct arena *a)
{
	uint32_t *keys = arena_alloc(a, (l->n_security_group_uuids + 1) * sizeof *keys);

	*ret_n = 0;
	for (size_t i = 0; keys && i < l->n_security_group_uuids; i++) {
		const struct security_group *g = security_group_by_uuid(sv, l->security_group_uuids[i]);

		if (g)
			keys[(*ret_n)++] = key_of(g);
	}
	return keys;
}

void security_groups_port(struct supervisor *sv, const Berth__Lease *l, Net__Port *p, struct arena *a)
{
	SET(p, policy, l->policy);
	SET(p, allow_spoofing, l->allow_spoofing);
	p->groups = keys_of(sv, l, &p->n_groups, a);
}

static struct policy *policy_by_key(struct supervisor *sv, uint32_t key)
{
	struct policy *p;

	list_each (p, &sv->policies, link)
		if (p->key == key)
			return p;
	return NULL;
}

static void policy_free(struct policy *p)
{
	list_del(&p->link);
	strings_free(&p->groups, &p->n_groups);
	free(p);
}

static struct policy *policy_add(struct supervisor *sv, uint32_t key, const Berth__Lease *l)
{
	struct policy *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->key = key;
	list_push(&sv->policies, &p->link);
	if (strings_copy(&p->groups, &p->n_groups, l->security_group_uuids, l->n_security_group_uuids) < 0) {
		policy_free(p);
		return NULL;
	}
	return p;
}

static bool policy_is_of(const struct policy *p, const Berth__Lease *l)
{
	if (p->n_groups != l->n_security_group_uuids)
		return false;
	for (size_t i = 0; i < p->n_groups; i++)
		if (strcmp(p->groups[i], l->security_group_uuids[i]) != 0)
			return false;
	return true;
}

uint32_t security_policy_number(struct supervisor *sv, const Berth__Lease *l)
{
	struct policy *p;

	if (!l->n_security_group_uuids)
		return 0;
	list_each (p, &sv->policies, link)
		if (policy_is_of(p, l))
			return p->key;
	p = policy_add(sv, (uint32_t)supervisor_next_id(sv), l);
	return p ? p->key : 0;
}

/* What there is of a policy's groups, before it. */
static void groups_tell(struct supervisor *sv, const Berth__Lease *l)
{
	struct err e;

	for (size_t i = 0; i < l->n_security_group_uuids; i++) {
		struct security_group *g = security_group_by_uuid(sv, l->security_group_uuids[i]);

		if (!g || g->told)
			continue;
		g->told = true;
		if (security_group_tell(g, NULL, NULL, &e) < 0)
			log_err(&e, "security group %s", g->obj->meta->name);
	}
}

static Net__Policy *policy_message(struct supervisor *sv, const Berth__Lease *l, struct arena *a)
{
	Net__Policy *m = arena_alloc(a, sizeof *m);

	if (!m)
		return NULL;
	net__policy__init(m);
	SET(m, key, l->policy);
	m->groups = keys_of(sv, l, &m->n_groups, a);
	return a->failed ? NULL : m;
}

void security_policy_tell(struct supervisor *sv, const Berth__Lease *l)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__PolicyPut body = NET__POLICY_PUT__INIT;
	struct arena a = ARENA_INIT;
	struct policy *p;
	struct err e;

	if (!l->policy)
		return;
	p = policy_by_key(sv, l->policy);
	if (!p)
		p = policy_add(sv, l->policy, l);
	if (p && p->told)
		return;
	groups_tell(sv, l);
	body.policy = policy_message(sv, l, &a);
	m.body_case = NET__NET_MESSAGE__BODY_POLICY_PUT;
	m.policy_put = &body;
	/* One that is not told lets nothing through. */
	if (!p || !body.policy)
		log_error("security groups of %s: no memory", l->host_link);
	else if (netd_ask(sv, &m, -1, NULL, NULL, &e) < 0)
		log_err(&e, "security groups of %s", l->host_link);
	else
		p->told = true;
	arena_fini(&a);
}

/* ---------------------------------------------------------------- policies that nobody has any more */

static void policy_gone(struct supervisor *sv, struct policy *p)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__PolicyDelete body = NET__POLICY_DELETE__INIT;
	struct err e;

	SET(&body, key, p->key);
	m.body_case = NET__NET_MESSAGE__BODY_POLICY_DELETE;
	m.policy_delete = &body;
	if (p->told && netd_runs(sv) && netd_ask(sv, &m, -1, NULL, NULL, &e) < 0)
		log_err(&e, "berth-net");
	policy_free(p);
}

static void policies_sweep(struct supervisor *sv)
{
	struct policy *p;
	struct net_holder *h;

	list_each (p, &sv->policies, link)
		p->wanted = false;
	list_each (h, &sv->net_holders, link) {
		struct net_stored stored = net_stored_of(h);

		for (size_t i = 0; i < stored.n_leases; i++) {
			p = stored.leases[i]->policy ? policy_by_key(sv, stored.leases[i]->policy) : NULL;
			if (p)
				p->wanted = true;
		}
	}
	list_each (p, &sv->policies, link)
		if (!p->wanted)
			policy_gone(sv, p);
}

static void on_tidy(struct timer *t)
{
	policies_sweep(container_of(t, struct supervisor, policies_tidy));
}

void security_policies_tidy(struct supervisor *sv, bool now)
{
	if (now)
		policies_sweep(sv);
	else if (!list_empty(&sv->policies) && !timer_armed(&sv->policies_tidy))
		timer_in(&sv->loop, &sv->policies_tidy, TIDY_NS, on_tidy);
}

void security_policies_close(struct supervisor *sv)
{
	struct policy *p;

	timer_del(&sv->policies_tidy);
	while ((p = list_first(&sv->policies, struct policy, link)))
		policy_free(p);
}

/* ---------------------------------------------------------------- everything */

static void groups_add(struct supervisor *sv, Net__State *s, const Berth__Lease *l, struct arena *a)
{
	for (size_t i = 0; i < l->n_security_group_uuids; i++) {
		struct security_group *g = security_group_by_uuid(sv, l->security_group_uuids[i]);

		if (!g || g->told)
			continue;
		g->told = true;
		s->groups[s->n_groups++] = group_message(g, a);
	}
}

void security_groups_state(struct supervisor *sv, Net__State *s, struct arena *a)
{
	struct table_node *node;
	struct net_holder *h;
	struct policy *told;
	size_t max = 1;

	list_each (told, &sv->policies, link)
		told->told = false; /* those that are not in it are gone with the table */
	s->groups = arena_alloc(a, (sv->security_groups.n + 1) * sizeof *s->groups);
	list_each (h, &sv->net_holders, link)
		max += net_stored_of(h).n_leases;
	s->policies = arena_alloc(a, max * sizeof *s->policies);
	if (a->failed)
		return;
	list_each (node, &sv->security_groups.all, link)
		container_of(node, struct security_group, node)->told = false;
	list_each (h, &sv->net_holders, link) {
		struct net_stored stored = net_stored_of(h);

		for (size_t i = 0; i < stored.n_leases; i++) {
			const Berth__Lease *l = stored.leases[i];

			struct policy *p = l->policy ? policy_by_key(sv, l->policy) : NULL;

			if (!l->policy || (p && p->told))
				continue;
			if (!p)
				p = policy_add(sv, l->policy, l);
			if (!p) {
				a->failed = true;
				return;
			}
			p->told = true;
			groups_add(sv, s, l, a);
			s->policies[s->n_policies++] = policy_message(sv, l, a);
		}
	}
}

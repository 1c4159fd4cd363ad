/* supervisor/network_request.c - requests about networks. */
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/check.h"
#include "supervisor/driver.h"
#include "supervisor/duplicate.h"
#include "supervisor/filter.h"
#include "supervisor/meta.h"
#include "supervisor/net_holder.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/network_asked.h"
#include "supervisor/network_fixed.h"
#include "supervisor/network_pick.h"
#include "supervisor/request.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PICKS 64u /* subnets that the host has itself, before it is said that none is free */

void network_reply(struct supervisor *sv, struct parked p, Berth__Network **networks, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__NetworkReply body = BERTH__NETWORK_REPLY__INIT;

	body.networks = networks;
	body.n_networks = n;
	env.body_case = BERTH__ENVELOPE__BODY_NETWORK_REPLY;
	env.network_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

struct network *request_network(struct request *rq, const char *name)
{
	const Berth__Network *fixed = network_fixed(name ? name : "");
	struct err e;
	struct network *n = network_find(rq->sv, &rq->who, name ? name : "", &e);

	if (!n && fixed && network_fixed_sees(&rq->who, fixed))
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "name",
			    "the network %s is always there, as it is", fixed->meta->name);
	else if (!n)
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
	return n;
}

static Berth__Network *fixed_seen(const struct request *rq, const char *ref)
{
	Berth__Network *fixed = network_fixed(ref ? ref : "");

	return fixed && network_fixed_sees(&rq->who, fixed) ? fixed : NULL;
}

/* ---------------------------------------------------------------- create */

/* It is found by others while its row is on its way; who asked for it hears when it is on disk. */
static void on_stored(void *arg, int result)
{
	struct network *n = arg;
	struct supervisor *sv = n->sv;
	struct parked p = n->parked;

	n->parked = (struct parked){0};
	if (result < 0) {
		reply_error(sv, p, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the network could not be stored: %s",
			    strerror(-result));
		network_free(sv, n);
		return;
	}
	n->stored = true;
	watch_publish(sv, "network", "create", n->obj->meta, NULL, NULL);
	network_reply(sv, p, &n->obj, 1);
}

/* One that does not run hears of it when it is started. */
static void netd_tell(struct supervisor *sv, const struct network *n, bool put)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__NetworkPut put_body = NET__NETWORK_PUT__INIT;
	Net__NetworkDelete delete_body = NET__NETWORK_DELETE__INIT;
	struct arena a = ARENA_INIT;
	struct err e;

	if (!netd_runs(sv))
		return;
	put_body.network = delete_body.network = network_message(n, &a);
	m.body_case = put ? NET__NET_MESSAGE__BODY_NETWORK_PUT : NET__NET_MESSAGE__BODY_NETWORK_DELETE;
	if (put)
		m.network_put = &put_body;
	else
		m.network_delete = &delete_body;
	if (!put_body.network)
		log_error("network %s: no memory to tell berth-net", n->obj->meta->name);
	else if (netd_ask(sv, &m, -1, NULL, NULL, &e) < 0)
		log_err(&e, "network %s", n->obj->meta->name);
	arena_fini(&a);
}

static void network_store(struct network *n)
{
	struct supervisor *sv = n->sv;
	struct parked p = n->parked;
	int r = store_put(sv->store, STORE_NETWORK, n->obj->meta, &n->obj->base, false, on_stored, n);

	if (r < 0) {
		network_free(sv, n);
		reply_store_full(sv, p);
	}
}

static void network_try(struct network *n);

/* What was found for it the host has itself: the next one. */
static bool try_next(struct network *n, const struct err *e)
{
	struct supervisor *sv = n->sv;
	struct parked p = n->parked;
	unsigned picked = n->picked + 1;
	Berth__Network *obj = e->code == EEXIST && n->picked && picked < PICKS ? message_copy(&n->obj->base) : NULL;
	struct err why;

	if (!obj)
		return false;
	network_free(sv, n);
	for (size_t i = 0; i < obj->n_subnets; i++)
		berth__subnet__free_unpacked(obj->subnets[i], NULL);
	free(obj->subnets);
	obj->subnets = NULL;
	obj->n_subnets = 0;
	if (network_pick(sv, obj, &why) < 0 || network_check(sv, obj, &why) < 0) {
		berth__network__free_unpacked(obj, NULL);
		reply_err(sv, p, error_code_of(&why), &why);
	} else if (network_new(sv, obj, &n, &why) < 0) {
		reply_err(sv, p, error_code_of(&why), &why);
	} else {
		n->parked = p;
		n->picked = picked;
		network_try(n);
	}
	return true;
}

static void on_tried(void *arg, const struct err *e)
{
	struct network *n = arg;
	struct supervisor *sv = n->sv;
	struct parked p = n->parked;

	n->trying = false;
	if (e) {
		netd_tell(sv, n, false); /* as far as it came */
		if (try_next(n, e))
			return;
		network_free(sv, n);
		reply_net_err(sv, p, e);
	} else {
		if (n->missed)
			netd_tell(sv, n, true);
		network_store(n); /* what was made for one that is not stored goes with the next State */
	}
}

/* What the host has for it berthd cannot know: it is made first, and there is no such network until it could be. */
static void network_try(struct network *n)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__NetworkPut body = NET__NETWORK_PUT__INIT;
	struct parked p = n->parked;
	struct arena a = ARENA_INIT;
	struct err e;
	int r;

	body.network = network_message(n, &a);
	m.body_case = NET__NET_MESSAGE__BODY_NETWORK_PUT;
	m.network_put = &body;
	n->trying = true;
	r = body.network ? netd_ask(n->sv, &m, -1, on_tried, n, &e)
			 : err_set(&e, ENOMEM, "network", "no memory to tell berth-net");
	arena_fini(&a);
	if (r < 0) {
		struct supervisor *sv = n->sv;

		network_free(sv, n);
		reply_err(sv, p, error_code_of(&e), &e);
	}
}

static bool name_is_taken(struct request *rq, const char *name)
{
	struct table_node *node;

	list_each (node, &rq->sv->networks.all, link) {
		const Berth__Meta *m = container_of(node, struct network, node)->obj->meta;

		if (!strcmp(m->name, name) && !strcmp(m->project, rq->who.project))
			return true;
	}
	return false;
}

static Berth__Network *object_of(struct request *rq, const char *name)
{
	static const Berth__Network nothing = BERTH__NETWORK__INIT;
	const Berth__Network *asked = rq->env->network_create->spec;
	Berth__Network *obj = message_copy(asked ? &asked->base : &nothing.base);

	if (!obj)
		return NULL;
	if (obj->nic)
		berth__network_nic__free_unpacked(obj->nic, NULL);
	obj->nic = NULL;
	if (obj->meta)
		berth__meta__free_unpacked(obj->meta, NULL);
	strings_free(&obj->used_by, &obj->n_used_by);
	for (size_t i = 0; i < obj->n_duplicates; i++)
		berth__duplicate_address__free_unpacked(obj->duplicates[i], NULL);
	obj->n_duplicates = 0;
	for (size_t i = 0; i < obj->n_interfaces; i++)
		berth__network_interface__free_unpacked(obj->interfaces[i], NULL);
	obj->n_interfaces = 0;
	obj->meta = meta_new(rq->sv, NULL, rq->who.project, rq->who.name, name);
	if (obj->meta)
		return obj;
	berth__network__free_unpacked(obj, NULL);
	return NULL;
}

void on_network_create(struct request *rq)
{
	const char *name = rq->env->network_create->name;
	struct supervisor *sv = rq->sv;
	Berth__Network *obj;
	struct network *n;
	struct err e;
	bool picked;

	if (check_name("name", name ? name : "", &e) < 0) {
		reply_err(sv, rq->parked, BERTH__ERROR__CODE__INVALID, &e);
		return;
	}
	if (network_fixed(name)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXISTS, "name", "the network %s is always there", name);
		return;
	}
	if (name_is_taken(rq, name)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXISTS, "name", "there is a network %s", name);
		return;
	}
	obj = object_of(rq, name);
	if (!obj) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	picked = !obj->n_subnets && network_may_pick(obj);
	if ((picked && network_pick(sv, obj, &e) < 0) || network_check(sv, obj, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		berth__network__free_unpacked(obj, NULL);
		return;
	}
	if (network_new(sv, obj, &n, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	request_audit(rq, "network", n->obj->meta);
	n->parked = rq->parked;
	n->picked = picked;
	network_try(n);
}

/* ---------------------------------------------------------------- list, inspect */

static bool filter_name(const void *listing, const void *obj, const char *value)
{
	return strstr(((const Berth__Network *)obj)->meta->name, value) != NULL;
}

static bool filter_label(const void *listing, const void *obj, const char *value)
{
	const Berth__Network *n = obj;

	return filter_label_fits(n->labels, n->n_labels, value);
}

static bool filter_driver(const void *listing, const void *obj, const char *value)
{
	return !strcmp(((const Berth__Network *)obj)->driver, value);
}

static bool filter_id(const void *listing, const void *obj, const char *value)
{
	return table_uuid_begins(((const Berth__Network *)obj)->meta->uuid, value);
}

/* What its asker could remove. */
static bool filter_dangling(const void *listing, const void *obj, const char *value)
{
	const struct request *rq = listing;
	struct table_node *node = table_find(&rq->sv->networks, ((const Berth__Network *)obj)->meta->uuid);
	const struct network *n = node ? container_of(node, struct network, node) : NULL;

	return (n && !network_is_default(n) && principal_sees(&rq->who, n->obj->meta) && !network_user(rq->sv, n)) ==
	       filter_switch(value);
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"id", filter_id, "digits of a uuid", filter_can_be_id},
	{"dangling", filter_dangling, FILTER_SWITCH},
	{"label", filter_label, .all = true},
	{"driver", filter_driver, "routed bridge macvlan ipvlan phys host none"},
};

void on_network_list(struct request *rq)
{
	const Berth__NetworkList *ask = rq->env->network_list;
	struct supervisor *sv = rq->sv;
	AUTO_FREE Berth__Network **list = calloc(sv->networks.n + NETWORKS_FIXED, sizeof *list);
	struct table_node *node;
	size_t k = 0;

	if ((ask->all_projects && !request_sees_all(rq)) ||
	    !filters_check(rq, filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters))
		return;
	if (!list) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	list_each (node, &sv->networks.all, link) {
		struct network *n = container_of(node, struct network, node);

		if (n->removing || n->trying ||
		    (!ask->all_projects && !n->obj->shared && strcmp(n->obj->meta->project, rq->who.project)))
			continue;
		if (filters_fit(filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters, rq, n->obj))
			list[k++] = n->obj;
	}
	for (unsigned i = 0; i < NETWORKS_FIXED; i++)
		if (network_fixed_sees(&rq->who, network_fixed_at(i)) &&
		    filters_fit(filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters, rq, network_fixed_at(i)))
			list[k++] = network_fixed_at(i);
	network_reply(sv, rq->parked, list, k);
}

static Berth__NetworkInterface *interface_view(const struct net_holder *h, const Berth__Lease *l, struct arena *a)
{
	Berth__NetworkInterface *x = arena_alloc(a, sizeof *x);

	if (!x)
		return NULL;
	berth__network_interface__init(x);
	x->holder = net_stored_of(h).meta->uuid;
	x->name = net_stored_of(h).meta->name;
	x->kind = (char *)h->kind->noun;
	x->link = l->link;
	x->mac = l->mac;
	x->addresses = l->addresses;
	x->n_addresses = l->n_addresses;
	x->aliases = l->aliases;
	x->n_aliases = l->n_aliases;
	return x;
}

/* Who is in it, and where, of those that the asker may see. */
static void users_view(const struct network *n, const struct principal *who, struct arena *a, Berth__Network *view)
{
	struct net_holder *h;
	size_t n_leases = 0, n_users = 0;

	list_each (h, &n->sv->net_holders, link) {
		n_leases += net_stored_of(h).n_leases;
		n_users++;
	}
	view->used_by = arena_alloc(a, (n_users + 1) * sizeof *view->used_by);
	view->interfaces = arena_alloc(a, (n_leases + 1) * sizeof *view->interfaces);
	view->n_used_by = view->n_interfaces = 0;
	list_each (h, &n->sv->net_holders, link) {
		const struct net_stored s = net_stored_of(h);

		if (a->failed || !network_has(n, h) || !principal_sees(who, s.meta))
			continue;
		view->used_by[view->n_used_by++] = s.meta->uuid;
		for (size_t i = 0; i < s.n_leases; i++)
			if (!s.leases[i]->leaving && !strcmp(s.leases[i]->network_uuid, n->node.uuid))
				view->interfaces[view->n_interfaces++] = interface_view(h, s.leases[i], a);
	}
}

void on_network_inspect(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	Berth__Network *fixed = fixed_seen(rq, rq->env->network_inspect->name);
	struct network *n = fixed ? NULL : request_network(rq, rq->env->network_inspect->name);
	Berth__Network view, *one = &view;
	struct arena a = ARENA_INIT;

	if (fixed)
		network_reply(sv, rq->parked, &fixed, 1);
	if (!n)
		return;
	view = *n->obj;
	users_view(n, &rq->who, &a, &view);
	duplicates_view(n, &rq->who, &a, &view);
	if (a.failed)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	else
		network_reply(sv, rq->parked, &one, 1);
	arena_fini(&a);
}

/* ---------------------------------------------------------------- remove */

static void on_removed(void *arg, int result)
{
	struct network *n = arg;
	struct supervisor *sv = n->sv;
	struct parked parked = n->parked;
	char uuid[UUID_SIZE];

	if (result < 0) {
		n->removing = false;
		reply_error(sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "network %s could not be removed: %s",
			    n->obj->meta->name, strerror(-result));
		return;
	}
	memcpy(uuid, n->node.uuid, sizeof uuid);
	watch_publish(sv, "network", "remove", n->obj->meta, NULL, NULL);
	netd_tell(sv, n, false);
	network_free(sv, n); /* and berth-dns has heard of it before anybody else */
	reply_done(sv, parked, uuid);
}

void on_network_remove(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	const Berth__Network *fixed = fixed_seen(rq, rq->env->network_remove->name);
	struct network *n = fixed ? NULL : request_network(rq, rq->env->network_remove->name);
	const struct net_holder *user = n ? network_user(sv, n) : NULL;

	if (fixed)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "name", "the network %s is always there",
			    fixed->meta->name);
	if (!n)
		return;
	request_audit(rq, "network", n->obj->meta);
	if (!principal_sees(&rq->who, n->obj->meta)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__DENIED, "name",
			    "network %s is shared: it is not yours to remove", n->obj->meta->name);
		return;
	}
	if (network_is_default(n)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "name", "the network %s is always there",
			    n->obj->meta->name);
		return;
	}
	if (user) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "network %s is used by %s %s: remove that first", n->obj->meta->name, user->kind->noun,
			    net_stored_of(user).meta->name);
		return;
	}
	if (!n->stored) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "network %s is just being made",
			    n->obj->meta->name);
		return;
	}
	n->parked = rq->parked;
	n->removing = store_delete(sv->store, STORE_NETWORK, n->node.uuid, on_removed, n) >= 0;
	if (!n->removing)
		reply_store_full(sv, rq->parked);
}

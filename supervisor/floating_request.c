/* supervisor/floating_request.c - requests about floating IPs.
 *
 * A change goes to berth-net first and then to the store, and who asked hears when both have it. Whatever is killed in between: the next berthd tells
 * berth-net what is stored, and what else there was goes. */
#include "supervisor/floating.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/container.h"
#include "supervisor/driver.h"
#include "supervisor/meta.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/pod.h"
#include "supervisor/repeat.h"
#include "supervisor/request.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- floating IPs: told */

static void view_of(const struct floating_ip *f, Berth__FloatingIp *view)
{
	size_t i;
	const struct net_holder *h = floating_holder(f, &i);

	*view = *f->obj;
	if (!h) {
		view->target_uuid = view->link = NULL;
		view->has_lease = false;
		return;
	}
	view->target = net_stored_of(h).meta->name;
	view->target_kind = (char *)(uintptr_t)h->kind->noun;
	view->fixed_address = (char *)(uintptr_t)floating_fixed(f, net_stored_of(h).leases[i]);
}

static void reply_ips(struct supervisor *sv, struct parked p, struct floating_ip **ips, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__FloatingIpReply body = BERTH__FLOATING_IP_REPLY__INIT;
	AUTO_FREE Berth__FloatingIp *views = calloc(n + 1, sizeof *views);
	AUTO_FREE Berth__FloatingIp **list = calloc(n + 1, sizeof *list);

	if (!views || !list) {
		reply_error(sv, p, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		view_of(ips[i], &views[i]);
		list[i] = &views[i];
	}
	body.floating_ips = list;
	body.n_floating_ips = n;
	env.body_case = BERTH__ENVELOPE__BODY_FLOATING_IP_REPLY;
	env.floating_ip_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

void on_floating_ip_list(struct request *rq)
{
	bool all = rq->env->floating_ip_list->all_projects;
	struct supervisor *sv = rq->sv;
	AUTO_FREE struct floating_ip **list = calloc(sv->floating_ips.n + 1, sizeof *list);
	struct table_node *node;
	size_t n = 0;

	if (all && !request_sees_all(rq))
		return;
	list_each (node, &sv->floating_ips.all, link) {
		struct floating_ip *f = container_of(node, struct floating_ip, node);

		if (list && (all || !strcmp(f->obj->meta->project, rq->who.project)))
			list[n++] = f;
	}
	reply_ips(sv, rq->parked, list, n);
}

/* ---------------------------------------------------------------- allocate, release */

static void on_allocated(void *arg, int result)
{
	struct floating_ip *f = arg;
	struct parked parked = f->parked;

	f->parked = (struct parked){0};
	if (result < 0) {
		reply_error(f->sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the floating IP could not be stored: %s", strerror(-result));
		floating_free(f);
		return;
	}
	f->stored = true;
	watch_publish(f->sv, "floating-ip", "allocate", f->obj->meta, NULL, NULL);
	reply_ips(f->sv, parked, &f, 1);
}

/* The one that is named; or the only one that there is, or the only one that has the address. */
static struct floating_pool *pool_wanted(struct request *rq, const Berth__FloatingIpAllocate *ask, struct err *e)
{
	struct floating_pool *found = NULL;
	struct table_node *node;
	struct address a;

	if (ask->pool && *ask->pool)
		return floating_pool_find(rq->sv, &rq->who, ask->pool, e);
	if (ask->address && *ask->address && address_parse(ask->address, &a) < 0) {
		err_set(e, EINVAL, "address", "'%.60s' is not an IP address", ask->address);
		return NULL;
	}
	list_each (node, &rq->sv->floating_pools.all, link) {
		struct floating_pool *p = container_of(node, struct floating_pool, node);

		if (p->removing || !floating_pool_sees(&rq->who, p) ||
		    (ask->address && *ask->address && !range_has(&p->range, &a)))
			continue;
		if (found) {
			err_set(e, ENOTUNIQ, "pool", "there are several pools of floating IPs: name one (--pool)");
			return NULL;
		}
		found = p;
	}
	if (!found)
		err_set(e, ENOENT, "pool",
			ask->address && *ask->address ? "no pool of floating IPs has %.60s"
						      : "there is no pool of floating IPs%.0s",
			ask->address ? ask->address : "");
	return found;
}

static Berth__FloatingIp *ip_object(struct request *rq, const struct floating_pool *p, const struct address *a)
{
	Berth__FloatingIp *obj = malloc(sizeof *obj);
	char text[ADDRESS_TEXT];

	if (!obj)
		return NULL;
	berth__floating_ip__init(obj);
	obj->meta = meta_new(rq->sv, NULL, rq->who.project, rq->who.name, address_text(a, text));
	set_text(&obj->address, "%s", text);
	set_text(&obj->pool, "%s", p->obj->meta->name);
	set_text(&obj->pool_uuid, "%s", p->node.uuid);
	if (obj->meta && obj->address && obj->pool && obj->pool_uuid)
		return obj;
	berth__floating_ip__free_unpacked(obj, NULL);
	return NULL;
}

/* Pools are the host's, and a project that has taken one empty would have it from all the others. */
static int may_have_more(struct request *rq, struct err *e)
{
	const struct principal *who = &rq->who;
	uint32_t most = rq->sv->cfg.members_floating_ips, n = 0;
	struct table_node *node;

	list_each (node, &rq->sv->floating_ips.all, link)
		n += !strcmp(container_of(node, struct floating_ip, node)->obj->meta->project, who->project);
	if (n < most || principal_sees_all(who))
		return 0;
	return err_set(e, ENOSPC, "ip",
		       "project %s has %u floating IPs: its members may allocate no more (members_floating_ips)",
		       who->project, n);
}

void on_floating_ip_allocate(struct request *rq)
{
	const Berth__FloatingIpAllocate *ask = rq->env->floating_ip_allocate;
	struct supervisor *sv = rq->sv;
	Berth__FloatingIp *obj;
	struct floating_ip *f;
	struct address a;
	struct err e;
	struct floating_pool *p = pool_wanted(rq, ask, &e);

	if (!p || may_have_more(rq, &e) < 0 || floating_choose(p, ask->address, &a, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	obj = ip_object(rq, p, &a);
	if (!obj) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	if (floating_new(sv, obj, &f, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	request_audit(rq, "floating-ip", f->obj->meta);
	f->parked = rq->parked;
	if (store_put(sv->store, STORE_FLOATING_IP, f->obj->meta, &f->obj->base, false, on_allocated, f) < 0) {
		floating_free(f);
		reply_store_full(sv, rq->parked);
	}
}

bool floating_ip_repeated(struct request *rq, const char *id)
{
	struct table_node *n = table_find(&rq->sv->floating_ips, id);
	struct floating_ip *f = n ? container_of(n, struct floating_ip, node) : NULL;

	if (f)
		reply_ips(rq->sv, rq->parked, &f, 1);
	return f != NULL;
}

/* One that may be changed now; else it was refused. */
static struct floating_ip *ip_asked(struct request *rq, const char *ref)
{
	struct err e;
	struct floating_ip *f = floating_find(rq->sv, &rq->who, ref ? ref : "", &e);

	if (!f) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return NULL;
	}
	request_audit(rq, "floating-ip", f->obj->meta);
	if (f->stored && !f->busy)
		return f;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ip", "%s is just being changed",
		    f->obj->address);
	return NULL;
}

static void on_released(void *arg, int result)
{
	struct floating_ip *f = arg;
	struct parked parked = f->parked;

	f->busy = false;
	if (result < 0) {
		reply_error(f->sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the floating IP could not be released: %s", strerror(-result));
		return;
	}
	watch_publish(f->sv, "floating-ip", "release", f->obj->meta, NULL, NULL);
	reply_done(f->sv, parked, f->node.uuid);
	floating_free(f);
}

void on_floating_ip_release(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	struct floating_ip *f = ip_asked(rq, rq->env->floating_ip_release->ip);
	size_t i;
	const struct net_holder *h = f ? floating_holder(f, &i) : NULL;

	if (!f)
		return;
	if (h) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ip",
			    "%s leads to %s %s: disassociate it first", f->obj->address, h->kind->noun,
			    net_stored_of(h).meta->name);
		return;
	}
	f->parked = rq->parked;
	f->busy = store_delete(sv->store, STORE_FLOATING_IP, f->node.uuid, on_released, f) >= 0;
	if (!f->busy)
		reply_store_full(sv, rq->parked);
}

/* ---------------------------------------------------------------- associate, disassociate */

struct target {
	const char *uuid, *link; /* NULL: nowhere */
	uint64_t lease;
};

static void change_end(struct floating_ip *f)
{
	f->busy = false;
	set_null(&f->was_target);
	set_null(&f->was_link);
}

/* To the other target, and berth-net hears of it if the interface is there; 1: it does, and done follows. */
static int port_update(struct floating_ip *f, const struct target *to, netd_done *done, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__PortUpdate body = NET__PORT_UPDATE__INIT;
	struct arena a = ARENA_INIT;
	struct net_holder *h = to->uuid ? net_holder_by_uuid(f->sv, to->uuid) : NULL;
	size_t i = h ? floating_lease_at(h, to->lease, to->link) : 0;
	int r = 0;

	if (!to->uuid)
		h = floating_holder(f, &i);
	/* One that goes is asked of berth-net already: nothing of it may come back. */
	if (!h || i == net_stored_of(h).n_leases || net_stored_of(h).leases[i]->leaving || !h->asked) {
		floating_leads(f, to->uuid, to->link, to->lease);
		return 0;
	}
	body.was = network_port(h, i, &a);
	floating_leads(f, to->uuid, to->link, to->lease);
	body.port = network_port(h, i, &a);
	m.body_case = NET__NET_MESSAGE__BODY_PORT_UPDATE;
	m.port_update = &body;
	r = body.was && body.port ? netd_ask(f->sv, &m, -1, done, done ? f : NULL, e)
				  : err_set(e, ENOMEM, "network", "no memory");
	arena_fini(&a);
	return r < 0 ? r : 1;
}

static void undo(struct floating_ip *f)
{
	struct err e;

	if (port_update(f, &(struct target){f->was_target, f->was_link, f->was_lease}, NULL, &e) < 0)
		log_err(&e, "floating IP %s", f->obj->address);
}

static void on_changed(void *arg, int result)
{
	struct floating_ip *f = arg;
	struct parked parked = f->parked;

	if (result < 0) {
		undo(f);
		change_end(f);
		reply_error(f->sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the change could not be stored: %s",
			    strerror(-result));
		return;
	}
	change_end(f);
	watch_publish(f->sv, "floating-ip", f->obj->target_uuid ? "associate" : "disassociate", f->obj->meta, NULL,
		      NULL);
	reply_ips(f->sv, parked, &f, 1);
}

static void on_led(void *arg, const struct err *e)
{
	struct floating_ip *f = arg;

	if (e) {
		struct parked parked = f->parked;

		undo(f);
		change_end(f);
		reply_err(f->sv, parked, BERTH__ERROR__CODE__INTERNAL, e);
		return;
	}
	SET(f->obj->meta, revision, supervisor_next_revision(f->sv));
	SET(f->obj->meta, updated_at, wall_ns());
	if (store_put(f->sv->store, STORE_FLOATING_IP, f->obj->meta, &f->obj->base, false, on_changed, f) < 0)
		on_changed(f, -ENOBUFS);
}

static void change(struct request *rq, struct floating_ip *f, const struct target *to)
{
	struct err e;
	int r;

	f->busy = true;
	f->parked = rq->parked;
	f->was_target = f->obj->target_uuid ? strdup(f->obj->target_uuid) : NULL;
	f->was_link = f->obj->link ? strdup(f->obj->link) : NULL;
	f->was_lease = f->obj->lease;
	r = port_update(f, to, on_led, &e);
	if (r <= 0)
		on_led(f, r < 0 ? &e : NULL);
}

/* Who would have it: a container's own interfaces, or those of its pod. */
static struct net_holder *holder_asked(struct request *rq, const char *ref, struct err *e)
{
	struct err other;
	struct container *c = container_find(rq->sv, &rq->who, ref, e);
	struct pod *p = c ? NULL : pod_find(rq->sv, &rq->who, ref, &other);

	if (c)
		return container_net(c);
	if (!p)
		snprintf(e->step, sizeof e->step, "target");
	return p ? &p->net : NULL;
}

static int lease_asked(const struct floating_ip *f, const struct net_holder *h, const char *link,
		       const Berth__Lease **ret, struct err *e)
{
	const struct net_stored s = net_stored_of(h);
	const Berth__Lease *l = NULL;
	const struct table_node *node;
	int r;

	for (size_t i = 0; i < s.n_leases && !l; i++)
		if (!s.leases[i]->leaving && (!link || !*link || !strcmp(s.leases[i]->link, link)))
			l = s.leases[i];
	if (!l)
		return err_set(e, ENOENT, "link",
			       link && *link ? "%s %s has no interface %.20s" : "%s %s has no network%.0s",
			       h->kind->noun, s.meta->name, link ? link : "");
	node = table_find(&f->sv->networks, l->network_uuid);
	r = node ? driver_needs(container_of(node, struct network, node), FEATURE_FLOATING_IPS, e) : 0;
	if (r < 0) {
		snprintf(e->step, sizeof e->step, "target");
		return r;
	}
	if (!floating_fixed(f, l))
		return err_set(e, EINVAL, "target", "%s of %s %s has no IPv%c address for %s to stand for", l->link,
			       h->kind->noun, s.meta->name, f->address.len == 16 ? '6' : '4', f->obj->address);
	*ret = l;
	return 0;
}

/* One-to-one: what leaves has one address. */
static const struct floating_ip *rival_of(const struct floating_ip *f, const struct net_holder *h,
					  const Berth__Lease *l)
{
	struct table_node *node;
	size_t i;

	list_each (node, &f->sv->floating_ips.all, link) {
		const struct floating_ip *other = container_of(node, struct floating_ip, node);

		if (other != f && other->address.len == f->address.len && floating_holder(other, &i) == h &&
		    net_stored_of(h).leases[i] == l)
			return other;
	}
	return NULL;
}

void on_floating_ip_associate(struct request *rq)
{
	const Berth__FloatingIpAssociate *ask = rq->env->floating_ip_associate;
	struct supervisor *sv = rq->sv;
	struct floating_ip *f = ip_asked(rq, ask->ip);
	const struct floating_ip *rival;
	struct net_holder *h, *now;
	const Berth__Lease *l = NULL;
	struct err e;
	size_t i;

	if (!f)
		return;
	h = holder_asked(rq, ask->target ? ask->target : "", &e);
	if (!h || lease_asked(f, h, ask->link, &l, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	if (strcmp(net_stored_of(h).meta->project, f->obj->meta->project) != 0) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "target",
			    "%s is project %s's, %s is project %s's", f->obj->address, f->obj->meta->project,
			    net_stored_of(h).meta->name, net_stored_of(h).meta->project);
		return;
	}
	now = floating_holder(f, &i);
	if (now == h && net_stored_of(h).leases[i] == l) {
		reply_ips(sv, rq->parked, &f, 1);
		return;
	}
	if (now) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ip",
			    "%s leads to %s %s: disassociate it first", f->obj->address, now->kind->noun,
			    net_stored_of(now).meta->name);
		return;
	}
	rival = rival_of(f, h, l);
	if (rival) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "target", "%s of %s %s has %s already",
			    l->link, h->kind->noun, net_stored_of(h).meta->name, rival->obj->address);
		return;
	}
	change(rq, f, &(struct target){net_stored_of(h).meta->uuid, l->link, l->id});
}

void on_floating_ip_disassociate(struct request *rq)
{
	struct floating_ip *f = ip_asked(rq, rq->env->floating_ip_disassociate->ip);
	size_t i;
	const struct net_holder *h = f ? floating_holder(f, &i) : NULL;

	if (!f)
		return;
	if (!h)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ip", "%s leads to nobody",
			    f->obj->address);
	else if (net_stored_of(h).leases[i]->leaving) /* and it goes with it */
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ip",
			    "%s leads to %s of %s %s, which is just being disconnected", f->obj->address, f->obj->link,
			    h->kind->noun, net_stored_of(h).meta->name);
	else
		change(rq, f, &(struct target){NULL});
}

/* supervisor/floating_pool_request.c - requests about pools of floating IPs. */
#include "supervisor/floating.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/check.h"
#include "supervisor/meta.h"
#include "supervisor/repeat.h"
#include "supervisor/request.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void reply_pools(struct supervisor *sv, struct parked p, struct floating_pool **pools, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__FloatingIpPoolReply body = BERTH__FLOATING_IP_POOL_REPLY__INIT;
	AUTO_FREE Berth__FloatingIpPool *views = calloc(n + 1, sizeof *views);
	AUTO_FREE Berth__FloatingIpPool **list = calloc(n + 1, sizeof *list);

	if (!views || !list) {
		reply_error(sv, p, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		views[i] = *pools[i]->obj;
		SET(&views[i], used, floating_used(pools[i]));
		SET(&views[i], size, range_size(&pools[i]->range));
		list[i] = &views[i];
	}
	body.pools = list;
	body.n_pools = n;
	env.body_case = BERTH__ENVELOPE__BODY_FLOATING_IP_POOL_REPLY;
	env.floating_ip_pool_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

static void on_pool_told(void *arg, const struct err *e)
{
	struct floating_pool *p = arg;
	struct parked parked = p->parked;

	p->parked = (struct parked){0};
	p->stored = true;
	if (e) /* the next berth-net hears of it first of all */
		log_err(e, "the pool %s of floating IPs", p->obj->meta->name);
	watch_publish(p->sv, "floating-ip-pool", "create", p->obj->meta, NULL, NULL);
	reply_pools(p->sv, parked, &p, 1);
}

static void on_pool_stored(void *arg, int result)
{
	struct floating_pool *p = arg;
	struct parked parked = p->parked;

	if (result < 0) {
		reply_error(p->sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the pool could not be stored: %s",
			    strerror(-result));
		floating_pool_free(p);
		return;
	}
	if (p->obj->link)
		on_pool_told(p, NULL);
	else
		floating_pools_tell(p->sv, on_pool_told, p);
}

static Berth__FloatingIpPool *pool_object(struct request *rq, const char *name)
{
	static const Berth__FloatingIpPool nothing = BERTH__FLOATING_IP_POOL__INIT;
	const Berth__FloatingIpPool *asked = rq->env->floating_ip_pool_create->spec;
	Berth__FloatingIpPool *obj = message_copy(asked ? &asked->base : &nothing.base);

	if (!obj)
		return NULL;
	if (obj->meta)
		berth__meta__free_unpacked(obj->meta, NULL);
	obj->has_used = obj->has_size = false;
	obj->meta = meta_new(rq->sv, NULL, rq->who.project, rq->who.name, name);
	if (obj->meta)
		return obj;
	berth__floating_ip_pool__free_unpacked(obj, NULL);
	return NULL;
}

void on_floating_ip_pool_create(struct request *rq)
{
	const char *name = rq->env->floating_ip_pool_create->name;
	struct supervisor *sv = rq->sv;
	Berth__FloatingIpPool *obj;
	struct table_node *node;
	struct floating_pool *p;
	struct err e;

	if (check_name("name", name ? name : "", &e) < 0) {
		reply_err(sv, rq->parked, BERTH__ERROR__CODE__INVALID, &e);
		return;
	}
	list_each (node, &sv->floating_pools.all, link) {
		const Berth__Meta *m = container_of(node, struct floating_pool, node)->obj->meta;

		if (strcmp(m->name, name) || strcmp(m->project, rq->who.project))
			continue;
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXISTS, "name", "there is a pool %s", name);
		return;
	}
	obj = pool_object(rq, name);
	if (!obj) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	if (floating_pool_check(sv, obj, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		berth__floating_ip_pool__free_unpacked(obj, NULL);
		return;
	}
	if (floating_pool_new(sv, obj, &p, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	request_audit(rq, "floating-ip-pool", p->obj->meta);
	p->parked = rq->parked;
	if (store_put(sv->store, STORE_FLOATING_POOL, p->obj->meta, &p->obj->base, false, on_pool_stored, p) < 0) {
		floating_pool_free(p);
		reply_store_full(sv, rq->parked);
	}
}

bool floating_pool_repeated(struct request *rq, const char *id)
{
	struct table_node *n = table_find(&rq->sv->floating_pools, id);
	struct floating_pool *p = n ? container_of(n, struct floating_pool, node) : NULL;

	if (p)
		reply_pools(rq->sv, rq->parked, &p, 1);
	return p != NULL;
}

void on_floating_ip_pool_list(struct request *rq)
{
	bool all = rq->env->floating_ip_pool_list->all_projects;
	struct supervisor *sv = rq->sv;
	AUTO_FREE struct floating_pool **list = calloc(sv->floating_pools.n + 1, sizeof *list);
	struct table_node *node;
	size_t n = 0;

	if (all && !request_sees_all(rq))
		return;
	list_each (node, &sv->floating_pools.all, link) {
		struct floating_pool *p = container_of(node, struct floating_pool, node);

		if (list && !p->removing && (all || p->obj->shared || !strcmp(p->obj->meta->project, rq->who.project)))
			list[n++] = p;
	}
	reply_pools(sv, rq->parked, list, n);
}

static void on_pool_removed(void *arg, int result)
{
	struct floating_pool *p = arg;
	struct parked parked = p->parked;

	if (result < 0) {
		p->removing = false;
		reply_error(p->sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the pool could not be removed: %s",
			    strerror(-result));
		return;
	}
	watch_publish(p->sv, "floating-ip-pool", "remove", p->obj->meta, NULL, NULL);
	if (!p->obj->link)
		floating_pools_tell(p->sv, NULL, NULL);
	reply_done(p->sv, parked, p->node.uuid);
	floating_pool_free(p);
}

void on_floating_ip_pool_remove(struct request *rq)
{
	const char *name = rq->env->floating_ip_pool_remove->name;
	struct supervisor *sv = rq->sv;
	struct err e;
	struct floating_pool *p = floating_pool_find(sv, &rq->who, name ? name : "", &e);

	if (!p) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	request_audit(rq, "floating-ip-pool", p->obj->meta);
	if (floating_used(p)) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "name",
			    "%u addresses of the pool %s are allocated: release them first", floating_used(p),
			    p->obj->meta->name);
		return;
	}
	if (!p->stored) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "name", "the pool %s is just being made",
			    p->obj->meta->name);
		return;
	}
	p->parked = rq->parked;
	p->removing = store_delete(sv->store, STORE_FLOATING_POOL, p->node.uuid, on_pool_removed, p) >= 0;
	if (!p->removing)
		reply_store_full(sv, rq->parked);
}

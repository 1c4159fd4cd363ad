/* supervisor/interface.c - see supervisor/interface.h */
#include "supervisor/interface.h"

#include "supervisor/audit.h"
#include "supervisor/container.h"
#include "supervisor/netd.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/waiter.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct change {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE]; /* of the container or pod */
	const char *what;     /* a literal */
};

/* ---------------------------------------------------------------- to disk */

static void on_pod_stored(void *arg, int result)
{
	struct change *w = arg;

	if (result < 0)
		reply_error(w->sv, w->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the change is in force, but not on disk yet: %s", strerror(-result));
	else
		reply_done(w->sv, w->parked, w->uuid);
	free(w);
}

/* Takes w. */
static void change_store(struct change *w)
{
	struct table_node *container = table_find(&w->sv->containers, w->uuid),
			  *node = table_find(&w->sv->pods, w->uuid);
	struct parked parked = w->parked;
	struct supervisor *sv = w->sv;

	if (container) {
		struct container *c = container_of(container, struct container, node);

		container_touch(c);
		container_publish(c, "update", NULL, NULL);
		waiter_add(c, WAIT_STORED, parked, -1);
		free(w);
	} else if (node) {
		struct pod *p = container_of(node, struct pod, node);

		SET(p->obj->meta, revision, supervisor_next_revision(sv));
		SET(p->obj->meta, updated_at, wall_ns());
		watch_publish(sv, "pod", "update", p->obj->meta, NULL, NULL);
		if (store_put(sv->store, STORE_POD, p->obj->meta, &p->obj->base, true, on_pod_stored, w) < 0)
			on_pod_stored(w, -ENOBUFS);
	} else {
		reply_error(sv, parked, BERTH__ERROR__CODE__NOT_FOUND, "ref", "it is gone");
		free(w);
	}
}

static void on_in_force(void *arg, const struct err *e)
{
	struct change *w = arg;

	if (!e) {
		change_store(w);
		return;
	}
	reply_error(w->sv, w->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "%s not in force: %s", w->what, e->text);
	free(w);
}

/* ---------------------------------------------------------------- to the kernel */

void interface_changed(struct request *rq, struct interface *i, const char *what)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__PortUpdate body = NET__PORT_UPDATE__INIT;
	struct change *w = calloc(1, sizeof *w);
	struct err e;
	int r;

	if (!w) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	w->sv = rq->sv;
	w->parked = rq->parked;
	w->what = what;
	snprintf(w->uuid, sizeof w->uuid, "%s", net_stored_of(i->holder).meta->uuid);
	if (!i->holder->asked) {
		change_store(w);
		return;
	}
	body.was = i->was;
	body.port = network_port(i->holder, i->index, &i->arena);
	m.body_case = NET__NET_MESSAGE__BODY_PORT_UPDATE;
	m.port_update = &body;
	r = body.port ? netd_ask(rq->sv, &m, -1, on_in_force, w, &e) : err_set(&e, ENOMEM, "network", "no memory");
	if (r < 0)
		on_in_force(w, &e);
}

/* ---------------------------------------------------------------- which one */

/* Whose interfaces the name means: a container's own, or its pod's. NULL: refused. */
static struct net_holder *holder_asked(struct request *rq, const char *ref)
{
	struct err e;
	struct container *c = container_find(rq->sv, &rq->who, ref, &e);
	struct pod *p = c ? NULL : pod_find(rq->sv, &rq->who, ref, &e);

	if (c)
		return container_net(c);
	if (p)
		return &p->net;
	reply_error(rq->sv, rq->parked, error_code_of(&e), "ref", "no container and no pod '%.200s'", ref);
	return NULL;
}

static size_t link_index_of(const struct net_stored *stored, const char *link)
{
	size_t i = 0;

	/* One that goes is asked of berth-net already: nothing of it may come back. */
	while (i < stored->n_leases && (stored->leases[i]->leaving || strcmp(stored->leases[i]->link, link) != 0))
		i++;
	return i;
}

bool interface_asked(struct request *rq, const char *ref, const char *link, struct interface *ret)
{
	struct net_holder *h = holder_asked(rq, ref ? ref : "");
	struct net_stored stored = h ? net_stored_of(h) : (struct net_stored){0};
	struct table_node *node;

	if (!h)
		return false;
	request_audit(rq, h->kind->noun, stored.meta);
	*ret = (struct interface){.holder = h, .index = link_index_of(&stored, link ? link : "")};
	if (ret->index == stored.n_leases) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, "link", "%s %s has no interface '%.40s'",
			    h->kind->noun, stored.meta->name, link ? link : "");
		return false;
	}
	ret->lease = stored.leases[ret->index];
	node = table_find(&rq->sv->networks, ret->lease->network_uuid);
	ret->was = network_port(h, ret->index, &ret->arena);
	if (node && ret->was) {
		ret->network = container_of(node, struct network, node);
		return true;
	}
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	arena_fini(&ret->arena);
	return false;
}

void interface_fini(struct interface *i)
{
	arena_fini(&i->arena);
}

/* supervisor/security_attach.c - other groups for an interface, while it is in use: in memory, then in force, then on disk; then it is answered. A
 * berthd that dies before that begins again with those that it had. */
#include "base/log.h"
#include "base/own.h"
#include "supervisor/audit.h"
#include "supervisor/container.h"
#include "supervisor/driver.h"
#include "supervisor/net_holder.h"
#include "supervisor/network.h"
#include "supervisor/pod.h"
#include "supervisor/request.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/waiter.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct attach {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE]; /* of the container or pod */
};

/* ---------------------------------------------------------------- to disk */

static void on_pod_stored(void *arg, int result)
{
	struct attach *w = arg;

	if (result < 0)
		reply_error(w->sv, w->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the change is in force, but not on disk yet: %s", strerror(-result));
	else
		reply_done(w->sv, w->parked, w->uuid);
	free(w);
}

/* Takes w. */
static void attach_store(struct attach *w)
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
	struct attach *w = arg;

	if (!e) {
		attach_store(w);
		return;
	}
	reply_error(w->sv, w->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "the groups are not in force: %s", e->text);
	free(w);
}

/* ---------------------------------------------------------------- to the kernel */

/* was: the interface before the change. Takes w. */
static void attach_tell(struct net_holder *h, size_t index, Net__Port *was, struct arena *a, struct attach *w)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__PortUpdate body = NET__PORT_UPDATE__INIT;
	struct err e;
	int r;

	if (!h->asked) {
		attach_store(w);
		return;
	}
	security_policy_tell(h->sv, net_stored_of(h).leases[index]);
	body.was = was;
	body.port = network_port(h, index, a);
	m.body_case = NET__NET_MESSAGE__BODY_PORT_UPDATE;
	m.port_update = &body;
	r = body.port ? netd_ask(h->sv, &m, -1, on_in_force, w, &e) : err_set(&e, ENOMEM, "network", "no memory");
	if (r < 0)
		on_in_force(w, &e);
}

/* ---------------------------------------------------------------- the request */

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

	while (i < stored->n_leases && strcmp(stored->leases[i]->link, link) != 0)
		i++;
	return i;
}

/* Everything that can be refused is, before anything is changed. */
static int attach_check(struct request *rq, const struct network *n, const Berth__SecurityGroupAttach *ask,
			struct err *e)
{
	if (!ask->has_allow_spoofing || !ask->allow_spoofing)
		return 0;
	if (!principal_sees_all(&rq->who))
		return err_set(e, EACCES, "allow_spoofing",
			       "a member of a project may not ask for this: sending from addresses that are others'");
	return driver_needs(n, FEATURE_ANTI_SPOOFING, e);
}

void on_security_group_attach(struct request *rq)
{
	const Berth__SecurityGroupAttach *ask = rq->env->security_group_attach;
	const char *link = ask->link ? ask->link : "";
	struct net_holder *h = holder_asked(rq, ask->ref ? ask->ref : "");
	struct net_stored stored = h ? net_stored_of(h) : (struct net_stored){0};
	size_t i = h ? link_index_of(&stored, link) : 0;
	struct arena a = ARENA_INIT;
	struct attach *w = NULL;
	struct table_node *node;
	Net__Port *was;
	struct err e;

	if (!h)
		return;
	request_audit(rq, h->kind->noun, stored.meta);
	if (i == stored.n_leases) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, "link", "%s %s has no interface '%.40s'",
			    h->kind->noun, stored.meta->name, link);
		return;
	}
	node = table_find(&rq->sv->networks, stored.leases[i]->network_uuid);
	was = network_port(h, i, &a);
	w = node && was ? calloc(1, sizeof *w) : NULL;
	if (!w) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		arena_fini(&a);
		return;
	}
	w->sv = rq->sv;
	w->parked = rq->parked;
	snprintf(w->uuid, sizeof w->uuid, "%s", stored.meta->uuid);
	if (attach_check(rq, container_of(node, struct network, node), ask, &e) < 0 ||
	    security_groups_lease(container_of(node, struct network, node), stored.meta->project, ask->groups,
				  ask->n_groups, stored.leases[i], &e) < 0) {
		reply_error(rq->sv, rq->parked, error_code_of(&e), e.step, "%s", e.text);
		free(w);
	} else {
		if (ask->has_allow_spoofing)
			SET(stored.leases[i], allow_spoofing, ask->allow_spoofing);
		attach_tell(h, i, was, &a, w);
		security_policies_tidy(rq->sv, false);
	}
	arena_fini(&a);
}

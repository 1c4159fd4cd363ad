/* supervisor/pod_net.c - a pod as a holder of interfaces: those of its pause process, which its containers share. */
#include "supervisor/pod_own.h"

#include "base/log.h"
#include "supervisor/arena.h"
#include "supervisor/container.h"
#include "supervisor/launch.h"
#include "supervisor/shimlink.h"

#include <fcntl.h>
#include <string.h>

static struct net_stored stored(const struct net_holder *h)
{
	const Berth__Pod *obj = container_of(h, struct pod, net)->obj;

	return (struct net_stored){obj->meta,	     obj->networks,	 obj->n_networks,
				   obj->spec->ports, obj->spec->n_ports, net_names(obj->spec->names)};
}

/* Its own, and those of its containers that have a process: they share its addresses. */
static char **names(const struct net_holder *h, struct arena *a, size_t *ret_n)
{
	const struct pod *p = container_of(h, struct pod, net);
	const struct container *m;
	size_t max = 3, n = 0;
	char **list;

	list_each (m, &p->containers, in_pod)
		max += 2;
	list = arena_alloc(a, max * sizeof *list);
	if (!list)
		return NULL;
	list[n++] = p->obj->meta->name;
	list[n++] = uuid_short(p->node.uuid, a);
	if (p->obj->spec->hostname && p->obj->spec->hostname[0])
		list[n++] = p->obj->spec->hostname;
	list_each (m, &p->containers, in_pod) {
		if (!container_has_process(m))
			continue;
		list[n++] = m->obj->meta->name;
		list[n++] = uuid_short(m->node.uuid, a);
	}
	*ret_n = a->failed ? 0 : n;
	return list;
}

static bool is_lived_in(const struct pod *p)
{
	struct container *m;

	list_each (m, &p->containers, in_pod)
		if (container_has_process(m))
			return true;
	return false;
}

static void attached(struct net_holder *h, const struct err *e)
{
	struct pod *p = container_of(h, struct pod, net);

	if (p->state != POD_STARTING || p->pause_pidfd < 0)
		return;
	/* Made sure of, after berthd was away: who lives there has had them all the time, and is not ended for that. */
	if (e && is_lived_in(p)) {
		log_err(e, "the network of pod %s", p->obj->meta->name);
	} else if (e) {
		shimlink_kill(p->holder);
		pod_holder_failed(p, e);
		return;
	}
	pod_holder_ready(p);
}

static struct net_rows net_rows(struct net_holder *h)
{
	Berth__Pod *obj = container_of(h, struct pod, net)->obj;

	return (struct net_rows){
		{&obj->networks, &obj->n_networks}, &obj->spec->networks, &obj->spec->n_networks, &obj->spec->network};
}

static int net_store(struct net_holder *h, store_done *done, void *arg)
{
	return pod_put(container_of(h, struct pod, net), false, done, arg);
}

static void net_touch(struct net_holder *h)
{
	struct pod *p = container_of(h, struct pod, net);
	int r = pod_put(p, true, NULL, NULL);

	if (r < 0 && !p->removing)
		log_error("pod %s: its row could not be written: %s", p->obj->meta->name, strerror(-r));
}

static int net_open(struct net_holder *h)
{
	return fcntl(container_of(h, struct pod, net)->pause_pidfd, F_DUPFD_CLOEXEC, 0);
}

static int net_shim(const struct net_holder *h)
{
	const struct pod *p = container_of(h, struct pod, net);

	return p->holder ? shimlink_pid(p->holder) : 0;
}

const struct net_holder_kind pod_net_kind = {"pod",	stored,	   names,    attached, net_rows,
					     net_store, net_touch, net_open, net_shim};

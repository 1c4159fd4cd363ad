/* supervisor/shutdown.c - see supervisor/shutdown.h */
#include "supervisor/shutdown.h"

#include "base/log.h"
#include "supervisor/container.h"
#include "supervisor/pod.h"
#include "supervisor/request.h"
#include "supervisor/shimlink.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"

#include <stdlib.h>

struct asker {
	struct list link; /* supervisor.shutdown_askers */
	struct parked parked;
};

/* One that does not die of SIGKILL is not waited for: its status says so, and the host has to go down all the same. */
static bool is_alive(const struct container *c)
{
	if (c->obj->status->process_stuck)
		return false;
	return container_has_process(c) || c->held ||
	       container_state(c) == BERTH__CONTAINER_STATE__CONTAINER_STATE_UNKNOWN;
}

static bool has_members(const struct pod *p)
{
	struct container *c;

	list_each (c, &p->containers, in_pod)
		if (is_alive(c))
			return true;
	return false;
}

static int nothing_more(void *arg)
{
	(void)arg;
	return 0;
}

static void committed(void *arg, int result)
{
	struct supervisor *sv = arg;
	struct asker *a;

	(void)result; /* a full disk does not hold up the host: store_error() is in the log */
	sv->shutdown_commits = false;
	log_info("nothing runs any more");
	while ((a = list_pop(&sv->shutdown_askers, struct asker, link))) {
		reply_done(sv, a->parked, NULL);
		free(a);
	}
}

void shutdown_step(struct supervisor *sv)
{
	unsigned alive = 0;
	struct table_node *n;

	if (list_empty(&sv->shutdown_askers))
		return;
	list_each (n, &sv->containers.all, link)
		alive += is_alive(container_of(n, struct container, node));
	list_each (n, &sv->pods.all, link) {
		struct pod *p = container_of(n, struct pod, node);

		if (!p->holder)
			continue;
		alive++;
		if (!has_members(p))
			pod_holder_bye(p);
	}
	/* Who is told that all has ended may cut the power: the ends are on disk before he is told. When the queue is full, the next turn asks again. */
	if (!alive && !sv->shutdown_commits && !store_call(sv->store, nothing_more, sv, committed))
		sv->shutdown_commits = true;
}

void shutdown_fini(struct supervisor *sv)
{
	struct asker *a;

	while ((a = list_pop(&sv->shutdown_askers, struct asker, link)))
		free(a);
}

void on_shutdown(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	struct asker *a = calloc(1, sizeof *a);
	struct table_node *n;

	request_audit(rq, "host", NULL);
	if (!a) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	a->parked = rq->parked;
	list_push(&sv->shutdown_askers, &a->link);
	if (sv->going_down)
		return;
	log_info("the host goes down: containers are stopped");
	sv->going_down = true;
	spares_retire(sv);
	list_each (n, &sv->containers.all, link) {
		struct event ev = EVENT(EV_DOWN);

		container_event(container_of(n, struct container, node), &ev, NULL);
	}
}

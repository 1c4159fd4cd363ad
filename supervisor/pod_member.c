/* supervisor/pod_member.c - containers of a pod: when each may start, and what its holder's end means to it. */
#include "supervisor/pod_own.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/container.h"

#include <stdio.h>

bool pod_init_done(const struct pod *p, const struct container *init)
{
	const Berth__ExitInfo *last = init->obj->status->last_exit;

	return last && last->known && !last->code && !last->signal && last->started_at >= p->holder_started_at &&
	       !container_has_process(init);
}

static bool failed_here(const struct pod *p, const struct container *init)
{
	const Berth__ContainerStatus *st = init->obj->status;

	if (init->waiting || container_has_process(init) ||
	    st->state == BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF)
		return false;
	return (st->last_exit && st->last_exit->started_at >= p->holder_started_at) ||
	       st->state == BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR;
}

/* The first init container before c that has not done its work around the present holder. */
static struct container *init_missing(struct pod *p, struct container *c)
{
	struct container *m;

	list_each (m, &p->containers, in_pod) {
		if (m == c && c->obj->spec->pod_init)
			return NULL;
		if (m != c && m->obj->spec->pod_init && !pod_init_done(p, m))
			return m;
	}
	return NULL;
}

int pod_admit(struct pod *p, struct container *c, char *why, unsigned size, struct err *e)
{
	struct container *init;
	int r;

	if (p->obj->implicit)
		return 1;
	if (p->removing)
		return err_set(e, 0, "pod", "its pod is being removed");
	if (p->state != POD_READY) {
		r = pod_holder_start(p, e);
		if (r < 0) {
			p->state = POD_FAILED;
			return err_wrap(e, "start the holder of pod %s", p->obj->meta->name);
		}
		pod_arm(p);
		snprintf(why, size, "waits for pod %s to be ready", p->obj->meta->name);
		return 0;
	}
	init = init_missing(p, c);
	if (!init)
		return 1;
	/* One that failed is not started over and over by those who wait: by its own policy, or when a person asks again. */
	if (failed_here(p, init) && c->waiting) {
		snprintf(why, size, "waits for init container %s, which failed: %s", init->obj->meta->name,
			 init->obj->status->status_reason ? init->obj->status->status_reason : "");
		/* Who asked for this start hears of it; a restart by policy goes on waiting. */
		return c->by_person ? err_set(e, 0, "pod", "%s", why) : 0;
	}
	if (!init->waiting && !container_has_process(init) &&
	    init->obj->status->state != BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF)
		container_post(init, EV_LAUNCH);
	snprintf(why, size, "waits for init container %s", init->obj->meta->name);
	return 0;
}

void pod_members_wake(struct pod *p)
{
	struct container *m;

	list_each (m, &p->containers, in_pod)
		if (m->waiting)
			container_post(m, EV_LAUNCH);
}

void pod_member_ended(struct pod *p, struct container *c)
{
	if (!p->obj->implicit && (!c || c->obj->spec->pod_init))
		pod_members_wake(p);
}

void pod_members_fail(struct pod *p, const struct err *e)
{
	struct container *m;

	list_each (m, &p->containers, in_pod)
		if (m->waiting) {
			m->waiting = false;
			m->failure = *e;
			container_post(m, EV_POD_FAILED);
		}
}

void pod_members_kill(struct pod *p)
{
	struct container *m;

	list_each (m, &p->containers, in_pod) {
		AUTO_FD fd = -1;

		if (container_has_process(m) && container_group_open(m, &fd) == 0) {
			log_warn("container %s: the holder of its pod %s died", m->node.uuid, p->obj->meta->name);
			cg_kill(fd);
		}
	}
}

/* supervisor/pod_holder.c - the holder of an explicit pod: a shim whose program is the pause loop.
 *
 * States of the pod: empty (no holder) -> starting (the holder has its plan) -> ready (its pause process runs, and we hold
 * its pidfd) or failed. A holder that ends takes the pod back to empty; its members are killed, because namespaces that cannot be
 * joined any more would split the pod in two. They come back, if their policies say so, around a new holder. */
#include "supervisor/pod_own.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/launch.h"
#include "supervisor/net_change.h"
#include "supervisor/plan.h"
#include "supervisor/recover.h"
#include "supervisor/shimlink.h"

#include <errno.h>
#include <stdio.h>

#define LAUNCH_DEADLINE_NS ((PLAN_TIMEOUT_MS + 5000) * NS_PER_MS)

int pod_holder_start(struct pod *p, struct err *e)
{
	if (p->state == POD_STARTING)
		return 0;
	p->state = POD_STARTING;
	timer_del(&p->timer);
	/* The last one is on its way out: started again when it is gone. */
	if (p->holder && p->bye_sent)
		return 0;
	return launch_holder(p, e);
}

static void holder_down(struct pod *p)
{
	char path[160];

	timer_del(&p->timer);
	close_fd(&p->pause_pidfd);
	net_holder_forget(&p->net);
	p->net.ready = false; /* its shim may have kept the namespace: what is there is found again */
	snprintf(path, sizeof path, "shared/%s/holder.%llu", p->node.uuid, (unsigned long long)p->incarnation);
	cg_bury(&p->sv->graveyard, p->sv->cg.root_fd, path);
	pod_members_kill(p);
}

void pod_holder_failed(struct pod *p, const struct err *e)
{
	struct err wrapped = *e;

	holder_down(p);
	p->state = POD_FAILED;
	err_wrap(&wrapped, "the holder of pod %s", p->obj->meta->name);
	err_format(&wrapped, p->failure, sizeof p->failure);
	log_err(e, "the holder of pod %s", p->obj->meta->name);
	pod_members_fail(p, &wrapped);
}

void pod_on_timer(struct timer *t)
{
	struct pod *p = container_of(t, struct pod, timer);
	struct err e;

	if (p->removing) {
		if (p->holder)
			shimlink_kill(p->holder);
		pod_remove_continue(p);
		return;
	}
	err_set(&e, ETIMEDOUT, "pod", "no report of the launch");
	if (p->holder)
		shimlink_kill(p->holder);
	pod_holder_failed(p, &e);
}

void pod_arm(struct pod *p)
{
	if (!timer_armed(&p->timer))
		timer_in(&p->sv->loop, &p->timer, LAUNCH_DEADLINE_NS, pod_on_timer);
}

void pod_holder_ready(struct pod *p)
{
	timer_del(&p->timer);
	p->state = POD_READY;
	p->failure[0] = 0;
	net_changes_resume(&p->net);
	pod_members_wake(p);
}

/* Its pause process runs, and is to have its interfaces before anybody joins it. */
static void holder_running(struct pod *p, const Shim__Running *r)
{
	struct err e;

	p->incarnation = r->incarnation;
	p->holder_started_at = r->started_at;
	if (!net_holder_wants(&p->net)) {
		pod_holder_ready(p);
	} else if (!p->net.left && net_holder_attach(&p->net, p->pause_pidfd, &e) < 0) {
		shimlink_kill(p->holder);
		pod_holder_failed(p, &e);
	}
}

static void on_hello(void *owner, const Shim__ShimHello *h, int *pidfd)
{
	struct pod *p = owner;
	bool adopting = p->adopting;

	p->adopting = false;
	if (h->state == SHIM__SHIM_STATE__SHIM_RUNNING && h->running && *pidfd >= 0) {
		close_fd(&p->pause_pidfd);
		p->pause_pidfd = take_fd(pidfd);
		holder_running(p, h->running);
	} else if (adopting && h->state != SHIM__SHIM_STATE__SHIM_LAUNCHING && !p->bye_sent) {
		net_holder_recover(&p->net, true);
		p->bye_sent = true;
		shimlink_bye(p->holder);
	}
	if (adopting)
		recover_answered(p->sv);
}

static void on_message(void *owner, const Shim__ShimMessage *m, int *pidfd)
{
	struct pod *p = owner;
	struct err e;

	switch (m->body_case) {
	case SHIM__SHIM_MESSAGE__BODY_RUNNING:
		/* Its pidfd, which the members need, comes with a hello. */
		shimlink_query(p->holder);
		break;
	case SHIM__SHIM_MESSAGE__BODY_FAILED:
		err_set(&e, m->failed->sys_errno, m->failed->step, "%s", m->failed->text ? m->failed->text : "");
		pod_holder_failed(p, &e);
		break;
	case SHIM__SHIM_MESSAGE__BODY_EXITED:
		p->state = POD_EMPTY;
		holder_down(p);
		break;
	default:
		break;
	}
}

static void on_gone(void *owner)
{
	struct pod *p = owner;
	bool adopting = p->adopting, again = p->state == POD_STARTING && p->bye_sent;
	char path[160];
	struct err e;

	net_holder_down(&p->net);
	shimlink_free(p->holder);
	p->holder = NULL;
	p->adopting = p->bye_sent = false;
	path_shim(p->sv, p->node.uuid, path, sizeof path);
	unlink(path);
	path_exit(p->sv, p->node.uuid, path, sizeof path);
	unlink(path);
	if (p->removing) {
		pod_remove_continue(p);
	} else if (again) {
		if (launch_holder(p, &e) < 0)
			pod_holder_failed(p, &e);
	} else if (p->state == POD_STARTING) {
		err_set(&e, 0, "pod", "its shim died during the launch");
		pod_holder_failed(p, &e);
	} else if (p->state == POD_READY) {
		p->state = POD_EMPTY;
		holder_down(p);
	}
	if (adopting)
		recover_answered(p->sv);
}

const struct shimlink_ops pod_shim_ops = {.hello = on_hello, .message = on_message, .gone = on_gone};

void pod_holder_bye(struct pod *p)
{
	if (p->holder && !p->bye_sent)
		shimlink_bye(p->holder);
	p->bye_sent = p->holder != NULL;
}

/* supervisor/container_link.c - what a shim says, made into events of its container.
 *
 * Reports carry the incarnation that they are about. A berthd that comes back may know less than the shim: status is written
 * behind, so an incarnation beyond the stored one is taken as the truth, one below it is old news. */
#include "supervisor/container.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/exec.h"
#include "supervisor/pod.h"
#include "supervisor/recover.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/spare.h"

#include <stdio.h>
#include <string.h>

static void event(struct container *c, enum container_event_type type, const Shim__Running *running)
{
	struct event ev = EVENT(type);

	ev.running = running;
	if (container_event(c, &ev, NULL) < 0)
		log_debug("container %s: late news %u in state %s", c->node.uuid, type,
			  container_state_name(container_state(c)));
}

/* False: about an incarnation that is past. */
static bool incarnation_take(struct container *c, uint64_t n)
{
	Berth__ContainerStatus *st = c->obj->status;

	if (n < st->incarnation)
		return false;
	if (n > st->incarnation) {
		SET(st, incarnation, n);
		/* What was written down of a stop was about the one before. */
		SET(st, stop_requested, 0);
		c->newer = true;
		container_touch(c);
	}
	return true;
}

static bool exit_is_known(const struct container *c, uint64_t n)
{
	const Berth__ExitInfo *last = c->obj->status->last_exit;

	return last && last->incarnation >= n;
}

/* False: old news. */
static bool report_exit(struct container *c, const Shim__ExitRecord *x)
{
	if (!x || !incarnation_take(c, x->incarnation) || exit_is_known(c, x->incarnation))
		return false;
	c->exit_known = true;
	c->exit = *x;
	c->exit.boot_id = c->exit.uuid = NULL;
	event(c, EV_EXITED, NULL);
	return true;
}

static bool report_failure(struct container *c, const Shim__Failed *f)
{
	spares_refill(c->sv);
	if (!f || !incarnation_take(c, f->incarnation))
		return false;
	/* Of one that was ended because its network could not be made, the reason is known. */
	if (container_state(c) != BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR &&
	    container_state(c) != BERTH__CONTAINER_STATE__CONTAINER_STATE_DELETING)
		err_set(&c->failure, f->sys_errno, f->step, "%s", f->text ? f->text : "");
	event(c, EV_FAILED, NULL);
	return true;
}

static void report_oom(struct container *c, uint64_t kills)
{
	char text[24];

	if (kills <= c->obj->status->oom_kills)
		return;
	SET(c->obj->status, oom_kills, kills);
	snprintf(text, sizeof text, "%llu", (unsigned long long)kills);
	container_publish(c, "oom", "a process of it was killed: out of memory",
			  (const char *const[]){"oom_kills", text, NULL});
	container_touch(c);
}

static void report_dropped(struct container *c, const Shim__LogDropped *d)
{
	if (d->lines == c->obj->status->log_dropped_lines && d->bytes == c->obj->status->log_dropped_bytes)
		return;
	SET(c->obj->status, log_dropped_lines, d->lines);
	SET(c->obj->status, log_dropped_bytes, d->bytes);
	container_touch(c);
}

static void report_running(struct container *c, const Shim__Running *r)
{
	spares_refill(c->sv);
	if (r && incarnation_take(c, r->incarnation))
		event(c, r->held ? EV_HELD : EV_RUNNING, r);
}

/* ---------------------------------------------------------------- hello: everything at once */

static bool has_ended(const struct container *c)
{
	Berth__ContainerState s = container_state(c);

	return s == BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED ||
	       s == BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPED ||
	       s == BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR;
}

/* The shim is there and has nothing to do. */
static void hello_idle(struct container *c)
{
	if (container_state(c) == BERTH__CONTAINER_STATE__CONTAINER_STATE_STARTING && c->adopting) {
		container_post(c, EV_LAUNCH);
	} else if (has_ended(c) && !c->bye_sent) {
		c->bye_sent = true;
		shimlink_bye(c->shim);
	}
}

void container_hello(struct container *c, const Shim__ShimHello *h)
{
	SET(c->obj->status, shim_pid, h->shim_pid);
	switch (h->state) {
	case SHIM__SHIM_STATE__SHIM_RUNNING:
		report_running(c, h->running);
		break;
	case SHIM__SHIM_STATE__SHIM_EXITED:
		if (!report_exit(c, h->exit))
			hello_idle(c);
		break;
	case SHIM__SHIM_STATE__SHIM_FAILED:
		if (!c->adopting || container_state(c) == BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR ||
		    !report_failure(c, h->failure))
			hello_idle(c);
		break;
	case SHIM__SHIM_STATE__SHIM_LAUNCHING:
		if (h->running && incarnation_take(c, h->running->incarnation))
			event(c, EV_LAUNCHING, NULL);
		break;
	case SHIM__SHIM_STATE__SHIM_IDLE:
	default:
		hello_idle(c);
		break;
	}
	if (h->has_oom_kills && h->state == SHIM__SHIM_STATE__SHIM_RUNNING)
		report_oom(c, h->oom_kills);
	if (h->log_dropped)
		report_dropped(c, h->log_dropped);
}

static void on_hello(void *owner, const Shim__ShimHello *h, int *container_pidfd)
{
	struct container *c = owner;
	bool adopting = c->adopting;

	/* The first word of a shim of ours says what we know: it is idle, its plan is on the way. */
	if (!adopting && h->state == SHIM__SHIM_STATE__SHIM_IDLE)
		return;
	/* Called again after somebody else had the shim's ear: what was asked of it last may not have reached it. */
	if (!adopting)
		exec_forget(c);
	else if (h->state != SHIM__SHIM_STATE__SHIM_RUNNING) /* one that is idle has made nothing yet */
		net_holder_recover(&c->net, h->state != SHIM__SHIM_STATE__SHIM_IDLE);
	c->said_pidfd = *container_pidfd;
	container_hello(c, h);
	c->said_pidfd = -1;
	c->adopting = false;
	if (adopting)
		recover_answered(c->sv);
}

static void on_message(void *owner, const Shim__ShimMessage *m, int *container_pidfd)
{
	struct container *c = owner;

	switch (m->body_case) {
	case SHIM__SHIM_MESSAGE__BODY_RUNNING:
		c->said_pidfd = *container_pidfd;
		report_running(c, m->running);
		c->said_pidfd = -1;
		break;
	case SHIM__SHIM_MESSAGE__BODY_FAILED:
		if (m->failed->exec_id && m->failed->exec_id[0])
			exec_failed(c, m->failed);
		else
			report_failure(c, m->failed);
		break;
	case SHIM__SHIM_MESSAGE__BODY_EXITED:
		report_exit(c, m->exited->record);
		break;
	case SHIM__SHIM_MESSAGE__BODY_EXEC_STARTED:
		exec_started(c, m->exec_started);
		break;
	case SHIM__SHIM_MESSAGE__BODY_EXEC_EXITED:
		exec_exited(c, m->exec_exited);
		break;
	case SHIM__SHIM_MESSAGE__BODY_OOM:
		if (m->oom->incarnation == c->obj->status->incarnation)
			report_oom(c, m->oom->oom_kills);
		break;
	case SHIM__SHIM_MESSAGE__BODY_LOG_DROPPED:
		report_dropped(c, m->log_dropped);
		break;
	default:
		log_warn("container %s: its shim said something that this berthd does not know", c->node.uuid);
		break;
	}
}

static void on_gone(void *owner)
{
	struct container *c = owner;
	bool adopting = c->adopting;

	c->adopting = false;
	exec_forget(c);
	event(c, EV_SHIM_GONE, NULL);
	if (adopting)
		recover_answered(c->sv);
}

const struct shimlink_ops container_shim_ops = {.hello = on_hello, .message = on_message, .gone = on_gone};

/* supervisor/waiter.c - see supervisor/waiter.h */
#include "supervisor/waiter.h"

#include "base/own.h"
#include "supervisor/container.h"

#include <errno.h>

int waiter_add(struct container *c, enum waiter_kind kind, struct parked parked, int session_fd)
{
	AUTO_FD fd = session_fd;
	struct waiter *w;

	if (!parked.client)
		return 0;
	w = malloc(sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct waiter){.kind = kind, .parked = parked, .session_fd = take_fd(&fd)};
	list_push(&c->waiters, &w->of);
	list_push(&c->sv->waiters, &w->all);
	return 0;
}

static void waiter_free(struct waiter *w)
{
	list_del(&w->of);
	list_del(&w->all);
	close_fd(&w->session_fd);
	free(w);
}

bool waiter_any(const struct container *c, unsigned kinds)
{
	struct waiter *w;

	list_each (w, &c->waiters, of)
		if (kinds & WAIT_BIT(w->kind))
			return true;
	return false;
}

void waiters_move(struct container *c, enum waiter_kind from, enum waiter_kind to)
{
	struct waiter *w;

	list_each (w, &c->waiters, of)
		if (w->kind == from)
			w->kind = to;
}

static void container_reply_fill(const struct container *c, Berth__Envelope *env, Berth__ContainerReply *body)
{
	berth__container_reply__init(body);
	body->container = c->obj;
	berth__envelope__init(env);
	env->body_case = BERTH__ENVELOPE__BODY_CONTAINER_REPLY;
	env->container_reply = body;
}

void answer_container(struct container *c, struct parked p, int session_fd)
{
	Berth__Envelope env;
	Berth__ContainerReply body;
	AUTO_FD fd = session_fd;

	container_reply_fill(c, &env, &body);
	reply(c->sv, p, &env, &fd, fd >= 0);
}

static void answer_accepted(struct container *c, struct parked p)
{
	Berth__Envelope env;
	Berth__ContainerReply body;

	container_reply_fill(c, &env, &body);
	reply_accepted(c->sv, p, &env);
}

void answer_wait(struct container *c, struct parked p)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__WaitReply body = BERTH__WAIT_REPLY__INIT;

	body.uuid = c->node.uuid;
	body.exit = c->obj->status->last_exit;
	env.body_case = BERTH__ENVELOPE__BODY_WAIT_REPLY;
	env.wait_reply = &body;
	reply(c->sv, p, &env, NULL, 0);
}

static void waiter_answer(struct container *c, struct waiter *w)
{
	switch (w->kind) {
	case WAIT_CREATED:
	case WAIT_STARTED:
	case WAIT_RESTARTED:
	case WAIT_STORED:
	case WAIT_STORING:
		answer_container(c, w->parked, take_fd(&w->session_fd));
		break;
	case WAIT_ACCEPTED:
		answer_accepted(c, w->parked);
		break;
	case WAIT_NOT_RUNNING:
	case WAIT_NEXT_EXIT:
	case WAIT_REMOVED:
		answer_wait(c, w->parked);
		break;
	case WAIT_ENDED:
	case WAIT_PAUSED:
	case WAIT_DELETED:
	case WAIT_N_:
	default:
		reply_done(c->sv, w->parked, c->node.uuid);
		break;
	}
}

/* Taken off the list before it is answered: an answer that cannot be sent ends its client, and that looks for its waiters. */
static struct waiter *waiter_take(struct container *c, unsigned kinds)
{
	struct waiter *w;

	list_each (w, &c->waiters, of) {
		if (!(kinds & WAIT_BIT(w->kind)))
			continue;
		list_del(&w->of);
		list_del(&w->all);
		return w;
	}
	return NULL;
}

void waiters_answer(struct container *c, unsigned kinds)
{
	struct waiter *w;

	while ((w = waiter_take(c, kinds))) {
		waiter_answer(c, w);
		waiter_free(w);
	}
}

void waiters_fail(struct container *c, unsigned kinds, Berth__Error__Code code, const struct err *e)
{
	struct waiter *w;

	while ((w = waiter_take(c, kinds))) {
		reply_err(c->sv, w->parked, code, e);
		waiter_free(w);
	}
}

bool container_cancel(struct supervisor *sv, uint64_t client, uint64_t request)
{
	struct waiter *w;

	list_each (w, &sv->waiters, all)
		if (w->parked.client == client && w->parked.request == request) {
			waiter_free(w);
			return true;
		}
	return false;
}

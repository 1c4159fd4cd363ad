/* supervisor/container_net.c - a container's interfaces: its process is made and stops before exec, with its network namespace; berth-net is
 * given a pidfd of it, and when the interfaces are there the program begins. Later incarnations find them: the shim keeps the namespace. */
#include "supervisor/container_act.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/exec.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"

#include <errno.h>

bool container_net_wanted(const struct container *c)
{
	return c->obj->n_networks && !c->net_ready;
}

static void attached(void *arg, const struct err *e)
{
	struct container *c = arg;
	struct event ev = EVENT(e ? EV_NET_FAILED : EV_NET_READY);

	/* One interface after the other: the last answer counts, and the first failure. */
	if (c->net_left && --c->net_left && !e)
		return;
	if (e) {
		c->net_left = 0;
		netd_forget(c->sv, c);
		c->failure = *e;
	}
	if (container_event(c, &ev, NULL) < 0)
		log_debug("container %s: late news of its network", c->node.uuid);
}

static int attach_all(struct container *c, struct err *e)
{
	int r = 0;

	c->net_asked = true;
	for (size_t i = 0; i < c->obj->n_networks && r == 0; i++) {
		Net__NetMessage m = NET__NET_MESSAGE__INIT;
		Net__Attach body = NET__ATTACH__INIT;
		struct arena a = ARENA_INIT;

		body.port = network_port(c, i, &a);
		m.body_case = NET__NET_MESSAGE__BODY_ATTACH;
		m.attach = &body;
		r = body.port ? netd_ask(c->sv, &m, c->said_pidfd, attached, c, e)
			      : err_set(e, ENOENT, "network", "network %s is gone", c->obj->networks[i]->network);
		c->net_left += r == 0;
		arena_fini(&a);
	}
	return r;
}

state container_net_held(struct container *c)
{
	struct err e;
	int r;

	if (c->net_left)
		return container_state(c);
	r = c->said_pidfd >= 0 ? attach_all(c, &e) : err_set(&e, 0, "shim", "its process is not known");
	if (r < 0) {
		container_group_kill(c);
		container_post_failure(c, &e);
	}
	return container_state(c);
}

void container_net_runs(struct container *c)
{
	c->net_asked = c->net_ready = c->obj->n_networks > 0;
}

state act_net_failed(struct container *c, struct event *ev)
{
	container_group_kill(c);
	if (c->shim)
		shimlink_kill(c->shim);
	return act_failed(c, ev);
}

void container_net_down(struct container *c)
{
	netd_forget(c->sv, c);
	c->net_left = 0;
	for (size_t i = 0; c->net_asked && i < c->obj->n_networks; i++) {
		Net__NetMessage m = NET__NET_MESSAGE__INIT;
		Net__Detach body = NET__DETACH__INIT;
		struct arena a = ARENA_INIT;
		struct err e;

		body.port = network_port(c, i, &a);
		m.body_case = NET__NET_MESSAGE__BODY_DETACH;
		m.detach = &body;
		if (body.port && netd_ask(c->sv, &m, -1, NULL, NULL, &e) < 0)
			log_err(&e, "container %s", c->node.uuid);
		arena_fini(&a);
	}
	c->net_asked = c->net_ready = false;
}

/* supervisor/container_net.c - a container's interfaces: its process is made and stops before exec, with its network namespace; berth-net is
 * given a pidfd of it, and when the interfaces are there the program begins. Where the process goes on with what stands by, the namespace is there
 * before and as it will be: berth-net is given that at once, and works beside the launch. Later incarnations find the interfaces: the shim keeps the
 * namespace. */
#include "supervisor/container_act.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/launch.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct net_stored stored(const struct net_holder *h)
{
	const Berth__Container *obj = container_of(h, struct container, net)->obj;

	return (struct net_stored){obj->meta,	     obj->networks,	 obj->n_networks,
				   obj->spec->ports, obj->spec->n_ports, net_names(obj->spec->names)};
}

static char **names(const struct net_holder *h, struct arena *a, size_t *ret_n)
{
	const struct container *c = container_of(h, struct container, net);
	char **list = arena_alloc(a, 3 * sizeof *list);

	if (!list)
		return NULL;
	list[0] = c->obj->meta->name;
	list[1] = uuid_short(c->node.uuid, a);
	list[2] = (char *)launch_hostname(c->obj->spec, c->node.uuid, a);
	*ret_n = a->failed ? 0 : 3;
	return list;
}

static void attached(struct net_holder *h, const struct err *e)
{
	struct container *c = container_of(h, struct container, net);
	struct event ev = EVENT(e ? EV_NET_FAILED : EV_NET_READY);

	if (e)
		c->failure = *e;
	if (container_event(c, &ev, NULL) < 0)
		log_debug("container %s: late news of its network", c->node.uuid);
}

static struct net_rows net_rows(struct net_holder *h)
{
	Berth__Container *obj = container_of(h, struct container, net)->obj;

	return (struct net_rows){
		{&obj->networks, &obj->n_networks}, &obj->spec->networks, &obj->spec->n_networks, &obj->spec->network};
}

static int net_store(struct net_holder *h, store_done *done, void *arg)
{
	struct container *c = container_of(h, struct container, net);

	SET(c->obj->meta, generation, c->obj->meta->generation + 1);
	SET(c->obj->meta, observed_generation, c->obj->meta->generation);
	return container_put(c, done, arg);
}

static void net_touch(struct net_holder *h)
{
	container_touch(container_of(h, struct container, net));
}

static int is_pid(int pid, const char *group, void *arg)
{
	return pid == *(int *)arg;
}

/* The descriptor first, then that it is still in the group: a number may have been used again. */
static int net_open(struct net_holder *h)
{
	struct container *c = container_of(h, struct container, net);
	int pid = c->obj->status->pid;
	AUTO_FD pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	AUTO_FD group_fd = -1;

	if (pidfd < 0 || container_group_open(c, &group_fd) < 0 || cg_each_pid(group_fd, true, is_pid, &pid) != 1)
		return -ESRCH;
	return take_fd(&pidfd);
}

static int net_shim(const struct net_holder *h)
{
	const struct container *c = container_of(h, struct container, net);

	return c->shim ? shimlink_pid(c->shim) : 0;
}

const struct net_holder_kind container_net_kind = {"container", stored,	   names,    attached, net_rows,
						   net_store,	net_touch, net_open, net_shim};

struct net_holder *container_net(struct container *c)
{
	return c->pod->obj->implicit ? &c->net : &c->pod->net;
}

void container_net_attach(struct container *c, int fd)
{
	if (net_holder_attach(&c->net, fd, &c->failure) < 0)
		container_post(c, EV_NET_FAILED); /* as if berth-net had said so: its shim may be at the launch */
}

state act_net_failed(struct container *c, struct event *ev)
{
	container_group_kill(c);
	if (c->shim)
		shimlink_kill(c->shim);
	return act_failed(c, ev);
}

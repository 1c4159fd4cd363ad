/* net/work.c - see net/work.h */
#include "net/work.h"

#include "base/log.h"
#include "base/own.h"
#include "net/address.h"
#include "net/announce.h"
#include "net/driver.h"
#include "net/floating.h"
#include "net/group.h"
#include "net/link.h"
#include "net/overlap.h"
#include "net/phys.h"
#include "net/port.h"
#include "net/published.h"
#include "net/rate.h"
#include "net/route.h"
#include "net/routed.h"
#include "net/slot.h"
#include "net/sound.h"
#include "net/sweep.h"
#include "net/uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static bool is_phys(const Net__Uplink *u)
{
	return u && u->driver == NET__DRIVER__PHYS;
}

static int network_make(struct worker *w, const Net__Network *n, struct err *e)
{
	const struct net_driver *d = net_driver_of(n->uplink);
	int r = 0;

	if (d->gateway && !w->forwards) {
		r = routed_open(&w->host, e);
		w->forwards = r == 0;
	}
	return r < 0 ? r : d->network_put(&w->host, n, e);
}

/* Somebody removes what we make for its ports while we do: when the State is done that is told, and answered less and less often, which a State
 * that cannot be done is not. */
static bool is_removed_again(struct worker *w, const Net__Uplink *u)
{
	const char *link = net_driver_link(u);

	return link && link_index(&w->host, link) == -ENODEV;
}

/* What has become of a link of the host since is no reason that there are no networks: who uses that one hears of it. */
static int network_put_again(struct worker *w, const Net__Network *n, struct err *e)
{
	int r = network_make(w, n, e);

	if (r == 0 || (r == -ENODEV && is_removed_again(w, n->uplink)))
		return 0;
	if (!n->uplink || !n->uplink->parent)
		return r;
	log_err(e, "a network on %s", n->uplink->parent);
	return 0;
}

/* Other machines are on its wire, and any of them may have one of its addresses one day. */
static bool is_watched(const Net__Port *p)
{
	return net_driver_of(p->uplink)->wire != WIRE_NONE && p->uplink->parent;
}

/* Of a link that is the host's. */
static void watch_from_host(struct worker *w, const Net__Port *p)
{
	struct link l;
	struct err e;
	int r = uplink_parent(&w->host, p->uplink, &l, &e);

	if (r == 0)
		r = watch_add(w->watches, p, l.index, p->mac.len ? p->mac.data : l.mac, &e);
	if (r < 0)
		log_err(&e, "who else comes to have the addresses of %s", p->host_link);
}

static void link_want(struct worker *w, const Net__Uplink *u)
{
	const char *link = net_driver_link(u);

	if (link)
		lost_want(w->links, link, true);
}

/* Somebody has removed what it hangs on, and that was made anew: by this State, or by who needed it before. */
static int port_again(struct worker *w, const Net__Port *p, struct err *e)
{
	const char *link = net_driver_link(p->uplink);
	int r = link && lost_is(w->links, link) ? net_driver_of(p->uplink)->again(&w->host, p, e) : 0;

	return r < 0 && is_removed_again(w, p->uplink) ? 0 : r;
}

static void port_want(struct worker *w, const Net__Port *p)
{
	if (net_driver_of(p->uplink)->pair)
		lost_want(w->links, p->host_link, false);
}

/* What an earlier one lost, or we while we were told this, is told now. */
static void links_want(struct worker *w, const Net__State *s)
{
	lost_forget_all(w->links);
	for (size_t i = 0; i < s->n_networks; i++)
		link_want(w, s->networks[i]->uplink);
	for (size_t i = 0; i < s->n_ports; i++)
		port_want(w, s->ports[i]);
	lost_doubt(w->links);
}

static int do_state(struct worker *w, const Net__State *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n_networks; i++)
		if (!network_is_sound(s->networks[i], e))
			return -EINVAL;
	for (size_t i = 0; i < s->n_ports; i++)
		if (!port_is_sound(s->ports[i], e))
			return -EINVAL;
	for (size_t i = 0; i < s->n_groups; i++)
		if (!group_is_sound(s->groups[i], e))
			return -EINVAL;
	if (!pools_are_sound(s->pools, s->n_pools))
		return err_set(e, EINVAL, "network", "not pools of floating IPs");
	for (size_t i = 0; i < s->n_networks; i++) /* those that an earlier berth-net made */
		link_want(w, s->networks[i]->uplink);
	/* The rules first: nothing passes that they would not let. */
	r = table_make(w->table, s, e);
	w->lost = w->forwards = false;
	gone_keep(w->gone, s->ports, s->n_ports);
	if (r == 0)
		r = links_sweep(&w->host, s, w->gone, e);
	if (r == 0)
		r = routed_sweep(&w->host, s, e);
	for (size_t i = 0; i < s->n_networks && r == 0; i++)
		r = network_put_again(w, s->networks[i], e);
	wires_forget_all(w->wires);
	for (size_t i = 0; i < s->n_networks && r == 0; i++)
		r = wires_put(w->wires, s->networks[i], e);
	for (size_t i = 0; i < s->n_ports && r == 0; i++)
		r = port_again(w, s->ports[i], e);
	if (r == 0)
		r = rate_all(&w->host, s, e);
	if (r == 0)
		r = floating_all(&w->host, s, e);
	if (r == 0)
		r = pools_put(w->pools, s->pools, s->n_pools, e);
	if (r == 0)
		away_begin(w->away, s);
	if (r == 0)
		links_want(w, s);
	if (r == 0 && !w->warned)
		overlap_warn(&w->host, s);
	w->warned |= r == 0;
	watch_del(w->watches, NULL);
	for (size_t i = 0; i < s->n_ports && r == 0; i++)
		if (is_watched(s->ports[i]) && !is_phys(s->ports[i]->uplink)) /* those are held next */
			watch_from_host(w, s->ports[i]);
	return r;
}

static int do_network_put(struct worker *w, const Net__Network *n, struct err *e)
{
	int r = network_is_sound(n, e) ? 0 : -EINVAL;

	if (r == 0 && net_driver_of(n->uplink)->gateway)
		r = overlap_check(&w->host, n, e);
	if (r == 0)
		r = table_network_add(w->table, n, e);
	if (r == 0)
		r = network_make(w, n, e);
	if (r == 0)
		r = wires_put(w->wires, n, e);
	if (r == 0)
		link_want(w, n->uplink);
	return r == 0 && is_phys(n->uplink) ? away_look(w->away, n->key, n->uplink, false, e) : r;
}

static int do_network_delete(struct worker *w, const Net__Network *n, struct err *e)
{
	int r = network_is_sound(n, e) ? table_network_del(w->table, n, e) : -EINVAL;

	if (r == 0 && is_phys(n->uplink))
		away_forget(w->away, n->key);
	if (r == 0)
		wires_forget(w->wires, n->key);
	if (r == 0 && n->uplink && net_driver_link(n->uplink))
		lost_forget(w->links, n->uplink->link);
	return r < 0 ? r : net_driver_of(n->uplink)->network_del(&w->host, n, e);
}

int work_visit(struct worker *w, int pidfd, struct nl *inside, int *ret_ns_fd, int *ret_packet_fd, struct err *e)
{
	int r;

	if (setns(pidfd, CLONE_NEWNET) < 0)
		return err_set(e, errno, "network", "enter the network namespace");
	*ret_ns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	r = *ret_ns_fd < 0 ? err_set(e, errno, "network", "keep the network namespace") : nl_open(inside, e);
	if (r == 0 && ret_packet_fd)
		*ret_packet_fd = announce_open();
	if (setns(w->home_fd, CLONE_NEWNET) < 0) {
		log_error("cannot leave the network namespace of a container: %s", strerror(errno));
		abort();
	}
	return r;
}

/* A NIC that an earlier berth-net has moved in is there already. Whose it is may have given it another name: then it is held, and left as it is. */
static int attach_phys(struct worker *w, const Net__Port *p, struct nl *inside, int *ns_fd, struct err *e)
{
	int index = phys_inside(inside, p);
	bool renamed = index > 0 && index != link_index(inside, p->link);
	int r = index > 0 ? 0 : away_look(w->away, p->network_key, p->uplink, true, e);
	struct err ignored;

	if (r == 0 && !renamed)
		r = net_driver_of(p->uplink)->attach(&w->host, inside, *ns_fd, p, e);
	if (index <= 0)
		index = link_index(inside, p->link);
	if (index > 0) {
		int held = away_hold(w->away, p->network_key, p->uplink, take_fd(ns_fd), index, r < 0 ? &ignored : e);

		return r < 0 ? r : held;
	}
	(void)away_return(w->away, p->network_key, p->uplink, &ignored); /* it did not go */
	return r;
}

/* The host itself may have one of them on the link that these lead to: they hear nothing of each other there. */
static void claim_of_host(struct worker *w, const Net__Port *p)
{
	const Net__Uplink *u = p->uplink;
	struct link l;
	struct err e;

	if (!u || (u->driver != NET__DRIVER__MACVLAN && u->driver != NET__DRIVER__IPVLAN) ||
	    uplink_parent(&w->host, u, &l, &e) < 0)
		return;
	for (size_t i = 0; i < p->n_addresses; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		if (address_is_on(&w->host, l.index, &ip) == 1)
			(void)claim_taken(w->claims, p->host_link, &ip, l.mac);
	}
}

/* Its neighbours are asked and told. Takes packet_fd, of its namespace. What is wrong is no reason not to start. */
static void claim(struct worker *w, const Net__Port *p, struct nl *inside, int packet_fd)
{
	AUTO_FD fd = packet_fd;
	struct link l;
	struct err e;
	int r;

	if (net_driver_of(p->uplink)->wire == WIRE_PARENT) {
		close_fd(&fd);
		fd = announce_open();
		r = uplink_parent(&w->host, p->uplink, &l, &e);
	} else {
		r = link_get(inside, p->link, &l);
		if (r == -ENODEV) /* a NIC that has another name by now */
			return;
		if (r < 0)
			err_set(&e, -r, "network", "find the link %s", p->link);
	}
	if (r == 0 && fd < 0)
		r = err_set(&e, EPERM, "network", "no packet socket");
	if (r == 0)
		r = claim_begin(w->claims, p, take_fd(&fd), l.index, l.mac, &e);
	if (r == 0)
		claim_of_host(w, p);
	if (r < 0)
		log_err(&e, "who else has the addresses of %s", p->host_link);
}

/* A NIC that is the port's: its wire is heard where it is. */
static void watch_from_inside(struct worker *w, const Net__Port *p, struct nl *inside, int pidfd)
{
	static struct nl again;
	int fd[2] = {-1, -1}, r = 0;
	struct link l;
	struct err e;

	if (link_get(inside, p->link, &l) < 0) /* it has another name by now */
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fd) && r == 0; i++) {
		AUTO_FD ns_fd = -1;

		r = work_visit(w, pidfd, &again, &ns_fd, &fd[i], &e);
		nl_close(&again);
	}
	if (r == 0)
		r = watch_add_inside(w->watches, p, fd, l.index, l.mac, &e);
	close_fd(&fd[0]);
	close_fd(&fd[1]);
	if (r < 0)
		log_err(&e, "who else comes to have the addresses of %s", p->host_link);
}

static int inside_del(struct nl *inside, const Net__Port *p, struct err *e)
{
	int r = link_del(inside, p->link, e);

	for (size_t i = 0; i < p->n_addresses && r == 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		r = rule_del(inside, &ip, 0, e);
	}
	return r;
}

/* What was made of one that cannot be. A link that was there is not touched: whose it is may have made it himself. */
static void take_back(struct nl *inside, const Net__Port *p)
{
	struct err e;

	if (inside_del(inside, p, &e) < 0)
		log_err(&e, "take back what was made for %s", p->host_link);
}

/* Whose it is may have taken that one down meanwhile: no reason that this one cannot be. */
static void answers_of_first(struct nl *inside, const Net__Port *first)
{
	struct err e;

	if (port_answers(inside, first, &e) < 0)
		log_err(&e, "answers of %s beside another interface", first->host_link);
}

static int do_attach(struct worker *w, const Net__Attach *a, int pidfd, struct err *e)
{
	const Net__Port *p = a->port;
	static struct nl inside;
	AUTO_FD ns_fd = -1;
	int packet_fd = -1, r = port_is_sound(p, e) && (!a->first || port_is_sound(a->first, e)) ? 0 : -EINVAL;
	enum wire wire = r == 0 ? net_driver_of(p->uplink)->wire : WIRE_NONE;
	bool is_new, later;

	if (r == 0 && pidfd < 0)
		r = err_set(e, EINVAL, "network", "no process came with the port");
	gone_yield(w->gone);
	if (r == 0)
		r = work_visit(w, pidfd, &inside, &ns_fd, wire == WIRE_INSIDE ? &packet_fd : NULL, e);
	if (r == 0)
		gone_forget(w->gone, p->host_link);
	if (r == 0) /* one of its last life would hold the namespace of that, and what is in it */
		claim_end(w->claims, p->host_link);
	is_new = r == 0 && (a->again || link_index(&inside, p->link) == -ENODEV);
	if (r == 0)
		r = table_port_add(w->table, p, e);
	if (r == 0)
		r = is_phys(p->uplink) ? attach_phys(w, p, &inside, &ns_fd, e)
				       : net_driver_of(p->uplink)->attach(&w->host, &inside, ns_fd, p, e);
	if (r == 0 && (a->first || !p->default_route))
		r = port_answers(&inside, p, e);
	if (r == 0 && a->first && !p->default_route)
		answers_of_first(&inside, a->first);
	later = r == UPPER_TAKEN && is_new && !a->last;
	if (r == UPPER_TAKEN && !later)
		r = -(int)e->code;
	if (r == 0 && wire != WIRE_NONE)
		claim(w, p, &inside, take_fd(&packet_fd));
	close_fd(&packet_fd);
	if (r == 0 && is_watched(p) && is_phys(p->uplink))
		watch_from_inside(w, p, &inside, pidfd);
	else if (r == 0 && is_watched(p))
		watch_from_host(w, p);
	if (r < 0 && is_new && !is_phys(p->uplink) && !net_driver_of(p->uplink)->pair)
		take_back(&inside, p);
	nl_close(&inside);
	if (later)
		return WORK_LATER;
	if (r == 0 && net_driver_of(p->uplink)->pair)
		gone_hold(w->gone, p->host_link, &ns_fd);
	if (r == 0)
		port_want(w, p);
	if (r == 0 && (p->rate_in || p->rate_out))
		r = rate_put(&w->host, p, e);
	if (r < 0 || a->mend) /* what leads to it from outside is as it was, and may be in use */
		return r;
	/* A link that is not there, to announce something on, is no reason not to start; nor are flows of others. */
	if (published_begin(&w->host, NULL, p, e) < 0)
		log_err(e, "published ports of %s", p->host_link);
	if (floating_change(&w->host, w->announce_fd, NULL, p, e) < 0)
		log_err(e, "floating IP of %s", p->host_link);
	return r;
}

/* The namespace stays, also when the process that leads to it has ended: berthd knows whether another one will come in it. Where the
 * host's end takes the other along there is nothing left to be removed inside. */
static int interface_del(struct worker *w, const Net__Port *p, int pidfd, struct err *e)
{
	static struct nl inside;
	AUTO_FD ns_fd = -1;
	int r = link_del(&w->host, p->host_link, e);

	if (r < 0 || pidfd < 0)
		return r;
	r = work_visit(w, pidfd, &inside, &ns_fd, NULL, e);
	if (r == 0)
		r = inside_del(&inside, p, e);
	else if (e->code == ESRCH && net_driver_of(p->uplink)->pair) /* it has ended */
		r = 0;
	nl_close(&inside);
	return r;
}

static int do_detach(struct worker *w, const Net__Detach *d, int pidfd, struct err *e)
{
	const Net__Port *p = d->port;
	int r = port_is_sound(p, e) ? 0 : -EINVAL;

	if (r < 0)
		return r;
	claim_end(w->claims, p->host_link);
	lost_forget(w->links, p->host_link);
	if (is_watched(p))
		watch_del(w->watches, p->host_link);
	r = table_port_del(w->table, p, e);
	if (r == 0)
		r = rate_del(&w->host, p, e);
	if (r == 0)
		r = floating_change(&w->host, w->announce_fd, p, NULL, e);
	if (r == 0 && is_phys(p->uplink))
		return away_return(w->away, p->network_key, p->uplink, e);
	if (r == 0 && !d->remove)
		gone_add(w->gone, p->host_link);
	if (r < 0 || !d->remove)
		return r;
	gone_forget(w->gone, p->host_link);
	return interface_del(w, p, pidfd, e);
}

static int do_port_update(struct worker *w, const Net__PortUpdate *u, struct err *e)
{
	int r = port_is_sound(u->was, e) && port_is_sound(u->port, e) ? 0 : -EINVAL;

	if (r == 0)
		r = table_port_change(w->table, u->was, u->port, e);
	if (r < 0)
		return r;
	if (u->was->policy != u->port->policy)
		r = link_group(&w->host, u->port->host_link, u->port->policy, e);
	if (r == 0 && !u->port->uplink && u->was->allow_spoofing != u->port->allow_spoofing)
		r = routed_asked(&w->host, u->port, e);
	if (r == 0 && (u->was->rate_in != u->port->rate_in || u->was->rate_out != u->port->rate_out))
		r = rate_put(&w->host, u->port, e);
	if (r == 0)
		r = published_begin(&w->host, u->was, u->port, e);
	/* It has gone with its container, of which berthd has not heard yet: the next one is made with these. */
	if (r < 0 && link_index(&w->host, u->port->host_link) == -ENODEV)
		r = 0;
	return r < 0 ? r : floating_change(&w->host, w->announce_fd, u->was, u->port, e);
}

int work_do(struct worker *w, const Net__NetMessage *m, int fd, struct err *e)
{
	switch (m->body_case) {
	case NET__NET_MESSAGE__BODY_STATE:
		return do_state(w, m->state, e);
	case NET__NET_MESSAGE__BODY_NETWORK_PUT:
		return do_network_put(w, m->network_put->network, e);
	case NET__NET_MESSAGE__BODY_NETWORK_DELETE:
		return do_network_delete(w, m->network_delete->network, e);
	case NET__NET_MESSAGE__BODY_ATTACH:
		return do_attach(w, m->attach, fd, e);
	case NET__NET_MESSAGE__BODY_DETACH:
		return do_detach(w, m->detach, fd, e);
	case NET__NET_MESSAGE__BODY_PORT_UPDATE:
		return do_port_update(w, m->port_update, e);
	case NET__NET_MESSAGE__BODY_SLOT_PUT:
		return slot_put(w, m->slot_put->port, fd, e);
	case NET__NET_MESSAGE__BODY_SLOT_DELETE:
		return slot_del(w, m->slot_delete->host_link, e);
	case NET__NET_MESSAGE__BODY_GROUP_PUT:
		return group_is_sound(m->group_put->group, e) ? table_group_put(w->table, m->group_put->group, e)
							      : -EINVAL;
	case NET__NET_MESSAGE__BODY_GROUP_DELETE:
		return table_group_del(w->table, m->group_delete->key, e);
	case NET__NET_MESSAGE__BODY_POLICY_PUT:
		return m->policy_put->policy ? table_policy_put(w->table, m->policy_put->policy, e)
					     : err_set(e, EINVAL, "network", "not a policy");
	case NET__NET_MESSAGE__BODY_POLICY_DELETE:
		return table_policy_del(w->table, m->policy_delete->key, e);
	case NET__NET_MESSAGE__BODY_POOLS_PUT:
		return pools_are_sound(m->pools_put->pools, m->pools_put->n_pools)
			       ? pools_put(w->pools, m->pools_put->pools, m->pools_put->n_pools, e)
			       : err_set(e, EINVAL, "network", "not pools of floating IPs");
	default:
		return err_set(e, EPROTO, "network", "a message that this berth-net does not know");
	}
}

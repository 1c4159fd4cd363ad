/* net/main.c - berth-net: the one process that speaks to the kernel about networks. Started by berthd, with a socket as descriptor 3; ends with it.
 *
 * One thing at a time, in order: the kernel has one lock for all of this, and who waits for it here is not berthd's loop. A failure in the
 * middle of anything may be left as it is: whoever starts us again says State first. */
#include "base/confine.h"
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "net/announce.h"
#include "net/away.h"
#include "net/driver.h"
#include "net/floating.h"
#include "net/group.h"
#include "net/link.h"
#include "net/probe.h"
#include "net/rate.h"
#include "net/routed.h"
#include "net/table.h"
#include "proto/envelope.h"
#include "proto/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SOCKET_FD	   3
#define STATE_MAX	   (64u << 20)
#define CAP_NET_ADMIN_BIT  CAP_BIT(12)
#define CAP_SYS_ADMIN_BIT  CAP_BIT(21) /* setns */
#define CAP_SYS_PTRACE_BIT CAP_BIT(19) /* … by the pidfd of a process that is more than we are */

struct worker {
	struct nl host;
	struct table *table;
	int home_fd; /* our own network namespace */
	bool lost;   /* the table; berthd knows */
	struct away *away;
	bool forwards; /* the host does, for networks of which it is the gateway */
	int announce_fd;
};

/* ---------------------------------------------------------------- what it is told */

static bool subnet_is_sound(const Net__Subnet *s)
{
	return (s->network.len == 4 || s->network.len == 16) && s->gateway.len == s->network.len &&
	       s->prefix <= s->network.len * 8;
}

/* The others have their parent's. */
static bool mac_is_sound(const Net__Port *p)
{
	return p->mac.len == 6 || (!p->mac.len && p->uplink && p->uplink->driver >= NET__DRIVER__MACVLAN);
}

static bool port_is_sound(const Net__Port *p, struct err *e)
{
	bool sound = p && p->host_link && p->link && mac_is_sound(p) && p->network_key && p->n_addresses &&
		     !strncmp(p->host_link, LINK_PREFIX, strlen(LINK_PREFIX)) && strlen(p->host_link) < 16 &&
		     strlen(p->link) < 16 && !strpbrk(p->host_link, "\"{} \n") && uplink_is_sound(p->uplink);

	for (size_t i = 0; sound && i < p->n_addresses; i++)
		sound = p->addresses[i].len == 4 || p->addresses[i].len == 16;
	for (size_t i = 0; sound && i < p->n_subnets; i++)
		sound = subnet_is_sound(p->subnets[i]);
	for (size_t i = 0; sound && i < p->n_published; i++)
		sound = !p->published[i]->host_ip.len || p->published[i]->host_ip.len == 4 ||
			p->published[i]->host_ip.len == 16;
	for (size_t i = 0; sound && i < p->n_floating; i++)
		sound = floating_is_sound(p->floating[i]);
	if (!sound)
		err_set(e, EINVAL, "network", "not a port");
	return sound;
}

static bool network_is_sound(const Net__Network *n, struct err *e)
{
	bool sound = n && n->key && uplink_is_sound(n->uplink);

	for (size_t i = 0; sound && i < n->n_subnets; i++)
		sound = subnet_is_sound(n->subnets[i]);
	if (!sound)
		err_set(e, EINVAL, "network", "not a network");
	return sound;
}

/* ---------------------------------------------------------------- links that are there already */

#define LINKS_AT_ONCE 1024u

struct wrong {
	char name[16];
	const Net__Port *port; /* whose it is; NULL: nobody's any more */
};

struct known {
	const Net__Port **ports; /* by name */
	size_t n_ports;
	const char **uplinks; /* so too: what networks have */
	size_t n_uplinks;
	struct wrong *wrong;
	size_t n, max;
};

static int by_link(const void *a, const void *b)
{
	return strcmp((*(const Net__Port *const *)a)->host_link, (*(const Net__Port *const *)b)->host_link);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void link_look(void *arg, const char *name, uint32_t group)
{
	struct known *k = arg;
	Net__Port like = NET__PORT__INIT, *p = &like;
	const Net__Port **found;

	if (strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0 || k->n == k->max ||
	    (k->n_uplinks && bsearch(&name, k->uplinks, k->n_uplinks, sizeof *k->uplinks, by_name)))
		return;
	like.host_link = (char *)(uintptr_t)name;
	found = k->n_ports ? bsearch(&p, k->ports, k->n_ports, sizeof *k->ports, by_link) : NULL;
	if (found && (*found)->policy == group)
		return;
	k->wrong[k->n].port = found ? *found : NULL;
	snprintf(k->wrong[k->n++].name, sizeof k->wrong[0].name, "%s", name);
}

/* Links of ours that nobody has any more go; the others get the group that they should have. */
static int links_sweep(struct worker *w, const Net__State *s, struct err *e)
{
	AUTO_FREE struct wrong *wrong = calloc(LINKS_AT_ONCE, sizeof *wrong);
	AUTO_FREE const Net__Port **ports = calloc(s->n_ports + 1, sizeof *ports);
	AUTO_FREE const char **uplinks = calloc(s->n_networks + 1, sizeof *uplinks);
	struct known k = {
		.ports = ports, .n_ports = s->n_ports, .uplinks = uplinks, .wrong = wrong, .max = LINKS_AT_ONCE};
	int r;

	if (!wrong || !ports || !uplinks)
		return err_set(e, ENOMEM, "network", "no memory");
	if (s->n_ports)
		memcpy(ports, s->ports, s->n_ports * sizeof *ports);
	qsort(ports, s->n_ports, sizeof *ports, by_link);
	for (size_t i = 0; i < s->n_networks; i++)
		if (s->networks[i]->uplink)
			uplinks[k.n_uplinks++] = s->networks[i]->uplink->link;
	qsort(uplinks, k.n_uplinks, sizeof *uplinks, by_name);
	do {
		k.n = 0;
		r = link_each(&w->host, link_look, &k, e);
		for (size_t i = 0; i < k.n && r == 0; i++)
			r = wrong[i].port ? link_group(&w->host, wrong[i].name, wrong[i].port->policy, e)
					  : link_del(&w->host, wrong[i].name, e);
	} while (r == 0 && k.n == k.max);
	return r;
}

/* ---------------------------------------------------------------- what it does */

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

/* What has become of a link of the host since is no reason that there are no networks: who uses that one hears of it. */
static int network_put_again(struct worker *w, const Net__Network *n, struct err *e)
{
	int r = network_make(w, n, e);

	if (r == 0 || !n->uplink || !n->uplink->parent)
		return r;
	log_err(e, "a network on %s", n->uplink->parent);
	return 0;
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
	/* The rules first: nothing passes that they would not let. */
	r = table_make(w->table, s, e);
	w->lost = w->forwards = false;
	if (r == 0)
		r = links_sweep(w, s, e);
	for (size_t i = 0; i < s->n_networks && r == 0; i++)
		r = network_put_again(w, s->networks[i], e);
	if (r == 0)
		r = rate_all(&w->host, s, e);
	if (r == 0)
		r = floating_all(&w->host, s, e);
	if (r == 0)
		away_begin(w->away, s);
	return r;
}

static int do_network_put(struct worker *w, const Net__Network *n, struct err *e)
{
	int r = network_is_sound(n, e) ? table_network_add(w->table, n, e) : -EINVAL;

	if (r == 0)
		r = network_make(w, n, e);
	return r == 0 && is_phys(n->uplink) ? away_look(w->away, n->key, n->uplink, false, e) : r;
}

static int do_network_delete(struct worker *w, const Net__Network *n, struct err *e)
{
	int r = network_is_sound(n, e) ? table_network_del(w->table, n, e) : -EINVAL;

	return r < 0 ? r : net_driver_of(n->uplink)->network_del(&w->host, n, e);
}

/* A socket in the namespace, and the namespace; we are back home afterwards, or no more. */
static int namespace_visit(struct worker *w, int pidfd, struct nl *inside, int *ret_ns_fd, struct err *e)
{
	int r;

	if (setns(pidfd, CLONE_NEWNET) < 0)
		return err_set(e, errno, "network", "enter the network namespace");
	*ret_ns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	r = *ret_ns_fd < 0 ? err_set(e, errno, "network", "keep the network namespace") : nl_open(inside, e);
	if (setns(w->home_fd, CLONE_NEWNET) < 0) {
		log_error("cannot leave the network namespace of a container: %s", strerror(errno));
		abort();
	}
	return r;
}

/* A NIC that an earlier berth-net has moved in is there already. */
static int attach_phys(struct worker *w, const Net__Port *p, struct nl *inside, int *ns_fd, struct err *e)
{
	int r = link_index(inside, p->link) > 0 ? 0 : away_look(w->away, p->network_key, p->uplink, true, e);
	struct err ignored;

	if (r == 0)
		r = net_driver_of(p->uplink)->attach(&w->host, inside, *ns_fd, p, e);
	if (link_index(inside, p->link) > 0) {
		int held = away_hold(w->away, p->network_key, p->uplink, take_fd(ns_fd), link_index(inside, p->link),
				     r < 0 ? &ignored : e);

		return r < 0 ? r : held;
	}
	(void)away_return(w->away, p->network_key, p->uplink, &ignored); /* it did not go */
	return r;
}

static int do_attach(struct worker *w, const Net__Port *p, int pidfd, struct err *e)
{
	static struct nl inside;
	AUTO_FD ns_fd = -1;
	int r = port_is_sound(p, e) ? 0 : -EINVAL;

	if (r == 0 && pidfd < 0)
		r = err_set(e, EINVAL, "network", "no process came with the port");
	if (r == 0)
		r = namespace_visit(w, pidfd, &inside, &ns_fd, e);
	if (r == 0)
		r = table_port_add(w->table, p, e);
	if (r == 0)
		r = is_phys(p->uplink) ? attach_phys(w, p, &inside, &ns_fd, e)
				       : net_driver_of(p->uplink)->attach(&w->host, &inside, ns_fd, p, e);
	nl_close(&inside);
	if (r == 0 && (p->rate_in || p->rate_out))
		r = rate_put(&w->host, p, e);
	/* A link that is not there, to announce something on, is no reason not to start. */
	if (r == 0 && floating_change(&w->host, w->announce_fd, NULL, p, e) < 0)
		log_err(e, "floating IP of %s", p->host_link);
	return r;
}

/* The namespace stays. Where the host's end takes the other along there is nothing left to be removed inside. */
static int interface_del(struct worker *w, const Net__Port *p, int pidfd, struct err *e)
{
	static struct nl inside;
	AUTO_FD ns_fd = -1;
	int r = link_del(&w->host, p->host_link, e);

	if (r < 0 || pidfd < 0)
		return r;
	r = namespace_visit(w, pidfd, &inside, &ns_fd, e);
	if (r == 0)
		r = link_del(&inside, p->link, e);
	else if (e->code == ESRCH) /* it has ended, and its namespace will */
		r = 0;
	nl_close(&inside);
	return r;
}

static int do_detach(struct worker *w, const Net__Detach *d, int pidfd, struct err *e)
{
	const Net__Port *p = d->port;
	int r = port_is_sound(p, e) ? table_port_del(w->table, p, e) : -EINVAL;

	if (r == 0)
		r = rate_del(&w->host, p, e);
	if (r == 0)
		r = floating_change(&w->host, w->announce_fd, p, NULL, e);
	if (r == 0 && is_phys(p->uplink))
		return away_return(w->away, p->network_key, p->uplink, e);
	return r < 0 || !d->remove ? r : interface_del(w, p, pidfd, e);
}

static int do_port_update(struct worker *w, const Net__PortUpdate *u, struct err *e)
{
	int r = port_is_sound(u->was, e) && port_is_sound(u->port, e) ? 0 : -EINVAL;

	if (r == 0)
		r = table_port_change(w->table, u->was, u->port, e);
	if (r == 0)
		r = link_group(&w->host, u->port->host_link, u->port->policy, e);
	if (r == 0 && (u->was->rate_in != u->port->rate_in || u->was->rate_out != u->port->rate_out))
		r = rate_put(&w->host, u->port, e);
	return r < 0 ? r : floating_change(&w->host, w->announce_fd, u->was, u->port, e);
}

static int do_message(struct worker *w, const Net__NetMessage *m, int fd, struct err *e)
{
	switch (m->body_case) {
	case NET__NET_MESSAGE__BODY_STATE:
		return do_state(w, m->state, e);
	case NET__NET_MESSAGE__BODY_NETWORK_PUT:
		return do_network_put(w, m->network_put->network, e);
	case NET__NET_MESSAGE__BODY_NETWORK_DELETE:
		return do_network_delete(w, m->network_delete->network, e);
	case NET__NET_MESSAGE__BODY_ATTACH:
		return do_attach(w, m->attach->port, fd, e);
	case NET__NET_MESSAGE__BODY_DETACH:
		return do_detach(w, m->detach, fd, e);
	case NET__NET_MESSAGE__BODY_PORT_UPDATE:
		return do_port_update(w, m->port_update, e);
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
	default:
		return err_set(e, EPROTO, "network", "a message that this berth-net does not know");
	}
}

/* ---------------------------------------------------------------- the socket */

static int say(const Net__NetMessage *m)
{
	uint8_t out[1024];
	struct pollfd p = {.fd = SOCKET_FD, .events = POLLOUT};
	int r;

	while ((r = wire_send(SOCKET_FD, out, net__net_message__pack(m, out), NULL, 0)) == WIRE_AGAIN)
		poll(&p, 1, -1);
	return r;
}

static int answer(uint64_t id, int r, const struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__Result result = NET__RESULT__INIT;
	char step[sizeof e->step], text[sizeof e->text];

	m.has_id = 1;
	m.id = id;
	m.body_case = NET__NET_MESSAGE__BODY_RESULT;
	m.result = &result;
	if (r < 0) {
		snprintf(step, sizeof step, "%s", e->step);
		snprintf(text, sizeof text, "%s", e->text);
		result.has_sys_errno = 1;
		result.sys_errno = e->code;
		result.step = step;
		result.text = text;
	}
	return say(&m);
}

/* Once until there is a State again. */
static int table_look(struct worker *w)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__TableLost body = NET__TABLE_LOST__INIT;
	const char *why = table_touched(w->table);

	if (!why || w->lost)
		return 0;
	w->lost = true;
	body.reason = (char *)why;
	m.body_case = NET__NET_MESSAGE__BODY_TABLE_LOST;
	m.table_lost = &body;
	return say(&m);
}

static int nic_seen(void *arg, uint32_t key, const Net__Nic *nic)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__NicSeen body = NET__NIC_SEEN__INIT;

	body.has_network_key = 1;
	body.network_key = key;
	body.nic = (Net__Nic *)(uintptr_t)nic;
	m.body_case = NET__NET_MESSAGE__BODY_NIC_SEEN;
	m.nic_seen = &body;
	return say(&m);
}

static int enter(void *arg, int ns_fd, struct nl *inside, struct err *e)
{
	AUTO_FD same = -1;

	return namespace_visit(arg, ns_fd, inside, &same, e);
}

static bool wait_for(struct worker *w)
{
	struct pollfd p[] = {{.fd = SOCKET_FD, .events = POLLIN}, {.fd = table_fd(w->table), .events = POLLIN}};

	int n = poll(p, 2, away_wait(w->away));

	if (n == 0)
		away_again(w->away);
	return (n >= 0 || errno == EINTR) && (!p[1].revents || table_look(w) == 0);
}

/* False: berthd is gone, or does not speak our language. */
static bool serve(struct worker *w)
{
	static uint8_t in[WIRE_MAX];
	struct wire_fds fds = {0};
	const void *packed = in;
	struct err e = {0};
	Net__NetMessage *m;
	size_t len;
	int r = wire_recv(SOCKET_FD, in, sizeof in, &len, &fds);

	if (r == WIRE_AGAIN)
		return wait_for(w);
	if (r)
		return false;
	/* A State may be longer than a record: then the record is a mark, and it is in the memfd. */
	AUTO_FD fd = wire_fds_take(&fds, 0);
	wire_fds_close(&fds);
	void *map = NULL;
	if (len == 1 && fd >= 0) {
		r = memfd_map(fd, STATE_MAX, &packed, &len);
		map = r < 0 ? NULL : (void *)(uintptr_t)packed;
		if (r < 0)
			return false;
	}
	m = message_unpack(&net__net_message__descriptor, packed, len);
	if (map)
		munmap(map, len);
	if (!m)
		return false;
	r = answer(m->id, do_message(w, m, fd, &e), &e);
	net__net_message__free_unpacked(m, NULL);
	return r == 0 && table_look(w) == 0;
}

static int open_all(struct worker *w, struct err *e)
{
	static const struct confine how = {.caps = CAP_NET_ADMIN_BIT | CAP_SYS_ADMIN_BIT | CAP_SYS_PTRACE_BIT,
					   .all_files = true,
					   .networks = true};
	int r;

	w->home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (w->home_fd < 0)
		return err_set(e, errno, "network", "our own network namespace");
	w->announce_fd = announce_open();
	r = nl_open(&w->host, e);
	if (r == 0)
		r = table_open(&w->table, e);
	if (r == 0)
		r = away_open(&w->away, &w->host, w->home_fd,
			      &(struct away_ops){.seen = nic_seen, .enter = enter, .arg = w}, e);
	return r < 0 ? r : confine_enter(&how, e);
}

int main(int argc, char **argv)
{
	struct worker *w = calloc(1, sizeof *w);
	struct err e = {0};
	int type;
	socklen_t size = sizeof type;

	log_init("berth-net", LOG_LEVEL_INFO);
	if (argc == 2 && !strcmp(argv[1], "probe"))
		return probe_run();
	if (argc != 1 || getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "usage: %s probe; or with a socket as descriptor 3, started by berthd\n", argv[0]);
		return 2;
	}
	if (!w || open_all(w, &e) < 0) {
		log_err(&e, "cannot start");
		return 1;
	}
	while (serve(w))
		;
	return 0;
}

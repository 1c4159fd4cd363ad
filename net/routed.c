/* net/routed.c - see net/routed.h */
#include "net/routed.h"

#include "base/file.h"
#include "base/own.h"
#include "net/address.h"
#include "net/link.h"
#include "net/port.h"
#include "net/route.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEFT_AT_ONCE 256u

/* ---------------------------------------------------------------- the host */

/* A host that forwards IPv6 no longer listens to routers, unless told so. */
static void routers_keep(void)
{
	static const char folder[] = "/proc/sys/net/ipv6/conf";
	DIR *d = opendir(folder);
	const struct dirent *entry;
	char path[300], now[8];

	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s/accept_ra", folder, entry->d_name);
		if (file_read(AT_FDCWD, path, now, sizeof now) > 0 && now[0] == '1')
			(void)file_writes(AT_FDCWD, path, "2"); /* a link that has just gone */
	}
	if (d)
		closedir(d);
}

int routed_open(struct nl *host, struct err *e)
{
	static const char v4[] = "/proc/sys/net/ipv4/ip_forward", v6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	char now[8];
	int r = link_lone_add(host, GATEWAY_LINK, e), index;

	if (r < 0)
		return r;
	index = link_index(host, GATEWAY_LINK);
	r = index < 0 ? err_set(e, -index, "network", "find the link " GATEWAY_LINK) : link_up(host, index, e);
	if (r == 0)
		r = sysctl_set(v4, "1", e);
	if (r < 0 || file_read(AT_FDCWD, v6, now, sizeof now) <= 0 || now[0] == '1')
		return r; /* done, or a host without IPv6 */
	routers_keep();
	return sysctl_set(v6, "1", e);
}

/* What nobody has goes nowhere else. The last of all routes: what the host reaches elsewhere is not taken from it. */
static struct route nobody(const struct ip *ip, unsigned prefix)
{
	return (struct route){.to = *ip, .prefix = prefix, .protocol = ROUTE_NETWORK, .metric = ROUTE_LAST};
}

static int subnet_put(struct nl *host, int index, const Net__Subnet *s, struct err *e)
{
	struct ip gateway = ip_of(&s->gateway);
	struct ip network = ip_of(&s->network);
	struct route way = nobody(&network, s->prefix);
	int r = address_put(host, index, &gateway, ip_bits(&gateway), e);

	return r < 0 ? r : route_put(host, &way, e);
}

static int subnet_del(struct nl *host, int index, const Net__Subnet *s, struct err *e)
{
	struct ip gateway = ip_of(&s->gateway);
	struct ip network = ip_of(&s->network);
	struct route way = nobody(&network, s->prefix);
	int r = address_del(host, index, &gateway, ip_bits(&gateway), e);

	return r < 0 ? r : route_del(host, &way, e);
}

static int each_subnet(struct nl *host, const Net__Network *n,
		       int (*fn)(struct nl *, int, const Net__Subnet *, struct err *), struct err *e)
{
	int index = link_index(host, GATEWAY_LINK), r = 0;

	if (index < 0)
		return err_set(e, -index, "network", "find the link " GATEWAY_LINK);
	for (size_t i = 0; i < n->n_subnets && r == 0; i++)
		r = fn(host, index, n->subnets[i], e);
	return r;
}

int routed_network_put(struct nl *host, const Net__Network *n, struct err *e)
{
	return each_subnet(host, n, subnet_put, e);
}

int routed_network_del(struct nl *host, const Net__Network *n, struct err *e)
{
	return each_subnet(host, n, subnet_del, e);
}

struct left {
	const Net__State *state;
	int index;
	struct {
		struct ip ip;
		unsigned prefix;
		bool is_route;
		uint32_t metric;
	} gone[LEFT_AT_ONCE];
	size_t n;
};

static bool is_wanted(const Net__State *state, const struct ip *ip, unsigned prefix, bool is_route)
{
	for (size_t i = 0; i < state->n_networks; i++)
		for (size_t k = 0; !state->networks[i]->uplink && k < state->networks[i]->n_subnets; k++) {
			const Net__Subnet *s = state->networks[i]->subnets[k];
			struct ip it = ip_of(is_route ? &s->network : &s->gateway);

			if (it.len == ip->len && ip_bits_equal(&it, ip, ip_bits(ip)) &&
			    (!is_route || prefix == s->prefix))
				return true;
		}
	return false;
}

static void note(struct left *l, const struct ip *ip, unsigned prefix, bool is_route, uint32_t metric)
{
	if (l->n == LEFT_AT_ONCE)
		return;
	l->gone[l->n].ip = *ip;
	l->gone[l->n].prefix = prefix;
	l->gone[l->n].metric = metric;
	l->gone[l->n++].is_route = is_route;
}

/* One that is not the last of all is not as we make them, whatever it leads to. */
static void note_route(void *arg, const struct ip *ip, unsigned prefix, uint32_t metric)
{
	struct left *l = arg;

	if (metric != ROUTE_LAST || !is_wanted(l->state, ip, prefix, true))
		note(l, ip, prefix, true, metric);
}

static void note_address(void *arg, const struct ip *ip, unsigned prefix, int index)
{
	struct left *l = arg;

	if (index == l->index && !ip_bits_equal(ip, &port_link_local, 10) && !is_wanted(l->state, ip, prefix, false))
		note(l, ip, prefix, false, 0);
}

int routed_sweep(struct nl *host, const Net__State *s, struct err *e)
{
	AUTO_FREE struct left *l = calloc(1, sizeof *l);
	int r;

	if (!l)
		return err_set(e, ENOMEM, "network", "no memory");
	l->state = s;
	l->index = link_index(host, GATEWAY_LINK);
	do {
		l->n = 0;
		r = route_each(host, 0, ROUTE_NETWORK, note_route, l, e);
		if (r == 0 && l->index > 0)
			r = address_each(host, note_address, l, e);
		for (size_t i = 0; i < l->n && r == 0; i++) {
			struct route way = nobody(&l->gone[i].ip, l->gone[i].prefix);

			way.metric = l->gone[i].metric;
			r = l->gone[i].is_route ? route_del(host, &way, e)
						: address_del(host, l->index, &l->gone[i].ip, l->gone[i].prefix, e);
		}
	} while (r == 0 && l->n == LEFT_AT_ONCE);
	return r;
}

/* ---------------------------------------------------------------- a port */

/* The host's end of a pair has no IPv6 address, and its link is dormant (RFC 2863), so that the kernel gives it none either: with each link
 * that has some the kernel walks through all IPv6 routes and addresses of the host whenever one comes, goes or changes, which beside 5,000
 * took 12 ms an attach. So nobody can ask there who is at fe80::1, or where a container is: both ends are told instead, for good. Whoever may
 * send from any MAC is asked. */
static const uint8_t host_mac[6] = {2, 'b', 'e', 'r', 't', 'h'};

/* Its host's end; one that is up already is left as it is. mac: what it has. */
static int outer_up(struct nl *host, int index, const Net__Port *p, bool is_new, uint8_t mac[6], struct err *e)
{
	struct link l;
	int r;

	memcpy(mac, host_mac, 6);
	if (is_new)
		return link_up(host, index, e);
	r = link_at(host, index, &l);
	if (r < 0)
		return err_set(e, -r, "network", "find the link %s", p->host_link);
	memcpy(mac, l.mac, 6);
	return link_up_in_group(host, index, p->policy, e);
}

/* When both ends are up. To the kernel a dormant link is one without carrier, which some hosts have no routes by. */
static int outer_settle(struct nl *host, const Net__Port *p, struct err *e)
{
	char path[100];

	link_settle(host, p->host_link);
	snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/ignore_routes_with_linkdown", p->host_link);
	return access(path, F_OK) < 0 ? 0 : sysctl_set(path, "0", e);
}

/* Whoever may have another MAC is asked for it, who may not is not. */
static int outer_neighbours(struct nl *host, int index, const Net__Port *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < p->n_addresses && r == 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		if (p->allow_spoofing && ip.len == 16) /* from where it is asked */
			r = address_put(host, index, &port_link_local, 64, e);
		if (r == 0)
			r = neighbour_put(host, index, &ip, p->mac.data, p->allow_spoofing, e);
	}
	return r;
}

int routed_asked(struct nl *host, const Net__Port *p, struct err *e)
{
	int index = link_index(host, p->host_link);

	return index == -ENODEV ? 0 : outer_neighbours(host, index, p, e);
}

/* Its own network by this interface, whatever other ones it has: an answer from another would come from a foreign address. */
static int inside_address(struct nl *inside, int index, const Net__Port *p, const struct ip *ip,
			  const uint8_t outer_mac[6], struct err *e)
{
	const Net__Subnet *s = port_subnet(p, ip->len);
	int r = address_put(inside, index, ip, ip_bits(ip), e);
	struct route way = {.index = index, .source = *ip};

	if (r < 0 || !s)
		return r;
	way.gateway = port_gateway(p, s, ip->len);
	if (ip->len == 16)
		r = neighbour_put(inside, index, &port_link_local, outer_mac, false, e);
	if (r < 0)
		return r;
	way.to = ip_of(&s->network);
	way.prefix = s->prefix;
	way.metric = p->default_route ? 0 : PORT_METRIC + (uint32_t)index; /* another may be in the same network */
	r = route_put(inside, &way, e);
	if (r < 0 || !p->default_route)
		return r;
	way.to.len = 0;
	return route_put(inside, &way, e);
}

/* The kernel takes it away with the gateway's address, from which the host sends. */
static int host_address(struct nl *host, int index, const Net__Port *p, const struct ip *ip, struct err *e)
{
	const Net__Subnet *s = port_subnet(p, ip->len);
	struct route way = {.to = *ip, .prefix = ip_bits(ip), .index = index};

	if (s)
		way.source = ip_of(&s->gateway);
	return route_put(host, &way, e);
}

struct ends {
	int outer, inner; /* their numbers */
	uint8_t mac[6];	  /* the outer's */
};

/* Both ends, up, and nothing on them. */
static int ends_make(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct ends *ret, struct err *e)
{
	struct link_pair pair = {.ns_fd = ns_fd, .host_mac = host_mac, .dormant = true};
	int is_new = port_pair_make(host, inside, p, &pair, e), r;

	if (is_new < 0)
		return is_new;
	ret->outer = link_index(host, p->host_link);
	ret->inner = link_index(inside, p->link);
	if (ret->outer < 0 || ret->inner < 0)
		return err_set(e, ENODEV, "network", "the pair of links %s and %s is gone again", p->host_link,
			       p->link);
	r = outer_up(host, ret->outer, p, is_new, ret->mac, e);
	if (r == 0)
		r = link_up(inside, ret->inner, e);
	return r < 0 ? r : outer_settle(host, p, e);
}

/* Those that were made ahead, if they are what the port is to have. */
static bool ends_find(struct nl *host, struct nl *inside, const Net__Port *p, struct ends *ret)
{
	ret->outer = link_index(host, p->host_link);
	ret->inner = link_index(inside, p->link);
	memcpy(ret->mac, host_mac, 6);
	return ret->outer > 0 && ret->inner > 0 && link_is(inside, p->link, p->mac.data, p->mtu);
}

int routed_slot(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e)
{
	struct ends ends;

	return ends_make(host, inside, ns_fd, p, &ends, e);
}

int routed_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e)
{
	struct ends ends;
	bool ahead = p->ahead && ends_find(host, inside, p, &ends);
	int r = ahead ? 0 : ends_make(host, inside, ns_fd, p, &ends, e);

	if (r == 0 && ahead && p->policy)
		r = link_up_in_group(host, ends.outer, p->policy, e);
	if (r == 0 && p->n_published)
		r = port_loopback_let(p->host_link, e);
	for (size_t i = 0; i < p->n_addresses && r == 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		r = inside_address(inside, ends.inner, p, &ip, ends.mac, e);
	}
	if (r == 0)
		r = outer_neighbours(host, ends.outer, p, e);
	for (size_t i = 0; i < p->n_addresses && r == 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		r = host_address(host, ends.outer, p, &ip, e);
	}
	return r;
}

int routed_again(struct nl *host, const Net__Port *p, struct err *e)
{
	int outer = link_index(host, p->host_link), r = 0;

	for (size_t i = 0; i < p->n_addresses && r == 0 && outer > 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		r = host_address(host, outer, p, &ip, e);
	}
	return r;
}

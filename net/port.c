/* net/port.c - see net/port.h */
#include "net/port.h"

#include "base/file.h"
#include "net/address.h"
#include "net/route.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct ip ip_of(const ProtobufCBinaryData *bytes)
{
	struct ip ip = {.len = (unsigned)bytes->len};

	memcpy(ip.byte, bytes->data, bytes->len <= sizeof ip.byte ? bytes->len : 0);
	return ip;
}

unsigned ip_bits(const struct ip *ip)
{
	return ip->len * 8;
}

int sysctl_set(const char *path, const char *value, struct err *e)
{
	char now[8];

	if (file_read(AT_FDCWD, path, now, sizeof now) > 0 && now[0] == value[0])
		return 0;
	int r = file_writes(AT_FDCWD, path, value);
	return r < 0 ? err_set(e, -r, "network", "set %s to %s", path, value) : 0;
}

int port_loopback_let(const char *link, struct err *e)
{
	char path[80];

	snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/route_localnet", link);
	return sysctl_set(path, "1", e);
}

int port_routers_ignore(const char *link, struct err *e)
{
	char path[80];
	int r;

	snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/accept_ra", link);
	r = file_writes(AT_FDCWD, path, "0");
	return r < 0 && r != -ENOENT ? err_set(e, -r, "network", "set %s to 0", path) : 0; /* there is no IPv6 */
}

const Net__Subnet *port_subnet(const Net__Port *p, unsigned len)
{
	for (size_t i = 0; i < p->n_subnets; i++)
		if (p->subnets[i]->network.len == len)
			return p->subnets[i];
	return NULL;
}

int port_link_taken(const Net__Port *p, struct err *e)
{
	return err_set(e, EEXIST, "network", "there is a link %s already, which is not of this network", p->link);
}

int port_pair_make(struct nl *host, struct nl *inside, const Net__Port *p, struct link_pair *pair, struct err *e)
{
	struct link outer, inner;
	bool is_new = true;
	int r;

	pair->host = p->host_link;
	pair->inside = p->link;
	pair->mac = p->mac.data;
	pair->mtu = p->mtu;
	pair->group = p->policy;
	r = link_pair_add(host, pair, e);
	if (r == -EEXIST && link_get(inside, p->link, &inner) == 0) {
		if (strcmp(inner.kind, "veth") != 0 || !inner.elsewhere || link_get(host, p->host_link, &outer) < 0 ||
		    inner.lower != outer.index)
			return port_link_taken(p, e);
		is_new = false;
		r = 0;
	}
	if (r == -EEXIST) { /* its host's end is there, of an earlier life of the pod */
		r = link_del(host, p->host_link, e);
		r = r < 0 ? r : link_pair_add(host, pair, e);
	}
	if (r == 0)
		r = port_routers_ignore(p->host_link, e);
	return r < 0 ? r : is_new;
}

#define TIDY_AT_ONCE 64u

struct rules {
	struct {
		struct ip from;
		uint32_t table;
	} v[TIDY_AT_ONCE];
	size_t n;
};

static void rules_note(void *arg, const struct ip *from, uint32_t table)
{
	struct rules *l = arg;

	if (l->n == TIDY_AT_ONCE || table <= PORT_TABLE)
		return;
	l->v[l->n].from = *from;
	l->v[l->n++].table = table;
}

/* Those of links that have gone: a link that was taken along by the host's end, between two lives, has left its own. */
static int rules_tidy(struct nl *inside, struct err *e)
{
	static struct rules l;
	struct link gone;
	int r;

	l.n = 0;
	r = rule_each(inside, rules_note, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++)
		if (link_at(inside, (int)(l.v[i].table - PORT_TABLE), &gone) == -ENODEV)
			r = rule_del(inside, &l.v[i].from, l.v[i].table, e);
	return r;
}

const struct ip port_link_local = {.byte = {0xfe, 0x80, [15] = 1}, .len = 16};

struct ip port_gateway(const Net__Port *p, const Net__Subnet *s, unsigned len)
{
	const Net__Uplink *u = p->uplink;

	if (!u && len == 16)
		return port_link_local;
	/* On layer 3 there are no neighbours to ask: everything goes to the parent. */
	if (u && u->driver == NET__DRIVER__IPVLAN && strcmp(u->mode, "l2") != 0)
		return (struct ip){.len = 0};
	return ip_of(&s->gateway);
}

static int answers_of(struct nl *inside, int index, const Net__Port *p, const struct ip *ip, struct err *e)
{
	const Net__Subnet *s = port_subnet(p, ip->len);
	struct route way = {.index = index, .table = PORT_TABLE + (uint32_t)index};
	int r = 0;

	if (!s)
		return 0;
	if (p->uplink) { /* routed: its network too is behind its gateway */
		way.to = ip_of(&s->network);
		way.prefix = s->prefix;
		r = route_put(inside, &way, e);
	}
	way.to.len = 0;
	way.gateway = port_gateway(p, s, ip->len);
	if (r == 0 && way.gateway.len)
		r = route_put(inside, &way, e);
	return r < 0 ? r : rule_put(inside, ip, way.table, e);
}

/* Whose source is an address of another interface is dropped by the guard, and measured by that one's groups: so answers, and what is sent from the
 * address of an interface, leave by that interface, whatever the routes of the first one and of networks that it is not in say. */
int port_answers(struct nl *inside, const Net__Port *p, struct err *e)
{
	int index = link_index(inside, p->link), r = 0;

	if (index < 0)
		return 0;
	for (size_t i = 0; i < p->n_addresses && r == 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		r = answers_of(inside, index, p, &ip, e);
	}
	return r < 0 ? r : rules_tidy(inside, e);
}

static int address_inside(struct nl *inside, int index, const Net__Port *p, const struct ip *ip, struct err *e)
{
	const Net__Subnet *s = port_subnet(p, ip->len);
	int r = address_put(inside, index, ip, s ? s->prefix : ip_bits(ip), e);
	struct route way = {.to = {.len = ip->len}, .index = index};

	if (r < 0 || !s || !p->default_route)
		return r;
	way.gateway = port_gateway(p, s, ip->len);
	return route_put(inside, &way, e);
}

int port_inside(struct nl *inside, const Net__Port *p, struct err *e)
{
	int index = link_index(inside, p->link), r;

	if (index < 0)
		return err_set(e, ENODEV, "network", "the link %s is gone again", p->link);
	r = link_up(inside, index, e);
	for (size_t i = 0; i < p->n_addresses && r == 0; i++) {
		struct ip ip = ip_of(&p->addresses[i]);

		r = address_inside(inside, index, p, &ip, e);
	}
	return r;
}

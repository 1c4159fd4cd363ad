/* net/floating.c - see net/floating.h */
#include "net/floating.h"

#include "base/file.h"
#include "base/log.h"
#include "net/address.h"
#include "net/announce.h"
#include "net/flows.h"
#include "net/link.h"
#include "net/port.h"
#include "net/route.h"
#include "net/routed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_NAME 16

static bool is_announced(const Net__Floating *f)
{
	return f->link && *f->link;
}

bool floating_is_sound(const Net__Floating *f)
{
	return (f->address.len == 4 || f->address.len == 16) && f->inside.len == f->address.len &&
	       (!f->link || (strlen(f->link) < LINK_NAME && !strpbrk(f->link, "/ \n")));
}

/* ---------------------------------------------------------------- one */

static int setting(const char *folder, const char *link, const char *name, const char *value, struct err *e)
{
	char path[120], now[8];

	snprintf(path, sizeof path, "/proc/sys/net/%s/%s/%s", folder, link, name);
	if (file_read(AT_FDCWD, path, now, sizeof now) > 0 && now[0] == value[0])
		return 0;
	int r = file_writes(AT_FDCWD, path, value);
	return r < 0 ? err_set(e, -r, "network", "set %s to %s", path, value) : 0;
}

/* The kernel waits up to 0.8 s before it answers for somebody else, so that he can do it himself: there is nobody. */
static int link_answers(const char *link, bool six, struct err *e)
{
	int r = six ? setting("ipv6/conf", link, "proxy_ndp", "1", e) : 0;

	return r < 0 ? r : setting(six ? "ipv6/neigh" : "ipv4/neigh", link, "proxy_delay", "0", e);
}

static int way_to(struct nl *host, const struct ip *ip, struct route *ret, struct err *e)
{
	int index = link_index(host, GATEWAY_LINK);

	*ret = (struct route){.to = *ip, .prefix = ip->len * 8, .index = index, .protocol = ROUTE_FLOATING};
	return index < 0 ? err_set(e, -index, "network", "find the link " GATEWAY_LINK) : 0;
}

/* The way is by a link that leads nowhere: no packet gets that far, and the kernel answers on a link for what is behind another alone. */
static int put(struct nl *host, const Net__Floating *f, int announce_fd, struct err *e)
{
	struct ip ip = ip_of(&f->address);
	struct route way;
	struct link link;
	int r = way_to(host, &ip, &way, e);

	if (r == 0)
		r = route_put(host, &way, e);
	if (r < 0 || !is_announced(f))
		return r;
	r = link_get(host, f->link, &link);
	if (r < 0)
		return err_set(e, -r, "network", "the link %s, on which a floating IP is announced", f->link);
	r = link_answers(f->link, ip.len == 16, e);
	if (r == 0)
		r = proxy_put(host, link.index, &ip, e);
	if (r == 0)
		announce(announce_fd, link.index, link.mac, &ip, true);
	return r;
}

static int take(struct nl *host, const Net__Floating *f, struct err *e)
{
	struct ip ip = ip_of(&f->address);
	int index = is_announced(f) ? link_index(host, f->link) : -ENODEV;
	int r = index < 0 ? 0 : proxy_del(host, index, &ip, e);
	struct route way;

	if (r == 0)
		r = way_to(host, &ip, &way, e);
	return r < 0 ? r : route_del(host, &way, e);
}

static bool text_is(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool has(const Net__Port *p, const Net__Floating *f)
{
	for (size_t i = 0; p && i < p->n_floating; i++)
		if (p->floating[i]->address.len == f->address.len && text_is(p->floating[i]->link, f->link) &&
		    !memcmp(p->floating[i]->address.data, f->address.data, f->address.len))
			return true;
	return false;
}

/* Whom it asks by datagrams goes on seeing the address that he saw first, for as long as it asks: until it has that of today. */
static int inside_end(const Net__Port *p, const Net__Floating *f, struct err *e)
{
	struct ip inside = ip_of(&f->inside), network;
	const Net__Subnet *s = port_subnet(p, inside.len);

	if (!s)
		return 0;
	network = ip_of(&s->network);
	return flows_end_from(&inside, &network, s->prefix, e);
}

int floating_change(struct nl *host, int announce_fd, const Net__Port *was, const Net__Port *now, struct err *e)
{
	int r = 0;

	for (size_t i = 0; was && i < was->n_floating && r == 0; i++) {
		const Net__Floating *f = was->floating[i];
		struct ip ip = ip_of(&f->address);

		if (has(now, f))
			continue;
		r = take(host, f, e);
		if (r == 0)
			r = flows_end(&ip, e);
	}
	for (size_t i = 0; now && i < now->n_floating && r == 0; i++) {
		const Net__Floating *f = now->floating[i];
		struct ip ip = ip_of(&f->address);

		if (has(was, f))
			continue;
		r = flows_end(&ip, e);
		if (r == 0)
			r = inside_end(now, f, e);
		if (r == 0)
			r = put(host, f, announce_fd, e);
	}
	return r;
}

/* ---------------------------------------------------------------- all */

struct left {
	struct nl *host;
	const Net__State *state;
	struct {
		struct ip ip;
		int index; /* of its link; 0: a route */
	} * gone;
	size_t n, max;
};

#define LEFT_AT_ONCE 256u

static bool is_wanted(const Net__State *s, const struct ip *ip)
{
	for (size_t i = 0; i < s->n_ports; i++)
		for (size_t k = 0; k < s->ports[i]->n_floating; k++) {
			const Net__Floating *f = s->ports[i]->floating[k];

			if (f->address.len == ip->len && !memcmp(f->address.data, ip->byte, ip->len))
				return true;
		}
	return false;
}

static void note(void *arg, const struct ip *ip, int index)
{
	struct left *l = arg;

	if (l->n == l->max || is_wanted(l->state, ip))
		return;
	l->gone[l->n].ip = *ip;
	l->gone[l->n++].index = index;
}

static void note_route(void *arg, const struct ip *ip, unsigned prefix, uint32_t metric)
{
	note(arg, ip, 0);
}

static int sweep(struct nl *host, const Net__State *s, struct err *e)
{
	struct left l = {.host = host, .state = s, .max = LEFT_AT_ONCE};
	struct route way;
	int r, index = link_index(host, GATEWAY_LINK);

	l.gone = calloc(l.max, sizeof *l.gone);
	if (!l.gone)
		return err_set(e, ENOMEM, "network", "no memory");
	do {
		l.n = 0;
		r = proxy_each(host, note, &l, e);
		if (r == 0 && index > 0)
			r = route_each(host, index, ROUTE_FLOATING, note_route, &l, e);
		for (size_t i = 0; i < l.n && r == 0; i++) {
			r = l.gone[i].index ? proxy_del(host, l.gone[i].index, &l.gone[i].ip, e)
					    : way_to(host, &l.gone[i].ip, &way, e);
			if (r == 0 && !l.gone[i].index)
				r = route_del(host, &way, e);
		}
	} while (r == 0 && l.n == l.max);
	free(l.gone);
	return r;
}

int floating_all(struct nl *host, const Net__State *s, struct err *e)
{
	int r = sweep(host, s, e);
	struct err one;

	/* A link that is not there any more is no reason to have no network at all. */
	for (size_t i = 0; i < s->n_ports && r == 0; i++)
		for (size_t k = 0; k < s->ports[i]->n_floating; k++)
			if (put(host, s->ports[i]->floating[k], -1, &one) < 0)
				log_err(&one, "floating IP of %s", s->ports[i]->host_link);
	return r;
}

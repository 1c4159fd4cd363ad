/* net/overlap.c - see net/overlap.h
 *
 * A host that loses its own wire to a network is one that nobody reaches any more; and a container with the address of its router takes
 * away all that is behind that. */
#include "net/overlap.h"

#include "base/log.h"
#include "net/address.h"
#include "net/driver.h"
#include "net/link.h"
#include "net/port.h"
#include "net/route.h"
#include "net/routed.h"
#include "net/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_TEXT (INET6_ADDRSTRLEN + 4)

static const char *text_of(const struct ip *ip, unsigned prefix, char text[PREFIX_TEXT])
{
	struct ip first = *ip;
	char address[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i < first.len; i++) {
		unsigned bits = prefix > i * 8 ? prefix - i * 8 : 0;

		first.byte[i] &= bits < 8 ? (uint8_t)(0xff00u >> bits) : 0xffu;
	}
	inet_ntop(first.len == 16 ? AF_INET6 : AF_INET, first.byte, address, sizeof address);
	snprintf(text, PREFIX_TEXT, "%s/%u", address, prefix);
	return text;
}

struct search {
	const Net__Subnet *subnet;
	int ours[2]; /* what an earlier try of this very network had made is not in its way */
	struct ip ip;
	unsigned prefix;
	int index; /* whose it is; 0: nobody's */
};

static void look(void *arg, const struct ip *ip, unsigned prefix, int index)
{
	struct search *s = arg;
	struct ip mine = ip_of(&s->subnet->network);
	unsigned bits = prefix < s->subnet->prefix ? prefix : s->subnet->prefix;

	if (index == s->ours[0] || index == s->ours[1] || ip->len != mine.len || !ip_bits_equal(ip, &mine, bits))
		return;
	s->ip = *ip;
	s->prefix = prefix;
	s->index = index;
}

static int clash(struct nl *host, const Net__Network *n, size_t i, struct search *s, struct err *e)
{
	char field[48], wanted[PREFIX_TEXT], found[PREFIX_TEXT];
	struct ip ip = ip_of(&n->subnets[i]->network);
	struct link l;

	snprintf(field, sizeof field, "spec.subnets[%zu].cidr", i);
	if (link_at(host, s->index, &l) < 0)
		snprintf(l.name, sizeof l.name, "another link");
	return err_set(e, EEXIST, field, "%s overlaps with %s, which the host itself has on %s",
		       text_of(&ip, n->subnets[i]->prefix, wanted), text_of(&s->ip, s->prefix, found), l.name);
}

/* Of an address that is there already. The kernel makes that of IPv6 the host's own a moment later than it has a route for it. */
static bool is_of_ours(const struct search *s, const struct route *way)
{
	return way->protocol == RTPROT_KERNEL && (way->index == s->ours[0] || way->index == s->ours[1]);
}

int overlap_check(struct nl *host, const Net__Network *n, struct err *e)
{
	int bridge = n->uplink && n->uplink->link ? link_index(host, n->uplink->link) : 0;
	struct search s = {.ours = {link_index(host, GATEWAY_LINK), bridge}};
	int r = 0;

	for (size_t i = 0; i < n->n_subnets && r == 0; i++) {
		struct route way = {.to = ip_of(&n->subnets[i]->gateway)};

		s.subnet = n->subnets[i];
		r = address_each(host, look, &s, e);
		if (r == 0 && s.index)
			return clash(host, n, i, &s, e);
		/* No error: there may be no way at all. */
		if (r == 0 && route_find(host, &way) == 0 && way.prefix && way.protocol != ROUTE_NETWORK &&
		    !is_of_ours(&s, &way) && (way.prefix >= s.subnet->prefix || !way.gateway.len)) {
			s.ip = way.to;
			s.prefix = way.prefix;
			s.index = way.index;
			return clash(host, n, i, &s, e);
		}
	}
	return r;
}

#define WARNED_OF 16u /* as much as anybody reads */

struct warnings {
	const Net__State *state;
	struct {
		const Net__Subnet *subnet;
		struct ip ip;
		unsigned prefix;
		int index;
	} of[WARNED_OF];
	size_t n;
	int gateways;
};

static void note(void *arg, const struct ip *ip, unsigned prefix, int index)
{
	struct warnings *w = arg;

	for (size_t i = 0; index != w->gateways && i < w->state->n_networks; i++) {
		const Net__Network *n = w->state->networks[i];

		for (size_t k = 0; net_driver_of(n->uplink)->gateway && k < n->n_subnets && w->n < WARNED_OF; k++) {
			struct ip network = ip_of(&n->subnets[k]->network), gateway = ip_of(&n->subnets[k]->gateway);
			unsigned bits = prefix < n->subnets[k]->prefix ? prefix : n->subnets[k]->prefix;

			if (ip->len != network.len || !ip_bits_equal(ip, &network, bits) ||
			    (n->uplink && ip_bits_equal(ip, &gateway, ip_bits(ip)))) /* a bridge of ours has it */
				continue;
			w->of[w->n].subnet = n->subnets[k];
			w->of[w->n].ip = *ip;
			w->of[w->n].prefix = prefix;
			w->of[w->n++].index = index;
		}
	}
}

void overlap_warn(struct nl *host, const Net__State *s)
{
	struct warnings w = {.state = s, .gateways = link_index(host, GATEWAY_LINK)};
	char mine[PREFIX_TEXT], found[PREFIX_TEXT];
	struct link l;
	struct err e;

	if (address_each(host, note, &w, &e) < 0)
		log_err(&e, "look whether networks overlap with what the host has");
	for (size_t i = 0; i < w.n; i++) {
		struct ip network = ip_of(&w.of[i].subnet->network);

		if (link_at(host, w.of[i].index, &l) == 0 && strncmp(l.name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
			log_warn(
				"the network %s overlaps with %s, which the host itself has on %s: containers hide machines there",
				text_of(&network, w.of[i].subnet->prefix, mine),
				text_of(&w.of[i].ip, w.of[i].prefix, found), l.name);
	}
}

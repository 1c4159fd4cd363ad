/* supervisor/net_change_ask.c - what is asked for: checked, put into the row, and begun (net_change.c). */
#include "supervisor/net_change_own.h"

#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/network.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is published leads to the first interface: that has to be one that it can lead to. */
static int published_by(struct net_holder *h, const Berth__Lease *first, const char *field, struct err *e)
{
	const struct net_stored s = net_stored_of(h);
	struct err why;

	if (!s.n_ports || !first || network_publishes(h->sv, s.ports, s.n_ports, first, &why) == 0)
		return 0;
	return err_set(e, EBUSY, field, "%s %s has published ports, and %s would be its first interface: %.300s",
		       h->kind->noun, s.meta->name, first->link, why.text);
}

int net_change_connect(struct net_holder *h, const struct principal *who, const Berth__NetworkAsk *ask,
		       struct parked parked, struct err *e)
{
	struct net_rows rows = h->kind->rows(h);
	Berth__NetworkAsk **asks, *copy;
	struct net_change *k;
	struct net_stored s;
	Berth__Lease *l;
	int r;

	if (*rows.network && !strcmp(*rows.network, "host"))
		return err_set(e, EBUSY, "ref", "it has the host's network, and no interfaces of its own");
	if (*rows.leases.n >= NETWORKS_EACH)
		return err_set(e, EBUSY, "ref", "it has %zu interfaces, and no more are allowed", *rows.leases.n);
	/* One that leaves may yet have to stay, and then has its place again. */
	asks = realloc(*rows.asks, (*rows.leases.n + 1) * sizeof *asks);
	if (!asks)
		return err_set(e, ENOMEM, "", "no memory");
	*rows.asks = asks;
	r = network_lease(h->sv, who, "spec", ask, &(struct asks){NULL, 0}, rows.leases, e);
	if (r < 0)
		return r;
	l = (*rows.leases.list)[*rows.leases.n - 1];
	s = net_stored_of(h);
	r = s.leases[net_first(&s)] == l ? published_by(h, l, "spec", e) : 0;
	if (r < 0) {
		network_lease_drop(rows.leases, *rows.leases.n - 1);
		return r;
	}
	copy = message_copy(&ask->base);
	k = copy ? net_change_new(h, l, parked, false) : NULL;
	if (!k) {
		if (copy)
			berth__network_ask__free_unpacked(copy, NULL);
		network_lease_drop(rows.leases, *rows.leases.n - 1);
		return err_set(e, ENOMEM, "", "no memory");
	}
	SET(l, coming, 1);
	AUTO_FD pidfd = h->kind->open(h);
	if (pidfd < 0) /* whoever starts it while the row is on its way makes this one too */
		h->ready = false;
	net_row_ask_put(&rows, *rows.n_asks, copy);
	r = net_change_store(k, e);
	if (r < 0) {
		berth__network_ask__free_unpacked(net_row_ask_take(&rows, *rows.n_asks - 1), NULL);
		network_lease_drop(rows.leases, *rows.leases.n - 1);
		net_change_free(k);
	}
	return r;
}

int net_change_disconnect(struct net_holder *h, const char *what, struct parked parked, struct err *e)
{
	struct net_stored s = net_stored_of(h);
	struct net_rows rows = h->kind->rows(h);
	ssize_t i = net_row_called(&s, what, h->kind->noun, e);
	struct net_change *k;
	size_t first, next;
	int r;

	if (i < 0)
		return (int)i;
	if (s.leases[i]->coming && net_change_of(h, s.leases[i]->id))
		return err_set(e, EBUSY, "network", "that interface is being made");
	first = net_first(&s);
	SET(s.leases[i], leaving, 1);
	next = net_first(&s);
	r = first == (size_t)i && next < s.n_leases ? published_by(h, s.leases[next], "network", e) : 0;
	k = r == 0 ? net_change_new(h, s.leases[i], parked, true) : NULL;
	if (!k) {
		s.leases[i]->leaving = s.leases[i]->has_leaving = false;
		return r < 0 ? r : err_set(e, ENOMEM, "", "no memory");
	}
	k->ask = net_row_ask_take(&rows, net_row_ask_at(&s, (size_t)i));
	k->moves = first == (size_t)i;
	if (k->moves && next < s.n_leases)
		SET(s.leases[next], coming, 1);
	r = net_change_store(k, e);
	if (r < 0) {
		SET(s.leases[i], leaving, 0);
		if (k->ask)
			net_row_ask_put(&rows, net_row_ask_at(&s, (size_t)i), take_ptr(k->ask));
		net_change_free(k);
	}
	return r;
}

bool net_change_repeated(struct net_holder *h, const char *id, bool leaves, struct parked parked)
{
	char *link;
	uint64_t lease = strtoull(id, &link, 10);
	struct net_change *k = net_change_of(h, lease);
	size_t i = net_row_at(h, lease);
	bool there = i < net_stored_of(h).n_leases;

	if (k && k->leaves == leaves && !k->parked.client) {
		k->parked = parked; /* it was taken up again */
		return true;
	}
	if (there == leaves)
		return false;
	net_change_reply(h, parked, link + strspn(link, " "));
	return true;
}

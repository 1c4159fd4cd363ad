/* supervisor/net_change_row.c - a holder's row as changes edit it: leases, and what was asked for, in the order of those that stay. */
#include "supervisor/net_change_own.h"

#include "supervisor/floating.h"
#include "supervisor/network.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"

#include <errno.h>
#include <string.h>

size_t net_row_at(const struct net_holder *h, uint64_t id)
{
	const struct net_stored s = net_stored_of(h);
	size_t i = 0;

	while (i < s.n_leases && s.leases[i]->id != id)
		i++;
	return i;
}

size_t net_row_ask_at(const struct net_stored *s, size_t lease)
{
	size_t n = 0;

	for (size_t i = 0; i < lease; i++)
		n += !s->leases[i]->leaving;
	return n;
}

void net_row_ask_put(struct net_rows *rows, size_t at, Berth__NetworkAsk *ask)
{
	memmove(*rows->asks + at + 1, *rows->asks + at, (*rows->n_asks - at) * sizeof **rows->asks);
	(*rows->asks)[at] = ask;
	++*rows->n_asks;
	set_null(rows->network);
}

Berth__NetworkAsk *net_row_ask_take(struct net_rows *rows, size_t at)
{
	Berth__NetworkAsk *ask = at < *rows->n_asks ? (*rows->asks)[at] : NULL;

	if (!ask)
		return NULL;
	memmove(*rows->asks + at, *rows->asks + at + 1, (--*rows->n_asks - at) * sizeof **rows->asks);
	if (!*rows->n_asks)
		set_text(rows->network, "none");
	return ask;
}

void net_row_drop(struct net_holder *h, size_t i)
{
	floating_forget(h->sv, net_stored_of(h).meta->uuid, net_stored_of(h).leases[i]);
	network_lease_drop(h->kind->rows(h).leases, i);
	security_policies_tidy(h->sv, false);
}

ssize_t net_row_called(const struct net_stored *s, const char *what, const char *noun, struct err *e)
{
	size_t len = strcspn(what, ":"), n = 0, found = 0;
	const char *link = what[len] ? what + len + 1 : NULL;

	for (size_t i = 0; i < s->n_leases; i++) {
		const Berth__Lease *l = s->leases[i];
		bool named = (!strncmp(l->network, what, len) && !l->network[len]) ||
			     (!strncmp(l->network_uuid, what, len) && !l->network_uuid[len]);

		if (l->leaving || !named || (link && strcmp(l->link, link) != 0))
			continue;
		found = i;
		n++;
	}
	for (size_t i = 0; !n && i < s->n_leases; i++)
		if (!s->leases[i]->leaving && !strcmp(s->leases[i]->link, what)) {
			found = i;
			n++;
		}
	if (n > 1)
		return err_set(e, EBUSY, "network", "it has %zu interfaces in network %s: say which (%s:%s)", n, what,
			       what, s->leases[found]->link);
	return n ? (ssize_t)found
		 : err_set(e, ENOENT, "network", "%s %s has neither a network nor an interface '%.80s'", noun,
			   s->meta->name, what);
}

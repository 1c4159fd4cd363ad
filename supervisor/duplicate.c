/* supervisor/duplicate.c - see supervisor/duplicate.h */
#include "supervisor/duplicate.h"

#include "base/log.h"
#include "supervisor/address.h"
#include "supervisor/mac.h"
#include "supervisor/net_holder.h"
#include "supervisor/set.h"
#include "supervisor/watch.h"

#include <stdlib.h>
#include <string.h>

/* A NIC that the next berth-net holds is asked for again. */
static bool is_known(const Berth__Lease *l, const char *address, const char *mac)
{
	for (size_t i = 0; i < l->n_duplicates; i++)
		if (!strcmp(l->duplicates[i]->address, address) && !strcmp(l->duplicates[i]->mac, mac))
			return true;
	return false;
}

static void duplicate_add(Berth__Lease *l, const char *address, const char *mac)
{
	Berth__DuplicateAddress **list = realloc(l->duplicates, (l->n_duplicates + 1) * sizeof *list),
				*d = malloc(sizeof *d);

	if (list)
		l->duplicates = list;
	if (!list || !d) {
		free(d);
		return;
	}
	berth__duplicate_address__init(d);
	set_text(&d->address, "%s", address);
	set_text(&d->mac, "%s", mac);
	SET(d, seen_at, wall_ns());
	list[l->n_duplicates++] = d;
}

void duplicate_seen(struct supervisor *sv, const Net__DuplicateSeen *seen)
{
	struct net_holder *h;
	Berth__Lease *l = seen->host_link ? net_lease_at(sv, seen->host_link, &h) : NULL;
	struct address a = {.len = (unsigned)seen->address.len};
	char address[ADDRESS_TEXT], mac[MAC_TEXT];
	struct net_stored s;

	if (!l || seen->mac.len != 6 || a.len > sizeof a.byte) /* it has gone meanwhile */
		return;
	memcpy(a.byte, seen->address.data, a.len);
	address_text(&a, address);
	mac_text(seen->mac.data, mac);
	if (is_known(l, address, mac))
		return;
	duplicate_add(l, address, mac);
	s = net_stored_of(h);
	log_warn("%s is %s %s's (%s), but %s on the wire of network %s says that it has it", address, h->kind->noun,
		 s.meta->name, l->link, mac, l->network);
	h->kind->touch(h);
	watch_publish(sv, h->kind->noun, "duplicate_address", s.meta, NULL,
		      (const char *const[]){"interface", l->link, "address", address, "mac", mac, NULL});
}

void duplicates_forget(Berth__Lease *l)
{
	for (size_t i = 0; i < l->n_duplicates; i++)
		berth__duplicate_address__free_unpacked(l->duplicates[i], NULL);
	free(l->duplicates);
	l->duplicates = NULL;
	l->n_duplicates = 0;
}

static size_t duplicates_in(const struct network *n, const struct net_holder *h, struct arena *a,
			    Berth__DuplicateAddress **list)
{
	const struct net_stored s = net_stored_of(h);
	size_t found = 0;

	for (size_t i = 0; i < s.n_leases; i++) {
		const Berth__Lease *l = s.leases[i];

		for (size_t d = 0; d < l->n_duplicates && !strcmp(l->network_uuid, n->node.uuid); d++, found++) {
			if (!list)
				continue;
			list[found] = arena_alloc(a, sizeof **list);
			if (!list[found])
				return found;
			*list[found] = *l->duplicates[d];
			list[found]->holder = s.meta->uuid;
			list[found]->link = l->link;
		}
	}
	return found;
}

void duplicates_view(const struct network *n, const struct principal *who, struct arena *a, Berth__Network *view)
{
	struct net_holder *h;
	size_t all = 0;

	list_each (h, &n->sv->net_holders, link)
		if (principal_sees(who, net_stored_of(h).meta))
			all += duplicates_in(n, h, NULL, NULL);
	view->n_duplicates = 0;
	view->duplicates = arena_alloc(a, (all + 1) * sizeof *view->duplicates);
	list_each (h, &n->sv->net_holders, link)
		if (view->duplicates && principal_sees(who, net_stored_of(h).meta))
			view->n_duplicates += duplicates_in(n, h, a, view->duplicates + view->n_duplicates);
}

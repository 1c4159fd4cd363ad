/* supervisor/lease.c - who has which address: the leases of supervisor/network.h. */
#include "supervisor/network.h"

#include "base/own.h"
#include "supervisor/check_field.h"
#include "supervisor/dnsd.h"
#include "supervisor/driver.h"
#include "supervisor/mac.h"
#include "supervisor/net_holder.h"
#include "supervisor/network_fixed.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each lease there is; stops when fn says true. */
static struct net_holder *lease_each(struct supervisor *sv, bool (*fn)(const Berth__Lease *l, const void *arg),
				     const void *arg)
{
	struct net_holder *h;

	list_each (h, &sv->net_holders, link) {
		struct net_stored stored = net_stored_of(h);

		for (size_t i = 0; i < stored.n_leases; i++)
			if (fn(stored.leases[i], arg))
				return h;
	}
	return NULL;
}

static bool is_in(const Berth__Lease *l, const void *arg)
{
	const struct network *n = arg;

	return l->network_uuid && !strcmp(l->network_uuid, n->node.uuid);
}

struct net_holder *network_user(struct supervisor *sv, const struct network *n)
{
	return lease_each(sv, is_in, n);
}

bool network_has(const struct network *n, const struct net_holder *h)
{
	struct net_stored stored = net_stored_of(h);

	for (size_t i = 0; i < stored.n_leases; i++)
		if (is_in(stored.leases[i], n))
			return true;
	return false;
}

struct wanted {
	const struct network *n;
	const char *text;
};

static bool has_it(const Berth__Lease *l, const void *arg)
{
	const struct wanted *w = arg;

	if (!is_in(l, w->n))
		return false;
	for (size_t i = 0; i < l->n_addresses; i++)
		if (!strcmp(l->addresses[i], w->text))
			return true;
	return false;
}

static struct net_holder *address_user(struct supervisor *sv, const struct network *n, const char *text)
{
	return lease_each(sv, has_it, &(struct wanted){n, text});
}

struct looked {
	const struct network *n;
	struct pool *pool;
};

static bool lease_take(const Berth__Lease *l, const void *arg)
{
	const struct looked *w = arg;
	struct address a;

	for (size_t i = 0; is_in(l, w->n) && i < l->n_addresses; i++)
		if (address_parse(l->addresses[i], &a) == 0)
			pool_take(w->pool, &a);
	return false;
}

static void not_free(struct pool *p, void *arg)
{
	struct network *n = arg;
	unsigned i = (unsigned)(p - n->pool);
	const Berth__Subnet *s = n->obj->subnets[i];
	struct address a;

	pool_take(p, &n->gateway[i]);
	for (size_t k = 0; k < s->n_reserved; k++)
		if (address_parse(s->reserved[k], &a) == 0)
			pool_take(p, &a);
	for (size_t k = 0; k < n->n_on_wire; k++)
		if (subnet_has(&n->subnet[i], &n->on_wire[k]))
			pool_take(p, &n->on_wire[k]);
	lease_each(n->sv, lease_take, &(struct looked){n, p});
}

/* The next one that nobody has. */
static int address_free(struct network *n, unsigned i, char text[ADDRESS_TEXT], struct err *e)
{
	const Berth__Subnet *s = n->obj->subnets[i];
	struct address a;

	if (pool_give(&n->pool[i], not_free, n, &a) < 0)
		return err_set(e, ENOSPC, "", "every address of %s of network %s is taken",
			       s->ip_range && s->ip_range[0] ? s->ip_range : s->cidr, n->obj->meta->name);
	address_text(&a, text);
	return 0;
}

static bool is_reserved(const Berth__Subnet *s, const struct address *a)
{
	struct address other;

	for (size_t i = 0; i < s->n_reserved; i++)
		if (address_parse(s->reserved[i], &other) == 0 && address_is(&other, a))
			return true;
	return false;
}

static int address_wanted(struct supervisor *sv, struct network *n, unsigned i, const Berth__NetworkAsk *ask, size_t k,
			  char text[ADDRESS_TEXT], struct err *e)
{
	const char *want = ask->addresses[k];
	char field[FIELD_SIZE];
	struct address a;
	struct net_holder *user;

	field_at(field, "addresses[%zu]", k);

	(void)address_parse(want, &a); /* checked */
	if (!subnet_is_usable(&n->subnet[i], &a) || address_is(&a, &n->gateway[i]))
		return err_set(e, EINVAL, field, "%s cannot be had in %s of network %s: it is %s", want,
			       n->obj->subnets[i]->cidr, n->obj->meta->name,
			       address_is(&a, &n->gateway[i])  ? "the gateway"
			       : subnet_has(&n->subnet[i], &a) ? "its first or last, which are nobody's"
							       : "not in there");
	if (is_reserved(n->obj->subnets[i], &a))
		return err_set(e, EINVAL, field, "%s is kept for somebody else in network %s", want,
			       n->obj->meta->name);
	if (network_wire_has(n, &a))
		return err_set(e, EBUSY, field, "%s is the host's own, on the wire %s of network %s", want,
			       n->obj->parent, n->obj->meta->name);
	user = address_user(sv, n, address_text(&a, text));
	if (user)
		return err_set(e, EBUSY, field, "%s is %s %s's", text, user->kind->noun,
			       net_stored_of(user).meta->name);
	pool_take(&n->pool[i], &a);
	return 0;
}

/* Of this family; n_addresses: none. */
static size_t want_of(const Berth__NetworkAsk *ask, unsigned len)
{
	struct address a;
	size_t i = 0;

	while (i < ask->n_addresses && (address_parse(ask->addresses[i], &a) < 0 || a.len != len))
		i++;
	return i;
}

static const char digits36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* 15 characters are all that the name of a link may have: "bt" and up to 13 digits of base 36. */
char *host_link_name(uint64_t id, char buf[IF_NAMESIZE])
{
	char *p = buf + IF_NAMESIZE - 1, text[IF_NAMESIZE];
	size_t n = 0;

	do {
		text[n++] = digits36[id % 36];
		id /= 36;
	} while (id && n < 13);
	p = buf;
	*p++ = 'b';
	*p++ = 't';
	while (n)
		*p++ = text[--n];
	*p = 0;
	return buf;
}

static int network_has_room(struct supervisor *sv, const struct network *n, struct err *e)
{
	const struct net_holder *user = driver_can(n->obj, FEATURE_MANY) ? NULL : network_user(sv, n);

	return user ? err_set(e, EBUSY, "", "network %s is %s %s's: what it leads to can be with one at a time",
			      n->obj->meta->name, user->kind->noun, net_stored_of(user).meta->name)
		    : 0;
}

static int lease_rates(const struct network *n, const Berth__NetworkAsk *ask, Berth__Lease *l, struct err *e)
{
	int r = network_rates_check(n, ask->ingress_bps, ask->egress_bps, e);

	if (r == 0 && ask->ingress_bps)
		SET(l, ingress_bps, ask->ingress_bps);
	if (r == 0 && ask->egress_bps)
		SET(l, egress_bps, ask->egress_bps);
	return r;
}

/* ---------------------------------------------------------------- names of interfaces, and MACs */

static bool has_mac(const Berth__Lease *l, const void *arg)
{
	const struct wanted *w = arg;

	return is_in(l, w->n) && l->mac && !strcmp(l->mac, w->text);
}

static int mac_choose(struct supervisor *sv, const struct network *n, const char *want, Berth__Lease *l, struct err *e)
{
	char text[MAC_TEXT];
	uint8_t mac[6];
	struct net_holder *user;

	if (!driver_can(n->obj, FEATURE_MAC)) { /* it has what the host's link has */
		int r = want && want[0] ? driver_needs(n, FEATURE_MAC, e) : 0;

		if (r < 0)
			snprintf(e->step, sizeof e->step, "mac");
		return r;
	}
	if (want && want[0]) {
		(void)mac_parse(want, mac); /* checked */
	} else if (mac_make(mac) < 0) {
		return err_set(e, EIO, "", "a random MAC");
	}
	set_text(&l->mac, "%s", mac_text(mac, text));
	user = want && want[0] ? lease_each(sv, has_mac, &(struct wanted){n, l->mac}) : NULL;
	return user ? err_set(e, EBUSY, "mac", "the MAC %s is %s %s's in network %s", l->mac, user->kind->noun,
			      net_stored_of(user).meta->name, n->obj->meta->name)
		    : 0;
}

static bool link_is_free(const char *name, struct leases among, const struct asks *asks, bool wanted)
{
	for (size_t i = 0; i < *among.n; i++)
		if ((*among.list)[i]->link && !strcmp((*among.list)[i]->link, name))
			return false;
	for (size_t i = 0; !wanted && i < asks->n; i++)
		if (asks->list[i]->link && !strcmp(asks->list[i]->link, name))
			return false;
	return true;
}

/* The lowest free one; what others of the same request want by name is not free. */
static int link_choose(const Berth__NetworkAsk *ask, struct leases among, const struct asks *asks, Berth__Lease *l,
		       struct err *e)
{
	char name[IF_NAMESIZE];

	if (ask->link && ask->link[0]) {
		if (!link_is_free(ask->link, among, asks, true))
			return err_set(e, EBUSY, "link", "there is an interface %s already", ask->link);
		set_text(&l->link, "%s", ask->link);
		return 0;
	}
	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof name, "eth%u", i);
		if (!link_is_free(name, among, asks, false))
			continue;
		set_text(&l->link, "%s", name);
		return 0;
	}
}

/* Twice in one request: nobody of the others has it yet. */
static int lease_is_new(const Berth__Lease *l, struct leases among, struct err *e)
{
	for (size_t i = 0; i < *among.n; i++) {
		const Berth__Lease *other = (*among.list)[i];

		if (other == l || !other->network_uuid || strcmp(other->network_uuid, l->network_uuid) != 0)
			continue;
		if (l->mac && other->mac && !strcmp(other->mac, l->mac))
			return err_set(e, EBUSY, "mac", "the MAC %s is asked for twice", l->mac);
		for (size_t k = 0; k < l->n_addresses * other->n_addresses; k++)
			if (!strcmp(l->addresses[k / other->n_addresses], other->addresses[k % other->n_addresses]))
				return err_set(e, EBUSY, "addresses", "%s is asked for twice",
					       l->addresses[k / other->n_addresses]);
	}
	return 0;
}

/* ---------------------------------------------------------------- a lease */

static int lease_fill(struct supervisor *sv, struct network *n, const Berth__NetworkAsk *ask, Berth__Lease *l,
		      struct err *e)
{
	char text[ADDRESS_TEXT], name[IF_NAMESIZE], field[FIELD_SIZE];
	int r = 0;

	r = network_has_room(sv, n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ask->n_addresses; i++) {
		struct address a;
		bool fits = false;

		(void)address_parse(ask->addresses[i], &a); /* checked */
		for (unsigned k = 0; k < n->n_subnets; k++)
			fits |= n->subnet[k].first.len == a.len;
		if (!fits)
			return err_set(e, EINVAL, field_at(field, "addresses[%zu]", i),
				       "network %s has no IPv%c subnet for %s", n->obj->meta->name,
				       a.len == 16 ? '6' : '4', ask->addresses[i]);
	}
	for (unsigned i = 0; i < n->n_subnets && r == 0; i++) {
		size_t k = want_of(ask, n->subnet[i].first.len);

		r = k < ask->n_addresses ? address_wanted(sv, n, i, ask, k, text, e) : address_free(n, i, text, e);
		if (r == 0)
			r = strings_add(&l->addresses, &l->n_addresses, text);
	}
	if (r == 0)
		r = lease_rates(n, ask, l, e);
	if (r == 0)
		r = mac_choose(sv, n, ask->mac, l, e);
	if (r == 0)
		r = strings_copy(&l->aliases, &l->n_aliases, ask->aliases, ask->n_aliases);
	SET(l, id, supervisor_next_id(sv));
	host_link_name(l->id, name);
	set_text(&l->host_link, "%s", name);
	set_text(&l->network_uuid, "%s", n->node.uuid);
	set_text(&l->network, "%s", n->obj->meta->name);
	return r;
}

static Berth__Lease *lease_add(struct leases to)
{
	Berth__Lease **list = realloc(*to.list, (*to.n + 1) * sizeof *list), *l = malloc(sizeof *l);

	if (list)
		*to.list = list;
	if (!list || !l) {
		free(l);
		return NULL;
	}
	berth__lease__init(l);
	return list[(*to.n)++] = l;
}

void network_lease_drop(struct leases from, size_t i)
{
	berth__lease__free_unpacked((*from.list)[i], NULL);
	memmove(*from.list + i, *from.list + i + 1, (--*from.n - i) * sizeof **from.list);
}

int network_lease(struct supervisor *sv, const struct principal *who, const char *at, const Berth__NetworkAsk *ask,
		  const struct asks *others, struct leases to, struct err *e)
{
	const char *name = ask->network ? ask->network : "";
	struct network *n = network_find(sv, who, name, e);
	Berth__Lease *l = n ? lease_add(to) : NULL;
	int r;

	dnsd_wanted(sv);
	if (!n && network_fixed(name))
		return err_set(e, EINVAL, at, "%s is chosen when a container is made, alone (--network %s)", name,
			       name);
	if (!n && e->code == ENOENT && !strcmp(name, "bridge")) /* Docker's */
		return err_set(e, ENOENT, at,
			       "there is no network 'bridge': the one that is always there is called " DEFAULT_NETWORK);
	if (!n)
		snprintf(e->step, sizeof e->step, "%s", at);
	else
		err_set(e, ENOMEM, "", "no memory");
	if (!l)
		return n ? field_below(-ENOMEM, at, e) : -e->code;
	r = link_choose(ask, (struct leases){to.list, &(size_t){*to.n - 1}}, others, l, e);
	if (r == 0)
		r = lease_fill(sv, n, ask, l, e);
	if (r == 0)
		r = lease_is_new(l, to, e);
	if (r == 0)
		r = security_groups_asked(n, who->project, ask, l, e);
	if (r < 0)
		network_lease_drop(to, *to.n - 1);
	return field_below(r, at, e);
}

int network_lease_all(struct supervisor *sv, const struct principal *who, Berth__NetworkAsk *const *asks, size_t n_asks,
		      struct leases to, struct err *e)
{
	for (unsigned i = 0; i < n_asks; i++) {
		char at[32];
		int r;

		snprintf(at, sizeof at, "spec.networks[%u]", i);
		r = network_lease(sv, who, at, asks[i], &(struct asks){asks, n_asks}, to, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool lease_has_family(const Berth__Lease *l, bool six)
{
	for (size_t i = 0; i < l->n_addresses; i++)
		if (!strchr(l->addresses[i], ':') == !six)
			return true;
	return false;
}

int network_publishes(struct supervisor *sv, Berth__PortMap *const *ports, size_t n, const Berth__Lease *first,
		      struct err *e)
{
	struct table_node *node = first && n ? table_find(&sv->networks, first->network_uuid) : NULL;

	if (!node)
		return 0;
	if (driver_needs(container_of(node, struct network, node), FEATURE_PUBLISH, e) < 0) {
		snprintf(e->step, sizeof e->step, "spec.ports");
		return -e->code;
	}
	for (size_t i = 0; i < n; i++) {
		bool six = ports[i]->host_ip && strchr(ports[i]->host_ip, ':');
		char at[FIELD_SIZE];

		if (ports[i]->host_ip && !lease_has_family(first, six))
			return err_set(e, EINVAL, field_at(at, "spec.ports[%zu].host_ip", i),
				       "%s leads to no address: network %s has none of IPv%c", ports[i]->host_ip,
				       container_of(node, struct network, node)->obj->meta->name, six ? '6' : '4');
	}
	return 0;
}

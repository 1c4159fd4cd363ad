/* supervisor/lease.c - who has which address: the leases of supervisor/network.h. */
#include "supervisor/network.h"

#include "base/own.h"
#include "supervisor/dnsd.h"
#include "supervisor/driver.h"
#include "supervisor/net_holder.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

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

static int address_wanted(struct supervisor *sv, struct network *n, unsigned i, const char *want,
			  char text[ADDRESS_TEXT], struct err *e)
{
	struct address a;
	struct net_holder *user;

	(void)address_parse(want, &a); /* checked */
	if (!subnet_is_usable(&n->subnet[i], &a) || address_is(&a, &n->gateway[i]))
		return err_set(e, EINVAL, "", "%s cannot be had in %s of network %s%s", want, n->obj->subnets[i]->cidr,
			       n->obj->meta->name, address_is(&a, &n->gateway[i]) ? ": it is the gateway" : "");
	if (is_reserved(n->obj->subnets[i], &a))
		return err_set(e, EINVAL, "", "%s is kept for somebody else in network %s", want, n->obj->meta->name);
	user = address_user(sv, n, address_text(&a, text));
	if (user)
		return err_set(e, EBUSY, "", "%s is %s %s's", text, user->kind->noun, net_stored_of(user).meta->name);
	pool_take(&n->pool[i], &a);
	return 0;
}

static const char *want_of(const Berth__NetworkAsk *ask, unsigned len)
{
	struct address a;

	for (size_t i = 0; i < ask->n_addresses; i++)
		if (address_parse(ask->addresses[i], &a) == 0 && a.len == len)
			return ask->addresses[i];
	return NULL;
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
	const struct net_holder *user = driver_has(driver_of(n->obj), FEATURE_MANY) ? NULL : network_user(sv, n);

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

static int lease_fill(struct supervisor *sv, struct network *n, const Berth__NetworkAsk *ask, Berth__Lease *l,
		      unsigned index, struct err *e)
{
	char text[ADDRESS_TEXT], name[IF_NAMESIZE];
	uint8_t mac[6] = {0};
	int r = 0;

	r = network_has_room(sv, n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ask->n_addresses; i++) {
		struct address a;
		bool fits = false;

		if (address_parse(ask->addresses[i], &a) < 0)
			return err_set(e, EINVAL, "", "'%.60s' is not an IP address", ask->addresses[i]);
		for (unsigned k = 0; k < n->n_subnets; k++)
			fits |= n->subnet[k].first.len == a.len;
		if (!fits)
			return err_set(e, EINVAL, "", "network %s has no IPv%c subnet for %s", n->obj->meta->name,
				       a.len == 16 ? '6' : '4', ask->addresses[i]);
	}
	for (unsigned i = 0; i < n->n_subnets && r == 0; i++) {
		const char *want = want_of(ask, n->subnet[i].first.len);

		r = want ? address_wanted(sv, n, i, want, text, e) : address_free(n, i, text, e);
		if (r == 0)
			r = strings_add(&l->addresses, &l->n_addresses, text);
	}
	if (r == 0)
		r = lease_rates(n, ask, l, e);
	if (r == 0 && getrandom(mac, sizeof mac, 0) != sizeof mac)
		r = -EIO;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* one machine's, given by nobody but us */
	if (r == 0)
		r = strings_copy(&l->aliases, &l->n_aliases, ask->aliases, ask->n_aliases);
	SET(l, id, supervisor_next_id(sv));
	host_link_name(l->id, name);
	set_text(&l->host_link, "%s", name);
	set_text(&l->link, "eth%u", index);
	set_text(&l->network_uuid, "%s", n->node.uuid);
	set_text(&l->network, "%s", n->obj->meta->name);
	set_text(&l->mac, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
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

int network_lease_all(struct supervisor *sv, const struct principal *who, Berth__NetworkAsk *const *asks, size_t n_asks,
		      struct leases to, struct err *e)
{
	if (n_asks)
		dnsd_wanted(sv);
	for (unsigned i = 0; i < n_asks; i++) {
		struct network *n = network_find(sv, who, asks[i]->network ? asks[i]->network : "", e);
		Berth__Lease *l = n ? lease_add(to) : NULL;
		int r = l ? lease_fill(sv, n, asks[i], l, i, e) : n ? err_set(e, ENOMEM, "", "no memory") : -e->code;

		if (r < 0)
			snprintf(e->step, sizeof e->step, "spec.networks[%u]", i);
		else
			r = security_groups_asked(n, who->project, asks[i], i, l, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int network_publishes(struct supervisor *sv, Berth__Lease *const *leases, size_t n, struct err *e)
{
	struct table_node *node = n ? table_find(&sv->networks, leases[0]->network_uuid) : NULL;

	if (!node || driver_needs(container_of(node, struct network, node), FEATURE_PUBLISH, e) == 0)
		return 0;
	snprintf(e->step, sizeof e->step, "spec.ports");
	return -e->code;
}

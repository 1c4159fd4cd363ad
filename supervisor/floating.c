/* supervisor/floating.c - see supervisor/floating.h */
#include "supervisor/floating.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/network.h"
#include "supervisor/ref.h"
#include "supervisor/set.h"
#include "supervisor/store.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOATING_POOLS_MAX 1024u
#define FLOATING_IPS_MAX   65536u

static struct floating_pool *pool_of(struct table_node *n)
{
	return container_of(n, struct floating_pool, node);
}

static struct floating_ip *ip_of(struct table_node *n)
{
	return container_of(n, struct floating_ip, node);
}

/* ---------------------------------------------------------------- the host's own */

/* The first address of the host that is in the range. */
static bool host_has(const struct range *range, struct address *ret, char link[IF_NAMESIZE])
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		const struct sockaddr_in *four = (const void *)i->ifa_addr;
		const struct sockaddr_in6 *six = (const void *)i->ifa_addr;

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		ret->len = i->ifa_addr->sa_family == AF_INET6 ? 16 : 4;
		memcpy(ret->byte, ret->len == 16 ? (const void *)&six->sin6_addr : (const void *)&four->sin_addr,
		       ret->len);
		found = range_has(range, ret);
		if (found)
			snprintf(link, IF_NAMESIZE, "%s", i->ifa_name);
	}
	freeifaddrs(all);
	return found;
}

/* ---------------------------------------------------------------- pools */

bool floating_pool_sees(const struct principal *who, const struct floating_pool *p)
{
	return p->obj->shared || principal_sees(who, p->obj->meta);
}

static const Berth__Meta *pool_seen(const struct principal *who, const struct table_node *node)
{
	const struct floating_pool *p = container_of(node, struct floating_pool, node);

	return !p->removing && floating_pool_sees(who, p) ? p->obj->meta : NULL;
}

struct floating_pool *floating_pool_find(struct supervisor *sv, const struct principal *who, const char *ref,
					 struct err *e)
{
	static const struct ref_kind kind = {"pool", "pool of floating IPs", "pools", pool_seen};
	struct table_node *node = ref_find(&sv->floating_pools, &kind, who, ref, e);

	return node ? pool_of(node) : NULL;
}

const struct floating_pool *floating_pool_in(struct supervisor *sv, const struct subnet *s)
{
	struct table_node *node;

	list_each (node, &sv->floating_pools.all, link)
		if (range_meets(&pool_of(node)->range, s))
			return pool_of(node);
	return NULL;
}

static int pool_alone(struct supervisor *sv, const Berth__FloatingIpPool *obj, const struct range *range, struct err *e)
{
	static const char field[] = "spec.range";
	struct table_node *node;

	list_each (node, &sv->floating_pools.all, link) {
		const struct floating_pool *p = pool_of(node);

		if (p->obj != obj && (range_has(&p->range, &range->first) || range_has(range, &p->range.first)))
			return err_set(e, EEXIST, field, "%s overlaps with %s of the pool %s", obj->range,
				       p->obj->range, p->obj->meta->name);
	}
	list_each (node, &sv->networks.all, link) {
		const struct network *n = container_of(node, struct network, node);

		for (unsigned i = 0; i < n->n_subnets; i++)
			if (range_meets(range, &n->subnet[i]))
				return err_set(e, EEXIST, field, "%s overlaps with %s of network %s", obj->range,
					       n->obj->subnets[i]->cidr, n->obj->meta->name);
	}
	return 0;
}

int floating_pool_check(struct supervisor *sv, Berth__FloatingIpPool *obj, struct err *e)
{
	char text[ADDRESS_TEXT], link[IF_NAMESIZE];
	struct address own;
	struct range range;

	if (!obj->range || !obj->range[0])
		return err_set(
			e, EINVAL, "spec.range",
			"a pool is a range of addresses: 203.0.113.0/28, or the first and the last with a - between them");
	if (range_parse(obj->range, &range, e) < 0) {
		snprintf(e->step, sizeof e->step, "spec.range");
		return -e->code;
	}
	if (pool_alone(sv, obj, &range, e) < 0)
		return -e->code;
	if (host_has(&range, &own, link))
		return err_set(e, EEXIST, "spec.range", "%s is an address of the host itself, on %s",
			       address_text(&own, text), link);
	if (!obj->link || !obj->link[0]) {
		set_null(&obj->link);
		return floating_pool_can_be_routed(&range, e);
	}
	if (!strncmp(obj->link, "bt", 2) || !strcmp(obj->link, "berth0") || !strcmp(obj->link, "lo"))
		return err_set(e, EINVAL, "spec.link", "nobody outside is reached by %.20s", obj->link);
	if (strlen(obj->link) >= IF_NAMESIZE || !if_nametoindex(obj->link))
		return err_set(e, ENOENT, "spec.link", "the host has no link %.40s", obj->link);
	return 0;
}

int floating_pool_new(struct supervisor *sv, Berth__FloatingIpPool *obj, struct floating_pool **ret, struct err *e)
{
	struct floating_pool *p = calloc(1, sizeof *p);
	int r = p ? range_parse(obj->range ? obj->range : "", &p->range, e) : err_set(e, ENOMEM, "pool", "no memory");

	if (r == 0) {
		p->sv = sv;
		p->obj = obj;
		p->node.id = obj->meta->id;
		snprintf(p->node.uuid, sizeof p->node.uuid, "%s", obj->meta->uuid);
		r = table_add(&sv->floating_pools, &p->node);
		if (r < 0)
			err_set(e, -r, "pool", "there are %u pools of floating IPs, and no more are allowed",
				sv->floating_pools.n);
	}
	if (r < 0) {
		berth__floating_ip_pool__free_unpacked(obj, NULL);
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void floating_pool_free(struct floating_pool *p)
{
	netd_forget(p->sv, p);
	table_del(&p->sv->floating_pools, &p->node);
	berth__floating_ip_pool__free_unpacked(p->obj, NULL);
	free(p);
}

unsigned floating_used(const struct floating_pool *p)
{
	struct table_node *node;
	unsigned n = 0;

	list_each (node, &p->sv->floating_ips.all, link)
		n += !strcmp(ip_of(node)->obj->pool_uuid, p->node.uuid);
	return n;
}

/* ---------------------------------------------------------------- addresses of pools */

static const struct floating_ip *owner_of(struct supervisor *sv, const struct address *a)
{
	struct table_node *node;

	list_each (node, &sv->floating_ips.all, link)
		if (address_is(&ip_of(node)->address, a))
			return ip_of(node);
	return NULL;
}

int floating_choose(struct floating_pool *p, const char *want, struct address *ret, struct err *e)
{
	char text[ADDRESS_TEXT], link[IF_NAMESIZE];
	struct address own;
	uint64_t left = range_size(&p->range);

	if (want && *want) {
		if (address_parse(want, ret) < 0)
			return err_set(e, EINVAL, "address", "'%.60s' is not an IP address", want);
		address_text(ret, text);
		if (!range_has(&p->range, ret))
			return err_set(e, EINVAL, "address", "%s is not in %s of the pool %s", text, p->obj->range,
				       p->obj->meta->name);
		if (owner_of(p->sv, ret))
			return err_set(e, EBUSY, "address", "%s is somebody's already", text);
		if (host_has(&(struct range){*ret, *ret}, &own, link))
			return err_set(e, EBUSY, "address", "%s is an address of the host itself, on %s", text, link);
		return 0;
	}
	for (*ret = p->given; left; left--) {
		*ret = range_next(&p->range, ret);
		if (owner_of(p->sv, ret) || host_has(&(struct range){*ret, *ret}, &own, link))
			continue;
		p->given = *ret;
		return 0;
	}
	return err_set(e, ENOSPC, "pool", "every address of the pool %s (%s) is somebody's", p->obj->meta->name,
		       p->obj->range);
}

int floating_new(struct supervisor *sv, Berth__FloatingIp *obj, struct floating_ip **ret, struct err *e)
{
	struct floating_ip *f = calloc(1, sizeof *f);
	int r = f ? address_parse(obj->address, &f->address) : -ENOMEM;

	if (r == 0) {
		f->sv = sv;
		f->obj = obj;
		f->node.id = obj->meta->id;
		snprintf(f->node.uuid, sizeof f->node.uuid, "%s", obj->meta->uuid);
		r = table_add(&sv->floating_ips, &f->node);
	}
	if (r < 0) {
		berth__floating_ip__free_unpacked(obj, NULL);
		free(f);
		return err_set(e, -r, "floating IP",
			       r == -ENOSPC ? "no more floating IPs are allowed" : "keep a floating IP");
	}
	*ret = f;
	return 0;
}

void floating_free(struct floating_ip *f)
{
	table_del(&f->sv->floating_ips, &f->node);
	berth__floating_ip__free_unpacked(f->obj, NULL);
	free(f->was_target);
	free(f->was_link);
	free(f);
}

struct floating_ip *floating_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e)
{
	struct table_node *node;
	struct address a;
	bool is_address = address_parse(ref, &a) == 0;

	list_each (node, &sv->floating_ips.all, link) {
		struct floating_ip *f = ip_of(node);

		if (principal_sees(who, f->obj->meta) &&
		    (is_address ? address_is(&f->address, &a) : !strcmp(f->node.uuid, ref)))
			return f;
	}
	err_set(e, ENOENT, "ip", "there is no floating IP '%.60s'", ref);
	return NULL;
}

/* ---------------------------------------------------------------- where they lead */

struct net_holder *net_holder_by_uuid(struct supervisor *sv, const char *uuid)
{
	struct net_holder *h;

	list_each (h, &sv->net_holders, link)
		if (!strcmp(net_stored_of(h).meta->uuid, uuid))
			return h;
	return NULL;
}

static bool is_lease(const Berth__Lease *l, uint64_t lease, const char *link)
{
	return lease ? l->id == lease : link && !strcmp(l->link, link);
}

size_t floating_lease_at(const struct net_holder *h, uint64_t lease, const char *link)
{
	const struct net_stored s = net_stored_of(h);
	size_t i = 0;

	while (i < s.n_leases && !is_lease(s.leases[i], lease, link))
		i++;
	return i;
}

/* l NULL: to any of his interfaces. */
static bool leads_to(const struct floating_ip *f, const char *uuid, const Berth__Lease *l)
{
	return f->obj->target_uuid && !strcmp(f->obj->target_uuid, uuid) &&
	       (!l || is_lease(l, f->obj->lease, f->obj->link));
}

struct net_holder *floating_holder(const struct floating_ip *f, size_t *ret_index)
{
	struct net_holder *h = f->obj->target_uuid ? net_holder_by_uuid(f->sv, f->obj->target_uuid) : NULL;

	*ret_index = h ? floating_lease_at(h, f->obj->lease, f->obj->link) : 0;
	return h && *ret_index < net_stored_of(h).n_leases ? h : NULL;
}

const char *floating_fixed(const struct floating_ip *f, const Berth__Lease *l)
{
	struct address a;

	for (size_t i = 0; i < l->n_addresses; i++)
		if (address_parse(l->addresses[i], &a) == 0 && a.len == f->address.len)
			return l->addresses[i];
	return NULL;
}

static ProtobufCBinaryData bytes_of(struct arena *a, const struct address *from)
{
	ProtobufCBinaryData b = {.len = from->len, .data = arena_alloc(a, sizeof from->byte)};

	if (b.data)
		memcpy(b.data, from->byte, from->len);
	return b;
}

static const char *link_of(const struct floating_ip *f)
{
	struct table_node *node = table_find(&f->sv->floating_pools, f->obj->pool_uuid);

	return node ? pool_of(node)->obj->link : NULL;
}

void floating_messages(const struct net_holder *h, const Berth__Lease *l, Net__Port *port, struct arena *a)
{
	const char *uuid = net_stored_of(h).meta->uuid, *fixed;
	struct table_node *node;
	size_t n = 0;

	list_each (node, &h->sv->floating_ips.all, link)
		n += leads_to(ip_of(node), uuid, l);
	port->floating = n ? arena_alloc(a, n * sizeof *port->floating) : NULL;
	list_each (node, &h->sv->floating_ips.all, link) {
		const struct floating_ip *f = ip_of(node);
		Net__Floating *m;
		struct address inside;

		if (!port->floating || !leads_to(f, uuid, l) || !(fixed = floating_fixed(f, l)) ||
		    address_parse(fixed, &inside) < 0)
			continue;
		m = arena_alloc(a, sizeof *m);
		if (!m)
			return;
		net__floating__init(m);
		SET(m, address, bytes_of(a, &f->address));
		SET(m, inside, bytes_of(a, &inside));
		m->link = (char *)(uintptr_t)link_of(f);
		port->floating[port->n_floating++] = m;
	}
}

static void on_forgotten(void *arg, int result)
{
	if (result < 0)
		log_error(
			"a floating IP that leads nowhere any more could not be stored as such: %s; it is tried again",
			strerror(-result));
}

void floating_leads(struct floating_ip *f, const char *uuid, const char *link, uint64_t lease)
{
	set_null(&f->obj->target_uuid);
	set_null(&f->obj->link);
	if (uuid)
		set_text(&f->obj->target_uuid, "%s", uuid);
	if (uuid && link)
		set_text(&f->obj->link, "%s", link);
	f->obj->has_lease = uuid && lease;
	f->obj->lease = uuid ? lease : 0;
}

static void forget(struct floating_ip *f)
{
	floating_leads(f, NULL, NULL, 0);
	if (f->stored)
		(void)store_put(f->sv->store, STORE_FLOATING_IP, f->obj->meta, &f->obj->base, true, on_forgotten, NULL);
}

void floating_forget(struct supervisor *sv, const char *uuid, const Berth__Lease *l)
{
	struct table_node *node;

	list_each (node, &sv->floating_ips.all, link)
		if (leads_to(ip_of(node), uuid, l))
			forget(ip_of(node));
}

/* ---------------------------------------------------------------- at start and at the end */

static int load_pool(void *arg, const void *blob, size_t len)
{
	Berth__FloatingIpPool *obj = message_unpack(&berth__floating_ip_pool__descriptor, blob, len);
	struct floating_pool *p;
	struct err e;

	if (!obj || !obj->meta || !obj->meta->uuid || !obj->meta->name || !obj->meta->project)
		log_error("a pool of floating IPs in the store cannot be read and is left alone there");
	else if (floating_pool_new(arg, obj, &p, &e) < 0)
		log_err(&e, "a pool of floating IPs in the store");
	else
		p->stored = true;
	return 0;
}

static int load_ip(void *arg, const void *blob, size_t len)
{
	Berth__FloatingIp *obj = message_unpack(&berth__floating_ip__descriptor, blob, len);
	struct floating_ip *f;
	struct err e;

	if (!obj || !obj->meta || !obj->meta->uuid || !obj->meta->name || !obj->meta->project || !obj->address ||
	    !obj->pool_uuid)
		log_error("a floating IP in the store cannot be read and is left alone there");
	else if (floating_new(arg, obj, &f, &e) < 0)
		log_err(&e, "a floating IP in the store");
	else
		f->stored = true;
	return 0;
}

int floating_open(struct supervisor *sv, struct err *e)
{
	struct table_node *node;
	size_t i;
	int r = table_init(&sv->floating_pools, FLOATING_POOLS_MAX);

	if (r == 0)
		r = table_init(&sv->floating_ips, FLOATING_IPS_MAX);
	if (r < 0)
		return err_set(e, -r, "tables", "make the tables of floating IPs");
	r = store_load(sv->store, STORE_FLOATING_POOL, load_pool, sv, e);
	if (r == 0)
		r = store_load(sv->store, STORE_FLOATING_IP, load_ip, sv, e);
	/* What was removed in the last moments of an earlier berthd. */
	list_each (node, &sv->floating_ips.all, link)
		if (ip_of(node)->obj->target_uuid && !floating_holder(ip_of(node), &i))
			forget(ip_of(node));
	if (r == 0)
		floating_pools_wake(sv);
	return r;
}

void floating_fini(struct supervisor *sv)
{
	struct table_node *node;

	while (sv->floating_ips.bucket && (node = list_first(&sv->floating_ips.all, struct table_node, link)))
		floating_free(ip_of(node));
	while (sv->floating_pools.bucket && (node = list_first(&sv->floating_pools.all, struct table_node, link)))
		floating_pool_free(pool_of(node));
	table_fini(&sv->floating_ips);
	table_fini(&sv->floating_pools);
}

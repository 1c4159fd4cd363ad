/* supervisor/network.c - see supervisor/network.h */
#include "supervisor/network.h"

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/check_names.h"
#include "supervisor/container.h"
#include "supervisor/dnsd.h"
#include "supervisor/driver.h"
#include "supervisor/floating.h"
#include "supervisor/meta.h"
#include "supervisor/ref.h"
#include "supervisor/set.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RATE_MIN 8000u /* below that a full packet waits for seconds */
#define RATE_MAX 1000000000000ull

/* ---------------------------------------------------------------- the object */

/* The part of a subnet that addresses are taken from, and what is kept out of it. */
static int pool_check(unsigned i, const struct subnet *subnet, const Berth__Subnet *s, struct err *e)
{
	struct subnet range;
	struct address a;
	char field[48];

	if (s->ip_range && s->ip_range[0] && subnet_parse_in(subnet, s->ip_range, &range, e) < 0) {
		snprintf(e->step, sizeof e->step, "spec.subnets[%u].ip_range", i);
		return -EINVAL;
	}
	for (unsigned k = 0; k < s->n_reserved; k++) {
		snprintf(field, sizeof field, "spec.subnets[%u].reserved[%u]", i, k);
		if (address_parse(s->reserved[k], &a) < 0 || !subnet_is_usable(subnet, &a))
			return err_set(e, EINVAL, field, "'%.60s' is not a usable address of %s", s->reserved[k],
				       s->cidr);
	}
	return 0;
}

int network_check_dns(const Berth__Network *obj, struct err *e)
{
	return check_dns("spec", obj->dns, obj->n_dns, obj->dns_search, obj->n_dns_search, e);
}

int network_check(struct supervisor *sv, Berth__Network *obj, struct err *e)
{
	struct subnet subnet[NETWORK_SUBNETS];
	struct address gateway;
	char text[ADDRESS_TEXT], field[48];
	struct table_node *node;

	if (driver_check(obj, e) < 0)
		return -e->code;
	list_each (node, &sv->networks.all, link) {
		const Berth__Network *other = container_of(node, struct network, node)->obj;
		const char *why = other == obj ? NULL : driver_quarrel(obj, other);

		if (why)
			return err_set(e, EBUSY, "spec.parent", "%s is network %s's (%s): %s", obj->parent,
				       other->meta->name, other->driver, why);
	}
	if (!obj->n_subnets || obj->n_subnets > NETWORK_SUBNETS)
		return err_set(e, EINVAL, "spec.subnets", "%s",
			       obj->n_subnets ? "a network has one subnet, or one of each family"
					      : "it has those of the wire that it leads to: name them");
	if (obj->has_mtu && obj->mtu && (obj->mtu < 1280 || obj->mtu > 65535))
		return err_set(e, ERANGE, "spec.mtu", "must be 1280 to 65535");
	if (network_check_dns(obj, e) < 0)
		return -e->code;
	for (size_t i = 0; i < obj->n_subnets; i++) {
		Berth__Subnet *s = obj->subnets[i];

		snprintf(field, sizeof field, "spec.subnets[%zu].cidr", i);
		if (subnet_parse(s->cidr ? s->cidr : "", &subnet[i], e) < 0) {
			snprintf(e->step, sizeof e->step, "%s", field);
			return -EINVAL;
		}
		if (i && subnet[0].first.len == subnet[1].first.len)
			return err_set(e, EINVAL, field, "there is a subnet of this family already");
		list_each (node, &sv->networks.all, link) {
			const struct network *other = container_of(node, struct network, node);

			for (unsigned k = 0; k < other->n_subnets; k++)
				if (other->obj != obj && subnets_overlap(&other->subnet[k], &subnet[i]))
					return err_set(e, EEXIST, field, "%s overlaps with %s of network %s", s->cidr,
						       other->obj->subnets[k]->cidr, other->obj->meta->name);
		}
		if (floating_pool_in(sv, &subnet[i]))
			return err_set(e, EEXIST, field, "%s overlaps with %s of the pool of floating IPs %s", s->cidr,
				       floating_pool_in(sv, &subnet[i])->obj->range,
				       floating_pool_in(sv, &subnet[i])->obj->meta->name);
		snprintf(field, sizeof field, "spec.subnets[%zu].gateway", i);
		if (!s->gateway || !s->gateway[0]) {
			gateway = subnet_next(&subnet[i], &subnet[i].first);
			set_text(&s->gateway, "%s", address_text(&gateway, text));
		}
		if (address_parse(s->gateway, &gateway) < 0 || !subnet_is_usable(&subnet[i], &gateway))
			return err_set(e, EINVAL, field, "'%.60s' is not a usable address of %s", s->gateway, s->cidr);
		if (pool_check((unsigned)i, &subnet[i], s, e) < 0)
			return -EINVAL;
	}
	return 0;
}

/* Takes obj. */
static int network_take(struct supervisor *sv, Berth__Network *obj, struct network **ret)
{
	struct network *n = calloc(1, sizeof *n);
	struct err e;
	int r = n ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < obj->n_subnets && i < NETWORK_SUBNETS; i++) {
		const Berth__Subnet *s = obj->subnets[i];
		struct subnet range;

		r = s->cidr && s->gateway ? subnet_parse(s->cidr, &n->subnet[i], &e) : -EINVAL;
		if (r == 0)
			r = address_parse(s->gateway, &n->gateway[i]);
		range = n->subnet[i];
		if (r == 0 && s->ip_range && s->ip_range[0])
			r = subnet_parse_in(&n->subnet[i], s->ip_range, &range, &e);
		pool_init(&n->pool[i], &n->subnet[i], &range);
		n->n_subnets++;
	}
	if (r == 0) {
		n->sv = sv;
		n->obj = obj;
		n->node.id = obj->meta->id;
		snprintf(n->node.uuid, sizeof n->node.uuid, "%s", obj->meta->uuid);
		r = table_add(&sv->networks, &n->node);
	}
	if (r < 0) {
		berth__network__free_unpacked(obj, NULL);
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void network_free(struct supervisor *sv, struct network *n)
{
	dnsd_network(n, false);
	table_del(&sv->networks, &n->node);
	berth__network__free_unpacked(n->obj, NULL);
	free(n->on_wire);
	free(n);
}

static void on_stored(void *arg, int result)
{
	struct network *n = arg;

	n->stored = result == 0;
	if (result < 0)
		log_error("network %s could not be stored: %s", n->obj->meta->name, strerror(-result));
}

int network_new(struct supervisor *sv, Berth__Network *obj, struct network **ret, struct err *e)
{
	int r = network_take(sv, obj, ret);

	if (r == 0)
		dnsd_network(*ret, true);
	return r < 0 ? err_set(e, -r, "network", "make a network") : 0;
}

static int load_row(void *arg, const void *blob, size_t len)
{
	Berth__Network *obj = message_unpack(&berth__network__descriptor, blob, len);
	struct network *n;

	if (!obj || !obj->meta || !obj->meta->uuid || !obj->meta->name || !obj->meta->project ||
	    network_take(arg, obj, &n) < 0) {
		log_error("a network in the store cannot be read and is left alone there");
		return 0;
	}
	n->stored = true;
	return 0;
}

/* fd00::/8 with 40 random bits (RFC 4193): the same on no two hosts, so that they can be joined one day. */
static int default_make(struct supervisor *sv, struct err *e)
{
	Berth__Network *obj = calloc(1, sizeof *obj);
	Berth__Subnet **subnets = calloc(2, sizeof *subnets);
	struct subnet six = {.first = {.byte = {0xfd}, .len = 16}, .prefix = 64};
	char text[ADDRESS_TEXT];
	struct network *n;
	int r;

	if (!obj || !subnets) {
		free(obj);
		free(subnets);
		return err_set(e, ENOMEM, "network", "no memory");
	}
	berth__network__init(obj);
	obj->meta = meta_new(sv, NULL, "default", "berthd", DEFAULT_NETWORK);
	obj->subnets = subnets;
	SET(obj, shared, 1);
	for (size_t i = 0; i < 2; i++) {
		subnets[i] = calloc(1, sizeof **subnets);
		if (!subnets[i])
			break;
		berth__subnet__init(subnets[i]);
		obj->n_subnets++;
	}
	if (obj->n_subnets == 2 && getrandom(six.first.byte + 1, 5, 0) == 5) {
		set_text(&subnets[0]->cidr, "%s", sv->cfg.default_subnet);
		set_text(&subnets[1]->cidr, "%s/64", address_text(&six.first, text));
	}
	r = obj->meta ? network_check(sv, obj, e) : err_set(e, ENOMEM, "network", "no memory");
	if (r < 0) {
		berth__network__free_unpacked(obj, NULL);
		return err_wrap(e, "make the network " DEFAULT_NETWORK);
	}
	r = network_new(sv, obj, &n, e);
	if (r == 0)
		r = store_put(sv->store, STORE_NETWORK, n->obj->meta, &n->obj->base, false, on_stored, n);
	return r < 0 ? err_set(e, -r, "network", "store the network " DEFAULT_NETWORK) : 0;
}

bool network_has_dns(const struct network *n)
{
	return driver_has(driver_of(n->obj), FEATURE_DNS);
}

int network_rates_check(const struct network *n, uint64_t ingress_bps, uint64_t egress_bps, struct err *e)
{
	static const struct {
		enum driver_feature feature;
		const char *name;
	} ways[] = {{FEATURE_RATE_IN, "ingress_bps"}, {FEATURE_RATE_OUT, "egress_bps"}};
	int r = 0;
	const uint64_t rates[] = {ingress_bps, egress_bps};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!rates[i])
			continue;
		if (rates[i] < RATE_MIN || rates[i] > RATE_MAX)
			return err_set(e, ERANGE, ways[i].name, "must be %u to %llu bits in a second (or 0: no limit)",
				       RATE_MIN, RATE_MAX);
		r = driver_needs(n, ways[i].feature, e);
		if (r < 0) {
			snprintf(e->step, sizeof e->step, "%s", ways[i].name);
			return r;
		}
	}
	return 0;
}

bool network_is_default(const struct network *n)
{
	return !strcmp(n->obj->meta->name, DEFAULT_NETWORK) && !strcmp(n->obj->meta->project, "default");
}

int networks_open(struct supervisor *sv, struct err *e)
{
	struct table_node *node;
	int r = store_load(sv->store, STORE_NETWORK, load_row, sv, e);

	if (r < 0 || !sv->cfg.default_subnet[0])
		return r;
	list_each (node, &sv->networks.all, link)
		if (network_is_default(container_of(node, struct network, node)))
			return 0;
	return default_make(sv, e);
}

void networks_close(struct supervisor *sv)
{
	struct table_node *node;

	while (sv->networks.bucket && (node = list_first(&sv->networks.all, struct table_node, link)))
		network_free(sv, container_of(node, struct network, node));
}

bool network_sees(const struct principal *who, const struct network *n)
{
	return n->obj->shared || principal_sees(who, n->obj->meta);
}

static const Berth__Meta *network_seen(const struct principal *who, const struct table_node *node)
{
	const struct network *n = container_of(node, struct network, node);

	return !n->removing && !n->trying && network_sees(who, n) ? n->obj->meta : NULL;
}

struct network *network_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e)
{
	static const struct ref_kind kind = {"network", "network", "networks", network_seen};
	struct table_node *node = ref_find(&sv->networks, &kind, who, ref, e);

	return node ? container_of(node, struct network, node) : NULL;
}

/* supervisor/floating.h - floating IPs: pools of addresses that lead to nobody yet, those of them that projects have, and to which interface each
 * of these leads at the moment. An association lives as long as what it leads to: whoever is removed leaves his floating IPs behind, and
 * so does an interface that is disconnected: one of its name that comes later is another. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/address.h"
#include "supervisor/arena.h"
#include "supervisor/client.h"
#include "supervisor/net_holder.h"
#include "supervisor/netd.h"
#include "supervisor/supervisor.h"

struct floating_pool {
	struct table_node node; /* supervisor.floating_pools */
	struct supervisor *sv;
	Berth__FloatingIpPool *obj; /* owned */
	struct range range;
	struct address given; /* the last one: the next is behind it, so that an address rests before it comes back */
	bool stored, removing;
	struct parked parked; /* who has asked for its creation or removal */
};

struct floating_ip {
	struct table_node node; /* supervisor.floating_ips */
	struct supervisor *sv;
	Berth__FloatingIp *obj; /* owned */
	struct address address;
	bool stored;
	bool busy;		     /* a change is on its way to berth-net or the store */
	struct parked parked;	     /* who has asked for it */
	char *was_target, *was_link; /* owned; before the change */
	uint64_t was_lease;
};

int floating_open(struct supervisor *sv, struct err *e); /* at start, when containers and pods are known */
void floating_fini(struct supervisor *sv);

/* By name or uuid; of who's project, or shared. NULL: e is filled (ENOENT, ENOTUNIQ). */
struct floating_pool *floating_pool_find(struct supervisor *sv, const struct principal *who, const char *ref,
					 struct err *e);
bool floating_pool_sees(const struct principal *who, const struct floating_pool *p);
/* By its address or uuid. */
struct floating_ip *floating_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e);
/* Take obj, its meta complete, also on failure. */
int floating_pool_new(struct supervisor *sv, Berth__FloatingIpPool *obj, struct floating_pool **ret, struct err *e);
int floating_new(struct supervisor *sv, Berth__FloatingIp *obj, struct floating_ip **ret, struct err *e);
void floating_pool_free(struct floating_pool *p);
void floating_free(struct floating_ip *f);

/* A pool's range against networks, other pools and the host's own addresses. e->step: the field. */
int floating_pool_check(struct supervisor *sv, Berth__FloatingIpPool *obj, struct err *e);
/* The pool that a network to be would overlap with, or NULL. */
const struct floating_pool *floating_pool_in(struct supervisor *sv, const struct subnet *s);
/* The next of the pool that nobody has; or `want`, if it can be had. */
int floating_choose(struct floating_pool *p, const char *want, struct address *ret, struct err *e);
/* A range that others may route to the host, and that is unreachable there while it leads to nobody: e->step is spec.range. */
int floating_pool_can_be_routed(const struct range *range, struct err *e);
/* Of those pools that are routed to the host: prefixes in the arena, for berth-net. */
Net__Subnet **floating_pools_message(const struct supervisor *sv, size_t *ret_n, struct arena *a);
/* They have changed; done may be NULL. */
void floating_pools_tell(struct supervisor *sv, netd_done *done, void *arg);
void floating_pools_wake(struct supervisor *sv); /* at start, if there are any */
unsigned floating_used(const struct floating_pool *p);

/* Where it leads: who has the interface, and which of his leases it is; NULL: nowhere. */
struct net_holder *floating_holder(const struct floating_ip *f, size_t *ret_index);
struct net_holder *net_holder_by_uuid(struct supervisor *sv, const char *uuid);
/* The one of the holder's addresses that it stands for, or NULL. */
const char *floating_fixed(const struct floating_ip *f, const Berth__Lease *l);
/* For berth-net, in the arena: those of this interface. */
void floating_messages(const struct net_holder *h, const Berth__Lease *l, Net__Port *port, struct arena *a);
/* uuid NULL: nowhere. */
void floating_leads(struct floating_ip *f, const char *uuid, const char *link, uint64_t lease);
/* Which of the holder's leases is that one; their number: none. link: of a row that has no number of a lease yet. */
size_t floating_lease_at(const struct net_holder *h, uint64_t lease, const char *link);
/* The holder is no more; or (l) this interface of his. */
void floating_forget(struct supervisor *sv, const char *uuid, const Berth__Lease *l);

/* supervisor/network.h - networks, and who has which address in them.
 *
 * A lease is stored with what has it (Container.networks, Pod.networks) and lives as long: there is no other list of addresses, so none can be lost or
 * given twice. What is in the kernel of it is berth-net's (netd.h). */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/address.h"
#include "supervisor/arena.h"
#include "supervisor/client.h"
#include "supervisor/net_holder.h"
#include "supervisor/pool.h"
#include "supervisor/supervisor.h"

#include <net/if.h>

#define DEFAULT_NETWORK "default" /* always there */
#define NETWORK_SUBNETS 2u	  /* one of each family */
#define NETWORKS_EACH	64u	  /* of one container */
#define ALIASES_EACH	32u	  /* in each of them */

struct network {
	struct table_node node; /* supervisor.networks */
	struct supervisor *sv;
	Berth__Network *obj; /* owned */
	struct subnet subnet[NETWORK_SUBNETS];
	struct address gateway[NETWORK_SUBNETS];
	struct pool pool[NETWORK_SUBNETS]; /* what is given next */
	unsigned n_subnets;
	struct address *on_wire; /* owned: of the host itself, on the wire that it leads to */
	size_t n_on_wire;
	bool stored;
	bool removing;
	bool trying;	      /* whether it can be made: it is nobody's yet */
	bool missed;	      /* while it was, berth-net heard a State: what it has made of it is gone again */
	unsigned picked;      /* how many subnets were tried that nobody asked for; 0: they were asked for */
	bool updating;	      /* its next row is on its way */
	bool names_changed;   /* of those in it, who have no berth-dns to ask (hosts.h) */
	struct parked parked; /* who made it, and who removes it */
};

int networks_open(struct supervisor *sv,
		  struct err *e); /* at start: every row of the store, and the one that is always there */
void networks_close(struct supervisor *sv);
/* By name or uuid, of who's project or shared; NULL: e is filled (ENOENT, ENOTUNIQ). */
struct network *network_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e);
/* Its containers ask berth-dns at its gateway. */
bool network_has_dns(const struct network *n);
/* Limits of an interface, 0: none. e->step: the field. */
int network_rates_check(const struct network *n, uint64_t ingress_bps, uint64_t egress_bps, struct err *e);
bool network_is_default(const struct network *n);
bool network_sees(const struct principal *who, const struct network *n);
struct asks {
	Berth__NetworkAsk *const *list;
	size_t n;
};
/* One more, at the end of `to`. at: the field that ask is, for e->step. others: what else is asked for with it, so that nobody takes their interfaces' names. */
int network_lease(struct supervisor *sv, const struct principal *who, const char *at, const Berth__NetworkAsk *ask,
		  const struct asks *others, struct leases to, struct err *e);
void network_lease_drop(struct leases from, size_t i);
/* One for each ask. e->step: the field. */
int network_lease_all(struct supervisor *sv, const struct principal *who, Berth__NetworkAsk *const *asks, size_t n_asks,
		      struct leases to, struct err *e);
/* What is published leads to the first interface: whether its network can. */
int network_publishes(struct supervisor *sv, Berth__PortMap *const *ports, size_t n, const Berth__Lease *first,
		      struct err *e);
/* Who has a lease in it, or NULL. */
struct net_holder *network_user(struct supervisor *sv, const struct network *n);
bool network_has(const struct network *n, const struct net_holder *h);

/* Of a link of the host that is made for the lease or network with this id (no two have the same); returns buf. */
char *host_link_name(uint64_t id, char buf[IF_NAMESIZE]);

/* For berth-net; in the arena, NULL without memory. */
Net__State *networks_state(struct supervisor *sv, struct arena *a);
Net__Network *network_message(const struct network *n, struct arena *a);
/* The i-th interface of a holder. */
Net__Port *network_port(const struct net_holder *h, size_t i, struct arena *a);
/* How it is made; false without memory, or if its network is gone. */
bool network_attach(const struct net_holder *h, size_t i, struct arena *a, Net__Attach *to);

struct network *network_by_key(struct supervisor *sv, uint32_t key);
/* What berth-net has seen of the host on its wire; who has such an address already has it twice. */
void network_wire_seen(struct supervisor *sv, const Net__WireSeen *seen);
bool network_wire_has(const struct network *n, const struct address *a);
/* Of the driver phys: what berth-net has seen of its parent; kept with it. */
void network_nic_seen(struct supervisor *sv, uint32_t key, const Net__Nic *nic);
/* … as berth-net hears of it, in the arena; NULL: nothing is known. */
Net__Nic *network_nic(const struct network *n, struct arena *a);

/* Takes obj (its meta complete), checked. Queues its row. */
int network_new(struct supervisor *sv, Berth__Network *obj, struct network **ret, struct err *e);
void network_free(struct supervisor *sv, struct network *n);
int network_check_dns(const Berth__Network *obj, struct err *e);
/* What may be chosen of it: completed, or refused. e->step: the field. */
int network_check(struct supervisor *sv, Berth__Network *obj, struct err *e);

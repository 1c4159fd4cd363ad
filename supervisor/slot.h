/* supervisor/slot.h - an interface that is made before there is a container for it (net/slot.h), in the network namespace of a spare shim: what of a start
 * with a network takes longest, and longer the more others there are.
 *
 * It has the number, and so the name of the host's end, and the MAC that the lease to come will have. It is no lease: it has no network and no address,
 * is counted nowhere and stored nowhere. Who dies with it leaves a link that no State names, which is swept. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/client.h"
#include "supervisor/supervisor.h"

struct slot;

/* The MTU of the slot that a container of this spec would find its first interface in; 0: none is like it. */
uint32_t slot_wanted(struct supervisor *sv, const struct principal *who, const Berth__ContainerSpec *spec);

/* ns_fd (not consumed): the namespace. NULL: e is filled; else settled follows, once, unless it is ended before: e NULL, it is there; or it is not and
 * will not be. */
typedef void slot_settled(void *arg, const struct err *e);
struct slot *slot_new(struct supervisor *sv, uint32_t mtu, int ns_fd, slot_settled *settled, void *arg, struct err *e);
void slot_lend(const struct slot *s, Berth__Lease *l); /* the lease of the first interface of who will have it */
void slot_give(struct slot *s);			       /* its holder has it now: what becomes of the links is his */
void slot_free(struct slot *s);			       /* nobody got it, and its namespace goes; NULL is harmless */

/* For berth-net, in the arena; without memory there are none, and they are made again. */
void slots_state(const struct supervisor *sv, Net__State *s, struct arena *a);
/* Names of the host's ends; there are at most as many as spares. Those that are there. */
size_t slots_links(const struct supervisor *sv, char **links, size_t max);

/* supervisor/dnsd.h - berth-dns as berthd sees it: who answers containers that ask for names. Started with the first lease, told everything
 * that it should know, then single changes in order. It outlives us; the one of an earlier berthd answers until ours does. */
#pragma once

#include "proto/dns.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/network.h"

#define DNSD_GROUP "dns." /* how its group in jobs/ begins: no job's, and not ended with those of an earlier berthd */

struct dnsd;
struct net_holder;

int dnsd_open(struct supervisor *sv, struct err *e);
void dnsd_close(struct supervisor *sv); /* it goes on with what it knows */

void dnsd_wanted(struct supervisor *sv); /* somebody will ask */
/* Said at once, so that it is known to whoever hears of the change later: he has his interfaces, or none any more; other names; others. */
void dnsd_holder(const struct net_holder *h);
void dnsd_network(const struct network *n, bool is_there);
void dnsd_servers(struct supervisor *sv); /* the host asks others than before */

/* What it is told, in the arena (dns_state.c); NULL without memory. */
Dns__State *dns_state(struct supervisor *sv, struct arena *a);
Dns__Network *dns_network(const struct network *n, struct arena *a);
Dns__Holder *dns_holder(const struct net_holder *h, struct arena *a);
Dns__Servers *dns_servers(struct supervisor *sv, struct arena *a);

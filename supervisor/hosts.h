/* supervisor/hosts.h - further lines of /etc/hosts: names that were asked for, and of others, for containers that berth-dns cannot be asked by: none of their networks has its gateway on the
 * host. Whom they find is whom berth-dns would find for them. */
#pragma once

#include "supervisor/arena.h"
#include "supervisor/net_holder.h"

/* What follows its own names: what was asked for (host-gateway is where the host is now), and those others. In the arena; NULL without memory. */
const char *hosts_further(const struct net_holder *h, struct arena *a);
/* Whether host-gateway is anywhere. e->step: the field. */
int hosts_check(struct supervisor *sv, const Berth__NameOptions *names, Berth__Lease *const *leases, size_t n,
		struct err *e);
/* He comes, goes, or is called otherwise: the others' files follow soon. */
void hosts_changed(const struct net_holder *h);

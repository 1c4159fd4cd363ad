/* supervisor/hosts.h - names of others in /etc/hosts, of containers that berth-dns cannot be asked by: none of their networks has its gateway on the
 * host. Whom they find is whom berth-dns would find for them. */
#pragma once

#include "supervisor/arena.h"
#include "supervisor/net_holder.h"

/* The lines, in the arena; "" where berth-dns answers. NULL without memory. */
const char *hosts_others(const struct net_holder *h, struct arena *a);
/* He comes, goes, or is called otherwise: the others' files follow soon. */
void hosts_changed(const struct net_holder *h);

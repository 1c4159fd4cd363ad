/* supervisor/network_pick.h - subnets of a network for which none were asked. */
#pragma once

#include "supervisor/network.h"

/* Not where it leads to a wire, which has its own. */
bool network_may_pick(const Berth__Network *obj);
/* What obj, which has none, gets: 10.210.0.0/24 or one behind it, and a random one of fd00::/8 (RFC 4193). No network and no pool of floating IPs has
 * them; whether the host has, berth-net says. */
int network_pick(struct supervisor *sv, Berth__Network *obj, struct err *e);

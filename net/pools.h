/* net/pools.h - addresses of floating IPs that others route to the host and that lead to nobody: unreachable, so that they do not go back to those by
 * the default route, and so on. The route of one that leads somewhere is a longer one, or counts before (net/floating.h). */
#pragma once

#include "net/link.h"
#include "proto/net.pb-c.h"

bool pools_are_sound(Net__Subnet *const *pools, size_t n);
/* These, and no others. */
int pools_put(struct nl *host, Net__Subnet *const *pools, size_t n, struct err *e);

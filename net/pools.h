/* net/pools.h - addresses of floating IPs that others route to the host and that lead to nobody: unreachable, so that they do not go back to those by
 * the default route, and so on. The route of one that leads somewhere is a longer one, or counts before (net/floating.h). */
#pragma once

#include "net/link.h"
#include "proto/net.pb-c.h"

bool pools_are_sound(Net__Subnet *const *pools, size_t n);

struct pools; /* the last that were put */

int pools_open(struct pools **ret, struct nl *host, struct err *e);
/* These, and no others. */
int pools_put(struct pools *p, Net__Subnet *const *pools, size_t n, struct err *e);
/* Readable when the host has come to have an address, or has lost one: a wire may be there now, or no more. -1: that is of no interest. */
int pools_fd(const struct pools *p);
void pools_go_on(struct pools *p);

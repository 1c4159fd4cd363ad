/* net/overlap.h - whether the host itself reaches addresses of a network that is to be made, elsewhere than at berth. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

/* -EEXIST with e filled, naming the subnet and what the host has there: a wire of its own with some of it, or a route to all of it that is
 * not the default. A wider route by a gateway is none: a part of what is far away may be here. */
int overlap_check(struct nl *host, const Net__Network *n, struct err *e);
/* Of all networks that there are: what the host has got since, or had before the first start, is logged. */
void overlap_warn(struct nl *host, const Net__State *s);

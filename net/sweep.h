/* net/sweep.h - links of the host that are there already when everything that should be is told. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

/* Those of ours that nobody has any more go; the others get the group that they should have. */
int links_sweep(struct nl *host, const Net__State *s, struct err *e);

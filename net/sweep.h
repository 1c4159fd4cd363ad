/* net/sweep.h - links of the host that are there already when everything that should be is told. */
#pragma once

#include "net/gone.h"
#include "net/nl.h"
#include "proto/net.pb-c.h"

/* Those of ours that nobody has any more go, but for what is on its way by itself; the others get the group that they should have. */
int links_sweep(struct nl *host, const Net__State *s, const struct gone *gone, struct err *e);

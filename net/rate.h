/* net/rate.h - how much a port may take and send: token buckets at the host's end of its link. What goes to it waits there; what comes from it is led
 * through a link of its own (an ifb, "bf…") and waits there, because a link has no queue for what it receives. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

/* As the port says; either way, and again, and with none any more. e names the module of the kernel that is not there. */
int rate_put(struct nl *host, const Net__Port *p, struct err *e);
/* Of a port that is gone, and with it what was at its link. */
int rate_del(struct nl *host, const Net__Port *p, struct err *e);
/* All that there should be; what an earlier berth-net had made besides goes. */
int rate_all(struct nl *host, const Net__State *s, struct err *e);

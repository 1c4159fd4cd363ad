/* net/floating.h - addresses that a port has besides its own: the host leads there what comes for them. They are no addresses of the host: it
 * answers for them on the link that they are announced on (proxy ARP and NDP), and a route says that they are had here; the table translates. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

#include <stdbool.h>

bool floating_is_sound(const Net__Floating *f);
/* All that there should be is put; what an earlier berth-net had put besides goes. */
int floating_all(struct nl *host, const Net__State *s, struct err *e);
/* From those of `was` to those of `now`; either may be NULL. Connections by an address that comes or goes end; who comes is announced
 * (announce_fd: of announce_open). The table is changed already. */
int floating_change(struct nl *host, int announce_fd, const Net__Port *was, const Net__Port *now, struct err *e);

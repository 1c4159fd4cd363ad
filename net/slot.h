/* net/slot.h - an interface of a routed network that is made before anybody has it: both links, up, in a namespace that waits for its container. It has
 * no address, no route and no element of the table, so nothing passes (the table knows no packet of its link). An Attach `ahead` finishes it: what is left
 * then costs the same however many links and routes there are. */
#pragma once

#include "net/work.h"

/* ns: the namespace, or the pidfd of a process in it. */
int slot_put(struct worker *w, const Net__Port *p, int ns, struct err *e);
/* It goes with its namespace; if that stays somewhere, by itself, a little later. */
int slot_del(struct worker *w, const char *host_link, struct err *e);

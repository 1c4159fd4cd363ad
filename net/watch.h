/* net/watch.h - addresses of ports on wires that others are on, for as long as they are in use: who comes later and says that one is his (RFC 5227, 2.4; claim.h asks
 * when they come). The kernel looks at what comes in and passes on what contradicts, so that nobody is woken by all the others on a wire.
 * What is heard is broadcast, or for whoever listens on the link: everybody asks and tells his neighbours so. */
#pragma once

#include "net/claim.h"

struct watches; /* by wire */

/* closer: of net/closer.h. */
int watches_open(struct watches **ret, int closer, const struct claim_ops *ops, struct err *e);
/* Of a link of the host, on the wire of which the port is; mac: what it has there. */
int watch_add(struct watches *ws, const Net__Port *p, int index, const uint8_t mac[6], struct err *e);
/* … of a link in the port's namespace: two of announce_open in it, taken, also when it fails. */
int watch_add_inside(struct watches *ws, const Net__Port *p, int fd[2], int index, const uint8_t mac[6], struct err *e);
/* NULL: all. */
void watch_del(struct watches *ws, const char *host_link);
int watches_fd(const struct watches *ws);	/* readable: watches_go_on */
uint64_t watches_due(const struct watches *ws); /* when it wants to be called (now_ns), 0: no need */
int watches_go_on(struct watches *ws);

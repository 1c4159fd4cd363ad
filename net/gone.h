/* net/gone.h - interfaces whose holder has ended. The end of its namespace takes them along, at less cost than a removal; but the kernel ends all
 * namespaces that have lost their last user as one, and nothing else is done to a link of the host meanwhile (0.6 ms each): so each is held while its
 * interface is in use, and where many end at once a few are let go at a time. And a connection that still has something to send keeps a namespace for
 * minutes: a second later what is left of the interface is removed. Who holds nothing any more, killed, has let go of all. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct gone;

int gone_open(struct gone **ret, struct nl *host, struct err *e);
/* In use, in that namespace (taken). Without memory or descriptors it is not held, and ends when it ends. */
void gone_hold(struct gone *g, const char *host_link, int *ns_fd);
/* Its holder has ended. Without memory it is removed at once. */
void gone_add(struct gone *g, const char *host_link);
/* Somebody needs the lock that the ends of namespaces hold: for a moment fewer of them. */
void gone_yield(struct gone *g);
/* It was removed, or somebody has it again. */
void gone_forget(struct gone *g, const char *host_link);
/* Of those in use only these are. */
void gone_keep(struct gone *g, Net__Port *const *ports, size_t n);
/* On its way. */
bool gone_has(const struct gone *g, const char *host_link);
/* When there is something to be done: now_ns(), or 0. */
uint64_t gone_due(const struct gone *g);
void gone_go_on(struct gone *g);

/* ctl/network_text.h - interfaces and published ports as Docker's users write them, into the request's words. Pure. What there is of
 * networks, addresses and ports, berthd says. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

/* NETWORK[:KEY=VALUE[,KEY=VALUE]], into an ask without a network. */
int network_from_text(Berth__NetworkAsk *ask, const char *text, struct err *e);
void network_alias_add(Berth__NetworkAsk *ask, const char *name);
void network_address_add(Berth__NetworkAsk *ask, const char *address);
/* [[IP:][HOST[-HOST]]:]PORT[-PORT][/PROTOCOL], IPv6 in brackets: one map for each port of a range, which next gives. */
int ports_from_text(Berth__PortMap *(*next)(void *arg), void *arg, const char *text, struct err *e);

/* "100mbit", "500k", "none" (0): bits in a second. */
int rate_from_text(const char *text, uint64_t *ret, struct err *e);

/* net/published.h - published ports of UDP that begin to lead to a container. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

/* Who sends to them without rest would reach whom they led to before, or the host, for ever. was: what it had already; NULL: nothing. */
int published_begin(struct nl *host, const Net__Port *was, const Net__Port *p, struct err *e);

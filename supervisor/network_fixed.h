/* supervisor/network_fixed.h - host and none as objects. Nobody changes or frees them. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"

#define NETWORKS_FIXED 2u

Berth__Network *network_fixed_at(unsigned i);
/* By name or uuid, or NULL. */
Berth__Network *network_fixed(const char *ref);
/* A member may not have the host's. */
bool network_fixed_sees(const struct principal *who, const Berth__Network *n);

/* supervisor/network_default.h - the network of who names none: that of default_network in berthd.conf, or none; who publishes a port, or
 * says what an interface is to be like, means one in any case. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"

/* Of specs that were not checked yet. The choice is in the spec afterwards. e->step: the field. */
int network_default_container(struct supervisor *sv, const struct principal *who, Berth__ContainerSpec *spec,
			      struct err *e);
int network_default_pod(struct supervisor *sv, const struct principal *who, Berth__PodSpec *spec, struct err *e);

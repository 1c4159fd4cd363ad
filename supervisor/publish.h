/* supervisor/publish.h - ports of the host that lead into containers: spec.ports. What is given to whom follows from the containers there
 * are, as with leases. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/supervisor.h"

#define PORTS_MAX 1024u /* of one container */

/* Each by itself, and among each other. e->step: the field. */
int publish_check(Berth__ContainerSpec *spec, struct err *e);
/* With publish_all: one for each port that is exposed, by the request or the image (img may be NULL). */
int publish_exposed(Berth__ContainerSpec *spec, const Berth__ImageConfig *img, struct err *e);
/* Against those of all other containers and what listens on the host; those without a host port get one. */
int publish_lease(struct supervisor *sv, Berth__Container *obj, struct err *e);
/* For berth-net, in the arena. */
void publish_messages(const Berth__ContainerSpec *spec, Net__Port *port, struct arena *a);

/* supervisor/publish.h - ports of the host that lead into containers and pods: spec.ports. What is given to whom follows from those that
 * there are, as with leases. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/supervisor.h"

#define PORTS_MAX 1024u /* of one container */

/* Each by itself, and among each other. network: "none", "host", or NULL where there are networks. e->step: the field. */
int publish_check(Berth__PortMap **ports, size_t n, const char *network, struct err *e);
int publish_check_exposed(const Berth__ContainerSpec *spec, struct err *e);
/* With publish_all: one for each port that is exposed, by the request or the image (img may be NULL). */
int publish_exposed(Berth__ContainerSpec *spec, const Berth__ImageConfig *img, struct err *e);
/* Against those of everybody else than `of` (a uuid) and what listens on the host; those without a host port get one. */
int publish_lease(struct supervisor *sv, Berth__PortMap **ports, size_t n, const char *of, struct err *e);
/* For berth-net, in the arena. */
void publish_messages(Berth__PortMap *const *ports, size_t n, Net__Port *port, struct arena *a);

/* supervisor/network_asked.h - what requests about networks have in common. */
#pragma once

#include "supervisor/network.h"
#include "supervisor/request.h"

/* The one that is meant; NULL: it was refused. */
struct network *request_network(struct request *rq, const char *name);
void network_reply(struct supervisor *sv, struct parked p, Berth__Network **networks, size_t n);

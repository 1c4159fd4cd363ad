/* supervisor/interface.h - an interface that there is gets other properties while it is in use: in memory, then in force, then on disk; then it is answered. A
 * berthd that dies before that begins again with those that it had. */
#pragma once

#include "proto/net.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/net_holder.h"
#include "supervisor/network.h"
#include "supervisor/request.h"

struct interface {
	struct net_holder *holder;
	size_t index; /* of the lease */
	Berth__Lease *lease;
	struct network *network;
	struct arena arena;
	Net__Port *was; /* in the arena: as it is before the change */
};

/* The one that a request names by its container or pod, and its link; false: refused. After true: interface_fini. */
bool interface_asked(struct request *rq, const char *ref, const char *link, struct interface *ret);
void interface_fini(struct interface *i);
/* The lease says what should be: berth-net is told, it is stored, the request is answered. what: for people ("the limits"). */
void interface_changed(struct request *rq, struct interface *i, const char *what);

/* net/work.h - what berth-net does: each message of berthd once, in order. A failure in the middle of anything may be left as it is: whoever starts us again
 * says State first. */
#pragma once

#include "net/away.h"
#include "net/claim.h"
#include "net/gone.h"
#include "net/lost.h"
#include "net/nl.h"
#include "net/pools.h"
#include "net/table.h"
#include "net/watch.h"
#include "net/wires.h"
#include "proto/net.pb-c.h"

struct worker {
	struct nl host;
	struct table *table;
	int home_fd; /* our own network namespace */
	bool lost;   /* the table, or a link that networks have; berthd knows */
	struct lost *links;
	struct away *away;
	struct claims *claims;
	struct watches *watches;
	struct pools *pools;
	struct wires *wires;
	struct gone *gone;
	bool forwards; /* the host does, for networks of which it is the gateway */
	bool warned;   /* of networks that the host itself has a part of; once is enough */
	int announce_fd;
};

/* fd: what came with it, or -1; not consumed. WORK_LATER: e says what it waits for; others have their turn meanwhile, and it is asked for again. */
#define WORK_LATER 1
int work_do(struct worker *w, const Net__NetMessage *m, int fd, struct err *e);
/* A socket in the namespace of the process or descriptor, and the namespace; if ret_packet_fd, one of announce_open in it. We are back
 * home afterwards, or no more. */
int work_visit(struct worker *w, int pidfd, struct nl *inside, int *ret_ns_fd, int *ret_packet_fd, struct err *e);

/* supervisor/net_change_own.h - a change of interfaces, for the files about it. */
#pragma once

#include "supervisor/net_change.h"

#include <sys/types.h>

struct net_change {
	struct list link; /* net_holder.changes */
	struct net_holder *h;
	struct parked parked; /* client 0: nobody asks any more */
	uint64_t lease;	      /* its id */
	bool leaves;
	bool moves;		/* … and it is the first: the next one gets what that had */
	bool storing;		/* its row is on the way */
	bool failed;		/* … without it again */
	struct err failure;	/* why */
	Berth__NetworkAsk *ask; /* owned: of one that leaves, until it has */
	char text[40];		/* of the interface */
	struct timer again;	/* of one that leaves, and that berth-net could not take out */
	uint64_t wait_ns;
};

/* The one of a lease that is under way, or NULL. */
struct net_change *net_change_of(const struct net_holder *h, uint64_t lease);
struct net_change *net_change_new(struct net_holder *h, const Berth__Lease *l, struct parked parked, bool leaves);
void net_change_free(struct net_change *k);
/* The row as it is now; then its steps follow. Negative: nothing does. */
int net_change_store(struct net_change *k, struct err *e);
void net_change_reply(const struct net_holder *h, struct parked parked, char *link);

/* The number of the lease with this id; n_leases: it is gone. */
size_t net_row_at(const struct net_holder *h, uint64_t id);
/* The number of what was asked for of that lease. */
size_t net_row_ask_at(const struct net_stored *s, size_t lease);
void net_row_ask_put(struct net_rows *rows, size_t at, Berth__NetworkAsk *ask); /* takes it; there is room */
Berth__NetworkAsk *net_row_ask_take(struct net_rows *rows, size_t at);
/* With what floating IPs and groups have of it. */
void net_row_drop(struct net_holder *h, size_t i);
/* NETWORK, NETWORK:LINK or LINK: its number, or negative errno. */
ssize_t net_row_called(const struct net_stored *s, const char *what, const char *noun, struct err *e);

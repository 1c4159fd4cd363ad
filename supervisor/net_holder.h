/* supervisor/net_holder.h - who has a network namespace of his own with interfaces in it: a plain container, or a pod of several. What he
 * is to have, leases and published ports, is stored with him; this is what the kernel has of it. */
#pragma once

#include "base/list.h"
#include "proto/berth.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/store.h"
#include "supervisor/supervisor.h"

struct net_holder;

struct leases {
	Berth__Lease ***list; /* of a stored object */
	size_t *n;
};

/* Of his stored object. */
struct net_stored {
	const Berth__Meta *meta;
	Berth__Lease **leases;
	size_t n_leases;
	Berth__PortMap **ports; /* they lead to his first interface */
	size_t n_ports;
	const Berth__NameOptions *names; /* never NULL */
};

/* … as changes of it need them. */
struct net_rows {
	struct leases leases;
	Berth__NetworkAsk ***asks; /* in the order of those leases that are not leaving */
	size_t *n_asks;
	char **network; /* "none" when there are none */
};

struct net_holder_kind {
	const char *noun; /* "container" */
	struct net_stored (*stored)(const struct net_holder *h);
	/* What he is called by others in his networks, in the arena; the first is his name. */
	char **(*names)(const struct net_holder *h, struct arena *a, size_t *ret_n);
	/* Everything that was asked for is there; or (e) it is not, and nothing is waited for any more. */
	void (*attached)(struct net_holder *h, const struct err *e);
	struct net_rows (*rows)(struct net_holder *h);
	/* His row: now, done is told; or with the next one. */
	int (*store)(struct net_holder *h, store_done *done, void *arg);
	void (*touch)(struct net_holder *h);
	/* The pidfd of a process in the namespace, the caller's; negative: nothing runs there. */
	int (*open)(struct net_holder *h);
	/* Its shim, which has the namespace open longer than anything runs there; 0: there is none. */
	int (*shim)(const struct net_holder *h);
};

struct net_holder {
	struct list link; /* supervisor.net_holders */
	struct supervisor *sv;
	const struct net_holder_kind *kind;
	struct list changes; /* of struct net_change.link: under way (net_change.h) */
	struct list mends;   /* of struct net_mend.link (net_mend.c) */
	bool asked;	     /* berth-net was told of his interfaces */
	bool ahead;	     /* the links of his first interface were made ahead, in the namespace that he will have */
	bool ready;	     /* his namespace has them */
	unsigned left;	     /* … are being made */
	unsigned not_held;   /* how often in a row berth-net could not hold his NIC, or died of it */
};

void net_holder_init(struct net_holder *h, struct supervisor *sv, const struct net_holder_kind *kind);
void net_holder_fini(struct net_holder *h); /* harmless on what was never begun */

/* Of a spec, which may have none. */
const Berth__NameOptions *net_names(const Berth__NameOptions *of_spec);

static inline struct net_stored net_stored_of(const struct net_holder *h)
{
	return h->kind->stored(h);
}

/* Which of them the default route and published ports are of; n_leases: none. */
static inline size_t net_first(const struct net_stored *s)
{
	size_t i = 0;

	while (i < s->n_leases && s->leases[i]->leaving)
		i++;
	return i;
}

/* The lease with that host's end, and whose it is; or NULL. */
Berth__Lease *net_lease_at(struct supervisor *sv, const char *host_link, struct net_holder **ret);
/* There are interfaces to be made before anything may run in the namespace. */
bool net_holder_wants(const struct net_holder *h);
/* pidfd: of a process in the namespace, not consumed. kind->attached follows, unless it is negative; then e is filled. */
int net_holder_attach(struct net_holder *h, int pidfd, struct err *e);
/* berthd was away, and nothing of his is known to run now. kept: his shim lives, and may have kept the namespace with all that an earlier berthd had made in it. */
void net_holder_recover(struct net_holder *h, bool kept);
/* Something runs there, so it has them. */
void net_holder_runs(struct net_holder *h);
/* What was to have them has ended: no answer is waited for. The namespace may stay, and what is in it. */
void net_holder_forget(struct net_holder *h);
/* The namespace is gone. */
void net_holder_down(struct net_holder *h);
/* A berth-net begins: it is told what it has to hold of those that live. */
void net_holders_hold(struct supervisor *sv);

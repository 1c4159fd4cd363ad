/* supervisor/pod.h - a sandbox: owns the namespaces that its containers share and the group that holds theirs.
 *
 * A plain container owns an implicit pod of one, of the same uuid: no row, no holder process, its shim keeps the network
 * namespace. A pod that was asked for has a holder: a shim whose program is the pause loop (LaunchPlan.program PAUSE); its
 * pidfd is what members join. The holder is started when the first member wants to start and lives until the pod is removed. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/shim.pb-c.h"
#include "supervisor/client.h"
#include "supervisor/net_holder.h"
#include "supervisor/store.h"
#include "supervisor/supervisor.h"

struct container;
struct shimlink_ops;

enum pod_state { POD_EMPTY, POD_STARTING, POD_READY, POD_FAILED };

struct pod {
	struct table_node node; /* supervisor.pods */
	struct supervisor *sv;
	Berth__Pod *obj;	 /* owned */
	struct net_holder net;	 /* of an explicit pod: the interfaces of its containers */
	struct list containers;	 /* of struct container.in_pod */
	struct shimlink *holder; /* owned; NULL for an implicit pod, and while it is down */
	int pause_pidfd;	 /* of the holder's pause process; -1 */
	enum pod_state state;
	uint64_t incarnation; /* of the holder */
	/* of its present incarnation: init containers that ended well since then are done */
	int64_t holder_started_at;
	struct timer timer; /* launch deadline of the holder */
	char failure[200];  /* why the holder could not be started */
	bool adopting;	    /* no hello since berthd started */
	bool bye_sent;
	bool removing, row_deleting;
	bool stored;			 /* its row has been committed */
	struct parked creation, removal; /* who asked */
};

int pod_load(struct supervisor *sv, struct err *e); /* at start: every row of the store */
/* As container_find; explicit ones only. */
struct pod *pod_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e);
int pod_new_implicit(struct supervisor *sv, const char *uuid, struct pod **ret, struct err *e);
void pod_free(struct pod *p);
void pod_add(struct pod *p, struct container *c);
void pod_del(struct pod *p, struct container *c); /* an implicit pod is freed with its container */

/* shared/<uuid>, made with its limits when missing. */
int pod_group_open(struct pod *p, int *ret_fd, struct err *e);

/* May this member launch now? 1 yes; 0 not yet, with the reason for a person in why (what it waits for has been set going);
 * negative errno: it cannot, e is filled. */
int pod_admit(struct pod *p, struct container *c, char *why, unsigned size, struct err *e);
/* An init container may have been what others wait for. */
void pod_member_ended(struct pod *p, struct container *c);
bool pod_init_done(const struct pod *p, const struct container *init);

void pod_arm(struct pod *p); /* the deadline of a launch */
extern const struct shimlink_ops pod_shim_ops;
extern const struct net_holder_kind pod_net_kind;

/* Takes obj. */
int pod_create_row(struct supervisor *sv, Berth__Pod *obj, struct pod **ret, store_done *done, struct err *e);
void pod_remove(struct pod *p, struct parked parked); /* with everything in it */
void pod_holder_bye(struct pod *p);		      /* nobody needs its namespaces any more */
void pod_remove_continue(struct pod *p);

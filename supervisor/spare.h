/* supervisor/spare.h - shims made ahead, so that a start waits neither for a program to be executed nor for a network namespace.
 *
 * A spare is a shim like any other that has no plan yet, for a container that does not exist yet: it has the uuid that this
 * container will have, and made ahead what most of them need (Prepare in shim.proto): a network namespace, its log's ring, the
 * folders of its upper layer, its groups. It ends by itself when berthd does; what it leaves on disk and in the cgroup tree has
 * a uuid that no row knows, and is swept. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"
#include "supervisor/plan.h"
#include "supervisor/shimlink.h"

/* What is there for a launch before it: the group `<uuid>.<n>` with `main`, and perhaps a process that stands by in there. */
struct prepared {
	bool stands_by;
	uint8_t begun[PLAN_DIGEST]; /* what it has begun */
	int net_fd; /* owned: the network namespace that was made for it; -1: it will be said with its process */
};

struct prepared *prepared_new(void); /* NULL: no memory */
void prepared_free(struct prepared *p);
int prepared_note(struct prepared *p, const Shim__LaunchPlan *beginning,
		  struct arena *a); /* stands_by; negative errno */
bool prepared_is(const struct prepared *p, const Shim__LaunchPlan *beginning, struct arena *a);

int spares_open(struct supervisor *sv, struct err *e);
void spares_close(struct supervisor *sv); /* ends them all; nothing is left of them */

/* The uuid of a spare that is ready for this container, which is about to be made and started. False: there is none; the
 * next ones will be made for its like. */
bool spare_offer(struct supervisor *sv, const struct principal *who, const Berth__Container *obj, char uuid[UUID_SIZE]);
/* The links in its namespace are for the first lease of its container, from whom it is named then. False: it has none. */
bool spare_lend_slot(const struct supervisor *sv, const char *uuid, Berth__Lease *first);
/* The spare with this uuid, now with its container for an owner; NULL. *ret is the caller's. */
struct shimlink *spare_take(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner,
			    struct prepared **ret);
/* Layers that no image and no container needs are about to be removed: a spare has them mounted, and an import may bring others by
 * the same name. */
void spares_let_layers_go(struct supervisor *sv);
void spares_retire(struct supervisor *sv); /* the host goes down: what stands by in them ends in time too */
void spares_wait(struct supervisor *sv);   /* a launch begins: none is made beside it */
void spares_refill(struct supervisor *sv); /* a start has come up, or failed */
bool spare_has(const struct supervisor *sv, const char *uuid);
unsigned spare_count(const struct supervisor *sv); /* those that are ready */

/* supervisor/container.h - one container: its states, its events, and the only code that writes its state.
 *
 * See the prose and the table at the top of container.c. Requests, shimlink and timers call container_event(); policy.c
 * decides (pure); the effects of a transition are functions named in the table. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/shim.pb-c.h"
#include "supervisor/client.h"
#include "supervisor/image.h"
#include "supervisor/net_holder.h"
#include "supervisor/policy.h"
#include "supervisor/supervisor.h"
#include "supervisor/waiter.h"

struct pod;
struct prepared;
struct storing;
struct shimlink;
struct shimlink_ops;
extern const struct shimlink_ops container_shim_ops; /* owner: a struct container */

enum container_event_type {
	EV_STORED,	 /* the row is on disk: the container exists */
	EV_STORE_FAILED, /* it could not be stored: it never existed */
	EV_PULL,	 /* its image is to be got: for who made it, or again for a berthd that comes back */
	EV_PULLED,	 /* … and is here */
	EV_PULL_FAILED,	 /* … or cannot be had; c->failure */
	EV_START,	 /* a person */
	EV_STOP,
	EV_RESTART,
	EV_KILL,
	EV_PAUSE,
	EV_UNPAUSE,
	EV_REMOVE,
	EV_REMOVE_FORCE,
	EV_RENAME,
	EV_UPDATE,
	EV_COMMIT,
	EV_REBUILD,
	EV_REBUILD_BEGIN, /* that it is wanted is on disk */
	EV_REBUILT,	  /* the new rootfs is on disk */
	EV_EXEC,
	EV_ATTACH,
	EV_LAUNCH,     /* berthd itself: at boot, when the pod is ready, with a create that also starts */
	EV_LAUNCHING,  /* at re-adoption: the shim is at a launch that was not written down */
	EV_FILLED,     /* its volumes have what the image has for them, or another one may be looked at */
	EV_NET_READY,  /* its interfaces are there */
	EV_NET_FAILED, /* c->failure */
	EV_HELD,       /* the shim: stopped before exec */
	EV_RUNNING,    /* the shim: exec has happened */
	EV_FAILED,     /* the shim or berthd: the launch failed; c->failure */
	EV_POD_FAILED, /* while it waited for its pod; c->failure */
	EV_EXITED,     /* c->exit */
	EV_SHIM_GONE,  /* the shim's process has ended */
	EV_NO_ANSWER,  /* at re-adoption: there is a shim and it does not speak */
	EV_BOOT,       /* the host was restarted: whatever ran does not run */
	EV_DOWN,       /* the host goes down */
	EV_TIMER,      /* c->timer */
	EV_DELETED,    /* the row is gone */
	EV_N_,
};

struct event {
	enum container_event_type type;
	struct parked parked; /* whom to answer; client 0: nobody */
	const char *verb;     /* as the person said it: "cannot <verb>: container is Exited" */
	int session_fd;	      /* START with attach: the client's end, taken; else -1 */
	int shim_session_fd;  /* the shim's end, taken */
	int signal;	      /* KILL */
	bool has_timeout;     /* STOP, RESTART */
	uint32_t timeout_s;
	bool volumes;		      /* REMOVE: anonymous volumes too */
	bool stop_first;	      /* REMOVE_FORCE: by its stop signal, as STOP does */
	const Shim__Running *running; /* RUNNING, HELD */
	const Berth__ImagePull *pull; /* PULL: as it was asked for, with its credentials; NULL: again */
};
#define EVENT(t) ((struct event){.type = (t), .session_fd = -1, .shim_session_fd = -1})

/* What becomes of obj->rebuild. */
enum rebuild_step {
	REBUILD_NONE,
	REBUILD_ASKED,	  /* its row is on the way: nothing has happened to the container yet */
	REBUILD_WANTED,	  /* it is on disk: whoever is berthd carries it out */
	REBUILD_IN_FORCE, /* it has become the container's own, and that row is on the way */
};

struct container {
	struct table_node node;	     /* supervisor.containers */
	struct list step;	     /* supervisor.steps */
	struct list dirty;	     /* supervisor.dirty */
	struct list files_stale;     /* supervisor.files_stale */
	struct refresh *refresh;     /* of its /etc/hosts …; files.c's */
	struct list in_pod;	     /* pod.containers, in order of creation */
	struct container *next_name; /* same bucket of supervisor.names */
	struct supervisor *sv;
	/* owned: meta, spec (checked, never changed but by update/rename), status. What is stored and shown. */
	Berth__Container *obj;
	struct net_holder net;	   /* its interfaces, unless it is in a pod that has them */
	struct pod *pod;	   /* lives at least as long as we are in its list */
	struct shimlink *shim;	   /* owned; NULL when there is no shim */
	struct prepared *prepared; /* owned: what its next launch will find in its shim (spare.h); NULL: nothing */
	/* obj->pull: its image is not here, and it is Creating, or has come to nothing and would begin with that again */
	struct image_wait image;
	struct fill *fill;  /* the job that fills one of its volumes; fill.c's */
	unsigned fill_next; /* the mount that is to be looked at next for that */
	bool fill_waits;    /* a volume of it is being filled for another container */
	struct list copies; /* of struct copy.link: under way, into it or out of it */
	/* launch, stop and kill deadlines, backoff, freezing: what it means follows from the state */
	struct timer timer;
	struct history history; /* what policy.c needs */
	struct list waiters;	/* of struct waiter.of: answers owed */
	char request_id
		[REQUEST_ID_SIZE]; /* of what a person asked of it last; "" once policy has decided something since */
	struct list execs;	   /* of struct exec.link: asked for, not yet started */
	uint32_t answers;	   /* kinds of waiters (bits) to be answered when the present event is handled */
	uint64_t posted;	   /* events (bits of 1 << type) to be handled when the turn ends */
	struct err failure;	   /* of FAILED, PULL_FAILED */
	Berth__Error__Code pull_code; /* of PULL_FAILED */
	Shim__ExitRecord exit;	      /* of EXITED; its strings are NULL */
	bool exit_known;	      /* false: nobody saw the status */
	int session_fd;		      /* the shim's end of a session to be given with the next launch; -1 */
	uint64_t asked_until_ns;      /* an end before this was asked for by a kill; 0 = not */
	uint64_t step_at_ns;	      /* of a stop, pause or removal: when its present step began */
	uint64_t removal_action;      /* of a removal that berthd decided on; 0 = none */
	uint32_t poll_ms;	      /* pause of the present polling */
	uint8_t phase;		      /* of an end that was asked for: enum end_phase in container_act.h */
	/* what a person asked for and is under way: "stop"; static text, NULL = nothing */
	const char *task;
	bool start_after;	  /* STOPPING on the way to a restart */
	bool by_person;		  /* the present start was asked for by a person */
	bool waiting;		  /* wanted to run, the pod is not ready for it yet, or copies into it are under way */
	bool launch_after_copies; /* … which is what it waits for */
	bool ran;		  /* the present start came as far as exec */
	bool launch_when_gone;	  /* the next launch waits for the old shim's end */
	bool freezing;		  /* a pause is under way */
	bool newer;		  /* the shim is further than the row was: its incarnation was started later */
	bool adopting;		  /* no hello since berthd started */
	/* it ended and is removed for that, to which its row as it stands on disk leads again */
	bool goes_by_itself;
	bool removing_volumes;	 /* with the container go its anonymous volumes */
	int said_pidfd;		 /* of its process, while a report that came with it is looked at; else -1 */
	bool held;		 /* its process exists, stopped before exec for whoever starts it */
	bool stopped;		 /* the present launch has come as far as its hold, */
	bool released;		 /* … and was let go on, perhaps before that */
	bool hold;		 /* the present launch is to stop before exec */
	bool bye_sent;		 /* this shim was told to end */
	bool row_queued;	 /* the first write of its row is on the way */
	bool stored;		 /* … and was committed */
	bool row_deleting;	 /* the row's deletion is on the way */
	struct storing *storing; /* changes of its row are on the way */
	bool store_again;	 /* … and there are more */
	/* of its rootfs, under way: commit.c's */
	struct commit *commit;
	struct { /* container_rebuild.c's */
		enum rebuild_step step;
		struct parked parked; /* who asked, until somebody else owes the answer */
		bool storing;
	} rebuild;
	bool thawed; /* the berthd before had frozen it for one: that is over, whatever is seen of it yet */
};

extern const struct net_holder_kind container_net_kind;
struct net_holder *container_net(struct container *c); /* of the namespace that it is in: its own, or its pod's */

/* container_row.c: the object, its row in the store, its place in the tables. */
/* Takes obj, also on failure. */
int container_new(struct supervisor *sv, Berth__Container *obj, struct container **ret, struct err *e);
void container_free(struct container *c);
int container_load(struct supervisor *sv, struct err *e); /* at start: every row of the store */

/* Of the project that who is about; if there is none and he sees all, of any. NULL: e->code ENOENT or ENOTUNIQ (ambiguous). */
struct container *container_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e);
/* Its row now, as it is; not before the first is on its way, and not behind its deletion. */
int container_put(struct container *c, store_done *done, void *arg);
void container_touch(struct container *c);  /* something visible changed: store it when the turn ends */
void container_vanish(struct container *c); /* the row is gone: tell, answer, free */
void container_flush_all(struct supervisor *sv);
/* Queues the first write of its row: EV_STORED or EV_STORE_FAILED follows. */
int container_create_row(struct container *c);
/* At the end of a turn: posted events until quiet, then what changed to the store. */
void container_step_all(struct supervisor *sv);
const char *container_state_name(Berth__ContainerState s); /* "Running" */
static inline Berth__ContainerState container_state(const struct container *c)
{
	return c->obj->status->state;
}
/* May it happen in this state? */
bool container_row_exists(Berth__ContainerState s, enum container_event_type type);
bool container_has_process(const struct container *c); /* starting, running, paused or stopping */

/* Handles one event now: 0, or -EBUSY and e = "cannot pause: container is Exited". For a person's event the answer is parked
 * when 0 is returned. Never from within an action: those post. */
int container_event(struct container *c, struct event *ev, struct err *e);
void container_post(struct container *c, enum container_event_type type); /* handled when the turn ends */
/* The deadline or retry of its state, which an earlier berthd had armed. */
void container_rearm(struct container *c);
/* What the shim said, or what was found of it at start. */
void container_hello(struct container *c, const Shim__ShimHello *h);

void container_publish(struct container *c, const char *type, const char *reason, const char *const *attributes);
/* Of the present incarnation; -ENOENT when there is none. */
int container_group_open(const struct container *c, int *ret_fd);
void container_group_path(const struct container *c, char *buf, unsigned size); /* below <root>/shared */

/* A pause under way is not to be: thawed, and its waiters told. */
void container_freeze_forget(struct container *c, const char *why);

/* Called by client.c: nobody waits for the answer to this request any more (gone, cancelled, past its deadline). */
bool container_cancel(struct supervisor *sv, uint64_t client, uint64_t request);

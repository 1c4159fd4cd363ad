/* supervisor/worker.h - a process that berthd keeps running while somebody needs it: born in a group of its own in jobs/, with a socket to us
 * as its descriptor 3. It is told everything that it should know, then single changes in order. One that dies, or does not take what it is
 * told, is ended and started again, and hears everything again. */
#pragma once

#include "proto/peer.h"
#include "supervisor/reaper.h"
#include "supervisor/supervisor.h"

struct worker;

struct worker_kind {
	const char *name;  /* "berth-net" */
	const char *step;  /* of errors about it */
	const char *group; /* how its group in jobs/ begins */
	size_t queue_bytes, queue_records;
	/* Asked before each start. */
	bool (*wanted)(struct worker *w);
	/* It runs, and told is set already; negative: it is ended. */
	int (*tell_all)(struct worker *w, struct err *e);
	/* One record of it; valid during the call. Negative: it speaks nonsense. */
	int (*record)(struct worker *w, const void *data, size_t len);
	/* It is down, and will be started again if it is wanted then. NULL: nobody needs to hear of that. */
	void (*failed)(struct worker *w, const struct err *e);
};

struct worker {
	const struct worker_kind *kind;
	struct supervisor *sv;
	const char *path; /* not owned */
	struct peer peer;
	struct child child; /* pid 0: none, or it is dead */
	struct timer timer; /* of its next start */
	bool runs, told;    /* … everything: single changes are sent at once */
	uint64_t started_at;
	int pidfd, group_fd;
	char group[40];
};

void worker_init(struct worker *w, const struct worker_kind *kind, struct supervisor *sv, const char *path);
void worker_end(struct worker *w);   /* and waits for its end, a moment */
void worker_leave(struct worker *w); /* it goes on without us */

/* Someone needs it: started, from the loop, if it does not run. */
void worker_wake(struct worker *w);
/* What is missing to one that hears changes is done now: started, told everything. */
void worker_go_on(struct worker *w);
/* It does not do what it must. */
void worker_fail(struct worker *w, const struct err *e);
/* A message of any length; fd (not consumed) goes with it, -1: none. */
int worker_send(struct worker *w, const void *data, size_t len, int fd);
/* Its group, or one that was left by the worker of an earlier berthd: whoever is in it is killed. */
void worker_bury(struct supervisor *sv, const char *group);

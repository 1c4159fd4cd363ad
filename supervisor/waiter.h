/* supervisor/waiter.h - an answer that a container owes to a client, until something happens to the container. */
#pragma once

#include "supervisor/client.h"
#include "supervisor/supervisor.h"

struct container;

enum waiter_kind {
	WAIT_CREATED,	  /* -> ContainerReply */
	WAIT_ACCEPTED,	  /* create and start with accept: the row is on disk -> ContainerReply; the action goes on */
	WAIT_STARTED,	  /* -> ContainerReply (+ session) */
	WAIT_ENDED,	  /* stop, kill -> Done */
	WAIT_RESTARTED,	  /* -> ContainerReply */
	WAIT_PAUSED,	  /* -> Done */
	WAIT_NOT_RUNNING, /* wait -> WaitReply */
	WAIT_NEXT_EXIT,
	WAIT_REMOVED, /* wait --condition removed -> WaitReply */
	WAIT_DELETED, /* rm -> Done */
	WAIT_STORED,  /* update, rename -> ContainerReply, when the change is on disk */
	WAIT_STORING, /* … and its write is on the way */
	WAIT_N_,
};
#define WAIT_BIT(kind) (1u << (kind))

struct waiter {
	struct list of;	 /* container.waiters */
	struct list all; /* supervisor.waiters */
	enum waiter_kind kind;
	struct parked parked;
	int session_fd; /* owned: the client's end of a session that goes with the answer; -1 */
};

/* Takes session_fd. -ENOMEM: it is closed, nobody will be answered. */
int waiter_add(struct container *c, enum waiter_kind kind, struct parked parked, int session_fd);
bool waiter_any(const struct container *c, unsigned kinds);
/* Answers all of these kinds (bits) as their kind says, and forgets them. */
void waiters_answer(struct container *c, unsigned kinds);
void waiters_fail(struct container *c, unsigned kinds, Berth__Error__Code code, const struct err *e);
void waiters_move(struct container *c, enum waiter_kind from, enum waiter_kind to);
/* The answer itself, for whom it is due at once. */
void answer_container(struct container *c, struct parked p, int session_fd); /* takes session_fd */
void answer_wait(struct container *c, struct parked p);

/* proto/peer.h - a non-blocking connection on a loop: records in, a bounded queue of records out. One implementation for
 * berthd's clients, its shims, and the gateway's upstream. Knows records, not messages. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "proto/wire.h"

struct peer;

struct peer_ops {
	/* One record. data is valid during the call; fds that it does not take are closed after it. Negative: drop the peer. */
	int (*record)(struct peer *p, const void *data, size_t len, struct wire_fds *fds);
	/* The peer is gone or was dropped for the reason given (0: it closed, else a negative errno; -EPROTO: a bad record).
	 * Called once, from the loop, never from within peer_send; the owner calls peer_fini, and may free it. Any other op may
	 * do that too. */
	void (*gone)(struct peer *p, int reason);
	void (*drained)(struct peer *p); /* the queue is empty again after it was not; may be NULL */
};

struct peer {
	struct source source;
	struct timer doom; /* calls gone from the loop after a failed send */
	const struct peer_ops *ops;
	int fd;		 /* owned */
	struct list out; /* of struct peer_record_ */
	size_t out_bytes, out_records;
	size_t max_bytes, max_records;
	int reason;
	bool dead;	  /* its `gone` is on the way */
	bool deaf;	  /* it takes nothing any more; what it still says is read first, then it is dead */
	bool *fini_seen_; /* set when an op ends the peer that is calling it */
};

#define PEER_NULL ((struct peer){.fd = -1})

/* Takes fd. Negative errno: fd is closed. */
int peer_init(struct peer *p, struct loop *l, int fd, const struct peer_ops *ops, size_t max_bytes, size_t max_records);
void peer_fini(struct peer *p); /* idempotent */

/* Sends now or queues a copy; fds are duplicated when queued (consumed never). -ENOBUFS when the queue is full: nothing was
 * taken. 0 on a dead peer (its `gone` is on the way). */
int peer_send(struct peer *p, const void *data, size_t len, const int *fds, unsigned n_fds);
/* Drop it: gone() is called from the loop soon, with this reason. */
void peer_drop(struct peer *p, int reason);

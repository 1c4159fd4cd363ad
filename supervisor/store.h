/* supervisor/store.h - what berth remembers: SQLite in WAL mode, one connection, owned by one thread.
 *
 * The loop hands work over in a bounded queue and never waits; the thread takes what has gathered, makes one transaction of
 * it (synchronous=FULL), and hands the results back through an eventfd: `done` runs on the loop. Order of the queue is kept.
 * An object is a row (kind, uuid, id, project, name, revision, deleted_at, blob); the blob is the packed protobuf message.
 * A write that fails (disk full, I/O error) is reported to its `done` with a negative errno, and store_error() says why
 * until a later write succeeds: mutations are then refused, supervision goes on. The schema has a version (PRAGMA
 * user_version); a newer one than ours is refused at open, the previous release can read what this one wrote. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_kind {
	STORE_CONTAINER = 1,
	STORE_POD,
	STORE_IMAGE,
	STORE_VOLUME,
	STORE_TOKEN,
	STORE_NETWORK,
	STORE_SECURITY_GROUP,
	STORE_FLOATING_POOL = 16,
	STORE_FLOATING_IP
};

struct store;
typedef void store_done(void *arg, int result); /* 0 = committed; negative errno */

/* Opens, locks (a second berthd on the same folder: -EBUSY), migrates, and starts the thread. */
int store_open(struct loop *l, const char *dir, struct store **ret, struct err *e);
/* Commits what is queued (the `done`s are called, so their owners must still be there), ends the thread. NULL is harmless. */
void store_close(struct store *st);
/* Opens read-only and says whether this program could take the state over (berthd --check-state). */
int store_check(const char *dir, struct err *e);

/* At start, before the loop runs: every object of the kind that is not deleted, and the counters. */
int store_load(struct store *st, enum store_kind kind, int (*fn)(void *arg, const void *blob, size_t len), void *arg,
	       struct err *e);
int store_load_counters(struct store *st, uint64_t *ret_next_id, uint64_t *ret_revision, struct err *e);

/* What was used of the counters so far (the next values to give): call it on every use, it costs a comparison. A block ahead is
 * reserved on disk, in the order of the queue, so that no row is ever committed with a number that a later berthd gives again. */
void store_used(struct store *st, uint64_t next_id, uint64_t revision);

/* Queue one write. Everything passed is copied. done may be NULL. -ENOBUFS when the queue is full (nothing queued).
 * must_fit true: a status update. It may use the reserve of the queue, and when it fails the store keeps it and tries again
 * until it is written or a newer write of the same object replaces it; done is told of the first failure only. */
int store_put(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object,
	      bool must_fit, store_done *done, void *arg);
int store_delete(struct store *st, enum store_kind kind, const char *uuid, store_done *done, void *arg);
/* Rows of one kind that belong together: all of them are written or none. object NULL: deleted. */
struct store_row {
	const Berth__Meta *meta;
	const ProtobufCMessage *object;
};
int store_write(struct store *st, enum store_kind kind, const struct store_row *rows, size_t n, store_done *done,
		void *arg);
int store_put_action(struct store *st, const Berth__Action *a, store_done *done, void *arg);
/* Of objects that are gone; and all but the newest 1000 of each living one. */
int store_drop_actions(struct store *st, int64_t finished_before);
/* Ends, with this reason, what is open of actions up to this id: those of an earlier berthd. */
int store_end_actions(struct store *st, uint64_t up_to_id, int64_t at, const char *reason);
int store_put_token(struct store *st, const char *principal, const char *token, uint64_t body_hash, const void *reply,
		    size_t len, int64_t expires_at);
/* This one, or (NULL) the expired. */
int store_drop_tokens(struct store *st, const char *principal, const char *token, int64_t expired_before);

/* Actions are not kept in memory: read by the thread. Oldest first, those after after_id; or newest first, those before after_id (0: from
 * the newest). found() runs on the loop with messages that are freed after it; next_id: where there may be more, 0 = there is no more.
 * Of project and request_id there is no index: no more than STORE_LOOK_MAX actions are looked at at once, so that nobody holds up the
 * thread, and there may be more behind a page that is empty. */
#define STORE_LOOK_MAX 4000u
struct actions_query {
	const char *object_uuid, *object_name; /* the first may be the beginning of one; either fits, none given: all */
	const char *project, *request_id;      /* NULL: of any */
	uint64_t after_id;
	bool newest_first;
	uint32_t limit;
};
int store_get_actions(struct store *st, const struct actions_query *q,
		      void (*found)(void *arg, int result, Berth__Action **actions, size_t n, uint64_t next_id),
		      void *arg);
int store_load_tokens(struct store *st,
		      int (*fn)(void *arg, const char *principal, const char *token, uint64_t body_hash,
				const void *reply, size_t len, int64_t expires_at),
		      void *arg);

/* Disk work that is not SQL, in the thread and in the order of the queue: work(arg) there, then done(arg) here. */
int store_call(struct store *st, int (*work)(void *arg), void *arg, store_done *done);
/* Both in one, so that a crash may leave a folder without a row but never a row without its folder. store_put_after: work (mkdir of
 * the object's folder) comes first; if it fails nothing is written and done gets its result. store_delete_then: work (rename
 * into the trash) comes when the deletion is committed, not at all if that failed; done gets the first failure. */
int store_put_after(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object,
		    int (*work)(void *arg), store_done *done, void *arg);
int store_delete_then(struct store *st, enum store_kind kind, const char *uuid, int (*work)(void *arg),
		      store_done *done, void *arg);

/* "" when the last write succeeded; it is probed once a second while set. */
/* At the end of each turn of a loop: what was queued in it goes to the thread. Who never calls this needs not. */
void store_turn(struct store *st);

const char *store_error(const struct store *st);
bool store_full(const struct store *st); /* the queue takes no more mutations now */
uint64_t store_queued(const struct store *st);

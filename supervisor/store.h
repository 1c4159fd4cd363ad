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

#include <stddef.h>
#include <stdint.h>

enum store_kind { STORE_CONTAINER = 1, STORE_POD, STORE_IMAGE, STORE_VOLUME };

struct store;
typedef void store_done(void *arg, int result);	/* 0 = committed; negative errno */

/* Opens, locks (a second berthd on the same folder: -EBUSY), migrates, and starts the thread. */
int store_open(struct loop *l, const char *dir, struct store **ret, struct err *e);
/* Commits what is queued, ends the thread. */
void store_close(struct store *st);
/* Opens read-only and says whether this program could take the state over (berthd --check-state). */
int store_check(const char *dir, struct err *e);

/* At start, before the loop runs: every object of the kind that is not deleted, and the counters. */
int store_load(struct store *st, enum store_kind kind, int (*fn)(void *arg, const void *blob, size_t len), void *arg, struct err *e);
int store_load_counters(struct store *st, uint64_t *ret_next_id, uint64_t *ret_revision, struct err *e);

/* Queue one write. Everything passed is copied. done may be NULL. -ENOBUFS when the queue is full (nothing queued).
 * must_fit true: a status update that may use the reserve kept for supervision. */
int store_put(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object, bool must_fit, store_done *done, void *arg);
int store_delete(struct store *st, enum store_kind kind, const char *uuid, store_done *done, void *arg);
int store_put_action(struct store *st, const Berth__Action *a, store_done *done, void *arg);
int store_drop_actions(struct store *st, int64_t finished_before);	/* of objects that are gone */
int store_put_token(struct store *st, const char *principal, const char *token, uint64_t body_hash, const void *reply, size_t len, int64_t expires_at);

/* Actions are not kept in memory: read by the thread. found() runs on the loop with messages that are freed after it. */
int store_get_actions(struct store *st, const char *object_uuid, const char *object_name, uint64_t after_id, uint32_t limit,
		      void (*found)(void *arg, int result, Berth__Action **actions, size_t n), void *arg);
int store_load_tokens(struct store *st, int (*fn)(void *arg, const char *principal, const char *token, uint64_t body_hash, const void *reply, size_t len, int64_t expires_at), void *arg);

/* Disk work that is not SQL (mkdir of a container's folder, rename of it into the trash): in the thread, in order. */
int store_call(struct store *st, int (*work)(void *arg), void *arg, store_done *done);

const char *store_error(const struct store *st);	/* "" when the last write succeeded */
uint64_t store_queued(const struct store *st);

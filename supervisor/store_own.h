/* supervisor/store_own.h - the inside of the store, for its own files only.
 *
 * Who touches what: `db` and everything named `t_` belong to the thread; `queue`, `finished` and the counts beside them are
 * under `lock`; the rest is the loop's. An op is made by the loop (store_put.c, store_load.c), travels to the thread in the queue
 * (store.c), is run there (store_thread.c, store_op.c, store_db.c), goes back in `finished`, and is freed by the loop. Before the
 * thread is started, store_open has all of it. */
#pragma once

#include "base/list.h"
#include "supervisor/store.h"

#include <pthread.h>
#include <sqlite3.h>

enum op_kind {
	OP_PUT,
	OP_DELETE,
	OP_ACTION,
	OP_DROP_ACTIONS,
	OP_END_ACTIONS,
	OP_TOKEN,
	OP_DROP_TOKENS,
	OP_COUNTERS,
	OP_SET_COUNTERS,
	OP_GET_ACTIONS,
	OP_GET_NEWEST,
	OP_CALL,
	OP_LOAD, /* at start: the loop waits for it */
	OP_KIND_N_,
};

struct store_op {
	struct list link;      /* store.queue, a batch of the thread, store.finished, or store.t_kept */
	struct store_op *with; /* owned: what is written with it, in the same transaction */
	enum op_kind kind;
	bool keep;	 /* tried again until it succeeds */
	bool reserve;	 /* may use the reserve of the queue */
	bool ran;	 /* its work before the row was done: not again when the batch is repeated */
	bool call_after; /* its work comes after the commit */
	enum store_kind object;
	uint64_t id, revision, hash, next_id;
	uint32_t limit;
	int64_t at, at2;
	char *text, *text2, *text3, *text4; /* owned: uuid, project, name; principal, token; … */
	void *blob;			    /* owned */
	size_t len;
	int result;
	store_done *done;
	void *arg;
	int (*call)(void *arg);
	int (*load)(struct store *st, struct store_op *op);
	void *load_arg;
	void (*found)(void *arg, int result, Berth__Action **actions, size_t n, uint64_t next_id);
	Berth__Action **actions; /* owned, with what they point to */
	size_t n_actions;
};

struct store {
	struct loop *loop;
	struct source source;
	int event_fd, lock_fd;
	char error[300]; /* the loop's copy */
	uint64_t used_id, used_revision, asked_id, asked_revision;
	uint64_t in_flight; /* ops that the loop has not got back */
	bool in_turns;	    /* somebody says when a turn ends (store_turn) */
	bool to_wake;	    /* the thread, when it does */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;   /* the queue is not empty, or end */
	pthread_cond_t loaded; /* an OP_LOAD is through */
	struct list queue, finished;
	uint32_t n_queue, n_mutations;
	size_t queue_bytes;
	bool end;
	bool load_done;
	char shared_error[300];

	sqlite3 *db;
	sqlite3_stmt *t_stmt[OP_KIND_N_];
	sqlite3_stmt *t_begin, *t_commit;
	struct list t_kept; /* of struct store_op.link: failed writes */
	uint32_t t_n_kept;
	char t_error[300];
	uint64_t t_dropped; /* kept writes given up because there were too many */
};

/* store_db.c: SQLite. Negative errno; what the database said is in t_error. */
int store_db_open(struct store *st, const char *dir, struct err *e);
int store_failed(struct store *st, int code); /* of the last call's result code, which is no success */
int store_exec(struct store *st, const char *sql);
int store_step(struct store *st, sqlite3_stmt *s); /* of a statement without rows; it may be bound anew afterwards */
int store_begin(struct store *st);
int store_commit(struct store *st);
void store_rollback(struct store *st);
int store_wal_anew(struct store *st); /* a full disk: the next write takes blocks that the WAL has already */

/* store_op.c: the statements. */
int store_prepare(struct store *st);
int store_op_run(struct store *st, struct store_op *op); /* in the thread, within a transaction */
struct store_op *store_op_new(enum op_kind kind, store_done *done, void *arg);
void store_op_free(struct store_op *op);

/* store_thread.c */
void *store_thread(void *arg);

/* store.c: takes op, also when it fails (-ENOBUFS: there is no room). */
int store_queue(struct store *st, struct store_op *op);

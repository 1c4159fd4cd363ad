/* supervisor/store.c - see supervisor/store.h.
 *
 * Who touches what: `db` and everything named `t_` belong to the thread; `queue`, `finished` and the counts beside them are
 * under `lock`; the rest is the loop's. An op is made by the loop, travels to the thread in the queue and back in `finished`,
 * and is freed by the loop. One transaction takes all ops that have gathered. If it fails, each op is tried in a
 * transaction of its own, so that one bad write does not take its neighbours with it.
 *
 * One connection, in exclusive locking mode: no shared memory file, and the WAL-reset fault of SQLite before 3.51.3
 * (two connections that write and checkpoint at once) cannot happen. That is also why store_check reads the header of the file
 * and does not open it: the berthd that runs has it. */
#include "supervisor/store.h"

#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STORE_SCHEMA	     1	    /* PRAGMA user_version; add a migration below when it grows */
#define STORE_QUEUE	     8192u  /* ops waiting, mutations */
#define STORE_RESERVE	     65536u /* ops waiting, status updates included */
#define STORE_BYTES	     (64u << 20)
#define STORE_BATCH	     512u   /* ops in one transaction */
#define STORE_KEPT	     65536u /* failed writes that are tried again */
#define STORE_ID_BLOCK	     (1u << 14)
#define STORE_REV_BLOCK	     (1u << 20)
#define STORE_ACTIONS_OF_ONE 1000
#define STORE_RETRY_S	     1

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
	struct list link; /* store.queue, a batch of the thread, store.finished, or store.t_kept */
	enum op_kind kind;
	bool keep;	 /* tried again until it succeeds */
	bool reserve;	 /* may use the reserve of the queue */
	bool ran;	 /* its work before the row was done: not again when the batch is repeated */
	bool call_after; /* its work comes after the commit */
	enum store_kind object;
	uint64_t id, revision, hash;
	uint32_t limit;
	int64_t at, at2;
	char *text, *text2, *text3; /* owned: uuid, project, name; principal, token; … */
	void *blob;		    /* owned */
	size_t len;
	int result;
	store_done *done;
	void *arg;
	int (*call)(void *arg);
	int (*load)(struct store *st, struct store_op *op);
	void *load_arg;
	void (*found)(void *arg, int result, Berth__Action **actions, size_t n);
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

/* ---------------------------------------------------------------- SQLite */

/* The WAL's content goes into the database, and the next write begins at the WAL's start, in blocks that it has already. */
#define STORE_WAL_ANEW "PRAGMA wal_checkpoint(RESTART)"

static const char *const schema_1[] = {
	"CREATE TABLE objects (kind INTEGER NOT NULL, uuid TEXT NOT NULL, id INTEGER NOT NULL, project TEXT NOT NULL,"
	" name TEXT NOT NULL, revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL, blob BLOB NOT NULL,"
	" PRIMARY KEY (kind, uuid))",
	"CREATE TABLE actions (id INTEGER PRIMARY KEY, object_uuid TEXT NOT NULL, object_name TEXT NOT NULL,"
	" started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL, blob BLOB NOT NULL)",
	"CREATE INDEX actions_by_uuid ON actions (object_uuid, id)",
	"CREATE INDEX actions_by_name ON actions (object_name, id)",
	"CREATE INDEX actions_open ON actions (id) WHERE finished_at = 0",
	"CREATE TABLE tokens (principal TEXT NOT NULL, token TEXT NOT NULL, body_hash INTEGER NOT NULL, expires_at "
	"INTEGER"
	" NOT NULL, reply BLOB NOT NULL, PRIMARY KEY (principal, token))",
	"CREATE TABLE counters (one INTEGER PRIMARY KEY CHECK (one = 1), next_id INTEGER NOT NULL, revision INTEGER "
	"NOT NULL)",
	"INSERT INTO counters VALUES (1, 1, 1)",
	"CREATE TABLE reserve (filler BLOB)", /* empty, see store_make_reserve */
};

/* [n] brings version n to n + 1. Columns and tables are only ever added: the previous release must be able to read on. */
static const struct {
	const char *const *sql;
	size_t n;
} migrations[STORE_SCHEMA] = {
	[0] = {schema_1, ARRAY_SIZE(schema_1)},
};

/* ?2 is what follows the last uuid with this beginning. */
#define GET_ACTIONS_OF " AND (?5 OR (object_uuid >= ?1 AND object_uuid < ?2) OR object_name = ?3) "

static const char *const op_sql[OP_KIND_N_] = {
	[OP_PUT] = "INSERT INTO objects (kind, uuid, id, project, name, revision, deleted_at, blob) VALUES (?1, ?2, "
		   "?3, ?4, ?5,"
		   " ?6, ?7, ?8) ON CONFLICT (kind, uuid) DO UPDATE SET project = ?4, name = ?5, revision = ?6,"
		   " deleted_at = ?7, blob = ?8",
	[OP_DELETE] = "DELETE FROM objects WHERE kind = ?1 AND uuid = ?2",
	[OP_ACTION] = "INSERT INTO actions (id, object_uuid, object_name, started_at, finished_at, blob) VALUES (?1, "
		      "?2, ?3, ?4,"
		      " ?5, ?6) ON CONFLICT (id) DO UPDATE SET object_uuid = ?2, object_name = ?3, finished_at = ?5, "
		      "blob = ?6",
	[OP_TOKEN] = "INSERT INTO tokens (principal, token, body_hash, expires_at, reply) VALUES (?1, ?2, ?3, ?4, ?5)"
		     " ON CONFLICT (principal, token) DO UPDATE SET body_hash = ?3, expires_at = ?4, reply = ?5",
	[OP_DROP_TOKENS] = "DELETE FROM tokens WHERE (principal = ?1 AND token = ?2) OR expires_at < ?3",
	[OP_COUNTERS] = "UPDATE counters SET next_id = max(next_id, ?1), revision = max(revision, ?2)",
	[OP_SET_COUNTERS] = "UPDATE counters SET next_id = ?1, revision = ?2",
	/* ?2 is what follows the last uuid with this beginning; the empty beginning fits all. */
	[OP_GET_ACTIONS] = "SELECT blob FROM actions WHERE id > ?4" GET_ACTIONS_OF "ORDER BY id LIMIT ?6",
	[OP_GET_NEWEST] =
		"SELECT blob FROM actions WHERE (?4 = 0 OR id < ?4)" GET_ACTIONS_OF "ORDER BY id DESC LIMIT ?6",
	[OP_END_ACTIONS] = "SELECT blob FROM actions WHERE finished_at = 0 AND id <= ?1",
};

static int sqlite_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

/* Says in t_error what the database's last call failed of. */
static int store_failed(struct store *st, int code)
{
	int r = sqlite_errno(code), os = sqlite3_system_errno(st->db);

	if (r == -EIO && os == ENOSPC)
		r = -ENOSPC; /* the WAL's shared or temporary files report it as an I/O error */
	snprintf(st->t_error, sizeof st->t_error, "the store's database says: %s%s%s", sqlite3_errmsg(st->db),
		 os ? ": " : "", os ? strerror(os) : "");
	return r;
}

static int store_exec(struct store *st, const char *sql)
{
	int code = sqlite3_exec(st->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : store_failed(st, code);
}

static int store_step(struct store *st, sqlite3_stmt *s)
{
	int code = sqlite3_step(s), r = 0;

	if (code != SQLITE_DONE)
		r = store_failed(st, code);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return r;
}

static int store_begin(struct store *st)
{
	return store_step(st, st->t_begin);
}

static int store_commit(struct store *st)
{
	return store_step(st, st->t_commit);
}

/* A failed statement may have ended the transaction by itself (disk full, I/O error): then there is nothing to roll back. */
static void store_rollback(struct store *st)
{
	if (!sqlite3_get_autocommit(st->db))
		(void)sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
	sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *s, int at, const void *blob, size_t len)
{
	sqlite3_bind_blob64(s, at, len ? blob : "", len, SQLITE_STATIC);
}

/* ---------------------------------------------------------------- the thread: one op */

static int run_put(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	sqlite3_bind_int(s, 1, (int)op->object);
	bind_text(s, 2, op->text);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)op->id);
	bind_text(s, 4, op->text2);
	bind_text(s, 5, op->text3);
	sqlite3_bind_int64(s, 6, (sqlite3_int64)op->revision);
	sqlite3_bind_int64(s, 7, op->at);
	bind_blob(s, 8, op->blob, op->len);
	return store_step(st, s);
}

static int run_delete(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	sqlite3_bind_int(s, 1, (int)op->object);
	bind_text(s, 2, op->text);
	return store_step(st, s);
}

static int run_action(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	sqlite3_bind_int64(s, 1, (sqlite3_int64)op->id);
	bind_text(s, 2, op->text);
	bind_text(s, 3, op->text2);
	sqlite3_bind_int64(s, 4, op->at);
	sqlite3_bind_int64(s, 5, op->at2);
	bind_blob(s, 6, op->blob, op->len);
	return store_step(st, s);
}

/* Rare (once an hour), so the statements are not kept. */
static int run_drop_actions(struct store *st, struct store_op *op, sqlite3_stmt *unused)
{
	static const char *const sql[] = {
		/* Of objects that are gone, when the newest of them is old: then all at once. */
		"DELETE FROM actions WHERE object_uuid != '' AND object_uuid NOT IN (SELECT uuid FROM objects) AND "
		"object_uuid IN"
		" (SELECT object_uuid FROM actions GROUP BY object_uuid HAVING max(max(started_at, finished_at)) < ?1)",
		/* Requests that never had an object. */
		"DELETE FROM actions WHERE object_uuid = '' AND finished_at != 0 AND finished_at < ?1",
	};
	static const char too_many[] = "DELETE FROM actions WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER "
				       "(PARTITION BY object_uuid ORDER BY"
				       " id DESC) AS nth FROM actions WHERE object_uuid IN (SELECT object_uuid FROM "
				       "actions WHERE object_uuid != ''"
				       " GROUP BY object_uuid HAVING count(*) > ?1)) WHERE nth > ?1)";
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sql) + 1 && r == 0; i++) {
		bool last = i == ARRAY_SIZE(sql);
		sqlite3_stmt *s = NULL;
		int code = sqlite3_prepare_v2(st->db, last ? too_many : sql[i], -1, &s, NULL);

		if (code != SQLITE_OK)
			return store_failed(st, code);
		sqlite3_bind_int64(s, 1, last ? STORE_ACTIONS_OF_ONE : op->at);
		r = store_step(st, s);
		sqlite3_finalize(s);
	}
	return r;
}

static int run_token(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	bind_text(s, 1, op->text);
	bind_text(s, 2, op->text2);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)op->hash);
	sqlite3_bind_int64(s, 4, op->at);
	bind_blob(s, 5, op->blob, op->len);
	return store_step(st, s);
}

static int run_drop_tokens(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	bind_text(s, 1, op->text);
	bind_text(s, 2, op->text2);
	sqlite3_bind_int64(s, 3, op->at);
	return store_step(st, s);
}

static int run_counters(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	sqlite3_bind_int64(s, 1, (sqlite3_int64)op->id);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)op->revision);
	return store_step(st, s);
}

static void actions_free(Berth__Action **actions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		berth__action__free_unpacked(actions[i], NULL);
	free(actions);
}

/* Rows of a prepared query of one blob column into op->actions. */
static int read_actions(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	size_t size = 0;
	int code, r = 0;

	actions_free(op->actions, op->n_actions);
	op->actions = NULL;
	op->n_actions = 0;
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		size_t len = (size_t)sqlite3_column_bytes(s, 0);

		if (op->n_actions == size) {
			Berth__Action **grown = realloc(op->actions, (size ? size * 2 : 16) * sizeof *grown);

			if (!grown) {
				r = -ENOMEM;
				break;
			}
			op->actions = grown;
			size = size ? size * 2 : 16;
		}
		op->actions[op->n_actions] = berth__action__unpack(NULL, len, sqlite3_column_blob(s, 0));
		if (op->actions[op->n_actions])
			op->n_actions++;
		else
			r = -EUCLEAN;
	}
	if (r == 0 && code != SQLITE_DONE)
		r = store_failed(st, code);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return r;
}

static int run_get_actions(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	char after[80];

	/* 'g' follows every hexadecimal digit. A beginning of nothing fits nothing unless all are wanted. */
	snprintf(after, sizeof after, "%.64s%s", op->text ? op->text : "", op->text && *op->text ? "g" : "");
	bind_text(s, 1, op->text);
	bind_text(s, 2, after);
	if (op->text2) /* else NULL, which equals nothing: there are actions without a name */
		bind_text(s, 3, op->text2);
	sqlite3_bind_int64(s, 4, (sqlite3_int64)op->id);
	sqlite3_bind_int(s, 5, !op->text && !op->text2);
	sqlite3_bind_int64(s, 6, op->limit ? (sqlite3_int64)op->limit : -1);
	return read_actions(st, op, s);
}

static int run_end_actions(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	int r;

	sqlite3_bind_int64(s, 1, (sqlite3_int64)op->id);
	r = read_actions(st, op, s);
	for (size_t i = 0; i < op->n_actions && r == 0; i++) {
		static char error[] = "error"; /* the generated struct wants it writable */
		Berth__Action *a = op->actions[i], view = *a;
		struct store_op put = {.id = a->id,
				       .text = a->object_uuid,
				       .text2 = a->object_name,
				       .at = a->started_at,
				       .at2 = op->at};

		view.finished_at = op->at;
		view.has_finished_at = true;
		view.result = error;
		view.reason = op->text;
		put.len = berth__action__get_packed_size(&view);
		put.blob = malloc(put.len);
		if (!put.blob)
			return -ENOMEM;
		berth__action__pack(&view, put.blob);
		r = run_action(st, &put, st->t_stmt[OP_ACTION]);
		free(put.blob);
	}
	actions_free(op->actions, op->n_actions);
	op->actions = NULL;
	op->n_actions = 0;
	return r;
}

static int run_load(struct store *st, struct store_op *op, sqlite3_stmt *unused)
{
	return op->load(st, op);
}

static int run_nothing(struct store *st, struct store_op *op, sqlite3_stmt *unused)
{
	return 0;
}

static int (*const op_run[OP_KIND_N_])(struct store *st, struct store_op *op, sqlite3_stmt *s) = {
	[OP_PUT] = run_put,
	[OP_DELETE] = run_delete,
	[OP_ACTION] = run_action,
	[OP_DROP_ACTIONS] = run_drop_actions,
	[OP_END_ACTIONS] = run_end_actions,
	[OP_TOKEN] = run_token,
	[OP_DROP_TOKENS] = run_drop_tokens,
	[OP_COUNTERS] = run_counters,
	[OP_SET_COUNTERS] = run_counters,
	[OP_GET_ACTIONS] = run_get_actions,
	[OP_GET_NEWEST] = run_get_actions,
	[OP_CALL] = run_nothing, /* its work is all */
	[OP_LOAD] = run_load,
};

static void op_free(struct store_op *op)
{
	free(op->text);
	free(op->text2);
	free(op->text3);
	free(op->blob);
	actions_free(op->actions, op->n_actions);
	free(op);
}

/* ---------------------------------------------------------------- the thread: kept writes, batches */

static bool op_same_row(const struct store_op *a, const struct store_op *b)
{
	if (a->kind == OP_ACTION || b->kind == OP_ACTION)
		return a->kind == b->kind && a->id == b->id;
	return a->object == b->object && a->text && b->text && !strcmp(a->text, b->text);
}

/* A newer write of the same row has come: the kept one must not be written after it. */
static void kept_replace(struct store *st, const struct store_op *newer)
{
	struct store_op *op;

	if (newer->kind != OP_PUT && newer->kind != OP_DELETE && newer->kind != OP_ACTION)
		return;
	list_each (op, &st->t_kept, link) {
		if (!op_same_row(op, newer))
			continue;
		list_del(&op->link);
		st->t_n_kept--;
		op_free(op);
	}
}

/* A copy without done goes on the list; the op itself goes back to the loop with the error. */
static void kept_add(struct store *st, struct store_op *op)
{
	struct store_op *copy;

	if (st->t_n_kept >= STORE_KEPT || !(copy = malloc(sizeof *copy))) {
		snprintf(st->t_error, sizeof st->t_error,
			 "the store's disk has failed for so long that %llu writes were given up",
			 (unsigned long long)++st->t_dropped);
		return;
	}
	*copy = *op;
	copy->done = NULL;
	op->text = op->text2 = op->text3 = NULL; /* the copy owns them now */
	op->blob = NULL;
	op->actions = NULL;
	op->n_actions = 0;
	list_push(&st->t_kept, &copy->link);
	st->t_n_kept++;
}

static int kept_write(struct store *st)
{
	struct store_op *op;
	int r = store_begin(st);

	if (r == 0 && list_empty(&st->t_kept)) {
		/* A probe: is there room again? It rewrites a page, as every write does. */
		r = store_exec(st, "UPDATE counters SET next_id = next_id");
	} else if (r == 0) {
		list_each (op, &st->t_kept, link)
			if (r == 0)
				r = op_run[op->kind](st, op, st->t_stmt[op->kind]);
	}
	if (r == 0)
		r = store_commit(st);
	if (r < 0) {
		store_rollback(st);
		return r;
	}
	while ((op = list_pop(&st->t_kept, struct store_op, link)))
		op_free(op);
	st->t_n_kept = 0;
	return 0;
}

/* Work that comes before the row, once even if the batch is repeated. */
static int op_work_before(struct store_op *op)
{
	if (op->call && !op->call_after && !op->ran)
		op->result = op->call(op->arg);
	op->ran = true;
	return op->result;
}

static int op_run_in(struct store *st, struct store_op *op)
{
	if (op_work_before(op) < 0)
		return 0; /* its own failure, not the transaction's */
	return op_run[op->kind](st, op, st->t_stmt[op->kind]);
}

static int batch_run_one(struct store *st, struct store_op *op)
{
	int r = store_begin(st);

	if (r == 0)
		r = op_run_in(st, op);
	if (r == 0)
		r = store_commit(st);
	if (r < 0)
		store_rollback(st);
	return r;
}

/* All in one transaction; on failure each by itself, so that every op gets the result that is its own. */
static void batch_run(struct store *st, struct list *batch)
{
	struct store_op *op;
	bool failed = false;
	int r = store_begin(st);

	list_each (op, batch, link)
		if (r == 0)
			r = op_run_in(st, op);
	if (r == 0)
		r = store_commit(st);
	if (r < 0) {
		store_rollback(st);
		if (r == -ENOSPC)
			(void)store_exec(st, STORE_WAL_ANEW); /* if it cannot: the writes below say so */
		list_each (op, batch, link) {
			r = batch_run_one(st, op);
			if (r < 0) {
				op->result = r;
				failed = true;
			}
		}
	}
	if (!failed)
		st->t_error[0] = 0;
}

/* What waited for the commit, and what must not be lost. */
static void batch_finish(struct store *st, struct list *batch)
{
	struct store_op *op;

	list_each (op, batch, link) {
		if (op->call_after && op->result == 0)
			op->result = op->call(op->arg);
		if (op->result == 0 || op->keep)
			kept_replace(st, op);
		if (op->result < 0 && op->keep)
			kept_add(st, op);
	}
	if (!st->t_error[0] && !list_empty(&st->t_kept))
		(void)kept_write(st); /* its failure is in t_error, and it is tried again */
}

static void batch_give_back(struct store *st, struct list *batch)
{
	struct store_op *op;
	bool loaded = false;

	pthread_mutex_lock(&st->lock);
	while ((op = list_pop(batch, struct store_op, link))) {
		loaded |= op->kind == OP_LOAD;
		list_push(&st->finished, &op->link);
	}
	memcpy(st->shared_error, st->t_error, sizeof st->shared_error);
	if (loaded) {
		st->load_done = true;
		pthread_cond_signal(&st->loaded);
	}
	pthread_mutex_unlock(&st->lock);
	(void)eventfd_write(st->event_fd,
			    1); /* fails only when the counter is full, and then the loop is awake anyway */
}

/* Waits for work. Returns how many ops are in the batch; 0: time to try the kept writes again. -1: the end. */
static int batch_take(struct store *st, struct list *batch)
{
	struct timespec until;
	int n = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STORE_RETRY_S;
	pthread_mutex_lock(&st->lock);
	while (list_empty(&st->queue) && !st->end) {
		if (!st->t_error[0] && list_empty(&st->t_kept))
			pthread_cond_wait(&st->work, &st->lock);
		else if (pthread_cond_timedwait(&st->work, &st->lock, &until) == ETIMEDOUT)
			break;
	}
	while (n < (int)STORE_BATCH && !list_empty(&st->queue)) {
		struct store_op *op = list_pop(&st->queue, struct store_op, link);

		st->n_queue--;
		st->n_mutations -= !op->reserve;
		st->queue_bytes -= op->len;
		list_push(batch, &op->link);
		n++;
	}
	if (!n && st->end)
		n = -1;
	pthread_mutex_unlock(&st->lock);
	return n;
}

static void *store_thread(void *arg)
{
	struct store *st = arg;
	struct list batch = LIST_INIT(batch);
	int n;

	while ((n = batch_take(st, &batch)) >= 0) {
		if (n > 0) {
			batch_run(st, &batch);
			batch_finish(st, &batch);
		} else if (kept_write(st) == 0) {
			st->t_error[0] = 0;
		}
		batch_give_back(st, &batch);
	}
	if (!list_empty(&st->t_kept))
		(void)kept_write(st); /* the last chance; what is lost here is status, which living shims know better */
	return NULL;
}

/* ---------------------------------------------------------------- the loop: queue and results */

static void op_finish(struct store_op *op)
{
	if (op->found)
		op->found(op->arg, op->result, op->actions, op->n_actions);
	else if (op->done)
		op->done(op->arg, op->result);
	op_free(op);
}

static void store_drain(struct store *st)
{
	struct list done = LIST_INIT(done);
	struct store_op *op;
	eventfd_t n;
	bool failed_before;

	(void)eventfd_read(st->event_fd, &n); /* nothing there: we were called without the event */
	pthread_mutex_lock(&st->lock);
	while ((op = list_pop(&st->finished, struct store_op, link)))
		list_push(&done, &op->link);
	failed_before = st->error[0] != 0;
	memcpy(st->error, st->shared_error, sizeof st->error);
	pthread_mutex_unlock(&st->lock);
	if (st->error[0] && !failed_before)
		log_error("%s: changes are refused until it can be written, supervision goes on", st->error);
	else if (!st->error[0] && failed_before)
		log_info("the store can be written again");
	while ((op = list_pop(&done, struct store_op, link))) {
		st->in_flight--;
		op_finish(op);
	}
}

static void on_store(struct source *s, uint32_t events)
{
	store_drain(container_of(s, struct store, source));
}

static struct store_op *op_new(enum op_kind kind, store_done *done, void *arg)
{
	struct store_op *op = calloc(1, sizeof *op);

	if (op) {
		op->kind = kind;
		op->done = done;
		op->arg = arg;
	}
	return op;
}

/* Takes op, also when it fails. */
static int store_queue(struct store *st, struct store_op *op)
{
	int r = 0;

	pthread_mutex_lock(&st->lock);
	if (st->n_queue >= STORE_RESERVE ||
	    (!op->reserve && (st->n_mutations >= STORE_QUEUE || st->queue_bytes + op->len > STORE_BYTES))) {
		r = -ENOBUFS;
	} else {
		list_push(&st->queue, &op->link);
		st->n_queue++;
		st->n_mutations += !op->reserve;
		st->queue_bytes += op->len;
		pthread_cond_signal(&st->work);
	}
	pthread_mutex_unlock(&st->lock);
	if (r < 0)
		op_free(op);
	else
		st->in_flight++;
	return r;
}

static int op_pack(struct store_op *op, const ProtobufCMessage *m)
{
	op->len = protobuf_c_message_get_packed_size(m);
	op->blob = malloc(op->len ? op->len : 1);
	if (!op->blob)
		return -ENOMEM;
	protobuf_c_message_pack(m, op->blob);
	return 0;
}

static int op_text(char **to, const char *text)
{
	*to = strdup(text ? text : "");
	return *to ? 0 : -ENOMEM;
}

static int store_queue_put(struct store *st, enum store_kind kind, const Berth__Meta *meta,
			   const ProtobufCMessage *object, bool must_fit, int (*work)(void *arg), store_done *done,
			   void *arg)
{
	struct store_op *op = op_new(OP_PUT, done, arg);

	if (!op)
		return -ENOMEM;
	op->object = kind;
	op->call = work;
	op->keep = op->reserve = must_fit;
	op->id = meta->id;
	op->revision = meta->revision;
	op->at = meta->deleted_at;
	if (op_text(&op->text, meta->uuid) < 0 || op_text(&op->text2, meta->project) < 0 ||
	    op_text(&op->text3, meta->name) < 0 || op_pack(op, object) < 0) {
		op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_put(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object,
	      bool must_fit, store_done *done, void *arg)
{
	return store_queue_put(st, kind, meta, object, must_fit, NULL, done, arg);
}

int store_put_after(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object,
		    int (*work)(void *arg), store_done *done, void *arg)
{
	return store_queue_put(st, kind, meta, object, false, work, done, arg);
}

int store_delete_then(struct store *st, enum store_kind kind, const char *uuid, int (*work)(void *arg),
		      store_done *done, void *arg)
{
	struct store_op *op = op_new(OP_DELETE, done, arg);

	if (!op)
		return -ENOMEM;
	op->object = kind;
	op->call = work;
	op->call_after = work != NULL;
	if (op_text(&op->text, uuid) < 0) {
		op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_delete(struct store *st, enum store_kind kind, const char *uuid, store_done *done, void *arg)
{
	return store_delete_then(st, kind, uuid, NULL, done, arg);
}

int store_put_action(struct store *st, const Berth__Action *a, store_done *done, void *arg)
{
	struct store_op *op = op_new(OP_ACTION, done, arg);

	if (!op)
		return -ENOMEM;
	op->keep = op->reserve = true; /* what was done must not be lost because the disk was full at the time */
	op->id = a->id;
	op->at = a->started_at;
	op->at2 = a->finished_at;
	if (op_text(&op->text, a->object_uuid) < 0 || op_text(&op->text2, a->object_name) < 0 ||
	    op_pack(op, &a->base) < 0) {
		op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_drop_actions(struct store *st, int64_t finished_before)
{
	struct store_op *op = op_new(OP_DROP_ACTIONS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->at = finished_before;
	return store_queue(st, op);
}

int store_end_actions(struct store *st, uint64_t up_to_id, int64_t at, const char *reason)
{
	struct store_op *op = op_new(OP_END_ACTIONS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->id = up_to_id;
	op->at = at;
	if (op_text(&op->text, reason) < 0) {
		op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_put_token(struct store *st, const char *principal, const char *token, uint64_t body_hash, const void *reply,
		    size_t len, int64_t expires_at)
{
	struct store_op *op = op_new(OP_TOKEN, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->hash = body_hash;
	op->at = expires_at;
	op->blob = malloc(len ? len : 1);
	if (!op->blob || op_text(&op->text, principal) < 0 || op_text(&op->text2, token) < 0) {
		op_free(op);
		return -ENOMEM;
	}
	if (len)
		memcpy(op->blob, reply, len);
	op->len = len;
	return store_queue(st, op);
}

int store_drop_tokens(struct store *st, const char *principal, const char *token, int64_t expired_before)
{
	struct store_op *op = op_new(OP_DROP_TOKENS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->at = token ? INT64_MIN : expired_before;
	if (op_text(&op->text, principal) < 0 || op_text(&op->text2, token) < 0) {
		op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_get_actions(struct store *st, const char *object_uuid, const char *object_name, uint64_t after_id,
		      bool newest_first, uint32_t limit,
		      void (*found)(void *arg, int result, Berth__Action **actions, size_t n), void *arg)
{
	struct store_op *op = op_new(newest_first ? OP_GET_NEWEST : OP_GET_ACTIONS, NULL, arg);

	if (!op)
		return -ENOMEM;
	op->found = found;
	op->id = after_id;
	op->limit = limit;
	if ((object_uuid && op_text(&op->text, object_uuid) < 0) ||
	    (object_name && op_text(&op->text2, object_name) < 0)) {
		op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_call(struct store *st, int (*work)(void *arg), void *arg, store_done *done)
{
	struct store_op *op = op_new(OP_CALL, done, arg);

	if (!op)
		return -ENOMEM;
	op->call = work;
	return store_queue(st, op);
}

static int store_queue_counters(struct store *st, uint64_t next_id, uint64_t revision)
{
	struct store_op *op = op_new(OP_COUNTERS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->id = next_id;
	op->revision = revision;
	op->keep = op->reserve = true;
	return store_queue(st, op);
}

void store_used(struct store *st, uint64_t next_id, uint64_t revision)
{
	st->used_id = next_id;
	st->used_revision = revision;
	/* Half a block before the end: the reservation is committed long before the first number beyond it is given out. */
	if (next_id + STORE_ID_BLOCK / 2 < st->asked_id && revision + STORE_REV_BLOCK / 2 < st->asked_revision)
		return;
	if (store_queue_counters(st, next_id + STORE_ID_BLOCK, revision + STORE_REV_BLOCK) < 0)
		return; /* asked for again with the next number */
	st->asked_id = next_id + STORE_ID_BLOCK;
	st->asked_revision = revision + STORE_REV_BLOCK;
}

const char *store_error(const struct store *st)
{
	return st->error;
}

uint64_t store_queued(const struct store *st)
{
	return st->in_flight;
}

bool store_full(const struct store *st)
{
	/* A quarter is left for what those that were let in will still write. */
	return st->in_flight > STORE_QUEUE / 4 * 3;
}

/* ---------------------------------------------------------------- at start: loads, run by the thread while the loop waits */

/* Runs fn in the thread, with the database, and waits for it. The caller's memory is the thread's meanwhile. */
static int store_wait(struct store *st, int (*fn)(struct store *st, struct store_op *op), void *arg, struct err *e,
		      const char *what)
{
	struct store_op *op = op_new(OP_LOAD, NULL, NULL);
	struct store_op *back;
	int r = op ? 0 : -ENOMEM;

	if (r == 0) {
		op->load = fn;
		op->load_arg = arg;
		op->reserve = true;
		st->load_done = false;
		r = store_queue(st, op);
	}
	if (r < 0)
		return err_set(e, -r, "store", "%s", what);
	pthread_mutex_lock(&st->lock);
	while (!st->load_done)
		pthread_cond_wait(&st->loaded, &st->lock);
	list_each (back, &st->finished, link) {
		if (back != op)
			continue;
		list_del(&back->link);
		break;
	}
	pthread_mutex_unlock(&st->lock);
	st->in_flight--;
	r = op->result;
	op_free(op);
	return r < 0 ? err_set(e, -r, "store", "%s", what) : 0;
}

struct load {
	enum store_kind kind;
	int (*object)(void *arg, const void *blob, size_t len);
	int (*token)(void *arg, const char *principal, const char *token, uint64_t body_hash, const void *reply,
		     size_t len, int64_t expires_at);
	void *arg;
	uint64_t next_id, revision;
};

static int load_rows(struct store *st, const char *sql, int kind, int (*row)(struct load *l, sqlite3_stmt *s),
		     struct load *l)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(st->db, sql, -1, &s, NULL), r = 0;

	if (code != SQLITE_OK)
		return store_failed(st, code);
	if (kind)
		sqlite3_bind_int(s, 1, kind);
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
		r = row(l, s);
	if (r == 0 && code != SQLITE_DONE)
		r = store_failed(st, code);
	sqlite3_finalize(s);
	return r;
}

static int load_object_row(struct load *l, sqlite3_stmt *s)
{
	return l->object(l->arg, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
}

static int load_token_row(struct load *l, sqlite3_stmt *s)
{
	return l->token(l->arg, (const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1),
			(uint64_t)sqlite3_column_int64(s, 2), sqlite3_column_blob(s, 4),
			(size_t)sqlite3_column_bytes(s, 4), sqlite3_column_int64(s, 3));
}

static int load_counters_row(struct load *l, sqlite3_stmt *s)
{
	l->next_id = (uint64_t)sqlite3_column_int64(s, 0);
	l->revision = (uint64_t)sqlite3_column_int64(s, 1);
	return 0;
}

static int load_objects(struct store *st, struct store_op *op)
{
	struct load *l = op->load_arg;

	return op->result = load_rows(st, "SELECT blob FROM objects WHERE kind = ?1 ORDER BY id", (int)l->kind,
				      load_object_row, l);
}

static int load_tokens(struct store *st, struct store_op *op)
{
	return op->result = load_rows(st, "SELECT principal, token, body_hash, expires_at, reply FROM tokens", 0,
				      load_token_row, op->load_arg);
}

/* A number that any row bears is never given again, even if the reservation could not be written in time (a full disk). */
static int load_counters(struct store *st, struct store_op *op)
{
	static const char sql[] = "SELECT max(next_id, 1 + coalesce((SELECT max(id) FROM objects), 0), 1 + "
				  "coalesce((SELECT max(id) FROM actions), 0)),"
				  " max(revision, 1 + coalesce((SELECT max(revision) FROM objects), 0)) FROM counters";

	return op->result = load_rows(st, sql, 0, load_counters_row, op->load_arg);
}

int store_load(struct store *st, enum store_kind kind, int (*fn)(void *arg, const void *blob, size_t len), void *arg,
	       struct err *e)
{
	struct load l = {.kind = kind, .object = fn, .arg = arg};

	return store_wait(st, load_objects, &l, e, "read the objects of the store");
}

int store_load_tokens(struct store *st,
		      int (*fn)(void *arg, const char *principal, const char *token, uint64_t body_hash,
				const void *reply, size_t len, int64_t expires_at),
		      void *arg)
{
	struct load l = {.token = fn, .arg = arg};

	return store_wait(st, load_tokens, &l, NULL, "read the tokens of the store");
}

int store_load_counters(struct store *st, uint64_t *ret_next_id, uint64_t *ret_revision, struct err *e)
{
	struct load l = {0};
	int r = store_wait(st, load_counters, &l, e, "read the counters of the store");

	if (r < 0)
		return r;
	store_used(st, l.next_id, l.revision);
	*ret_next_id = l.next_id;
	*ret_revision = l.revision;
	return 0;
}

/* ---------------------------------------------------------------- open, close */

/* A child of a berthd that was killed may hold a copy of the descriptor for the moment between its birth and its exec: that is
 * no second berthd. Nothing tells when a lock becomes free without taking the chance to be refused, hence the short naps. */
static int lock_take(int fd)
{
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == 50)
			return -1;
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	}
	return 0;
}

/* Returns the locked file, which keeps the second berthd out for as long as it is open. */
static int store_lock(const char *dir, struct err *e)
{
	AUTO_FD dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD fd = -1;
	char pid[32];
	ssize_t n;

	if (dir_fd < 0)
		return err_set(e, errno, "store", "open %s", dir);
	fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno, "store", "open %s/lock", dir);
	if (lock_take(fd) < 0) {
		if (errno != EWOULDBLOCK)
			return err_set(e, errno, "store", "lock %s/lock", dir);
		n = pread(fd, pid, sizeof pid - 1, 0);
		pid[n > 0 ? n : 0] = 0;
		pid[strcspn(pid, "\n")] = 0;
		return err_set(e, EBUSY, "store", "another berthd (pid %s) uses %s", *pid ? pid : "unknown", dir);
	}
	n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
		return err_set(e, errno ? errno : EIO, "store", "write %s/lock", dir);
	return take_fd(&fd);
}

static int store_user_version(struct store *st, int *ret)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(st->db, "PRAGMA user_version", -1, &s, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
		*ret = sqlite3_column_int(s, 0);
		code = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return code == SQLITE_OK ? 0 : store_failed(st, code);
}

static int version_refused(int version, const char *dir, struct err *e)
{
	if (version <= STORE_SCHEMA)
		return 0;
	return err_set(
		e, EPROTONOSUPPORT, "store",
		"the store in %s has schema %d, made by a newer berth; this one knows %d: install the newer one again",
		dir, version, STORE_SCHEMA);
}

static int store_migrate(struct store *st, int version)
{
	char sql[64];
	int r = version < STORE_SCHEMA ? store_exec(st, "BEGIN IMMEDIATE") : 0;

	if (version >= STORE_SCHEMA)
		return 0;
	for (; version < STORE_SCHEMA && r == 0; version++)
		for (size_t i = 0; i < migrations[version].n && r == 0; i++)
			r = store_exec(st, migrations[version].sql[i]);
	snprintf(sql, sizeof sql, "PRAGMA user_version = %d", STORE_SCHEMA);
	if (r == 0)
		r = store_exec(st, sql);
	if (r == 0)
		r = store_exec(st, "COMMIT");
	if (r < 0) {
		store_rollback(st);
		return r;
	}
	return 0;
}

/* Room for what a full disk must not stop: status, and the removals that make room. The filler leaves free pages in the database
 * and a WAL of its size; both are written over from now on, and blocks that a file has need no space. When a write fails for
 * want of it, the WAL is begun anew (batch_run). The checkpoint also brings the version into the file's header, for store_check. */
static void store_make_reserve(struct store *st)
{
	static const char *const sql[] = {
		"INSERT INTO reserve VALUES (zeroblob(524288))",
		"DELETE FROM reserve",
		STORE_WAL_ANEW,
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sql) && r == 0; i++)
		r = store_exec(st, sql[i]);
	if (r < 0) /* the disk is full already: no reserve, but no reason not to start */
		store_rollback(st);
	st->t_error[0] = 0;
}

static int store_prepare(struct store *st)
{
	int code = sqlite3_prepare_v3(st->db, "BEGIN IMMEDIATE", -1, SQLITE_PREPARE_PERSISTENT, &st->t_begin, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(st->db, "COMMIT", -1, SQLITE_PREPARE_PERSISTENT, &st->t_commit, NULL);
	for (int i = 0; i < OP_KIND_N_ && code == SQLITE_OK; i++)
		if (op_sql[i])
			code = sqlite3_prepare_v3(st->db, op_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &st->t_stmt[i],
						  NULL);
	return code == SQLITE_OK ? 0 : store_failed(st, code);
}

static int store_open_db(struct store *st, const char *dir, struct err *e)
{
	/* 4 MB of WAL before a checkpoint, and no more than 16 left behind after a burst. */
	static const char *const pragmas[] = {
		"PRAGMA locking_mode = EXCLUSIVE",  "PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",	    "PRAGMA cache_size = -2048",
		"PRAGMA wal_autocheckpoint = 1000", "PRAGMA journal_size_limit = 16777216",
		"PRAGMA temp_store = MEMORY",	    "PRAGMA trusted_schema = OFF",
	};
	char path[4096];
	int version = 0, r = 0, code;

	if (snprintf(path, sizeof path, "%s/berth.db", dir) >= (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "store", "open %.200s", dir);
	/* Made here, for root alone: SQLite would ask the umask. The WAL gets the mode of its database. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno, "store", "open %s", path);
	close(fd);
	code = sqlite3_open_v2(path, &st->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		r = st->db ? store_failed(st, code) : -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(pragmas) && r == 0; i++)
		r = store_exec(st, pragmas[i]);
	if (r == 0)
		r = store_user_version(st, &version);
	if (r == 0) {
		r = version_refused(version, dir, e);
		if (r < 0)
			return r;
		r = store_migrate(st, version);
	}
	if (r == 0)
		store_make_reserve(st);
	if (r == 0)
		r = store_prepare(st);
	return r < 0 ? err_set(e, -r, "store", "%s: %s", path, st->t_error) : 0;
}

static void store_free(struct store *st)
{
	source_del(&st->source);
	sqlite3_finalize(st->t_begin);
	sqlite3_finalize(st->t_commit);
	for (int i = 0; i < OP_KIND_N_; i++)
		sqlite3_finalize(st->t_stmt[i]);
	sqlite3_close(st->db);
	close_fd(&st->event_fd);
	close_fd(&st->lock_fd); /* last: only now may another berthd open it */
	pthread_mutex_destroy(&st->lock);
	pthread_cond_destroy(&st->work);
	pthread_cond_destroy(&st->loaded);
	free(st);
}

/* The thread takes no signals: they are the loop's. */
static int store_start_thread(struct store *st)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&st->thread, NULL, store_thread, st);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int store_open(struct loop *l, const char *dir, struct store **ret, struct err *e)
{
	struct store *st = calloc(1, sizeof *st);
	pthread_condattr_t attr;
	int r;

	if (!st)
		return err_set(e, ENOMEM, "store", "open %s", dir);
	st->loop = l;
	st->event_fd = st->lock_fd = -1;
	list_init(&st->queue);
	list_init(&st->finished);
	list_init(&st->t_kept);
	pthread_mutex_init(&st->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&st->work, &attr);
	pthread_cond_init(&st->loaded, &attr);
	pthread_condattr_destroy(&attr);

	r = st->lock_fd = store_lock(dir, e);
	if (r >= 0)
		r = store_open_db(st, dir, e);
	if (r >= 0) {
		st->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = st->event_fd < 0 ? -errno : source_add(l, &st->source, st->event_fd, EPOLLIN, on_store);
		if (r == 0)
			r = store_start_thread(st);
		if (r < 0)
			(void)err_set(e, -r, "store", "start the store's thread");
	}
	if (r < 0) {
		store_free(st);
		return r;
	}
	*ret = st;
	return 0;
}

/* The loop does not run any more: its part is done here. A `done` may queue another write, some rounds long. */
static void store_settle(struct store *st)
{
	for (int round = 0; round < 8 && st->in_flight; round++) {
		struct pollfd p = {.fd = st->event_fd, .events = POLLIN};

		(void)poll(&p, 1, 10000);
		store_drain(st);
	}
}

/* Exact numbers instead of the reserved blocks: a clean restart leaves no gap. */
static void store_settle_counters(struct store *st)
{
	struct store_op *op = st->used_id && !st->error[0] ? op_new(OP_SET_COUNTERS, NULL, NULL) : NULL;

	if (!op)
		return;
	op->id = st->used_id;
	op->revision = st->used_revision;
	op->reserve = true;
	(void)store_queue(st, op); /* without it the next berthd begins behind the block */
}

void store_close(struct store *st)
{
	if (!st)
		return;
	store_settle(st);
	store_settle_counters(st);
	pthread_mutex_lock(&st->lock);
	st->end = true;
	pthread_cond_signal(&st->work);
	pthread_mutex_unlock(&st->lock);
	pthread_join(st->thread, NULL);
	store_drain(st);
	store_free(st);
}

/* The version is at byte 60 of the database's header, big endian. */
int store_check(const char *dir, struct err *e)
{
	unsigned char head[100];
	char path[4096];
	int version;
	ssize_t n;

	if (snprintf(path, sizeof path, "%s/berth.db", dir) >= (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "store", "open %.200s", dir);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "store", "open %s", path);
	n = pread(fd, head, sizeof head, 0);
	if (n < 0)
		return err_set(e, errno, "store", "read %s", path);
	if (n == 0)
		return 0; /* made and not yet written: as good as absent */
	if (n < (ssize_t)sizeof head || memcmp(head, "SQLite format 3", 16))
		return err_set(e, EUCLEAN, "store", "%s is not a store of berth", path);
	version = (int)((unsigned)head[60] << 24 | (unsigned)head[61] << 16 | (unsigned)head[62] << 8 | head[63]);
	return version_refused(version, dir, e);
}

/* supervisor/store_load.c - what the store remembers, read at start: run by the thread while the loop waits. */
#include "supervisor/store_own.h"

#include <errno.h>

/* Runs fn in the thread, with the database, and waits for it. The caller's memory is the thread's meanwhile. */
static int store_wait(struct store *st, int (*fn)(struct store *st, struct store_op *op), void *arg, struct err *e,
		      const char *what)
{
	struct store_op *op = store_op_new(OP_LOAD, NULL, NULL);
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
	store_turn(st);
	st->in_turns = false; /* nobody runs a loop while we wait here */
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
	store_op_free(op);
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

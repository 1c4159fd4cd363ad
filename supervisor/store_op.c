/* supervisor/store_op.c - the store's operations: the SQL of each kind, and what is bound to it. Run by the thread. */
#include "supervisor/store_own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_ACTIONS_OF_ONE 1000

/* ?2 is what follows the last uuid with this beginning. */
#define GET_ACTIONS_OF " AND (?5 OR (object_uuid >= ?1 AND object_uuid < ?2) OR object_name = ?3) "

static const char *const op_sql[OP_KIND_N_] = {
	[OP_PUT] = "INSERT INTO objects (kind, uuid, id, project, name, revision, deleted_at, blob)"
		   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (kind, uuid)"
		   " DO UPDATE SET project = ?4, name = ?5, revision = ?6, deleted_at = ?7, blob = ?8",
	[OP_DELETE] = "DELETE FROM objects WHERE kind = ?1 AND uuid = ?2",
	[OP_ACTION] = "INSERT INTO actions (id, object_uuid, object_name, started_at, finished_at, blob)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id)"
		      " DO UPDATE SET object_uuid = ?2, object_name = ?3, finished_at = ?5, blob = ?6",
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

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
	sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *s, int at, const void *blob, size_t len)
{
	sqlite3_bind_blob64(s, at, len ? blob : "", len, SQLITE_STATIC);
}

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
		"DELETE FROM actions WHERE object_uuid != '' AND object_uuid NOT IN (SELECT uuid FROM objects)"
		" AND object_uuid IN (SELECT object_uuid FROM actions GROUP BY object_uuid"
		" HAVING max(max(started_at, finished_at)) < ?1)",
		/* Requests that never had an object. */
		"DELETE FROM actions WHERE object_uuid = '' AND finished_at != 0 AND finished_at < ?1",
	};
	static const char too_many[] =
		"DELETE FROM actions WHERE id IN (SELECT id FROM (SELECT id,"
		" row_number() OVER (PARTITION BY object_uuid ORDER BY id DESC) AS nth FROM actions"
		" WHERE object_uuid IN (SELECT object_uuid FROM actions WHERE object_uuid != ''"
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

static bool text_fits(const char *wanted, const char *text)
{
	return !wanted || (text && !strcmp(wanted, text));
}

/* Rows of a prepared query of one blob column into op->actions. With a limit it ends there, or when it has looked at many. */
static int read_actions(struct store *st, struct store_op *op, sqlite3_stmt *s)
{
	size_t size = 0, looked = 0;
	uint64_t last_id = 0;
	int code, r = 0;

	op->next_id = 0;
	actions_free(op->actions, op->n_actions);
	op->actions = NULL;
	op->n_actions = 0;
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		size_t len = (size_t)sqlite3_column_bytes(s, 0);
		Berth__Action *a;

		if (op->limit && (op->n_actions == op->limit || looked++ == STORE_LOOK_MAX)) {
			op->next_id = last_id;
			break;
		}
		if (op->n_actions == size) {
			Berth__Action **grown = realloc(op->actions, (size ? size * 2 : 16) * sizeof *grown);

			if (!grown) {
				r = -ENOMEM;
				break;
			}
			op->actions = grown;
			size = size ? size * 2 : 16;
		}
		a = berth__action__unpack(NULL, len, sqlite3_column_blob(s, 0));
		if (!a) {
			r = -EUCLEAN;
			break;
		}
		last_id = a->id;
		if (text_fits(op->text3, a->project) && text_fits(op->text4, a->request_id))
			op->actions[op->n_actions++] = a;
		else
			berth__action__free_unpacked(a, NULL);
	}
	if (r == 0 && !op->next_id && code != SQLITE_DONE)
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
	/* One more than is wanted tells whether there is more. */
	sqlite3_bind_int64(s, 6,
			   !op->limit		    ? -1
			   : op->text3 || op->text4 ? (sqlite3_int64)STORE_LOOK_MAX + 1
						    : (sqlite3_int64)op->limit + 1);
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

int store_op_run(struct store *st, struct store_op *op)
{
	int r = 0;

	for (; op && r == 0; op = op->with)
		r = op_run[op->kind](st, op, st->t_stmt[op->kind]);
	return r;
}

int store_prepare(struct store *st)
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

struct store_op *store_op_new(enum op_kind kind, store_done *done, void *arg)
{
	struct store_op *op = calloc(1, sizeof *op);

	if (op) {
		op->kind = kind;
		op->done = done;
		op->arg = arg;
	}
	return op;
}

void store_op_free(struct store_op *op)
{
	struct store_op *with;

	for (; op; op = with) {
		with = op->with;
		free(op->text);
		free(op->text2);
		free(op->text3);
		free(op->text4);
		free(op->blob);
		actions_free(op->actions, op->n_actions);
		free(op);
	}
}

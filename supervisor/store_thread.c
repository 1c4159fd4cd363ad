/* supervisor/store_thread.c - the store's thread: it takes what has gathered, and makes one transaction of it.
 *
 * If that fails, each op is tried in a transaction of its own, so that one bad write does not take its neighbours with it. A
 * status update that fails is kept here and tried again, once a second, until it is written or a newer one replaces it. */
#include "supervisor/store_own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define STORE_BATCH   512u   /* ops in one transaction */
#define STORE_KEPT    65536u /* failed writes that are tried again */
#define STORE_RETRY_S 1

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
		store_op_free(op);
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
	op->text = op->text2 = op->text3 = op->text4 = NULL; /* the copy owns them now */
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
				r = store_op_run(st, op);
	}
	if (r == 0)
		r = store_commit(st);
	if (r < 0) {
		store_rollback(st);
		return r;
	}
	while ((op = list_pop(&st->t_kept, struct store_op, link)))
		store_op_free(op);
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
	return store_op_run(st, op);
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
			(void)store_wal_anew(st); /* if it cannot: the writes below say so */
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

void *store_thread(void *arg)
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

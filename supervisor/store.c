/* supervisor/store.c - see supervisor/store.h; its inside: supervisor/store_own.h.
 *
 * Here: open and close, the queue to the thread, what comes back of it, and the counters. */
#include "supervisor/store_own.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define STORE_QUEUE	8192u  /* ops waiting, mutations */
#define STORE_RESERVE	65536u /* ops waiting, status updates included */
#define STORE_BYTES	(64u << 20)
#define STORE_ID_BLOCK	(1u << 14)
#define STORE_REV_BLOCK (1u << 20)

/* ---------------------------------------------------------------- queue and results */

static void op_finish(struct store_op *op)
{
	if (op->found)
		op->found(op->arg, op->result, op->actions, op->n_actions, op->next_id);
	else if (op->done)
		op->done(op->arg, op->result);
	store_op_free(op);
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

/* Takes op, also when it fails. */
int store_queue(struct store *st, struct store_op *op)
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
	}
	pthread_mutex_unlock(&st->lock);
	if (r < 0)
		store_op_free(op);
	else
		st->in_flight++;
	/* In a turn of the loop the thread is woken when the turn ends: what the turn is about (a plan on its way to a shim) comes
	 * first, and what else is queued in it shares the commit. */
	if (r == 0 && st->in_turns)
		st->to_wake = true;
	else if (r == 0)
		pthread_cond_signal(&st->work);
	return r;
}

void store_turn(struct store *st)
{
	st->in_turns = true;
	if (st->to_wake)
		pthread_cond_signal(&st->work);
	st->to_wake = false;
}

/* ---------------------------------------------------------------- counters, state */

static int store_queue_counters(struct store *st, uint64_t next_id, uint64_t revision)
{
	struct store_op *op = store_op_new(OP_COUNTERS, NULL, NULL);

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
		r = store_db_open(st, dir, e);
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
	struct store_op *op = st->used_id && !st->error[0] ? store_op_new(OP_SET_COUNTERS, NULL, NULL) : NULL;

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
	store_turn(st);
	st->in_turns = false;
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

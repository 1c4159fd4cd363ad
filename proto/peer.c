/* proto/peer.c - see proto/peer.h
 *
 * A peer that closes while we write to it may have said something important just before (a shim: how its container ended). So
 * a failed send never ends a peer by itself: it makes it deaf (nothing more is sent), and what is still readable is delivered
 * before gone() is. Reading is bounded for each wakeup, epoll is level-triggered: a chatty peer cannot starve the others. */
#include "proto/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECORDS_PER_WAKEUP 16

struct peer_record_ {
	struct list link;    /* peer->out */
	struct wire_fds fds; /* owned */
	size_t len;
	char data[];
};

static _Thread_local _Alignas(16) char receive_buffer[WIRE_MAX];

static void record_free(struct peer_record_ *rec)
{
	wire_fds_close(&rec->fds);
	free(rec);
}

static void queue_clear(struct peer *p)
{
	struct peer_record_ *rec;

	while ((rec = list_pop(&p->out, struct peer_record_, link)))
		record_free(rec);
	p->out_bytes = p->out_records = 0;
}

/* The last thing done with a peer: its owner may free it. */
static void peer_gone(struct peer *p, int reason)
{
	source_del(&p->source);
	timer_del(&p->doom);
	p->dead = true;
	p->ops->gone(p, reason);
}

/* ---------------------------------------------------------------- reading */

/* One record. False when there is no more to be read now: nothing came, or p is finished, dead or freed. */
static bool peer_read_one(struct peer *p, bool *fini_seen)
{
	struct wire_fds fds;
	size_t len;
	int r = wire_recv(p->fd, receive_buffer, sizeof receive_buffer, &len, &fds);

	if (r == WIRE_AGAIN && !p->deaf)
		return false;
	if (r != 0) {
		peer_gone(p, r == WIRE_BAD ? -EPROTO : r < 0 ? r : p->reason);
		return false;
	}
	r = p->ops->record(p, receive_buffer, len, &fds);
	wire_fds_close(&fds);
	if (*fini_seen)
		return false;
	if (r < 0 && !p->dead) {
		peer_gone(p, r);
		return false;
	}
	return !p->dead;
}

/* True while p is alive and may have more to say. */
static bool peer_read(struct peer *p)
{
	bool fini_seen = false, more = true;

	p->fini_seen_ = &fini_seen;
	for (int i = 0; more && i < RECORDS_PER_WAKEUP; i++)
		more = peer_read_one(p, &fini_seen);
	if (!fini_seen)
		p->fini_seen_ = NULL;
	return more;
}

/* ---------------------------------------------------------------- the end */

static void on_doom(struct timer *t);

/* Without memory for the timer the socket itself is made to wake us: a closed one is readable. */
static void doom_arm(struct peer *p)
{
	if (timer_in(p->source.loop, &p->doom, 0, on_doom) == 0)
		return;
	shutdown(p->fd, SHUT_RDWR);
	source_set(&p->source, EPOLLIN);
}

static void on_doom(struct timer *t)
{
	struct peer *p = container_of(t, struct peer, doom);

	if (p->dead)
		peer_gone(p, p->reason);
	else if (peer_read(p))
		doom_arm(p);
}

void peer_drop(struct peer *p, int reason)
{
	if (p->dead || p->fd < 0)
		return;
	p->dead = true;
	p->reason = reason;
	queue_clear(p);
	/* No more of its records: a level-triggered source would only turn in circles until the timer. */
	source_set(&p->source, 0);
	doom_arm(p);
}

static void peer_deaf(struct peer *p, int reason)
{
	if (p->deaf || p->dead)
		return;
	p->deaf = true;
	p->reason = reason;
	queue_clear(p);
	doom_arm(p);
}

/* ---------------------------------------------------------------- writing */

/* Sends what is queued, as far as there is room. */
static void peer_flush(struct peer *p)
{
	struct peer_record_ *rec;

	while ((rec = list_first(&p->out, struct peer_record_, link))) {
		int r = wire_send(p->fd, rec->data, rec->len, rec->fds.fd, rec->fds.n);

		if (r == WIRE_AGAIN)
			return;
		if (r != 0) {
			peer_deaf(p, r < 0 ? r : 0);
			return;
		}
		list_del(&rec->link);
		p->out_bytes -= rec->len;
		p->out_records--;
		record_free(rec);
	}
	source_set(&p->source, EPOLLIN);
	if (p->ops->drained)
		p->ops->drained(p);
}

static int fds_copy(struct wire_fds *copy, const int *fds, unsigned n_fds)
{
	copy->n = 0;
	for (unsigned i = 0; i < n_fds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0) {
			int r = -errno;

			wire_fds_close(copy);
			return r;
		}
		copy->fd[copy->n++] = fd;
	}
	return 0;
}

static int peer_queue(struct peer *p, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	struct peer_record_ *rec;
	int r;

	if (p->out_records >= p->max_records || len > p->max_bytes - p->out_bytes)
		return -ENOBUFS;
	rec = malloc(sizeof *rec + len);
	if (!rec)
		return -ENOMEM;
	r = fds_copy(&rec->fds, fds, n_fds);
	if (r == 0)
		r = source_set(&p->source, EPOLLIN | EPOLLOUT);
	if (r < 0) {
		record_free(rec);
		return r;
	}
	rec->len = len;
	memcpy(rec->data, data, len);
	list_push(&p->out, &rec->link);
	p->out_bytes += len;
	p->out_records++;
	return 0;
}

int peer_send(struct peer *p, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	int r;

	if (p->dead || p->deaf)
		return 0;
	/* What is queued goes first, and what could never go must not stand in the queue. */
	if (!list_empty(&p->out)) {
		if (!len || len > WIRE_MAX || n_fds > WIRE_FDS_MAX)
			return len > WIRE_MAX ? -EMSGSIZE : -EINVAL;
		return peer_queue(p, data, len, fds, n_fds);
	}
	r = wire_send(p->fd, data, len, fds, n_fds);
	if (r == WIRE_AGAIN)
		return peer_queue(p, data, len, fds, n_fds);
	if (r == WIRE_GONE) {
		peer_deaf(p, 0);
		return 0;
	}
	return r;
}

/* ---------------------------------------------------------------- life */

static void on_source(struct source *s, uint32_t events)
{
	struct peer *p = container_of(s, struct peer, source);
	bool fini_seen = false;

	if (p->dead) {
		peer_gone(p, p->reason);
		return;
	}
	if (events & EPOLLOUT) {
		p->fini_seen_ = &fini_seen;
		peer_flush(p);
		if (fini_seen)
			return;
		p->fini_seen_ = NULL;
	}
	/* A hang-up is found by reading: the end comes after the last record. */
	if (!p->dead && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		peer_read(p);
}

int peer_init(struct peer *p, struct loop *l, int fd, const struct peer_ops *ops, size_t max_bytes, size_t max_records)
{
	int r;

	*p = (struct peer){.fd = fd, .ops = ops, .max_bytes = max_bytes, .max_records = max_records};
	list_init(&p->out);
	r = source_add(l, &p->source, fd, EPOLLIN, on_source);
	if (r < 0)
		close_fd(&p->fd);
	return r;
}

void peer_fini(struct peer *p)
{
	if (p->fini_seen_)
		*p->fini_seen_ = true;
	p->fini_seen_ = NULL;
	if (p->fd < 0)
		return;
	p->dead = true;
	timer_del(&p->doom);
	source_del(&p->source);
	queue_clear(p);
	close_fd(&p->fd);
}

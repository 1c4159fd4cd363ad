/* image/behind.c - see image/behind.h */
#include "image/behind.h"

#include "image/pieces.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct behind {
	struct pieces *pieces;
	struct piece *piece; /* being filled */
	pthread_t thread;
	bool started;
	int (*take)(void *arg, const void *data, size_t len, struct err *e);
	void *arg;

	int result; /* of the thread, for whoever has joined it */
	struct err e;
};

static void *behind_run(void *arg)
{
	struct behind *b = arg;
	const struct piece *piece;

	while (!b->result && (piece = pieces_next(b->pieces)))
		b->result = b->take(b->arg, piece->data, piece->len, &b->e);
	pieces_stop(b->pieces);
	return NULL;
}

struct behind *behind_open(int (*take)(void *arg, const void *data, size_t len, struct err *e), void *arg,
			   struct err *e)
{
	struct behind *b = calloc(1, sizeof *b);
	int r = 0;

	if (b)
		b->pieces = pieces_new();
	if (!b || !b->pieces)
		r = err_set(e, ENOMEM, "thread", "no memory");
	else {
		b->take = take;
		b->arg = arg;
		if ((r = -pthread_create(&b->thread, NULL, behind_run, b)) < 0)
			err_set(e, -r, "thread", "make one");
		b->started = !r;
	}
	if (!r)
		return b;
	behind_close(b);
	return NULL;
}

/* Ends the thread when it has taken all that it was given. */
static void thread_join(struct behind *b)
{
	if (!b->started)
		return;
	pieces_end(b->pieces);
	pthread_join(b->thread, NULL);
	b->started = false;
}

int behind_end(struct behind *b, struct err *e)
{
	if (b->piece && b->piece->len)
		pieces_put(b->pieces);
	b->piece = NULL;
	thread_join(b);
	if (b->result < 0 && e)
		*e = b->e;
	return b->result;
}

int behind_add(struct behind *b, const void *data, size_t len, struct err *e)
{
	const unsigned char *p = data;

	while (len) {
		size_t n;

		if (!b->piece) {
			b->piece = pieces_room(b->pieces);
			if (!b->piece)
				return behind_end(b, e);
			b->piece->len = 0;
		}
		n = sizeof b->piece->data - b->piece->len;
		n = n < len ? n : len;
		memcpy(b->piece->data + b->piece->len, p, n);
		b->piece->len += n;
		p += n;
		len -= n;
		if (b->piece->len == sizeof b->piece->data) {
			pieces_put(b->pieces);
			b->piece = NULL;
		}
	}
	return 0;
}

void behind_close(struct behind *b)
{
	if (!b)
		return;
	thread_join(b);
	pieces_free(b->pieces);
	free(b);
}

/* image/ahead.c - see image/ahead.h */
#include "image/ahead.h"

#include "base/own.h"
#include "image/pieces.h"
#include "image/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct ahead {
	struct stream *stream;
	struct digest *sum;
	struct pieces *pieces;
	pthread_t thread;
	bool started;
	uint64_t bytes, max;

	int result; /* of the thread, for whoever has seen the last piece */
	struct err e;
};

static ssize_t piece_fill(struct ahead *a, struct piece *piece)
{
	ssize_t n = stream_read(a->stream, piece->data, sizeof piece->data, &a->e);

	if (n <= 0)
		return n;
	a->bytes += (uint64_t)n;
	if (a->bytes > a->max)
		return err_set(&a->e, ENOSPC, "unpack",
			       "it unpacks to more than there is room for, or than image_max_size allows");
	digest_add(a->sum, piece->data, (size_t)n);
	piece->len = (size_t)n;
	piece->mark = stream_taken(a->stream);
	return n;
}

static void *ahead_run(void *arg)
{
	struct ahead *a = arg;
	struct piece *piece;
	ssize_t n;

	while ((piece = pieces_room(a->pieces)) && (n = piece_fill(a, piece)) != 0) {
		if (n < 0) {
			a->result = (int)n;
			break;
		}
		pieces_put(a->pieces);
	}
	pieces_end(a->pieces);
	return NULL;
}

struct ahead *ahead_open(const struct source_part *from, uint64_t max, struct err *e)
{
	struct ahead *a = calloc(1, sizeof *a);
	int r = 0;

	if (!a) {
		err_set(e, ENOMEM, "unpack", "layer");
		return NULL;
	}
	a->max = max;
	a->sum = digest_new();
	a->pieces = pieces_new();
	if (!a->sum || !a->pieces)
		r = err_set(e, ENOMEM, "unpack", "layer");
	else if (!(a->stream = stream_open(from->fd, from->offset, from->length, e)))
		r = -EINVAL;
	else if ((r = -pthread_create(&a->thread, NULL, ahead_run, a)) < 0)
		err_set(e, -r, "unpack", "thread");
	a->started = !r;
	if (!r)
		return a;
	ahead_close(a);
	return NULL;
}

ssize_t ahead_read(struct ahead *a, const void **ret, uint64_t *ret_taken, struct err *e)
{
	const struct piece *piece = pieces_next(a->pieces);

	if (piece) {
		*ret = piece->data;
		*ret_taken = piece->mark;
		return (ssize_t)piece->len;
	}
	if (a->result < 0)
		*e = a->e;
	return a->result;
}

void ahead_digest(struct ahead *a, char ret[DIGEST_SIZE])
{
	digest_end(take_ptr(a->sum), ret);
}

void ahead_close(struct ahead *a)
{
	if (!a)
		return;
	if (a->started) {
		pieces_stop(a->pieces);
		pthread_join(a->thread, NULL);
	}
	stream_close(a->stream);
	digest_free(a->sum);
	pieces_free(a->pieces);
	free(a);
}

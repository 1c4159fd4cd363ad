/* gateway/stream.c - see gateway/stream.h. Each wakeup reads a bounded amount: a chatty program does not keep the others waiting. */
#include "gateway/stream.h"

#include "base/file.h"
#include "base/own.h"
#include "gateway/memory.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECES_PER_WAKEUP 8

static uint8_t piece[65536];

/* What is over `most` makes it drop all but the last max bytes. */
static void tail_cut(struct stream *s, size_t most)
{
	if (s->kind != STREAM_TAIL || s->out.len <= most)
		return;
	buf_drop(&s->out, s->out.len - s->max);
	s->cut = true;
}

static void stream_end(struct stream *s, enum stream_end how)
{
	tail_cut(s, s->max);
	source_del(&s->source);
	timer_del(&s->timer);
	close_fd(&s->fd);
	s->end = how;
	s->done(s);
}

/* What the buffer has grown by. */
static bool charge(struct stream *s)
{
	size_t grown = s->out.size - s->charged;

	if (s->out.failed || !memory_take(grown))
		return false;
	s->charged += grown;
	return true;
}

/* False: there is no memory for it, and the stream has ended. */
static bool output_add(struct stream *s, const void *data, size_t len)
{
	size_t room = s->kind == STREAM_TAIL ? len : s->max - s->out.len;

	if (len > room) {
		s->cut = true;
		len = room;
	}
	buf_add(&s->out, data, len);
	tail_cut(s, 2 * s->max); /* so that a byte is moved once, on average */
	if (charge(s))
		return true;
	stream_end(s, STREAM_FULL);
	return false;
}

/* True while there may be more to read. */
static bool read_bytes(struct stream *s)
{
	ssize_t n = read(s->fd, piece, sizeof piece);

	if (n > 0)
		return output_add(s, piece, (size_t)n);
	if (n == 0)
		stream_end(s, STREAM_ENDED);
	else if (errno != EAGAIN && errno != EINTR)
		stream_end(s, STREAM_LOST);
	return false;
}

static bool record_take(struct stream *s, size_t len)
{
	switch (piece[0]) {
	case SESSION_HELLO:
		if (len == 2 && piece[1] == SESSION_VERSION)
			return true;
		break;
	case SESSION_STDOUT:
	case SESSION_STDERR:
		return output_add(s, piece + 1, len - 1);
	case SESSION_CLOSE:
		return true;
	case SESSION_ERROR:
		snprintf(s->error, sizeof s->error, "%.*s", (int)(len - 1), (const char *)piece + 1);
		return true;
	case SESSION_EXIT:
		if (len != 1 + sizeof s->exit)
			break;
		memcpy(&s->exit, piece + 1, sizeof s->exit);
		stream_end(s, STREAM_ENDED);
		return false;
	}
	stream_end(s, STREAM_LOST);
	return false;
}

static bool read_record(struct stream *s)
{
	struct wire_fds fds = {0};
	size_t len;
	int r = wire_recv(s->fd, piece, sizeof piece, &len, &fds);

	wire_fds_close(&fds); /* none are due */
	if (r == WIRE_AGAIN)
		return false;
	if (r == 0)
		return record_take(s, len);
	stream_end(s, STREAM_LOST);
	return false;
}

static void on_source(struct source *source, uint32_t events)
{
	struct stream *s = container_of(source, struct stream, source);

	for (int i = 0; i < PIECES_PER_WAKEUP; i++)
		if (!(s->kind == STREAM_SESSION ? read_record(s) : read_bytes(s)))
			return;
}

static void on_timer(struct timer *t)
{
	stream_end(container_of(t, struct stream, timer), STREAM_LATE);
}

static int session_begin(int fd)
{
	const uint8_t hello[] = {SESSION_HELLO, SESSION_VERSION};
	int r = wire_send(fd, hello, sizeof hello, NULL, 0);

	return r == WIRE_AGAIN ? -EAGAIN : r < 0 ? r : 0; /* gone: reading tells */
}

int stream_open(struct stream *s, struct loop *l, int fd, enum stream_kind kind, size_t max, uint64_t deadline_ns,
		void (*done)(struct stream *s))
{
	int r = fd_set_nonblock(fd);

	*s = (struct stream){.fd = fd, .kind = kind, .max = max, .done = done};
	buf_init(&s->out, kind == STREAM_TAIL ? 0 : max);
	if (r >= 0 && kind == STREAM_SESSION)
		r = session_begin(fd);
	if (r >= 0)
		r = source_add(l, &s->source, fd, EPOLLIN, on_source);
	if (r >= 0)
		r = timer_at(l, &s->timer, deadline_ns, on_timer);
	if (r < 0)
		stream_close(s);
	return r;
}

void stream_close(struct stream *s)
{
	source_del(&s->source);
	timer_del(&s->timer);
	close_fd(&s->fd);
	buf_fini(&s->out);
	memory_give(s->charged);
	s->charged = 0;
	s->cut = false;
}

/* gateway/stream.h - a descriptor that came with an answer of berthd, read to its end: a log, or the session of an exec. The output is
 * bounded: what is more is read and forgotten (or what came before it is), and `cut` says so. */
#pragma once

#include "base/buf.h"
#include "base/loop.h"
#include "proto/session.h"

#include <stdbool.h>

enum stream_kind {
	STREAM_BYTES,	/* a pipe or socket, to its end of file */
	STREAM_TAIL,	/* the same, but of more than max bytes the last ones are kept */
	STREAM_SESSION, /* proto/session.h: stdout and stderr as they come, and how it ended */
};

enum stream_end {
	STREAM_OPEN,  /* not yet */
	STREAM_ENDED, /* whole */
	STREAM_LATE,  /* the deadline came first: what is there is a part */
	STREAM_LOST,  /* the session broke off: nobody knows how it ended */
	STREAM_FULL,  /* no memory for it (gateway/memory.h); call_stream() answers that itself */
};

struct stream {
	/* For who is called by done: */
	enum stream_end end;
	struct buf out; /* to be taken or left */
	bool cut;
	struct session_exit exit; /* STREAM_SESSION */
	char error[256];	  /* why it was never executed, with exit.failed */

	/* stream.c's */
	enum stream_kind kind;
	int fd; /* owned */
	struct source source;
	struct timer timer;
	size_t max, charged;
	void (*done)(struct stream *s);
};

#define STREAM_NULL ((struct stream){.fd = -1})

/* Takes fd (also when it fails). done is called once, from the loop. Negative errno: it will not be. */
int stream_open(struct stream *s, struct loop *l, int fd, enum stream_kind kind, size_t max, uint64_t deadline_ns,
		void (*done)(struct stream *s));
void stream_close(struct stream *s); /* idempotent; frees the output */

/* shim/ring.h - bytes from one task to another, through a fixed ring: the loop writes, the log writer reads.
 *
 * The memory is mapped twice in a row, so that what was written since any point is one piece. Positions only grow. The
 * writer publishes a position; the reader sleeps on a futex when there is nothing, and is only woken then. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	char *mem;		 /* size bytes, and the same bytes again behind them */
	uint32_t size;		 /* power of two */
	uint32_t open;		 /* writer: written, perhaps not published */
	_Atomic uint32_t head;	 /* published by the writer */
	_Atomic uint32_t tail;	 /* consumed by the reader */
	_Atomic uint32_t bell;	 /* futex word: rises with each wake */
	_Atomic uint32_t asleep; /* the reader waits, or is about to */
};

int ring_init(struct ring *r, uint32_t size);
void ring_fini(struct ring *r);

/* Writer. */
static inline uint32_t ring_room(const struct ring *r)
{
	return r->size - (r->open - r->tail);
}
static inline char *ring_at(struct ring *r)
{
	return r->mem + (r->open & (r->size - 1));
}
static inline bool ring_empty(const struct ring *r)
{
	return r->head == r->tail;
}
void ring_publish(struct ring *r);
void ring_ring(struct ring *r); /* wakes the reader though nothing was published */
void ring_trim(struct ring *r); /* gives the pages back if everything was consumed */

/* Reader. */
uint32_t ring_peek(const struct ring *r, const char **ret); /* bytes there are */
void ring_consume(struct ring *r, uint32_t n);
/* Until there is something, somebody rang, or timeout_ms have passed (0: no limit). bell: its value before the caller looked. */
void ring_wait(struct ring *r, uint32_t bell, uint32_t timeout_ms);

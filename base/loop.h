/* base/loop.h - the event loop that every process of berth uses: one thread, one epoll, timers in a heap.
 *
 * Sources and timers are embedded in their owner, which finds itself with container_of. A handler never blocks. Any handler
 * may remove any source or timer, itself included: nothing that was removed is called afterwards, even if it was already
 * ready. A source is removed from the loop BEFORE its descriptor is closed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct source;
struct timer;

typedef void source_fn(struct source *s, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLHUP … */
typedef void timer_fn(struct timer *t);

struct source {
	struct loop *loop; /* NULL while not in a loop */
	int fd;		   /* not owned */
	uint32_t events;
	source_fn *fn;
};

struct timer {
	struct loop *loop; /* NULL while not armed */
	uint64_t at_ns;	   /* CLOCK_MONOTONIC */
	uint32_t slot;	   /* in loop->heap */
	timer_fn *fn;
};

#define LOOP_BATCH 64

struct loop {
	int epoll_fd;
	struct timer **heap; /* few, until there are more */
	uint32_t n_timers, heap_size;
	struct timer *few[16];		      /* a shim needs no malloc for its timers: that would cost it two pages */
	struct epoll_event ready[LOOP_BATCH]; /* the batch being handled; entries of removed sources are emptied */
	int n_ready, i_ready;
	bool stop;
	int result;
	void (*turn_end)(struct loop *l); /* after each batch, before waiting again; may be NULL */
	bool again;			  /* turn_end sets it to be called again without waiting */
};

int loop_init(struct loop *l); /* negative errno */
void loop_fini(struct loop *l);
int loop_run(struct loop *l); /* until loop_stop: its result; negative errno when epoll itself fails */
void loop_stop(struct loop *l, int result);

/* fd must be non-blocking where reads or writes could block. Negative errno (ENOSPC, ENOMEM). */
int source_add(struct loop *l, struct source *s, int fd, uint32_t events, source_fn *fn);
int source_set(struct source *s, uint32_t events);
void source_del(struct source *s); /* harmless when not in a loop */

/* Arms or re-arms. -ENOMEM if the heap cannot grow. */
int timer_at(struct loop *l, struct timer *t, uint64_t at_ns, timer_fn *fn);
int timer_in(struct loop *l, struct timer *t, uint64_t ns, timer_fn *fn);
void timer_del(struct timer *t); /* harmless when not armed */
static inline bool timer_armed(const struct timer *t)
{
	return t->loop != 0;
}

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

uint64_t now_ns(void); /* CLOCK_MONOTONIC */
int64_t wall_ns(void); /* CLOCK_REALTIME */

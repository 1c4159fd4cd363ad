/* base/loop.c - see base/loop.h.
 *
 * epoll_pwait2 carries the nearest deadline with nanoseconds, so no timerfd is needed. It is called raw: musl 1.2.3 has no
 * wrapper. Linux 5.11. */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

int loop_init(struct loop *l)
{
	*l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .heap_size = sizeof l->few / sizeof l->few[0]};
	l->heap = l->few;
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *l)
{
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->heap != l->few)
		free(l->heap);
	*l = (struct loop){.epoll_fd = -1};
}

void loop_stop(struct loop *l, int result)
{
	l->stop = true;
	l->result = result;
}

/* ---------------------------------------------------------------- timers: binary heap, nearest deadline at 0 */

static void heap_put(struct loop *l, uint32_t slot, struct timer *t)
{
	l->heap[slot] = t;
	t->slot = slot;
}

static void heap_up(struct loop *l, uint32_t slot, struct timer *t)
{
	while (slot) {
		uint32_t parent = (slot - 1) / 2;

		if (l->heap[parent]->at_ns <= t->at_ns)
			break;
		heap_put(l, slot, l->heap[parent]);
		slot = parent;
	}
	heap_put(l, slot, t);
}

static void heap_down(struct loop *l, uint32_t slot, struct timer *t)
{
	for (;;) {
		uint32_t child = 2 * slot + 1;

		if (child >= l->n_timers)
			break;
		if (child + 1 < l->n_timers && l->heap[child + 1]->at_ns < l->heap[child]->at_ns)
			child++;
		if (t->at_ns <= l->heap[child]->at_ns)
			break;
		heap_put(l, slot, l->heap[child]);
		slot = child;
	}
	heap_put(l, slot, t);
}

void timer_del(struct timer *t)
{
	struct loop *l = t->loop;
	struct timer *last;
	uint32_t slot = t->slot;

	if (!l)
		return;
	t->loop = NULL;
	last = l->heap[--l->n_timers];
	if (last == t)
		return;
	if (slot && l->heap[(slot - 1) / 2]->at_ns > last->at_ns)
		heap_up(l, slot, last);
	else
		heap_down(l, slot, last);
}

int timer_at(struct loop *l, struct timer *t, uint64_t at_ns, timer_fn *fn)
{
	timer_del(t);
	if (l->n_timers == l->heap_size) {
		uint32_t size = l->heap_size * 2;
		struct timer **heap = realloc(l->heap == l->few ? NULL : l->heap, size * sizeof *heap);

		if (!heap)
			return -ENOMEM;
		if (l->heap == l->few)
			memcpy(heap, l->few, sizeof l->few);
		l->heap = heap;
		l->heap_size = size;
	}
	t->loop = l;
	t->at_ns = at_ns;
	t->fn = fn;
	heap_up(l, l->n_timers++, t);
	return 0;
}

int timer_in(struct loop *l, struct timer *t, uint64_t ns, timer_fn *fn)
{
	return timer_at(l, t, now_ns() + ns, fn);
}

static void timers_run(struct loop *l)
{
	uint64_t now = l->n_timers ? now_ns() : 0;

	/* A handler that arms a timer for "now" must not keep the others waiting: only what was due at the start runs. */
	while (l->n_timers && l->heap[0]->at_ns <= now && !l->stop) {
		struct timer *t = l->heap[0];

		timer_del(t);
		t->fn(t);
	}
}

/* ---------------------------------------------------------------- sources */

int source_add(struct loop *l, struct source *s, int fd, uint32_t events, source_fn *fn)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	*s = (struct source){.fd = fd, .events = events, .fn = fn};
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	s->loop = l;
	return 0;
}

int source_set(struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (!s->loop || events == s->events)
		return 0;
	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
		return -errno;
	s->events = events;
	return 0;
}

void source_del(struct source *s)
{
	struct loop *l = s->loop;

	if (!l)
		return;
	s->loop = NULL;
	/* Closing would remove it too, but only with the last copy of the descriptor: a child may hold one. */
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	for (int i = l->i_ready; i < l->n_ready; i++)
		if (l->ready[i].data.ptr == s)
			l->ready[i].data.ptr = NULL;
}

static int loop_wait(struct loop *l)
{
	struct timespec ts, *timeout = NULL;
	uint64_t now;

	if (l->n_timers) {
		now = now_ns();
		uint64_t left = l->heap[0]->at_ns > now ? l->heap[0]->at_ns - now : 0;

		ts = (struct timespec){(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
		timeout = &ts;
	}
	return (int)syscall(SYS_epoll_pwait2, l->epoll_fd, l->ready, LOOP_BATCH, timeout, NULL, 0);
}

int loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop) {
		int n = loop_wait(l);

		if (n < 0 && errno != EINTR)
			return -errno;
		l->n_ready = n < 0 ? 0 : n;
		for (l->i_ready = 0; l->i_ready < l->n_ready && !l->stop;) {
			struct epoll_event *ev = &l->ready[l->i_ready++];
			struct source *s = ev->data.ptr;

			if (s)
				s->fn(s, ev->events);
		}
		l->n_ready = l->i_ready = 0;
		if (!l->stop)
			timers_run(l);
		do {
			l->again = false;
			if (l->turn_end && !l->stop)
				l->turn_end(l);
		} while (l->again && !l->stop);
	}
	return l->result;
}

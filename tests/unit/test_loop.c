/* tests/unit/test_loop.c - nothing that was removed is called, timers come in order, and the heap stays a heap. */
#include "tests/unit/unit.h"

#include "base/loop.h"

#include <sys/eventfd.h>

static struct loop loop;

static int setup(void **state)
{
	return loop_init(&loop);
}

static int teardown(void **state)
{
	loop_fini(&loop);
	return 0;
}

/* ---------------------------------------------------------------- sources */

#define N 8

struct ring {
	struct source source;
	struct timer timer;
	int fd, calls;
};

static struct ring ring[N];
static int total;

static void ring_make(source_fn *fn)
{
	total = 0;
	for (int i = 0; i < N; i++) {
		ring[i] = (struct ring){.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
		assert_true(ring[i].fd >= 0);
		assert_int_equal(source_add(&loop, &ring[i].source, ring[i].fd, EPOLLIN, fn), 0);
	}
}

static void ring_end(void)
{
	for (int i = 0; i < N; i++) {
		source_del(&ring[i].source);
		timer_del(&ring[i].timer);
		close_fd(&ring[i].fd);
	}
}

static void stop(struct timer *t)
{
	loop_stop(t->loop ? t->loop : &loop, 5);
}

/* The first that is called removes all the others, which are ready in the same batch, and frees what they stood for. */
static void remove_others(struct source *s, uint32_t events)
{
	total++;
	for (int i = 0; i < N; i++)
		if (&ring[i].source != s) {
			source_del(&ring[i].source);
			close_fd(&ring[i].fd);
			memset(&ring[i].source, 0xa5, sizeof ring[i].source);
		}
	source_del(s);
}

static void removed_sources_are_not_called_though_ready(void **state)
{
	struct timer end = {0};

	ring_make(remove_others);
	timer_in(&loop, &end, 2 * NS_PER_MS, stop);
	assert_int_equal(loop_run(&loop), 5);
	assert_int_equal(total, 1);
	for (int i = 0; i < N; i++)
		ring[i].source = (struct source){0};
	ring_end();
}

static void remove_self(struct source *s, uint32_t events)
{
	total++;
	source_del(s);
	source_del(s);
}

static void a_source_may_remove_itself(void **state)
{
	struct timer end = {0};

	ring_make(remove_self);
	timer_in(&loop, &end, 5 * NS_PER_MS, stop);
	assert_int_equal(loop_run(&loop), 5);
	assert_int_equal(total, N);
	ring_end();
}

static void readd_next(struct source *s, uint32_t events)
{
	struct ring *r = container_of(s, struct ring, source);
	struct ring *next = &ring[(r - ring + 1) % N];

	total++;
	source_del(&next->source);
	assert_int_equal(source_add(&loop, &next->source, next->fd, EPOLLIN, readd_next), 0);
	if (total == 100)
		loop_stop(&loop, 0);
}

static void a_source_may_be_put_back_in_a_handler(void **state)
{
	ring_make(readd_next);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(total, 100);
	ring_end();
}

static void count(struct source *s, uint32_t events)
{
	container_of(s, struct ring, source)->calls++;
	total++;
}

static void events_can_be_changed_and_silenced(void **state)
{
	struct timer end = {0};

	ring_make(count);
	for (int i = 0; i < N; i++)
		assert_int_equal(source_set(&ring[i].source, 0), 0);
	timer_in(&loop, &end, 2 * NS_PER_MS, stop);
	assert_int_equal(loop_run(&loop), 5);
	assert_int_equal(total, 0);
	assert_int_equal(source_set(&ring[3].source, EPOLLIN), 0);
	timer_in(&loop, &end, 2 * NS_PER_MS, stop);
	assert_int_equal(loop_run(&loop), 5);
	assert_true(ring[3].calls > 0);
	assert_int_equal(total, ring[3].calls);
	ring_end();
}

static void a_bad_descriptor_is_refused(void **state)
{
	struct source s;

	assert_int_equal(source_add(&loop, &s, 1000, EPOLLIN, count), -EBADF);
	source_del(&s);
	assert_int_equal(source_set(&s, EPOLLIN), 0);
}

/* ---------------------------------------------------------------- timers */

static uint64_t last_ns;

static void in_order(struct timer *t)
{
	assert_true(t->at_ns >= last_ns);
	assert_true(now_ns() >= t->at_ns);
	assert_false(timer_armed(t));
	last_ns = t->at_ns;
	if (++total == 200)
		loop_stop(&loop, 0);
}

static void timers_run_in_the_order_of_their_deadlines(void **state)
{
	static struct timer timers[200];
	uint64_t now = now_ns();

	total = 0;
	last_ns = 0;
	for (int i = 0; i < 200; i++)
		assert_int_equal(timer_at(&loop, &timers[i], now + (uint64_t)(i * 7919 % 200) * 50000, in_order), 0);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(total, 200);
	assert_true(now_ns() - now < NS_PER_S);
}

static void del_others(struct timer *t)
{
	total++;
	for (int i = 0; i < N; i++)
		if (&ring[i].timer != t)
			timer_del(&ring[i].timer);
}

static void deleted_timers_are_not_called_though_due(void **state)
{
	struct timer end = {0};

	total = 0;
	for (int i = 0; i < N; i++)
		timer_at(&loop, &ring[i].timer, 0, del_others);
	timer_in(&loop, &end, 2 * NS_PER_MS, stop);
	assert_int_equal(loop_run(&loop), 5);
	assert_int_equal(total, 1);
	for (int i = 0; i < N; i++)
		assert_false(timer_armed(&ring[i].timer));
}

static void rearm_self(struct timer *t)
{
	if (++total == 1000)
		loop_stop(&loop, 9);
	else
		timer_in(&loop, t, 0, rearm_self);
}

static void read_one(struct source *s, uint32_t events)
{
	source_del(s);
	loop_stop(&loop, 4);
}

/* A timer that always comes back at once must not keep sources waiting. */
static void a_timer_that_rearms_does_not_starve_sources(void **state)
{
	struct timer t = {0};
	struct source s;
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	total = 0;
	timer_in(&loop, &t, 0, rearm_self);
	assert_int_equal(source_add(&loop, &s, fd, EPOLLIN, read_one), 0);
	assert_int_equal(loop_run(&loop), 4);
	assert_true(total < 1000);
	timer_del(&t);
	close(fd);
}

static void rearming_moves_the_deadline(void **state)
{
	struct timer early = {0}, late = {0};

	total = 0;
	timer_in(&loop, &early, NS_PER_MS, rearm_self);
	timer_in(&loop, &early, 3600 * NS_PER_S, rearm_self);
	timer_in(&loop, &late, 3600 * NS_PER_S, stop);
	timer_in(&loop, &late, 3 * NS_PER_MS, stop);
	assert_int_equal(loop.n_timers, 2);
	assert_int_equal(loop_run(&loop), 5);
	assert_int_equal(total, 0);
	timer_del(&early);
	timer_del(&early);
	assert_int_equal(loop.n_timers, 0);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void heap_check(size_t step)
{
	for (uint32_t i = 0; i < loop.n_timers; i++) {
		assert_row(loop.heap[i]->slot == i, step);
		assert_row(i == 0 || loop.heap[(i - 1) / 2]->at_ns <= loop.heap[i]->at_ns, step);
	}
}

static void the_heap_holds_under_random_adds_and_deletes(void **state)
{
	static struct timer timers[300];
	uint32_t seed = 20240607;
	uint32_t armed = 0;

	for (size_t step = 0; step < 20000; step++) {
		struct timer *t = &timers[random_next(&seed) % ARRAY_SIZE(timers)];

		armed -= timer_armed(t);
		if (random_next(&seed) % 3) {
			assert_int_equal(timer_at(&loop, t, random_next(&seed) % 1000, stop), 0);
			armed++;
		} else {
			timer_del(t);
		}
		assert_row(loop.n_timers == armed, step);
		if (step % 16 == 0)
			heap_check(step);
	}
	heap_check(20000);
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
		timer_del(&timers[i]);
	assert_int_equal(loop.n_timers, 0);
}

/* ---------------------------------------------------------------- turns */

static void turn_end(struct loop *l)
{
	if (++total < 10)
		l->again = true;
	else
		loop_stop(l, 8);
}

static void turn_end_may_ask_to_be_called_again_without_waiting(void **state)
{
	struct timer t = {0};

	total = 0;
	loop.turn_end = turn_end;
	timer_in(&loop, &t, 0, rearm_self);
	assert_int_equal(loop_run(&loop), 8);
	assert_true(total >= 10);
	timer_del(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(removed_sources_are_not_called_though_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_may_remove_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_may_be_put_back_in_a_handler, setup, teardown),
		cmocka_unit_test_setup_teardown(events_can_be_changed_and_silenced, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_descriptor_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(timers_run_in_the_order_of_their_deadlines, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_timers_are_not_called_though_due, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_that_rearms_does_not_starve_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(rearming_moves_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(the_heap_holds_under_random_adds_and_deletes, setup, teardown),
		cmocka_unit_test_setup_teardown(turn_end_may_ask_to_be_called_again_without_waiting, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

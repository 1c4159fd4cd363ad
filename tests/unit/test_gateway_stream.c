/* tests/unit/test_gateway_stream.c - what comes through a descriptor of berthd's is held within bounds: its beginning, or its end. */
#include "unit.h"

#include "gateway/memory.h"
#include "gateway/stream.h"

#include <sys/wait.h>

#define MAX 10000

static struct loop loop;
static struct stream stream;

static void on_done(struct stream *s)
{
	loop_stop(&loop, 0);
}

static enum stream_end expected = STREAM_ENDED;

/* A child writes n bytes that count: 0, 1, 2 … */
static void read_all(enum stream_kind kind, unsigned n)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		for (unsigned i = 0; i < n; i++)
			if (write(fds[1], &(char){(char)i}, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(stream_open(&stream, &loop, fds[0], kind, MAX, now_ns() + 20 * NS_PER_S, on_done), 0);
	assert_int_equal(loop_run(&loop), 0);
	waitpid(pid, NULL, 0);
	assert_int_equal(stream.end, expected);
}

static void done(void)
{
	stream_close(&stream);
	loop_fini(&loop);
	assert_int_equal(memory_used(), 0);
}

static void of_too_much_the_beginning_is_kept(void **state)
{
	read_all(STREAM_BYTES, MAX + 5);
	assert_int_equal(stream.out.len, MAX);
	assert_true(stream.cut);
	assert_int_equal(stream.out.data[1], 1);
	done();
}

static void of_a_tail_the_end_is_kept(void **state)
{
	static const unsigned lengths[] = {MAX + 1, 2 * MAX, 2 * MAX + 1, 7 * MAX + 3};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		read_all(STREAM_TAIL, lengths[i]);
		assert_row(stream.out.len == MAX, i);
		assert_row(stream.cut, i);
		for (unsigned k = 0; k < MAX; k++)
			assert_row(stream.out.data[k] == (char)(lengths[i] - MAX + k), i);
		done();
	}
}

static void what_fits_is_whole(void **state)
{
	for (int kind = STREAM_BYTES; kind <= STREAM_TAIL; kind++) {
		read_all((enum stream_kind)kind, MAX);
		assert_int_equal(stream.out.len, MAX);
		assert_false(stream.cut);
		done();
	}
}

static void what_there_is_no_memory_for_ends_it(void **state)
{
	memory_init(8192);
	expected = STREAM_FULL;
	read_all(STREAM_BYTES, MAX);
	done();
	memory_init(1u << 20);
	expected = STREAM_ENDED;
	read_all(STREAM_BYTES, MAX);
	assert_true(memory_used() >= MAX);
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_too_much_the_beginning_is_kept),
		cmocka_unit_test(of_a_tail_the_end_is_kept),
		cmocka_unit_test(what_fits_is_whole),
		cmocka_unit_test(what_there_is_no_memory_for_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

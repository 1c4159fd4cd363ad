/* tests/unit/test_behind.c - a thread that takes what it is given: all of it, in order, and its error comes back. */
#include "tests/unit/unit.h"

#include "image/behind.h"
#include "image/pieces.h"

#define BYTES ((size_t)PIECE_SIZE * PIECES * 3 + 12345)

struct taken {
	size_t bytes, fail_at;
	bool wrong;
	unsigned calls_after;
	int failed;
};

static unsigned char at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static int take(void *arg, const void *data, size_t len, struct err *e)
{
	const unsigned char *p = data;
	struct taken *t = arg;

	t->calls_after += t->failed != 0;
	for (size_t i = 0; i < len; i++)
		t->wrong |= p[i] != at(t->bytes + i);
	t->bytes += len;
	if (t->fail_at && t->bytes >= t->fail_at)
		t->failed = err_set(e, ENOSPC, "test", "no more");
	return t->failed;
}

/* In parts of a size that fits nothing. */
static int give(struct behind *b, size_t bytes, struct err *e)
{
	static unsigned char part[70001];
	int r = 0;

	for (size_t done = 0, n; !r && done < bytes; done += n) {
		n = bytes - done < sizeof part ? bytes - done : sizeof part;
		for (size_t i = 0; i < n; i++)
			part[i] = at(done + i);
		r = behind_add(b, part, n, e);
	}
	return r;
}

static void all_of_it_is_taken_in_order(void **state)
{
	const size_t sizes[] = {0, 1, PIECE_SIZE, BYTES};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct taken t = {0};
		struct behind *b = behind_open(take, &t, NULL);

		assert_non_null(b);
		assert_int_equal(give(b, sizes[i], NULL), 0);
		assert_int_equal(behind_end(b, NULL), 0);
		assert_row(t.bytes == sizes[i] && !t.wrong, i);
		behind_close(b);
	}
}

static void its_error_comes_back_and_nothing_is_taken_after_it(void **state)
{
	const size_t fail_at[] = {1, PIECE_SIZE * 2, BYTES};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fail_at); i++) {
		struct taken t = {.fail_at = fail_at[i]};
		struct err e = {0};
		struct behind *b = behind_open(take, &t, NULL);
		int r;

		assert_non_null(b);
		r = give(b, BYTES, &e);
		if (!r)
			r = behind_end(b, &e);
		assert_row(r == -ENOSPC && !strcmp(e.text, "no more"), i);
		assert_row(behind_end(b, NULL) == -ENOSPC, i);
		assert_row(!t.calls_after && !t.wrong, i);
		behind_close(b);
	}
}

static void one_that_is_not_ended_can_be_closed(void **state)
{
	struct taken t = {0};
	struct behind *b = behind_open(take, &t, NULL);

	(void)state;
	assert_non_null(b);
	assert_int_equal(give(b, PIECE_SIZE + 1, NULL), 0);
	behind_close(b);
	assert_in_range(t.bytes, 0, PIECE_SIZE + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_taken_in_order),
		cmocka_unit_test(its_error_comes_back_and_nothing_is_taken_after_it),
		cmocka_unit_test(one_that_is_not_ended_can_be_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

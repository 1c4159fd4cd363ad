/* tests/unit/test_buf.c - a buffer grows, keeps its cap, and says at the end whether something was lost. */
#include "tests/unit/unit.h"

#include "base/buf.h"

static void what_is_added_is_there_and_ends_in_nul(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	buf_adds(&b, "one");
	buf_addc(&b, ' ');
	buf_printf(&b, "%d %s", 2, "three");
	buf_add(&b, "\0x", 2);
	assert_int_equal(b.len, 13);
	assert_memory_equal(b.data, "one 2 three\0x", 14);
	assert_false(b.failed);
	buf_fini(&b);
	buf_fini(&b);
}

static void it_grows_by_any_step(void **state)
{
	char chunk[1000];
	struct buf b;

	memset(chunk, 'c', sizeof chunk);
	buf_init(&b, 0);
	for (size_t len = 0, step = 0; step < 200; step++) {
		buf_add(&b, chunk, step * 5);
		len += step * 5;
		assert_int_equal(b.len, len);
		assert_true(b.size > b.len);
	}
	buf_fini(&b);
}

static void the_cap_cuts_and_is_remembered(void **state)
{
	struct buf b;

	buf_init(&b, 8);
	buf_adds(&b, "12345678");
	assert_false(b.failed);
	buf_addc(&b, '9');
	assert_true(b.failed);
	/* What is shorter must not slip in after what was lost. */
	buf_adds(&b, "");
	assert_int_equal(b.len, 8);
	assert_null(buf_take(&b));
	assert_null(b.data);
}

static void a_printf_over_the_cap_adds_nothing(void **state)
{
	struct buf b;

	buf_init(&b, 8);
	buf_adds(&b, "1234");
	buf_printf(&b, "%s", "56789");
	assert_true(b.failed);
	assert_string_equal(b.data, "1234");
	buf_fini(&b);
}

static void an_impossible_room_fails_without_overflow(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	buf_adds(&b, "x");
	assert_null(buf_room(&b, SIZE_MAX));
	assert_true(b.failed);
	buf_fini(&b);
}

static void reset_forgives_and_keeps_the_memory(void **state)
{
	struct buf b;
	char *data;

	buf_init(&b, 4);
	buf_adds(&b, "1234");
	data = b.data;
	buf_addc(&b, '5');
	assert_true(b.failed);
	buf_reset(&b);
	assert_false(b.failed);
	buf_adds(&b, "abcd");
	assert_ptr_equal(b.data, data);
	assert_string_equal(b.data, "abcd");
	buf_fini(&b);
}

static void drop_takes_from_the_front(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	buf_drop(&b, 3);
	buf_adds(&b, "abcdef");
	buf_drop(&b, 2);
	assert_string_equal(b.data, "cdef");
	buf_drop(&b, 100);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_fini(&b);
}

static void take_gives_an_empty_text_for_nothing(void **state)
{
	struct buf b;
	char *s;

	buf_init(&b, 0);
	s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
	buf_adds(&b, "x");
	s = buf_take(&b);
	assert_string_equal(s, "x");
	assert_null(b.data);
	free(s);
}

static void room_is_filled_by_its_caller(void **state)
{
	struct buf b;
	char *room;

	buf_init(&b, 0);
	buf_adds(&b, "a");
	room = buf_room(&b, 100);
	assert_non_null(room);
	memset(room, 'b', 100);
	b.len += 100;
	buf_adds(&b, "c");
	assert_int_equal(b.len, 102);
	assert_int_equal(b.data[101], 'c');
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_is_there_and_ends_in_nul),
		cmocka_unit_test(it_grows_by_any_step),
		cmocka_unit_test(the_cap_cuts_and_is_remembered),
		cmocka_unit_test(a_printf_over_the_cap_adds_nothing),
		cmocka_unit_test(an_impossible_room_fails_without_overflow),
		cmocka_unit_test(reset_forgives_and_keeps_the_memory),
		cmocka_unit_test(drop_takes_from_the_front),
		cmocka_unit_test(take_gives_an_empty_text_for_nothing),
		cmocka_unit_test(room_is_filled_by_its_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

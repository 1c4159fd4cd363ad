/* tests/unit/test_zun_log_text.c - the log of a container as one text. */
#include "unit.h"

#include "gateway/zun/log_text.h"

#define T0 "2026-11-22T02:09:33.000000001Z"

static void check(const char *cri, bool timestamps, const char *text)
{
	struct buf b;

	buf_init(&b, 0);
	buf_adds(&b, "");
	log_text(&b, cri, strlen(cri), timestamps);
	assert_string_equal(b.data, text);
	buf_fini(&b);
}

static void both_streams_come_as_they_came(void **state)
{
	check(T0 " stdout F one\n" T0 " stderr F two \n" T0 " stdout F \n", false, "one\ntwo \n\n");
	check("", false, "");
}

static void parts_are_joined_and_have_one_time(void **state)
{
	static const char cri[] = T0 " stdout P a\n" T0 " stdout P b\n" T0 " stdout F c\n" T0 " stdout P open\n";

	check(cri, false, "abc\nopen");
	check(cri, true, T0 " abc\n" T0 " open");
}

static void what_is_torn_is_left_out_and_what_was_dropped_is_said(void **state)
{
	check("ut F torn at the front\n" T0 " stdout F whole\n" T0 " stdout F:gap lines=3 bytes=40\n" T0 " stdo", false,
	      "whole\n[berth: 3 lines, 40 bytes dropped]\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_streams_come_as_they_came),
		cmocka_unit_test(parts_are_joined_and_have_one_time),
		cmocka_unit_test(what_is_torn_is_left_out_and_what_was_dropped_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_kept.c - a file of ours is told from one that somebody has edited. */
#include "base/kept.h"
#include "tests/unit/unit.h"

static void only_what_is_as_it_was_written_is_ours(void **state)
{
	static const char body[] = "127.0.0.1\tlocalhost\n";
	char text[256], line[KEPT_LINE];
	size_t len, head;

	kept_line(body, strlen(body), line);
	head = strlen(line);
	assert_int_equal(line[head - 1], '\n');
	len = (size_t)snprintf(text, sizeof text, "%s%s", line, body);
	assert_true(kept_is_ours(text, len));
	for (size_t i = 0; i < len; i++) { /* one letter anywhere */
		text[i] ^= 1;
		assert_false(kept_is_ours(text, len));
		text[i] ^= 1;
	}
	for (size_t n = 0; n < len; n++)
		assert_false(kept_is_ours(text, n));
	text[len] = '\n'; /* appended, as by `echo >>` */
	assert_false(kept_is_ours(text, len + 1));
	assert_false(kept_is_ours(body, strlen(body)));
	kept_line("", 0, line);
	assert_true(kept_is_ours(line, strlen(line)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_as_it_was_written_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

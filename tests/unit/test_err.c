/* tests/unit/test_err.c - an error keeps its errno and its nearest words, whatever its length. */
#include "tests/unit/unit.h"

#include "base/err.h"
#include "base/str.h"

static void it_passes_its_errno_up(void **state)
{
	struct err e;
	char text[64];

	assert_int_equal(err_set(&e, ENOENT, "exec", "exec %s", "/bin/x"), -ENOENT);
	assert_string_equal(e.step, "exec");
	assert_string_equal(err_format(&e, text, sizeof text), "exec /bin/x: No such file or directory");
	assert_int_equal(err_set(&e, -ENOENT, "exec", "x"), -ENOENT);
	assert_int_equal(e.code, ENOENT);
	assert_int_equal(err_set(NULL, EPERM, NULL, "x"), -EPERM);
	assert_int_equal(err_set(NULL, 0, NULL, "x"), -EINVAL);
}

static void without_errno_the_text_stands_alone(void **state)
{
	struct err e;
	char text[64];

	assert_int_equal(err_set(&e, 0, "check", "name is empty"), -EINVAL);
	assert_string_equal(err_format(&e, text, sizeof text), "name is empty");
	assert_int_equal(err_set(&e, EIO, "read", "%s", ""), -EIO);
	assert_string_equal(err_format(&e, text, sizeof text), "read: Input/output error");
}

static void words_are_put_before(void **state)
{
	struct err e;
	char text[80];

	err_set(&e, EACCES, "open", "open a");
	assert_int_equal(err_wrap(&e, "config %d", 7), -EACCES);
	assert_string_equal(err_format(&e, text, sizeof text), "config 7: open a: Permission denied");
	assert_string_equal(e.step, "open");
	assert_int_equal(err_wrap(NULL, "x"), -EINVAL);
}

static void what_is_too_long_is_cut_at_its_end(void **state)
{
	char longest[1000], small[8];
	struct err e;

	memset(longest, 'w', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	err_set(&e, EIO, longest, "%s", longest);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	assert_int_equal(strlen(e.step), sizeof e.step - 1);
	err_wrap(&e, "near");
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	assert_memory_equal(e.text, "near: www", 9);
	err_wrap(&e, "%s", longest);
	assert_true(strlen(e.text) < sizeof e.text);
	assert_string_equal(err_format(&e, small, sizeof small), "wwwwwww");
}

/* A record with a string that is no UTF-8 is refused as a whole: whoever reads the error would hear nothing of it. */
static void what_is_cut_within_a_character_is_utf8_all_the_same(void **state)
{
	char longest[1000], small[8];
	struct err e;

	err_set(&e, EIO, "test", "'%.4s' \xff", "ab\xc3\xa9\xc3\xa9");
	assert_string_equal(e.text, "'ab\xc3\xa9' ?");
	err_set(&e, EIO, "test", "'%.3s'", "ab\xc3\xa9");
	assert_string_equal(e.text, "'ab?'");
	for (size_t i = 0; i < sizeof longest; i++)
		longest[i] = i % 2 ? '\xa9' : '\xc3';
	longest[sizeof longest - 1] = 0;
	for (int i = 0; i < 3; i++) {
		err_set(&e, EIO, longest, "%.*s%s", i, "ww", longest);
		assert_true(str_is_utf8(e.text, strlen(e.text)) && str_is_utf8(e.step, strlen(e.step)));
		err_wrap(&e, "%.*s", i, "ww");
		assert_true(str_is_utf8(e.text, strlen(e.text)));
		err_format(&e, small, sizeof small - (unsigned)i);
		assert_true(str_is_utf8(small, strlen(small)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_passes_its_errno_up),
		cmocka_unit_test(without_errno_the_text_stands_alone),
		cmocka_unit_test(words_are_put_before),
		cmocka_unit_test(what_is_too_long_is_cut_at_its_end),
		cmocka_unit_test(what_is_cut_within_a_character_is_utf8_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_gateway_json.c - what the writer writes, jansson reads back as the same; and it is bounded. */
#include "tests/unit/unit.h"

#include "gateway/json.h"

#include <jansson.h>
#include <math.h>

static struct jw j;

static int setup(void **state)
{
	jw_init(&j, 0);
	return 0;
}

static int teardown(void **state)
{
	jw_fini(&j);
	return 0;
}

static json_t *read_back(void)
{
	json_error_t error;
	json_t *value =
		json_loadb(j.buf.data, j.buf.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!value)
		fail_msg("%s: %d:%d: %s", j.buf.data, error.line, error.column, error.text);
	return value;
}

static void structures_are_exact(void **state)
{
	jw_object(&j, NULL);
	jw_str(&j, "name", "web");
	jw_array(&j, "ports");
	jw_int(&j, NULL, 80);
	jw_int(&j, NULL, -1);
	jw_end(&j);
	jw_array(&j, "none");
	jw_end(&j);
	jw_object(&j, "empty");
	jw_end(&j);
	jw_null(&j, "gone");
	jw_bool(&j, "yes", true);
	jw_str(&j, "absent", NULL);
	jw_fmt(&j, "url", "http://%s/%d", "a", 1);
	jw_end(&j);
	assert_string_equal(j.buf.data,
			    "{\"name\":\"web\",\"ports\":[80,-1],\"none\":[],\"empty\":{},\"gone\":null,\"yes\":true,"
			    "\"absent\":null,\"url\":\"http://a/1\"}");
	json_decref(read_back());
}

static void every_text_reads_back_as_itself(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *back;
	} rows[] = {
		{"", 0, ""},
		{"a\"b\\c/d", 7, "a\"b\\c/d"},
		{"\b\f\n\r\t\x01\x1f\x7f", 8, "\b\f\n\r\t\x01\x1f\x7f"},
		{"a\0b", 3, "a\0b"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb3", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb3"},
		{"bad\xff!", 5, "bad\xef\xbf\xbd!"},
		{"\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd"},		     /* cut */
		{"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
		{"</script>\xe2\x80\xa8", 12, "</script>\xe2\x80\xa8"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *back;

		jw_reset(&j);
		jw_array(&j, NULL);
		jw_text(&j, NULL, rows[i].text, rows[i].len);
		jw_end(&j);
		back = read_back();
		json_t *s = json_array_get(back, 0);
		size_t len = rows[i].len == 3 && !rows[i].text[1] ? 3 : strlen(rows[i].back);

		assert_row(json_string_length(s) == len && !memcmp(json_string_value(s), rows[i].back, len), i);
		json_decref(back);
	}
}

static void numbers_read_back_as_themselves(void **state)
{
	static const double reals[] = {0,   1,	 -1,   0.1, 1.0 / 3, 1e300, 5e-324, 123456789012345680.0,
				       0.5, 100, 1e15, 1e21};
	static const int64_t integers[] = {0, -1, INT64_MAX, INT64_MIN, 1ll << 53};

	for (size_t i = 0; i < ARRAY_SIZE(reals); i++) {
		jw_reset(&j);
		jw_real(&j, NULL, reals[i]);
		json_t *back = read_back();

		assert_row(json_is_real(back) && json_real_value(back) == reals[i], i);
		json_decref(back);
	}
	for (size_t i = 0; i < ARRAY_SIZE(integers); i++) {
		jw_reset(&j);
		jw_int(&j, NULL, integers[i]);
		json_t *back = read_back();

		assert_row(json_is_integer(back) && json_integer_value(back) == integers[i], i);
		json_decref(back);
	}
	jw_reset(&j);
	jw_array(&j, NULL);
	jw_real(&j, NULL, NAN);
	jw_real(&j, NULL, -INFINITY);
	jw_real(&j, NULL, 1);
	jw_uint(&j, NULL, UINT64_MAX);
	jw_end(&j);
	assert_string_equal(j.buf.data, "[null,null,1.0,18446744073709551615]");
}

static void depth_and_unbalanced_ends_are_faults(void **state)
{
	jw_end(&j);
	assert_true(j.buf.failed);
	jw_reset(&j);
	for (int i = 0; i < 63; i++)
		jw_array(&j, NULL);
	assert_false(j.buf.failed);
	for (int i = 0; i < 63; i++)
		jw_end(&j);
	json_decref(read_back());
	jw_reset(&j);
	for (int i = 0; i < 64; i++)
		jw_object(&j, i ? "deeper" : NULL);
	assert_true(j.buf.failed);
}

static void a_cap_holds(void **state)
{
	jw_fini(&j);
	jw_init(&j, 100);
	jw_array(&j, NULL);
	for (int i = 0; i < 50; i++)
		jw_str(&j, NULL, "some text");
	assert_true(j.buf.failed);
	assert_true(j.buf.len <= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(structures_are_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(every_text_reads_back_as_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_read_back_as_themselves, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_and_unbalanced_ends_are_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cap_holds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

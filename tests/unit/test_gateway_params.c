/* tests/unit/test_gateway_params.c - what arguments a table lets through, what they become, and what is said of the others. */
#include "tests/unit/unit.h"

#include "gateway/params.h"

static bool is_name(const char *s)
{
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789")] == 0;
}

static bool even(const struct param *p, json_t **value, struct fault *f)
{
	json_int_t n = json_integer_value(*value);

	if (n % 2)
		return fault_text(f, "is odd");
	json_decref(*value);
	*value = json_integer(n / 2);
	return true;
}

static const struct param text = {.type = P_STRING};
static const struct param anything_as_text = {.type = P_STRING, .flags = P_STRINGIFY};
static const struct param net_params[] = {
	{.name = "network", .type = P_STRING, .flags = P_REQUIRED},
	{.name = "ip", .type = P_STRING},
	{0},
};
static const struct schema net_schema = {.params = net_params};
static const struct param net = {.type = P_OBJECT, .inner = &net_schema};

static const struct param params[] = {
	{.name = "image", .type = P_STRING, .flags = P_REQUIRED, .min = 2, .max = 10},
	{.name = "name",
	 .type = P_STRING,
	 .flags = P_NULL,
	 .fits = is_name,
	 .shape = "must be small letters and digits"},
	{.name = "count", .type = P_INT, .min = 1, .max = 1000},
	{.name = "memory", .type = P_INT, .flags = P_TEXT, .min = 4, .max = 8192},
	{.name = "cpu", .type = P_NUMBER, .flags = P_TEXT, .min = 0.1, .max = 16},
	{.name = "tty", .type = P_BOOL},
	{.name = "auto", .type = P_BOOL, .flags = P_TEXT},
	{.name = "run", .type = P_BOOL, .flags = P_TEXT, .yes = "1 on yes", .no = "0 off no"},
	{.name = "driver", .type = P_STRING, .words = "docker glance"},
	{.name = "command", .type = P_ARRAY, .item = &anything_as_text, .max = 3},
	{.name = "env", .type = P_MAP, .item = &text, .max = 2},
	{.name = "nets", .type = P_ARRAY, .item = &net},
	{.name = "hints", .type = P_ANY},
	{.name = "half", .type = P_INT, .check = even},
	{.name = "old", .type = P_STRING, .until = 9},
	{.name = "new", .type = P_STRING, .since = 10},
	{.name = "q", .type = P_STRING, .flags = P_QUERY},
	{.name = "b", .type = P_STRING, .flags = P_BODY},
	{.name = "skipped", .flags = P_IGNORE},
	{0},
};
static const struct schema schema = {.params = params};
static const struct schema open_schema = {.params = params, .open = true};

static struct fault fault;

/* The arguments as text, sorted; "" when refused. */
static char *read_args(const struct schema *s, unsigned version, const char *query_text, const char *body_text)
{
	json_t *query, *body = NULL, *args = NULL;
	char *out;

	fault = (struct fault){0};
	query = params_query(query_text, &fault);
	if (body_text && !fault.kind)
		body = params_json(body_text, strlen(body_text), &fault);
	if (!fault.kind)
		args = params_read(s, version, query, body, &fault);
	out = args ? json_dumps(args, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(10)) : strdup("");
	json_decref(query);
	json_decref(body);
	json_decref(args);
	return out;
}

static void what_fits_gets_exactly_its_type(void **state)
{
	static const struct {
		const char *query, *body, *args;
	} rows[] = {
		{"", "{\"image\":\"ab\"}", "{\"image\":\"ab\"}"},
		{"image=ab", NULL, "{\"image\":\"ab\"}"},
		{"image=ab", "null", "{\"image\":\"ab\"}"},
		{"count=7", "{\"image\":\"ab\"}", "{\"count\":7,\"image\":\"ab\"}"},
		{"image=ab&memory=64", NULL, "{\"image\":\"ab\",\"memory\":64}"},
		{NULL, "{\"image\":\"ab\",\"memory\":\"64\",\"cpu\":\"0.5\"}",
		 "{\"cpu\":0.5,\"image\":\"ab\",\"memory\":64}"},
		{NULL, "{\"image\":\"ab\",\"memory\":64,\"cpu\":1}", "{\"cpu\":1.0,\"image\":\"ab\",\"memory\":64}"},
		{NULL, "{\"image\":\"ab\",\"cpu\":\".5\"}", "{\"cpu\":0.5,\"image\":\"ab\"}"},
		{"image=ab&tty=True&run=on&auto=false", NULL,
		 "{\"auto\":false,\"image\":\"ab\",\"run\":true,\"tty\":true}"},
		{NULL, "{\"image\":\"ab\",\"tty\":false,\"run\":\"no\",\"auto\":\"true\"}",
		 "{\"auto\":true,\"image\":\"ab\",\"run\":false,\"tty\":false}"},
		{NULL, "{\"image\":\"ab\",\"name\":null}", "{\"image\":\"ab\"}"},
		{NULL, "{\"image\":\"ab\",\"command\":[\"a\",1,true]}",
		 "{\"command\":[\"a\",\"1\",\"true\"],\"image\":\"ab\"}"},
		{NULL, "{\"image\":\"ab\",\"command\":[]}", "{\"command\":[],\"image\":\"ab\"}"},
		{"image=ab&command=x", NULL, "{\"command\":[\"x\"],\"image\":\"ab\"}"},
		{NULL, "{\"image\":\"ab\",\"env\":{\"A\":\"1\",\"B\":\"\"}}",
		 "{\"env\":{\"A\":\"1\",\"B\":\"\"},\"image\":\"ab\"}"},
		{NULL, "{\"image\":\"ab\",\"nets\":[{\"network\":\"n\"}]}",
		 "{\"image\":\"ab\",\"nets\":[{\"network\":\"n\"}]}"},
		{NULL, "{\"image\":\"ab\",\"hints\":[{\"x\":null}]}", "{\"hints\":[{\"x\":null}],\"image\":\"ab\"}"},
		{NULL, "{\"image\":\"ab\",\"half\":8}", "{\"half\":4,\"image\":\"ab\"}"},
		{NULL, "{\"image\":\"ab\",\"new\":\"x\"}", "{\"image\":\"ab\",\"new\":\"x\"}"},
		{"q=1", "{\"image\":\"ab\",\"b\":\"2\"}", "{\"b\":\"2\",\"image\":\"ab\",\"q\":\"1\"}"},
		{"skipped=1", "{\"image\":\"ab\"}", "{\"image\":\"ab\"}"},
		{"&&image=ab&", NULL, "{\"image\":\"ab\"}"},
		{"image=a%20b+c", NULL, "{\"image\":\"a b c\"}"},
		{"image=a%3Db%26", NULL, "{\"image\":\"a=b&\"}"},
		{"im%61ge=ab", NULL, "{\"image\":\"ab\"}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *got = read_args(&schema, 40, rows[i].query, rows[i].body);

		if (strcmp(got, rows[i].args))
			fail_msg("row %zu: %s, not %s (%s: %s)", i, got, rows[i].args, fault.field, fault.text);
		assert_row(fault.kind == FAULT_NONE, i);
	}
}

static void a_refusal_names_field_value_and_reason(void **state)
{
	static const struct {
		const char *query, *body;
		enum fault_kind kind;
		const char *field, *value, *text;
	} rows[] = {
		{"", NULL, FAULT_ARG_MISSING, "image", "", "is required"},
		{"", "{}", FAULT_ARG_MISSING, "image", "", "is required"},
		{"", "{\"image\":null}", FAULT_ARG_VALUE, "image", "null", "must be a string"},
		{"", "{\"image\":1}", FAULT_ARG_VALUE, "image", "1", "must be a string"},
		{"image=a", NULL, FAULT_ARG_VALUE, "image", "a", "is too short: at least 2 bytes"},
		{"image=abcdefghijk", NULL, FAULT_ARG_VALUE, "image", "abcdefghijk", "is too long: at most 10 bytes"},
		{"image=ab&name=A", NULL, FAULT_ARG_VALUE, "name", "A", "must be small letters and digits"},
		{"image=ab&bogus=1", NULL, FAULT_ARG_UNKNOWN, "bogus", "1", "is not known here"},
		{"", "{\"image\":\"ab\",\"bogus\":{\"x\":[1]}}", FAULT_ARG_UNKNOWN, "bogus", "{\"x\":[1]}",
		 "is not known here"},
		{"", "{\"image\":\"ab\",\"memory\":2}", FAULT_ARG_VALUE, "memory", "2",
		 "2 is less than the minimum of 4"},
		{"", "{\"image\":\"ab\",\"memory\":\"9000\"}", FAULT_ARG_VALUE, "memory", "9000",
		 "9000 is greater than the maximum of 8192"},
		{"", "{\"image\":\"ab\",\"memory\":\"512m\"}", FAULT_ARG_VALUE, "memory", "512m", "must be an integer"},
		{"", "{\"image\":\"ab\",\"memory\":\"\"}", FAULT_ARG_VALUE, "memory", "", "must be an integer"},
		{"", "{\"image\":\"ab\",\"memory\":5.0}", FAULT_ARG_VALUE, "memory", "5.0", "must be an integer"},
		{"", "{\"image\":\"ab\",\"memory\":\"99999999999999999999\"}", FAULT_ARG_VALUE, "memory",
		 "99999999999999999999", "is too large a number"},
		{"", "{\"image\":\"ab\",\"count\":\"1\"}", FAULT_ARG_VALUE, "count", "1", "must be an integer"},
		{"", "{\"image\":\"ab\",\"cpu\":\"1e1\"}", FAULT_ARG_VALUE, "cpu", "1e1", "must be a number"},
		{"", "{\"image\":\"ab\",\"cpu\":\"inf\"}", FAULT_ARG_VALUE, "cpu", "inf", "must be a number"},
		{"", "{\"image\":\"ab\",\"cpu\":\".\"}", FAULT_ARG_VALUE, "cpu", ".", "must be a number"},
		{"", "{\"image\":\"ab\",\"cpu\":17}", FAULT_ARG_VALUE, "cpu", "17",
		 "17 is greater than the maximum of 16"},
		{"", "{\"image\":\"ab\",\"cpu\":null}", FAULT_ARG_VALUE, "cpu", "null", "must be a number"},
		{"", "{\"image\":\"ab\",\"tty\":\"true\"}", FAULT_ARG_VALUE, "tty", "true", "must be true or false"},
		{"", "{\"image\":\"ab\",\"auto\":\"yes\"}", FAULT_ARG_VALUE, "auto", "yes", "must be true or false"},
		{"", "{\"image\":\"ab\",\"auto\":1}", FAULT_ARG_VALUE, "auto", "1", "must be true or false"},
		{"image=ab&run=true", NULL, FAULT_ARG_VALUE, "run", "true", "must be true or false"},
		{"image=ab&driver=dock", NULL, FAULT_ARG_VALUE, "driver", "dock", "is not one of: docker glance"},
		{"image=ab&driver=docker+glance", NULL, FAULT_ARG_VALUE, "driver", "docker glance",
		 "is not one of: docker glance"},
		{"", "{\"image\":\"ab\",\"command\":\"x\"}", FAULT_ARG_VALUE, "command", "x", "must be an array"},
		{"", "{\"image\":\"ab\",\"command\":[1,2,3,4]}", FAULT_ARG_VALUE, "command", "[1,2,3,4]",
		 "has 4 items, may have at most 3"},
		{"", "{\"image\":\"ab\",\"command\":[\"a\",null]}", FAULT_ARG_VALUE, "command[1]", "null",
		 "must be a string"},
		{"", "{\"image\":\"ab\",\"env\":{\"A\":1}}", FAULT_ARG_VALUE, "env.A", "1", "must be a string"},
		{"", "{\"image\":\"ab\",\"env\":[]}", FAULT_ARG_VALUE, "env", "[]", "must be an object"},
		{"", "{\"image\":\"ab\",\"nets\":[{\"network\":\"a\"},{\"ip\":\"b\"}]}", FAULT_ARG_MISSING,
		 "nets[1].network", "", "is required"},
		{"", "{\"image\":\"ab\",\"nets\":[{\"network\":\"a\",\"z\":1}]}", FAULT_ARG_UNKNOWN, "nets[0].z", "1",
		 "is not known here"},
		{"", "{\"image\":\"ab\",\"nets\":[7]}", FAULT_ARG_VALUE, "nets[0]", "7", "must be an object"},
		{"", "{\"image\":\"ab\",\"half\":7}", FAULT_ARG_VALUE, "half", "7", "is odd"},
		{"", "{\"image\":\"ab\",\"old\":\"x\"}", FAULT_ARG_VERSION, "old", "x",
		 "is not in the version that was asked for"},
		{"", "{\"image\":\"ab\",\"q\":\"x\"}", FAULT_ARG_UNKNOWN, "q", "x", "is not known here"},
		{"image=ab&b=x", NULL, FAULT_ARG_UNKNOWN, "b", "x", "is not known here"},
		{"image=ab", "{\"image\":\"ab\"}", FAULT_ARG_VALUE, "image", "ab",
		 "is given twice, in the query and in the body"},
		{"image=ab&image=cd", NULL, FAULT_ARG_VALUE, "image", "", "is given twice"},
		{"image=%4", NULL, FAULT_SYNTAX, "", "",
		 "the query has a % without two hexadecimal digits, a NUL, or no UTF-8"},
		{"image=a%00b", NULL, FAULT_SYNTAX, "", "",
		 "the query has a % without two hexadecimal digits, a NUL, or no UTF-8"},
		{"image=%ff%fe", NULL, FAULT_SYNTAX, "", "",
		 "the query has a % without two hexadecimal digits, a NUL, or no UTF-8"},
		{"%ff=a", NULL, FAULT_SYNTAX, "", "",
		 "the query has a % without two hexadecimal digits, a NUL, or no UTF-8"},
		{"", "{\"image\":\n \"ab\",}", FAULT_SYNTAX, "", "",
		 "the body is no JSON: line 2, column 7: string or '}' expected near '}'"},
		{"", "{\"image\":\"ab\",\"image\":\"cd\"}", FAULT_SYNTAX, "", "",
		 "the body is no JSON: line 1, column 21: duplicate object key near '\"image\"'"},
		{"", "{\"image\":NaN}", FAULT_SYNTAX, "", "",
		 "the body is no JSON: line 1, column 12: invalid token near 'NaN'"},
		{"", "{} {}", FAULT_SYNTAX, "", "",
		 "the body is no JSON: line 1, column 4: end of file expected near '{'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *got = read_args(&schema, 40, rows[i].query, rows[i].body);

		if (*got || fault.kind != rows[i].kind || strcmp(fault.field, rows[i].field) ||
		    strcmp(fault.text, rows[i].text) || strcmp(fault.value, rows[i].value))
			fail_msg("row %zu: args %s, kind %d, field '%s', value '%s', text '%s'", i, got, fault.kind,
				 fault.field, fault.value, fault.text);
		assert_row(fault.in_query == (rows[i].query && *rows[i].query && rows[i].kind != FAULT_ARG_MISSING &&
					      !strstr(rows[i].text, "in the body")),
			   i);
	}
}

static void an_open_schema_ignores_strangers_only(void **state)
{
	AUTO_FREE char *good = read_args(&open_schema, 40, "image=ab&bogus=1&b=2", "{\"more\":{}}");
	AUTO_FREE char *bad = read_args(&open_schema, 40, "image=a&bogus=1", NULL);

	assert_string_equal(good, "{\"image\":\"ab\"}");
	assert_string_equal(bad, "");
}

static void what_is_shown_of_a_value_is_short_and_whole_characters(void **state)
{
	static const char euros[] =
		"\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\"";
	char body[200];

	snprintf(body, sizeof body, "{\"image\":%s}", euros);
	AUTO_FREE char *got = read_args(&schema, 40, "", body);

	assert_int_equal(fault.kind, FAULT_ARG_VALUE);
	assert_int_equal(strlen(fault.value), 63);
	assert_int_equal(strlen(fault.value) % 3, 0);
}

static void nesting_has_an_end(void **state)
{
	char body[5000] = "{\"image\":\"ab\",\"hints\":";
	size_t n = strlen(body);

	memset(body + n, '[', 3000);
	body[n + 3000] = 0;
	AUTO_FREE char *got = read_args(&schema, 40, "", body);

	assert_int_equal(fault.kind, FAULT_SYNTAX);
}

static void getters_fall_back_on_what_was_not_given(void **state)
{
	json_t *args = json_pack("{s:s, s:i, s:f, s:b}", "s", "x", "i", 3, "r", 0.5, "b", 1);

	assert_string_equal(arg_str(args, "s"), "x");
	assert_null(arg_str(args, "none"));
	assert_int_equal(arg_int(args, "i", 9), 3);
	assert_int_equal(arg_int(args, "none", 9), 9);
	assert_true(arg_real(args, "r", 9) == 0.5 && arg_real(args, "none", 9) == 9);
	assert_true(arg_bool(args, "b", false) && arg_bool(args, "none", true));
	assert_true(arg_given(args, "b") && !arg_given(args, "none") && !arg_given(NULL, "b"));
	json_decref(args);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_gets_exactly_its_type),
		cmocka_unit_test(a_refusal_names_field_value_and_reason),
		cmocka_unit_test(an_open_schema_ignores_strangers_only),
		cmocka_unit_test(what_is_shown_of_a_value_is_short_and_whole_characters),
		cmocka_unit_test(nesting_has_an_end),
		cmocka_unit_test(getters_fall_back_on_what_was_not_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_gateway_keystone.c - a login with a token for a password: who gets in, and what a client reads then. */
#include "tests/unit/unit.h"

#include "gateway/keystone/keystone.h"

#include "tests/unit/gateway_caller.h"

static const struct dialect *const dialects[] = {&keystone_dialect, NULL};

static int setup(void **state)
{
	return caller_init(dialects, who_is);
}

static int login(const char *body)
{
	header("Content-Type", "application/json");
	header("Host", "api.example:9517");
	return ask("POST", "/v3/auth/tokens", body);
}

#define USER(user) "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{" user "}}}}}"
#define SCOPED(user, scope)                                                                                            \
	"{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{" user "}}},\"scope\":" scope "}" \
	"}"

static void who_knows_user_and_token_gets_in(void **state)
{
	static const struct {
		const char *body;
		int status;
	} rows[] = {
		{USER("\"name\":\"admin\",\"password\":\"admin\""), 201},
		{USER("\"name\":\"admin\",\"domain\":{\"id\":\"default\"},\"password\":\"admin\""), 201},
		{USER("\"id\":\"member\",\"password\":\"member\""), 201},
		{SCOPED("\"name\":\"member\",\"password\":\"member\"",
			"{\"project\":{\"name\":\"member\",\"domain\":{\"id\":\"default\"}}}"),
		 201},
		{SCOPED("\"name\":\"member\",\"password\":\"member\"", "\"unscoped\""), 201},
		{SCOPED("\"name\":\"member\",\"password\":\"member\"", "{\"system\":{\"all\":true}}"), 201},
		{"{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"member\"}}}}", 201},
		{USER("\"name\":\"admin\",\"password\":\"wrong\""), 401},
		{USER("\"name\":\"admin\",\"password\":\"\""), 401},
		{USER("\"name\":\"admin\",\"password\":\"with blanks in it\""), 401},
		{USER("\"name\":\"admin\""), 401},
		{USER("\"name\":\"admin\",\"password\":\"member\""), 401},
		{USER("\"id\":\"admin\",\"password\":\"member\""), 401},
		{SCOPED("\"name\":\"member\",\"password\":\"member\"", "{\"project\":{\"name\":\"other\"}}"), 401},
		{SCOPED("\"name\":\"member\",\"password\":\"member\"", "{\"project\":{\"id\":\"other\"}}"), 401},
		{"{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"stranger\"}}}}", 401},
		{"{\"auth\":{\"identity\":{\"methods\":[]}}}", 401},
		{"{\"auth\":{}}", 400},
		{"{}", 400},
		{SCOPED("\"name\":\"member\",\"password\":\"member\"", "{\"project\":7}"), 400},
		{USER("\"name\":7"), 400},
		{"{", 400},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status = login(rows[i].body);

		if (status != rows[i].status)
			fail_msg("row %zu: %d %s", i, status, call->out.buf.data);
		assert_row((status == 201) == (*answer_header("X-Subject-Token") != 0), i);
		assert_row(!strcmp(answer_header("X-Openstack-Request-Id"), call->id), i);
		/* Nothing of a secret comes back in a refusal, and it says not which part was wrong. */
		assert_row(status != 401 || !strcmp(call->out.buf.data,
						    "{\"error\":{\"code\":401,\"message\":\"The request you have made "
						    "requires authentication.\",\"title\":\"Unauthorized\"}}"),
			   i);
	}
}

static void the_answer_is_what_clients_read(void **state)
{
	json_t *body, *t, *service = NULL, *each;
	size_t i;

	assert_int_equal(login(USER("\"name\":\"admin\",\"password\":\"admin\"")), 201);
	assert_string_equal(answer_header("X-Subject-Token"), "admin");
	body = json_loads(call->out.buf.data, 0, NULL);
	t = json_object_get(body, "token");
	assert_string_equal(json_string_value(json_object_get(json_object_get(t, "user"), "name")), "admin");
	assert_string_equal(json_string_value(json_object_get(json_object_get(t, "project"), "id")), "admin");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(t, "roles"), 0), "name")),
			    "admin");
	assert_string_equal(json_string_value(json_object_get(t, "expires_at")), "9999-12-31T23:59:59.000000Z");
	assert_int_equal(strlen(json_string_value(json_object_get(t, "issued_at"))),
			 strlen("2099-01-01T00:00:00.000000Z"));
	json_array_foreach(json_object_get(t, "catalog"), i,
			   each) if (!strcmp(json_string_value(json_object_get(each, "type")), "container")) service =
		each;
	each = json_array_get(json_object_get(service, "endpoints"), 0);
	assert_string_equal(json_string_value(json_object_get(each, "interface")), "public");
	assert_string_equal(json_string_value(json_object_get(each, "url")), "http://api.example:9517/v1");
	json_decref(body);
}

static void the_version_is_public(void **state)
{
	header("Host", "api.example:9517");
	assert_int_equal(ask("GET", "/v3/", NULL), 200);
	assert_non_null(strstr(call->out.buf.data, "\"href\":\"http://api.example:9517/v3/\""));
	assert_int_equal(ask("GET", "/v3/users", NULL), 404);
	assert_int_equal(ask("GET", "/v3/auth/tokens", NULL), 405);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_knows_user_and_token_gets_in, setup, caller_fini),
		cmocka_unit_test_setup_teardown(the_answer_is_what_clients_read, setup, caller_fini),
		cmocka_unit_test_setup_teardown(the_version_is_public, setup, caller_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

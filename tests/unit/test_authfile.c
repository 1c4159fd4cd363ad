/* tests/unit/test_authfile.c - whose credentials are whose: Docker's config.json, read and changed. */
#include "tests/unit/unit.h"

#include "image/authfile.h"

/* "a:b" = YTpi, "u:p:q" = dTpwOnE= */
static const char file[] = "{\"credsStore\":\"x\",\"auths\":{"
			   "\"https://index.docker.io/v1/\":{\"auth\":\"YTpi\"},"
			   "\"h.example\":{\"auth\":\"dTpwOnE=\"},"
			   "\"h.example/team\":{\"username\":\"team\",\"password\":\"pw\"},"
			   "\"h.example/team/app\":{\"auth\":\"YTpi\"},"
			   "\"http://p.example:5000/v2/\":{\"auth\":\"YTpi\"},"
			   "\"t.example\":{\"identitytoken\":\"tok\",\"auth\":\"PHRva2VuPjo=\"},"
			   "\"empty.example\":{}}}";

static void the_longest_entry_counts(void **state)
{
	static const struct {
		const char *host, *path, *user, *password;
	} rows[] = {
		{"docker.io", "library/busybox", "a", "b"},
		{"h.example", "x", "u", "p:q"},
		{"H.example", "x", "u", "p:q"},
		{"h.example", "team", "team", "pw"},
		{"h.example", "team/other", "team", "pw"},
		{"h.example", "team2/other", "u", "p:q"},
		{"h.example", "team/app", "a", "b"},
		{"p.example:5000", "x", "a", "b"},
		{"p.example", "x", NULL, NULL},
		{"example", "x", NULL, NULL},
		{"h.example.evil", "x", NULL, NULL},
		{"empty.example", "x", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth a;

		assert_int_equal(authfile_find(file, sizeof file - 1, rows[i].host, rows[i].path, &a, NULL), 0);
		if (!a.user != !rows[i].user ||
		    (a.user && (strcmp(a.user, rows[i].user) || strcmp(a.password, rows[i].password))))
			fail_msg("%s/%s: %s", rows[i].host, rows[i].path, a.user ? a.user : "none");
		auth_free(&a);
	}
}

static void an_identity_token(void **state)
{
	struct auth a;

	(void)state;
	assert_int_equal(authfile_find(file, sizeof file - 1, "t.example", "x", &a, NULL), 0);
	assert_string_equal(a.identity_token, "tok");
	auth_free(&a);
}

static void what_is_wrong_is_said_without_secrets(void **state)
{
	static const char *const rows[] = {"",
					   "[]",
					   "{\"auths\":5}",
					   "{\"auths\":{\"h\":{\"auth\":\"???secret\"}}}",
					   "{\"auths\":{\"h\":{\"auth\":\"c2VjcmV0\"}}}",
					   "{\"auths\":{\"h\":{\"username\":\"a\\nb\"}}}",
					   "{\"auths\": secret}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {0};
		struct auth a;

		if (authfile_find(rows[i], strlen(rows[i]), "h", "x", &a, &e) == 0 || !e.text[0] ||
		    strstr(e.text, "secret"))
			fail_msg("%s: %s", rows[i], e.text);
	}
}

static void what_is_set_is_found_and_can_be_taken_away(void **state)
{
	char *one, *two, *three;
	struct auth a;

	(void)state;
	assert_int_equal(authfile_set(NULL, 0, "docker.io", "me", "s:e:c", &one, NULL), 0);
	assert_non_null(strstr(one, "https://index.docker.io/v1/"));
	assert_int_equal(authfile_set(one, strlen(one), "h:1", "you", "x", &two, NULL), 0);
	assert_int_equal(authfile_find(two, strlen(two), "docker.io", "library/x", &a, NULL), 0);
	assert_string_equal(a.password, "s:e:c");
	auth_free(&a);
	assert_int_equal(authfile_set(two, strlen(two), "docker.io", NULL, NULL, &three, NULL), 0);
	assert_int_equal(authfile_find(three, strlen(three), "docker.io", "library/x", &a, NULL), 0);
	assert_null(a.user);
	assert_int_equal(authfile_find(three, strlen(three), "h:1", "x", &a, NULL), 0);
	assert_string_equal(a.user, "you");
	auth_free(&a);
	free(one);
	assert_int_equal(authfile_set(three, strlen(three), "none", NULL, NULL, &one, NULL), -ENOENT);
	assert_true(authfile_set(three, strlen(three), "h", "a:b", "x", &one, NULL) < 0);
	free(two);
	free(three);
}

/* Other tools' settings in the same file are none of our business. */
static void the_rest_of_the_file_stays(void **state)
{
	char *changed;

	(void)state;
	assert_int_equal(authfile_set(file, sizeof file - 1, "new", "u", "p", &changed, NULL), 0);
	assert_non_null(strstr(changed, "credsStore"));
	assert_non_null(strstr(changed, "h.example/team/app"));
	free(changed);
}

/* A helper is named, and only where it has something: its own registry, or one that docker login left an empty entry for. */
static void a_helper_is_named(void **state)
{
	static const char text[] =
		"{\"auths\": {\"in.example\": {}, \"both.example\": {\"auth\": \"dTpw\"}},"
		" \"credsStore\": \"desktop\", \"credHelpers\": {\"cloud.example\": \"cloud-login\", \"both.example\": \"x\"}}";
	static const struct {
		const char *host, *helper;
	} rows[] = {
		{"in.example", "desktop"},
		{"cloud.example", "cloud-login"},
		{"out.example", NULL},
		{"both.example", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth a;
		struct err e = {0};

		assert_row(authfile_find(text, sizeof text - 1, rows[i].host, "x", &a, &e) == 0, i);
		assert_row(rows[i].helper ? a.helper && !strcmp(a.helper, rows[i].helper) : !a.helper, i);
		auth_free(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_helper_is_named),
		cmocka_unit_test(the_longest_entry_counts),
		cmocka_unit_test(an_identity_token),
		cmocka_unit_test(what_is_wrong_is_said_without_secrets),
		cmocka_unit_test(what_is_set_is_found_and_can_be_taken_away),
		cmocka_unit_test(the_rest_of_the_file_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_fetch_pure.c - what berth-fetch decides without a network: challenges, places, URLs, tokens. */
#include "tests/unit/unit.h"

#include "fetch/challenge.h"
#include "fetch/http.h"
#include "fetch/place.h"
#include "fetch/token.h"

static void a_challenge_is_read(void **state)
{
	static const struct {
		const char *value;
		enum challenge_scheme scheme;
		const char *realm, *service;
	} rows[] = {
		{"Bearer realm=\"https://a/token\",service=\"r\",scope=\"repository:x:pull\"", CHALLENGE_BEARER,
		 "https://a/token", "r"},
		{"bearer  realm = \"https://a/token\" , service=r", CHALLENGE_BEARER, "https://a/token", "r"},
		{"Basic realm=\"x\"", CHALLENGE_BASIC, "x", ""},
		{"basic", CHALLENGE_BASIC, "", ""},
		{"Basic realm=\"x\", Bearer realm=\"https://a\"", CHALLENGE_BEARER, "https://a", ""},
		{"Bearer realm=\"https://a\", Basic realm=\"x\"", CHALLENGE_BEARER, "https://a", ""},
		{"Negotiate abc==, Basic realm=\"y\"", CHALLENGE_BASIC, "y", ""},
		{"Negotiate", CHALLENGE_NONE, "", ""},
		{"Digest realm=\"d\", nonce=\"n\"", CHALLENGE_NONE, "", ""},
		{"Bearer realm=\"a\\\"b\"", CHALLENGE_BEARER, "a\"b", ""},
		{"Bearer realm=\"never closed", CHALLENGE_BEARER, "never closed", ""},
		{"Bearer realm=", CHALLENGE_BEARER, "", ""},
		{"", CHALLENGE_NONE, "", ""},
		{",,, ,", CHALLENGE_NONE, "", ""},
		{"=\"\"\x01\x7f\xff=,Basic", CHALLENGE_BASIC, "", ""},
		{"realm=\"no scheme\"", CHALLENGE_NONE, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct challenge c = {0};

		challenge_parse(rows[i].value, &c);
		if (c.scheme != rows[i].scheme || strcmp(c.realm, rows[i].realm) || strcmp(c.service, rows[i].service))
			fail_msg("'%s': %d '%s' '%s'", rows[i].value, (int)c.scheme, c.realm, c.service);
	}
}

static void a_challenge_too_long_is_passed_over(void **state)
{
	struct challenge c = {0};
	char value[3000];

	(void)state;
	memset(value, 'a', sizeof value);
	memcpy(value, "Bearer realm=\"", 14);
	memcpy(value + sizeof value - 20, "\",service=\"s\"", 14);
	challenge_parse(value, &c);
	assert_int_equal(c.scheme, CHALLENGE_BEARER);
	assert_string_equal(c.realm, "");
	assert_string_equal(c.service, "s");
}

static void two_headers_are_two_offers(void **state)
{
	struct challenge c = {0};

	(void)state;
	challenge_parse("Bearer realm=\"https://a\"", &c);
	challenge_parse("Basic realm=\"x\"", &c);
	assert_int_equal(c.scheme, CHALLENGE_BEARER);
	assert_string_equal(c.realm, "https://a");
}

static struct reference ref_of(const char *name)
{
	char canonical[REFERENCE_SIZE];
	struct reference ref;

	assert_int_equal(reference_canonical(name, canonical, NULL), 0);
	assert_int_equal(reference_split(canonical, &ref, NULL), 0);
	return ref;
}

static void the_url_of_a_name(void **state)
{
	static const struct {
		const char *name, *plain, *url;
	} rows[] = {
		{"busybox", "", "https://registry-1.docker.io/v2/library/busybox/manifests/latest"},
		{"h:5000/a/b:1", "", "https://h:5000/v2/a/b/manifests/1"},
		{"h:5000/a/b:1", "x h:5000", "http://h:5000/v2/a/b/manifests/1"},
		{"H.example/a:1", "h.example", "http://H.example/v2/a/manifests/1"},
		{"h:5000/a/b:1", "h:50001 h", "https://h:5000/v2/a/b/manifests/1"},
		{"[::1]:5000/a:1", "[::1]:5000", "http://[::1]:5000/v2/a/manifests/1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reference ref = ref_of(rows[i].name);
		struct place p[PLACES_MAX];
		char url[URL_SIZE];

		assert_int_equal(places_make(p, &ref, rows[i].plain, "", true, NULL), 1);
		assert_int_equal(place_url(&p[0], &ref, "manifests", ref.tag, url), 0);
		assert_string_equal(url, rows[i].url);
		assert_true(p[0].registry && p[0].verify);
	}
}

static void mirrors_come_in_their_order(void **state)
{
	struct reference ref = ref_of("docker.io/library/x:1");
	struct place p[PLACES_MAX];
	char url[URL_SIZE];

	(void)state;
	assert_int_equal(places_make(p, &ref, "m2:80",
				     "docker.io=m1, quay.io=q docker.io=m2:80/hub/cache\tdocker.io=m3", true, NULL),
			 4);
	assert_string_equal(p[0].host, "m1");
	assert_string_equal(p[1].host, "m2:80");
	assert_string_equal(p[2].host, "m3");
	assert_string_equal(p[3].host, "registry-1.docker.io");
	assert_false(p[0].registry || p[1].registry || p[1].tls);
	place_url(&p[1], &ref, "blobs", "sha256:0", url);
	assert_string_equal(url, "http://m2:80/v2/hub/cache/library/x/blobs/sha256:0");
}

static void without_verification_there_is_a_last_resort(void **state)
{
	struct reference ref = ref_of("h:5000/x:1");
	struct place p[PLACES_MAX];

	(void)state;
	assert_int_equal(places_make(p, &ref, "", "h:5000=m", false, NULL), 3);
	assert_true(p[0].verify && p[0].tls); /* a mirror is never spared */
	assert_true(p[1].tls && !p[1].verify && !p[1].last_resort);
	assert_true(!p[2].tls && p[2].last_resort);
	assert_int_equal(places_make(p, &ref, "h:5000", "", false, NULL), 1);
}

static void bad_mirrors_are_named(void **state)
{
	static const char *const rows[] = {"x",
					   "docker.io=",
					   "=m",
					   "docker.io=m:port",
					   "docker.io=m/../x",
					   "docker.io=m/A",
					   "docker.io=m//x",
					   "docker.io=m/x?y",
					   "docker.io=http://m"};
	struct reference ref = ref_of("x");
	struct place p[PLACES_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {0};

		if (places_make(p, &ref, "", rows[i], true, &e) >= 0 ||
		    !strstr(e.text, "REGISTRY=HOST") == !strstr(e.text, "path"))
			fail_msg("'%s': %s", rows[i], e.text);
	}
}

static void origins_are_scheme_host_and_port(void **state)
{
	(void)state;
	assert_true(url_same_origin("https://h/a", "https://H:443/b?c"));
	assert_true(url_same_origin("http://h:5000/a", "http://h:5000"));
	assert_false(url_same_origin("https://h/a", "http://h/a"));
	assert_false(url_same_origin("https://h/a", "https://h:8443/a"));
	assert_false(url_same_origin("https://h/a", "https://h.evil/a"));
	assert_false(url_same_origin("https://h/a", "https://h@evil/a"));
	assert_false(url_same_origin("https://h/a", "/a"));
}

static void urls_that_are_none(void **state)
{
	static const char *const rows[] = {
		"", "/x", "//h/x", "file:///etc/passwd", "ftp://h/x", "https://u:p@h/x", "https://", "h/x"};
	char host[300];
	bool tls;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (url_parse(rows[i], &tls, host, sizeof host))
			fail_msg("'%s' is %s", rows[i], host);
	assert_true(url_parse("https://h:443/x", &tls, host, sizeof host));
	assert_string_equal(host, "h");
}

static void tokens(void **state)
{
	static const struct {
		const char *json, *header;
	} rows[] = {
		{"{\"token\":\"abc\"}", "Bearer abc"},
		{"{\"access_token\":\"abc\",\"expires_in\":3}", "Bearer abc"},
		{"{\"token\":\"\",\"access_token\":\"x\"}", "Bearer x"},
		{"{}", NULL},
		{"[]", NULL},
		{"", NULL},
		{"{\"token\":\"a\\r\\nX-Evil: 1\"}", NULL},
		{"{\"token\":\"a b\"}", NULL},
		{"{\"token\":\"\xc3\xa4\"}", NULL},
		{"{\"token\":5}", NULL},
		{"{\"token\":\"a\",\"token\":\"b\"}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {0};
		char *header = token_parse(rows[i].json, strlen(rows[i].json), &e);

		if (!header != !rows[i].header || (header && strcmp(header, rows[i].header)))
			fail_msg("%s: %s", rows[i].json, header ? header : e.text);
		free(header);
	}
}

static void errors_of_registries(void **state)
{
	char text[64];
	const char *json = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\u001b[31m way\"}]}";

	(void)state;
	registry_error(json, strlen(json), text, sizeof text);
	assert_string_equal(text, "no?[31m way");
	json = "{\"errors\":[{\"code\":\"DENIED\"}]}";
	registry_error(json, strlen(json), text, sizeof text);
	assert_string_equal(text, "DENIED");
	registry_error("<html>", 6, text, sizeof text);
	assert_string_equal(text, "");
	registry_error("{\"errors\":5}", 12, text, sizeof text);
	assert_string_equal(text, "");
}

static void an_argument_is_added_to_a_url(void **state)
{
	static const struct {
		const char *url, *whole;
	} rows[] = {
		{"http://h/v2/x/blobs/uploads/1", "http://h/v2/x/blobs/uploads/1?digest=sha256%3Aab"},
		{"https://h:5000/u?_state=a%20b&c=%2F", "https://h:5000/u?_state=a%20b&c=%2F&digest=sha256%3Aab"},
		{"https://h/u?", "https://h/u?digest=sha256%3Aab"},
		{"https://h/u#part", "https://h/u?digest=sha256%3Aab"},
		{"https://h", "https://h?digest=sha256%3Aab"},
		{"/relative", NULL},
		{"", NULL},
	};
	char url[HTTP_URL_SIZE], longest[HTTP_URL_SIZE] = "http://h/";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = url_add(rows[i].url, "digest=sha256%3Aab", url);

		if ((r == 0) != (rows[i].whole != NULL) || (r == 0 && strcmp(url, rows[i].whole)))
			fail_msg("'%s': %d '%s'", rows[i].url, r, r ? "" : url);
	}
	memset(longest + 9, 'x', sizeof longest - 10);
	longest[sizeof longest - 1] = 0;
	assert_true(url_add(longest, "digest=1", url) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_challenge_is_read),
		cmocka_unit_test(a_challenge_too_long_is_passed_over),
		cmocka_unit_test(two_headers_are_two_offers),
		cmocka_unit_test(the_url_of_a_name),
		cmocka_unit_test(mirrors_come_in_their_order),
		cmocka_unit_test(without_verification_there_is_a_last_resort),
		cmocka_unit_test(bad_mirrors_are_named),
		cmocka_unit_test(origins_are_scheme_host_and_port),
		cmocka_unit_test(urls_that_are_none),
		cmocka_unit_test(an_argument_is_added_to_a_url),
		cmocka_unit_test(tokens),
		cmocka_unit_test(errors_of_registries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

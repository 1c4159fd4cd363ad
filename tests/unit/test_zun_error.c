/* tests/unit/test_zun_error.c - every refusal, the core's and berthd's, in the words and the shape that Zun's clients read. */
#include "unit.h"

#include "gateway/params.h"
#include "gateway/zun/error.h"
#include "gateway/zun/version.h"

static const struct param params[] = {{"hostname", P_STRING, .since = 9}, {"host", P_STRING, .since = 39}, {NULL}};
static const struct schema schema = {params};
static const struct zun_error_about about = {.ident = "web", .version = 5, .args = &schema, .correlation = "req-1"};

static void check(const struct fault *f, const struct zun_error_about *a, int status, const char *body)
{
	struct zun_error e;
	struct jw j;

	jw_init(&j, 0);
	zun_error_of(&e, f, a);
	zun_error_write(&j, &e);
	assert_string_equal(j.buf.data, body);
	assert_int_equal(e.status, status);
	jw_fini(&j);
}

#define BODY(status, code, title, detail)                                                                              \
	"{\"errors\":[{\"request_id\":\"\",\"code\":\"" code "\",\"status\":" #status ",\"title\":\"" title            \
	"\",\"detail\":\"" detail "\",\"links\":[]}]}"
#define SAME(status, code, text) BODY(status, code, text, text)

static void the_cores_refusals_are_zuns(void **state)
{
	static const struct {
		struct fault f;
		int status;
		const char *body;
	} rows[] = {
		{{FAULT_ROUTE, 404}, 404, BODY(404, "container.", "Not Found", "The resource could not be found.")},
		{{FAULT_METHOD, 405, .text = "not here"},
		 405,
		 BODY(405, "container.", "Method Not Allowed", "not here")},
		{{FAULT_VERSION, 406, .code = ZUN_VERSION_BAD, .text = "Invalid value"},
		 406,
		 BODY(406, "container.", "Not Acceptable", "Invalid value")},
		{{FAULT_VERSION, 406},
		 406,
		 BODY(406, "container.", "Not Acceptable",
		      "Version 1.5 was requested but the requested API is not supported for this version.")},
		{{FAULT_BODY_TYPE, 415, .text = "JSON"},
		 415,
		 BODY(415, "container.", "Unsupported Media Type", "JSON")},
		{{FAULT_BODY_SIZE, 413, .text = "large"},
		 413,
		 BODY(413, "container.", "Request Entity Too Large", "large")},
		{{FAULT_SYNTAX, 400, .text = "line 2"}, 400, SAME(400, "container.schema-validation-error", "line 2")},
		{{FAULT_ARG_UNKNOWN, 400, .field = "bogus"},
		 400,
		 SAME(400, "container.schema-validation-error",
		      "Additional properties are not allowed ('bogus' was unexpected)")},
		{{FAULT_ARG_MISSING, 400, .field = "image"},
		 400,
		 SAME(400, "container.schema-validation-error", "'image' is a required property")},
		{{FAULT_ARG_VALUE, 400, .field = "memory", .value = "2", .text = "2 is less than the minimum of 4"},
		 400,
		 SAME(400, "container.schema-validation-error",
		      "Invalid input for field 'memory'. Value: '2'. 2 is less than the minimum of 4")},
		{{FAULT_ARG_VALUE, 400, .in_query = true, .field = "run", .value = "xyz",
		  .text = "must be true or false"},
		 400,
		 SAME(400, "container.schema-validation-error",
		      "Invalid input for query parameters 'run'. Value: 'xyz'. must be true or false")},
		{{FAULT_ARG_VERSION, 400, .field = "hostname"},
		 400,
		 SAME(400, "container.invalid-param-in-version",
		      "Invalid param hostname because current request version is 1.5. hostname is only supported from "
		      "version 1.9")},
		{{FAULT_ARG_VERSION, 400, .field = "host"},
		 400,
		 SAME(400, "container.schema-validation-error",
		      "Additional properties are not allowed ('host' was unexpected)")},
		{{FAULT_ADMIN, 403, .text = "admins only"},
		 403,
		 SAME(403, "container.policy-not-authorized",
		      "Policy doesn't allow this to be performed: admins only.")},
		{{FAULT_BUSY, 503, .text = "much to do"},
		 503,
		 SAME(503, "container.service-unavailable", "much to do")},
		{{FAULT_UPSTREAM, 503, .text = "no berthd"},
		 503,
		 SAME(503, "container.service-unavailable", "no berthd")},
		{{FAULT_TIMEOUT, 504, .text = "late"}, 504, SAME(504, "container.gateway-timeout", "late")},
		{{FAULT_DIALECT, 409, .code = ZUN_E_STATE, .text = "Cannot stop"},
		 409,
		 SAME(409, "container.invalid-state-exception", "Cannot stop")},
		{{FAULT_INTERNAL, 500, .text = "secret"},
		 500,
		 BODY(500, "container.", "Internal Server Error",
		      "Your request could not be handled because of a problem in the server. Error Correlation id is: "
		      "req-1")},
		{{FAULT_TOKEN, 401},
		 401,
		 "{\"error\":{\"code\":401,\"title\":\"Unauthorized\","
		 "\"message\":\"The request you have made requires authentication.\"}}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(&rows[i].f, &about, rows[i].status, rows[i].body);
}

static void a_list_says_parameters(void **state)
{
	struct zun_error_about list = about;
	struct fault f = {FAULT_ARG_UNKNOWN, 400, .field = "x"};

	list.lists = true;
	check(&f, &list, 400, SAME(400, "container.invalid-value", "Unknown parameters: x"));
}

static void a_version_out_of_range_says_which_there_are(void **state)
{
	struct fault f = {FAULT_VERSION, 406, .code = ZUN_VERSION_RANGE, .text = "1.99"};

	check(&f, &about, 406,
	      "{\"errors\":[{\"request_id\":\"\",\"code\":\"zun.microversion-unsupported\",\"status\":406,"
	      "\"title\":\"Requested microversion is unsupported\",\"detail\":\"1.99\",\"max_version\":\"1.40\","
	      "\"min_version\":\"1.1\",\"links\":[{\"rel\":\"help\","
	      "\"href\":\"https://docs.openstack.org/api-guide/compute/microversions.html\"}]}]}");
}

static void berthds_refusals_are_zuns(void **state)
{
	static const struct {
		Berth__Error__Code code;
		const char *field, *text;
		int status;
		const char *body;
	} rows[] = {
		{BERTH__ERROR__CODE__NOT_FOUND, NULL, "no such", 404,
		 SAME(404, "container.container-not-found", "Container web could not be found.")},
		{BERTH__ERROR__CODE__NOT_FOUND, "image", "no image", 400,
		 SAME(400, "container.image-not-found", "no image")},
		{BERTH__ERROR__CODE__AMBIGUOUS, NULL, "several", 409,
		 SAME(409, "container.conflict",
		      "Multiple containers exist with same name. Please use the container uuid instead.")},
		{BERTH__ERROR__CODE__CONFLICT, NULL, "cannot pause: container is Stopping", 409,
		 SAME(409, "container.invalid-state-exception", "cannot pause: container is Stopping")},
		{BERTH__ERROR__CODE__EXISTS, "name", "taken", 409, SAME(409, "container.conflict", "taken")},
		{BERTH__ERROR__CODE__INVALID, "spec.env[0]", "bad", 400,
		 SAME(400, "container.invalid-value", "Invalid input for field 'environment'. bad")},
		{BERTH__ERROR__CODE__INVALID, "spec.stop_signal", "bad", 400,
		 SAME(400, "container.invalid-value", "bad")},
		{BERTH__ERROR__CODE__UNSUPPORTED, "spec.resources.memory_bytes", "no controller", 400,
		 SAME(400, "container.invalid-value", "Invalid input for field 'memory'. no controller")},
		{BERTH__ERROR__CODE__DENIED, NULL, "may not", 403,
		 SAME(403, "container.policy-not-authorized", "may not")},
		{BERTH__ERROR__CODE__EXHAUSTED, NULL, "full", 503, SAME(503, "container.service-unavailable", "full")},
		{BERTH__ERROR__CODE__UNAVAILABLE, NULL, "going", 503,
		 SAME(503, "container.service-unavailable", "going")},
		{BERTH__ERROR__CODE__TIMEOUT, NULL, "late", 504, SAME(504, "container.gateway-timeout", "late")},
		{BERTH__ERROR__CODE__UNAUTHENTICATED, NULL, "no", 401,
		 "{\"error\":{\"code\":401,\"title\":\"Unauthorized\","
		 "\"message\":\"The request you have made requires authentication.\"}}"},
		{BERTH__ERROR__CODE__INTERNAL, NULL, "secret", 500,
		 BODY(500, "container.", "Internal Server Error",
		      "Your request could not be handled because of a problem in the server. Error Correlation id is: "
		      "req-1")},
		{(Berth__Error__Code)99, NULL, "of a later berthd", 500,
		 BODY(500, "container.", "Internal Server Error",
		      "Your request could not be handled because of a problem in the server. Error Correlation id is: "
		      "req-1")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__Error error = BERTH__ERROR__INIT;
		struct fault f = {FAULT_REFUSED, 500, .error = &error};

		error.has_code = true;
		error.code = rows[i].code;
		error.field = (char *)rows[i].field;
		error.text = (char *)rows[i].text;
		check(&f, &about, rows[i].status, rows[i].body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cores_refusals_are_zuns),
		cmocka_unit_test(a_list_says_parameters),
		cmocka_unit_test(a_version_out_of_range_says_which_there_are),
		cmocka_unit_test(berthds_refusals_are_zuns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

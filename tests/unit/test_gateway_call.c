/* tests/unit/test_gateway_call.c - a request from its head to its answer, without a socket to the client: what the core refuses and how,
 * what reaches berthd, and that a second dialect needs nothing of the core (toy_dialect.h). */
#include "tests/unit/unit.h"

#include "gateway/calls.h"
#include "gateway/memory.h"

#include <strings.h>

#include "tests/unit/gateway_caller.h"
#include "tests/unit/toy_dialect.h"

/* ---------------------------------------------------------------- a dialect with an opinion on everything */

static int cleanups, late_replies;
static bool refuse_version;

static void cleanup(struct call *c)
{
	cleanups++;
}

static void greet(struct call *c)
{
	jw_object(&c->out, NULL);
	jw_int(&c->out, "n", arg_int(c->args, "n", 7));
	jw_str(&c->out, "name", arg_str(c->args, "name"));
	jw_end(&c->out);
	call_set(c, "X-Twice", "a");
	call_set(c, "x-twice", "b");
	call_set(c, "X-Evil", "a\r\nSet-Cookie: %s", "x");
	call_reply(c, 201);
	call_reply(c, 500);
}

static void huge(struct call *c)
{
	static char text[1 << 20];

	memset(text, 'x', sizeof text - 1);
	jw_array(&c->out, NULL);
	for (int i = 0; i < 40; i++)
		jw_str(&c->out, NULL, text);
	jw_end(&c->out);
	call_reply(c, 200);
}

static void large(struct call *c)
{
	static char text[1 << 20];

	memset(text, 'x', sizeof text - 1);
	jw_str(&c->out, NULL, text);
	call_reply(c, 200);
}

static void whoami(struct call *c)
{
	jw_object(&c->out, NULL);
	jw_str(&c->out, "project", c->who.project);
	jw_str(&c->out, "user", c->who.user);
	jw_bool(&c->out, "admin", c->who.admin);
	jw_end(&c->out);
	call_reply(c, 200);
}

static void own_refusal(struct call *c)
{
	call_refuse(c, 409, 77, "not in state %s", "Paused");
}

static void stop_done(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	late_replies++;
	call_reply(c, 202);
}

static void stop(struct call *c)
{
	Berth__ContainerStop m = BERTH__CONTAINER_STOP__INIT;

	m.ref = call_param(c, "id");
	c->cleanup = cleanup;
	assert_int_equal(((char *)c->state)[99], 0);
	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_STOP, &m, stop_done);
}

static void log_read(struct call *c, struct stream *s)
{
	jw_text(&c->out, NULL, s->out.data, s->out.len);
	call_set(c, "X-Stream", "%d %d", s->end, s->cut);
	call_reply(c, 200);
}

static void log_begun(struct call *c, const Berth__Envelope *reply, struct wire_fds *fds)
{
	call_stream(c, wire_fds_take(fds, 0), STREAM_BYTES, 10, 5000, log_read);
}

static void logs(struct call *c)
{
	Berth__ContainerLogs m = BERTH__CONTAINER_LOGS__INIT;

	call_ask(c, BERTH__ENVELOPE__BODY_CONTAINER_LOGS, &m, log_begun);
}

static bool begin(struct call *c, struct fault *f)
{
	call_set(c, "X-Version", "5");
	c->version = 5;
	return !refuse_version || fault_set(f, FAULT_VERSION, NULL, "version %s", "x");
}

static const char *const kinds[FAULT_N_] = {
	[FAULT_ROUTE] = "route",	 [FAULT_METHOD] = "method",	  [FAULT_VERSION] = "version",
	[FAULT_TOKEN] = "token",	 [FAULT_ADMIN] = "admin",	  [FAULT_BODY_TYPE] = "type",
	[FAULT_BODY_SIZE] = "size",	 [FAULT_HEAD_SIZE] = "head",	  [FAULT_SYNTAX] = "syntax",
	[FAULT_ARG_UNKNOWN] = "unknown", [FAULT_ARG_MISSING] = "missing", [FAULT_ARG_VALUE] = "value",
	[FAULT_REFUSED] = "refused",	 [FAULT_BUSY] = "busy",		  [FAULT_UPSTREAM] = "upstream",
	[FAULT_TIMEOUT] = "timeout",	 [FAULT_INTERNAL] = "internal",	  [FAULT_DIALECT] = "dialect",
};

static int on_fail(struct call *c, const struct fault *f)
{
	buf_printf(&c->out.buf, "%s|%d|%s|%s", kinds[f->kind], f->code, f->field, f->text);
	call_set(c, "Content-Type", "text/plain");
	return f->status == 503 ? 503 : f->status;
}

static void finish(struct call *c, int status)
{
	call_set(c, "X-Id", "%s", c->id);
}

static const struct param greet_params[] = {
	{.name = "n", .type = P_INT, .min = 1, .max = 9},
	{.name = "name", .type = P_STRING},
	{0},
};
static const struct schema greet_args = {.params = greet_params};

static const struct route own_routes[] = {
	{.method = "GET", .path = "/greet", .handle = greet, .args = &greet_args, .flags = ROUTE_PUBLIC},
	{.method = "POST", .path = "/greet", .handle = greet, .args = &greet_args},
	{.method = "PUT", .path = "/greet", .handle = greet, .args = &greet_args, .flags = ROUTE_JSON},
	{.method = "DELETE", .path = "/greet", .handle = greet, .args = &greet_args, .flags = ROUTE_NO_BODY},
	{.method = "GET", .path = "/huge", .handle = huge},
	{.method = "GET", .path = "/large", .handle = large},
	{.method = "GET", .path = "/who", .handle = whoami, .flags = ROUTE_WHO},
	{.method = "GET", .path = "/admin", .handle = whoami, .flags = ROUTE_ADMIN},
	{.method = "GET", .path = "/refusal", .handle = own_refusal},
	{.method = "POST", .path = "/c/{id}/stop", .handle = stop, .state = 100},
	{.method = "GET", .path = "/log", .handle = logs},
	{.method = "GET", .path = "/later", .handle = greet, .since = 6},
	{0},
};
static const struct dialect own_dialect = {.name = "own",
					   .roots = (const char *const[]){"/", NULL},
					   .routes = own_routes,
					   .begin = begin,
					   .fail = on_fail,
					   .finish = finish};
static const struct dialect *const dialects[] = {&own_dialect, &toy_dialect, NULL};

/* ---------------------------------------------------------------- scripts */

static void echo(struct fake *f, const Berth__Envelope *env)
{
	note(env);
	fake_done(f, env->id,
		  env->body_case == BERTH__ENVELOPE__BODY_CONTAINER_INSPECT ? env->container_inspect->ref : "done");
}

static Berth__Error__Code refusal;

static void refuse(struct fake *f, const Berth__Envelope *env)
{
	fake_error(f, env->id, refusal, "spec.x", "because");
}

static void silence(struct fake *f, const Berth__Envelope *env)
{
	note(env);
}

static void give_log(struct fake *f, const Berth__Envelope *env)
{
	Berth__Done m = BERTH__DONE__INIT;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "0123456789abcdef", 16), 16);
	fake_send(f, env->id, BERTH__ENVELOPE__BODY_DONE, &m, fds, 1);
	close(fds[0]);
	close(fds[1]);
}

/* ---------------------------------------------------------------- */

static int setup(void **state)
{
	cleanups = late_replies = 0;
	refuse_version = false;
	return caller_init(dialects, echo);
}

static void a_second_dialect_needs_nothing_of_the_core(void **state)
{
	assert_int_equal(ask_as("t", "GET", "/toy/boxes/blue%20one?x=1", NULL), 200);
	assert_string_equal(call->out.buf.data, "{\"box\":\"blue one\"}");
	assert_string_equal(answer_header("Content-Type"), "application/json");
	/* The longest root wins, and who owns it answers for what is not there. */
	assert_int_equal(ask_as("t", "GET", "/toy/none", NULL), 404);
	assert_string_equal(
		call->out.buf.data,
		"{\"error\":{\"code\":404,\"title\":\"Not Found\",\"message\":\"there is nothing of this path\"}}");
}

static void the_core_refuses_before_the_handler(void **state)
{
	static char long_token[300], big[CALL_BODY_MAX + 2], many[CALL_BODY_MAX];
	static const struct {
		const char *token, *type, *method, *target, *body;
		int status;
		const char *out;
	} rows[] = {
		{NULL, NULL, "GET", "/greet?n=3&name=x", NULL, 201, "{\"n\":3,\"name\":\"x\"}"},
		{NULL, NULL, "GET", "/greet", "this is not read", 201, "{\"n\":7,\"name\":null}"},
		{"t", NULL, "POST", "/greet?n=3", "{\"name\":\"x\"}", 201, "{\"n\":3,\"name\":\"x\"}"},
		{"t", "application/json; charset=utf-8", "POST", "/greet", "{\"name\":\"x\"}", 201,
		 "{\"n\":7,\"name\":\"x\"}"},
		{"t", "Application/JSON", "PUT", "/greet", "", 201, "{\"n\":7,\"name\":null}"},
		{"t", "application/octet-stream", "POST", "/greet", "", 201, "{\"n\":7,\"name\":null}"},
		{"t", "text/plain", "DELETE", "/greet", "zzz", 201, "{\"n\":7,\"name\":null}"},
		{"t", NULL, "POST", "/greet", "null", 201, "{\"n\":7,\"name\":null}"},
		{"t", NULL, "GET", "/nothing", NULL, 404, "route|0||there is nothing of this path"},
		{NULL, NULL, "GET", "/nothing", NULL, 404, "route|0||there is nothing of this path"},
		{"t", NULL, "PATCH", "/greet", NULL, 405,
		 "method|0||PATCH is not possible here, but GET, POST, PUT, DELETE"},
		{"t", NULL, "GET", "/later", NULL, 406, "version|0||not in the version that was asked for"},
		{NULL, NULL, "POST", "/greet", "{", 401, "token|0||a token is needed"},
		{"", NULL, "POST", "/greet", NULL, 401, "token|0||a token is needed"},
		{"a b", NULL, "POST", "/greet", NULL, 401, "token|0||a token is needed"},
		{"\xc3\xa9", NULL, "POST", "/greet", NULL, 401, "token|0||a token is needed"},
		{long_token, NULL, "POST", "/greet", NULL, 401, "token|0||a token is needed"},
		{"t", NULL, "PUT", "/greet", "{}", 415, "type|0||Content-Type must be application/json"},
		{"t", "application/jsonx", "PUT", "/greet", "{}", 415, "type|0||Content-Type must be application/json"},
		{"t", "text/plain", "POST", "/greet", "{}", 415, "type|0||Content-Type must be application/json"},
		{"t", NULL, "POST", "/greet", big, 413, "size|0||a body may have 1048576 bytes"},
		{"t", NULL, "POST", "/greet", many, 413, "size|0||the body has too many values"},
		{"t", NULL, "POST", "/greet", "[]", 400, "syntax|0||the body must be a JSON object"},
		{"t", NULL, "POST", "/greet", "\"x\"", 400, "syntax|0||the body must be a JSON object"},
		{"t", NULL, "GET", "/gr%zz", NULL, 400,
		 "syntax|0||the path has a % without two hexadecimal digits, a NUL, or no UTF-8"},
		{"t", NULL, "POST", "/greet", "{\"z\":1}", 400, "unknown|0|z|is not known here"},
		{"t", NULL, "GET", "/greet?n=10", NULL, 400, "value|0|n|10 is greater than the maximum of 9"},
		{"t", NULL, "GET", "/huge", NULL, 500, "internal|0||the answer is too large, or memory ran out"},
		{"t", NULL, "GET", "/refusal", NULL, 409, "dialect|77||not in state Paused"},
	};

	memset(long_token, 'x', sizeof long_token - 1);
	memset(big, ' ', sizeof big - 1);
	for (size_t i = 1; i + 3 < sizeof many; i += 3)
		memcpy(many + i, "[],", 3);
	many[0] = '[';
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status;

		if (rows[i].token)
			header("x-AUTH-token", rows[i].token);
		if (rows[i].type)
			header("Content-Type", rows[i].type);
		status = ask(rows[i].method, rows[i].target, rows[i].body);
		if (status != rows[i].status || strncmp(call->out.buf.data, rows[i].out, 100))
			fail_msg("row %zu: %d %s", i, status, call->out.buf.data);
		if (rows[i].status == 405)
			assert_string_equal(answer_header("Allow"), "GET, POST, PUT, DELETE");
	}
	assert_int_equal(fake.requests, 0);
}

static void the_dialects_headers_are_on_every_answer(void **state)
{
	assert_int_equal(ask("GET", "/greet", NULL), 201);
	assert_string_equal(answer_header("X-Version"), "5");
	assert_string_equal(answer_header("X-Id"), call->id);
	assert_true(!strncmp(call->id, "req-", 4) && uuid_is(call->id + 4));
	assert_int_equal(ask("GET", "/nothing", NULL), 404);
	assert_string_equal(answer_header("X-Version"), "5");
	assert_string_equal(answer_header("X-Id"), call->id);
	refuse_version = true;
	assert_int_equal(ask("GET", "/greet", NULL), 406);
	assert_string_equal(answer_header("X-Id"), call->id);
}

static void a_header_is_set_once_and_carries_nothing_else_along(void **state)
{
	assert_int_equal(ask("GET", "/greet", NULL), 201);
	assert_string_equal(answer_header("X-Twice"), "b");
	assert_string_equal(answer_header("X-Evil"), "");
	header("Host", "good.example:9517");
	ask("GET", "/greet", NULL);
	assert_string_equal(call_base(call), "http://good.example:9517");
	header("Host", "evil/\"><script>");
	ask("GET", "/greet", NULL);
	assert_string_equal(call_base(call), "http://localhost");
}

static void token_and_request_id_go_along_and_changes_have_a_client_token(void **state)
{
	assert_int_equal(ask_as("secret", "POST", "/c/x/stop", NULL), 202);
	assert_string_equal(last_token, "secret");
	assert_string_equal(last_request_id, call->id);
	assert_memory_equal(last_client_token, call->id, strlen(call->id)); /* and which of its questions this is */
	header("Authorization", "bearer  other");
	assert_int_equal(ask("GET", "/toy/boxes/x", NULL), 200);
	assert_string_equal(last_token, "other");
	assert_string_equal(last_client_token, "none");
}

static void two_tokens_are_refused_unless_both_ways_have_the_same(void **state)
{
	header("X-Auth-Token", "one");
	header("x-auth-token", "one");
	assert_int_equal(ask("GET", "/toy/boxes/x", NULL), 400);
	header("X-Auth-Token", "one");
	header("Authorization", "Bearer two");
	assert_int_equal(ask("GET", "/toy/boxes/x", NULL), 400);
	assert_int_equal(fake.requests, 0);
	header("Authorization", "Bearer one");
	header("X-Auth-Token", "one");
	assert_int_equal(ask("GET", "/toy/boxes/x", NULL), 200);
	assert_string_equal(last_token, "one");
}

static void berthds_refusals_have_their_status(void **state)
{
	static const struct {
		Berth__Error__Code code;
		int status;
	} rows[] = {
		{BERTH__ERROR__CODE__INVALID, 400},   {BERTH__ERROR__CODE__NOT_FOUND, 404},
		{BERTH__ERROR__CODE__EXISTS, 409},    {BERTH__ERROR__CODE__CONFLICT, 409},
		{BERTH__ERROR__CODE__DENIED, 403},    {BERTH__ERROR__CODE__UNSUPPORTED, 400},
		{BERTH__ERROR__CODE__EXHAUSTED, 503}, {BERTH__ERROR__CODE__TIMEOUT, 504},
		{BERTH__ERROR__CODE__AMBIGUOUS, 409}, {BERTH__ERROR__CODE__START_FAILED, 409},
		{BERTH__ERROR__CODE__STALE, 412},     {BERTH__ERROR__CODE__INTERNAL, 500},
	};

	fake.script = refuse;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		refusal = rows[i].code;
		assert_row(ask_as("t", "POST", "/c/x/stop", NULL) == rows[i].status, i);
		assert_row(!strcmp(call->out.buf.data, "refused|0|spec.x|because"), i);
		assert_row(!*answer_header("Retry-After") == (rows[i].status != 503), i);
	}
	assert_int_equal(cleanups, ARRAY_SIZE(rows));
}

static void without_berthd_the_answer_says_when_to_come_back(void **state)
{
	fake_kill(&fake);
	gw.upstream.lost_ns = now_ns() - (UPSTREAM_PATIENCE_MS + 1) * NS_PER_MS;
	assert_int_equal(ask_as("t", "POST", "/c/x/stop", NULL), 503);
	assert_string_equal(answer_header("Retry-After"), "2");
}

static void a_call_that_its_client_gave_up_hears_nothing_more(void **state)
{
	fake.script = silence;
	header("X-Auth-Token", "t");
	begin_call("POST", "/c/x/stop", NULL);
	call_free(call);
	call = NULL;
	assert_int_equal(cleanups, 1);
	fake.script = echo;
	assert_int_equal(ask_as("t", "GET", "/toy/boxes/x", NULL), 200);
	assert_int_equal(late_replies, 0);
}

static void a_descriptor_is_read_to_its_end_within_bounds(void **state)
{
	fake.script = give_log;
	assert_int_equal(ask_as("t", "GET", "/log", NULL), 200);
	assert_string_equal(call->out.buf.data, "\"0123456789\"");
	assert_string_equal(answer_header("X-Stream"), "1 1");
}

static void whose_token_it_is_is_asked_before_the_handler(void **state)
{
	fake.script = who_is;
	assert_int_equal(ask_as("member", "GET", "/who", NULL), 200);
	assert_string_equal(call->out.buf.data, "{\"project\":\"member\",\"user\":\"member\",\"admin\":false}");
	assert_int_equal(ask_as("admin", "GET", "/who", NULL), 200);
	assert_string_equal(call->out.buf.data, "{\"project\":\"admin\",\"user\":\"admin\",\"admin\":true}");
	assert_int_equal(ask_as("stranger", "GET", "/who", NULL), 401);
	assert_string_equal(call->out.buf.data, "token|0||the token is unknown, expired or revoked");
	assert_int_equal(ask_as("admin", "GET", "/admin", NULL), 200);
	assert_int_equal(ask_as("member", "GET", "/admin", NULL), 403);
	assert_string_equal(call->out.buf.data, "admin|0||only an admin's token may do this");
}

static void what_all_requests_hold_has_a_ceiling(void **state)
{
	static char big[1 << 20];
	struct call *held[100];
	size_t n = 0;

	memory_init(8u << 20);
	memset(big, ' ', sizeof big - 1);
	/* Bodies that do not end. */
	for (done = false; !done; n++) {
		assert_true(n < ARRAY_SIZE(held));
		header("X-Auth-Token", "t");
		held[n] = call_new(&gw, "/greet", on_done, &gw);
		call_head(held[n], "POST", headers, n_headers, NULL);
		call_body(held[n], big, sizeof big - 1);
		n_headers = 0;
	}
	assert_int_equal(n, 8);
	assert_int_equal(call_answer(held[7])->status, 503);
	assert_string_equal(held[7]->out.buf.data, "busy|0||too much is under way to take a body of this size");
	/* Nor is there room for an answer of some size, but for a small one. */
	assert_int_equal(ask_as("t", "GET", "/large", NULL), 503);
	assert_int_equal(ask_as("t", "GET", "/greet", NULL), 201);
	for (size_t i = 0; i < n; i++)
		call_free(held[i]);
	assert_int_equal(ask_as("t", "GET", "/large", NULL), 200);
}

static void answers_are_counted_by_route_and_status(void **state)
{
	struct buf b;

	ask("GET", "/greet", NULL);
	ask("GET", "/greet", NULL);
	ask("GET", "/greet?n=x", NULL);
	ask("GET", "/nothing", NULL);
	ask("GET", "/toy/none", NULL);
	buf_init(&b, 0);
	metrics_write(&gw, &b);
	static const char *const lines[] = {
		"\nberth_gateway_requests_total{dialect=\"own\",route=\"GET /greet\",status=\"201\"} 2\n",
		"\nberth_gateway_requests_total{dialect=\"own\",route=\"GET /greet\",status=\"400\"} 1\n",
		"\nberth_gateway_requests_total{dialect=\"own\",route=\"none\",status=\"404\"} 1\n",
		"\nberth_gateway_requests_total{dialect=\"toy\",route=\"none\",status=\"404\"} 1\n",
		"\nberth_gateway_request_seconds_count{dialect=\"own\",route=\"GET /greet\"} 3\n",
		"\nberth_gateway_request_seconds_bucket{dialect=\"own\",route=\"GET /greet\",le=\"+Inf\"} 3\n",
		"\n# TYPE berth_gateway_request_seconds histogram\n",
		"\nberth_gateway_upstream_up 0\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_row(strstr(b.data, lines[i]), i);
	assert_null(strstr(b.data, "POST /greet"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_second_dialect_needs_nothing_of_the_core, setup, caller_fini),
		cmocka_unit_test_setup_teardown(the_core_refuses_before_the_handler, setup, caller_fini),
		cmocka_unit_test_setup_teardown(the_dialects_headers_are_on_every_answer, setup, caller_fini),
		cmocka_unit_test_setup_teardown(a_header_is_set_once_and_carries_nothing_else_along, setup,
						caller_fini),
		cmocka_unit_test_setup_teardown(token_and_request_id_go_along_and_changes_have_a_client_token, setup,
						caller_fini),
		cmocka_unit_test_setup_teardown(two_tokens_are_refused_unless_both_ways_have_the_same, setup,
						caller_fini),
		cmocka_unit_test_setup_teardown(berthds_refusals_have_their_status, setup, caller_fini),
		cmocka_unit_test_setup_teardown(without_berthd_the_answer_says_when_to_come_back, setup, caller_fini),
		cmocka_unit_test_setup_teardown(a_call_that_its_client_gave_up_hears_nothing_more, setup, caller_fini),
		cmocka_unit_test_setup_teardown(whose_token_it_is_is_asked_before_the_handler, setup, caller_fini),
		cmocka_unit_test_setup_teardown(what_all_requests_hold_has_a_ceiling, setup, caller_fini),
		cmocka_unit_test_setup_teardown(answers_are_counted_by_route_and_status, setup, caller_fini),
		cmocka_unit_test_setup_teardown(a_descriptor_is_read_to_its_end_within_bounds, setup, caller_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/gateway_caller.h - calls without a socket: a gateway with the dialects of a test, and a scripted berthd. */
#pragma once

#include "gateway/calls.h"
#include "gateway/memory.h"

#include <strings.h>

#include "tests/unit/fake_berthd.h"

static struct gateway gw;
static struct fake fake;
static int fds_before;

static struct call *call;
static bool done;
static struct header headers[8];
static unsigned n_headers;

static void on_done(struct call *c)
{
	assert_ptr_equal(call_owner(c), &gw);
	assert_false(done);
	done = true;
}

static void header(const char *name, const char *value)
{
	headers[n_headers++] = (struct header){name, value};
}

static void turn_end(struct loop *l)
{
	if (done)
		loop_stop(l, 0);
}

static void on_limit(struct timer *t)
{
	fail_msg("no answer");
}

static void begin_call(const char *method, const char *target, const char *body)
{
	if (call)
		call_free(call);
	done = false;
	call = call_new(&gw, target, on_done, &gw);
	call_head(call, method, headers, n_headers, NULL);
	if (body)
		call_body(call, body, strlen(body));
	call_end_of_body(call);
	n_headers = 0;
}

static int ask(const char *method, const char *target, const char *body)
{
	struct timer limit = {0};

	begin_call(method, target, body);
	gw.loop.turn_end = turn_end;
	timer_in(&gw.loop, &limit, 10 * NS_PER_S, on_limit);
	if (!done)
		loop_run(&gw.loop);
	timer_del(&limit);
	return call_answer(call)->status;
}

__attribute__((unused)) static int ask_as(const char *token, const char *method, const char *target, const char *body)
{
	header("X-Auth-Token", token);
	return ask(method, target, body);
}

__attribute__((unused)) static const char *answer_header(const char *name)
{
	const struct call_answer *a = call_answer(call);

	for (unsigned i = 0; i < a->n_headers; i++)
		if (!strcasecmp(a->header[i].name, name))
			return a->header[i].value;
	return "";
}

/* ---------------------------------------------------------------- what berthd saw */

static char last_token[300], last_client_token[64], last_request_id[64];

__attribute__((unused)) static void note(const Berth__Envelope *env)
{
	snprintf(last_token, sizeof last_token, "%s", env->token ? env->token : "none");
	snprintf(last_client_token, sizeof last_client_token, "%s", env->client_token ? env->client_token : "none");
	snprintf(last_request_id, sizeof last_request_id, "%s", env->request_id ? env->request_id : "none");
}

/* Knows the tokens "admin" and "member", each of the user and project of that name. */
__attribute__((unused)) static void who_is(struct fake *f, const Berth__Envelope *env)
{
	Berth__TokenReply m = BERTH__TOKEN_REPLY__INIT;
	Berth__AccessToken t = BERTH__ACCESS_TOKEN__INIT;

	note(env);
	assert_int_equal(env->body_case, BERTH__ENVELOPE__BODY_TOKEN_CHECK);
	if (strcmp(env->token, "admin") && strcmp(env->token, "member")) {
		fake_error(f, env->id, BERTH__ERROR__CODE__UNAUTHENTICATED, NULL, "no");
		return;
	}
	m.token = &t;
	t.project = t.user = env->token;
	t.has_role = true;
	t.role = strcmp(env->token, "admin") ? BERTH__ACCESS_TOKEN__ROLE__MEMBER : BERTH__ACCESS_TOKEN__ROLE__ADMIN;
	fake_send(f, env->id, BERTH__ENVELOPE__BODY_TOKEN_REPLY, &m, NULL, 0);
}

/* ---------------------------------------------------------------- begin and end of each test */

static int caller_init(const struct dialect *const *dialects,
		       void (*script)(struct fake *f, const Berth__Envelope *env))
{
	fds_before = open_fds();
	gw = (struct gateway){.dialects = dialects};
	if (loop_init(&gw.loop) < 0)
		return -1;
	fake_init(&fake, &gw.loop, script);
	upstream_init(&gw.upstream, &gw.loop, fake.path);
	upstream_open(&gw.upstream);
	memory_init(64u << 20);
	n_headers = 0;
	return metrics_init(&gw.metrics, dialects);
}

static int caller_fini(void **state)
{
	if (call)
		call_free(call);
	call = NULL;
	upstream_fini(&gw.upstream);
	fake_kill(&fake);
	loop_fini(&gw.loop);
	metrics_fini(&gw.metrics);
	assert_int_equal(memory_used(), 0);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

/* tests/unit/test_gateway_upstream.c - each question gets one answer or one failure, whatever berthd does meanwhile. */
#include "tests/unit/unit.h"

#include "gateway/upstream.h"

#include "tests/unit/fake_berthd.h"

static struct loop loop;
static struct upstream up;
static struct fake fake;
static int fds_before;

struct asked {
	struct question q;
	int answers, failures;
	enum upstream_failure why;
	char text[64];
	Berth__Error__Code code;
};

static unsigned outstanding;

static void on_answered(struct question *q, const Berth__Envelope *reply, struct wire_fds *fds)
{
	struct asked *a = container_of(q, struct asked, q);

	a->answers++;
	if (reply->body_case == BERTH__ENVELOPE__BODY_DONE)
		snprintf(a->text, sizeof a->text, "%s", reply->done->text);
	else if (reply->body_case == BERTH__ENVELOPE__BODY_ERROR)
		a->code = reply->error->code;
	outstanding--;
}

static void on_failed(struct question *q, enum upstream_failure why)
{
	struct asked *a = container_of(q, struct asked, q);

	a->failures++;
	a->why = why;
	outstanding--;
}

static const struct question_ops ops = {on_answered, on_failed};

static int ask_for(struct asked *a, const char *ref, unsigned ms)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ContainerInspect m = BERTH__CONTAINER_INSPECT__INIT;
	bool once = a->q.once;
	int r;

	*a = (struct asked){.q = {.ops = &ops, .once = once}};
	m.ref = (char *)(uintptr_t)ref;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_INSPECT;
	env.container_inspect = &m;
	r = upstream_ask(&up, &a->q, &env, now_ns() + ms * NS_PER_MS);
	outstanding += r == 0;
	return r;
}

static void on_limit(struct timer *t)
{
	fail_msg("nothing more happens, %u questions are open", outstanding);
}

static bool (*until)(void);

static void turn_end(struct loop *l)
{
	if (until())
		loop_stop(l, 0);
}

static void run_until(bool (*condition)(void))
{
	struct timer limit = {0};

	until = condition;
	loop.turn_end = turn_end;
	timer_in(&loop, &limit, 10 * NS_PER_S, on_limit);
	if (!until())
		loop_run(&loop);
	timer_del(&limit);
}

static bool all_done(void)
{
	return !outstanding;
}

static void run(void)
{
	run_until(all_done);
}

/* ---------------------------------------------------------------- scripts */

static void echo(struct fake *f, const Berth__Envelope *env)
{
	fake_done(f, env->id, env->container_inspect->ref);
}

static void silence(struct fake *f, const Berth__Envelope *env)
{
}

/* Dies with the third request, and is back at once as one that answers. */
static void die_on_third(struct fake *f, const Berth__Envelope *env)
{
	if (f->requests < 3)
		return;
	f->script = echo;
	fake_kill(f);
	fake_start(f);
}

static void busy_twice(struct fake *f, const Berth__Envelope *env)
{
	if (f->requests <= 2)
		fake_error(f, env->id, BERTH__ERROR__CODE__UNAVAILABLE, NULL, "going down");
	else
		echo(f, env);
}

static size_t measured;

static void measure(struct fake *f, const Berth__Envelope *env)
{
	measured = strlen(env->container_inspect->ref);
	fake_done(f, env->id, "measured");
}

/* Answers nothing before it holds as many as berthd ever would. */
static uint64_t held[64];
static unsigned n_held, max_held;

static void hold_sixty(struct fake *f, const Berth__Envelope *env)
{
	assert_true(n_held < ARRAY_SIZE(held));
	held[n_held++] = env->id;
	if (n_held > max_held)
		max_held = n_held;
	if (n_held == 60)
		while (n_held)
			fake_done(f, held[--n_held], "held");
}

/* ---------------------------------------------------------------- */

static int setup(void **state)
{
	fds_before = open_fds();
	outstanding = n_held = max_held = 0;
	measured = 0;
	if (loop_init(&loop) < 0)
		return -1;
	fake_init(&fake, &loop, echo);
	upstream_init(&up, &loop, fake.path);
	upstream_open(&up);
	return 0;
}

static int teardown(void **state)
{
	upstream_fini(&up);
	fake_kill(&fake);
	loop_fini(&loop);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static void answers_reach_who_asked(void **state)
{
	static struct asked a[3];

	ask_for(&a[0], "a", 5000);
	ask_for(&a[1], "b", 5000);
	ask_for(&a[2], "c", 5000);
	run();
	assert_string_equal(a[0].text, "a");
	assert_string_equal(a[1].text, "b");
	assert_string_equal(a[2].text, "c");
	assert_true(upstream_up(&up));
	ask_for(&a[0], "again", 5000);
	run();
	assert_string_equal(a[0].text, "again");
}

static void refusals_are_answers(void **state)
{
	static struct asked a;

	fake.script = busy_twice;
	ask_for(&a, "a", 5000);
	run();
	/* UNAVAILABLE is none: it was asked again until there was one. */
	assert_int_equal(fake.requests, 3);
	assert_int_equal(a.answers, 1);
	assert_string_equal(a.text, "a");
}

static void what_a_dead_berthd_did_not_answer_is_asked_again(void **state)
{
	static struct asked a[3];

	fake.script = die_on_third;
	ask_for(&a[0], "a", 5000);
	ask_for(&a[1], "b", 5000);
	ask_for(&a[2], "c", 5000);
	run();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a[i].answers, 1);
		assert_int_equal(a[i].failures, 0);
	}
	assert_string_equal(a[0].text, "a");
	assert_string_equal(a[2].text, "c");
	assert_int_equal(fake.requests, 6);
	assert_int_equal(fake.connections, 2);
}

static void what_may_be_asked_once_is_lost_with_berthd(void **state)
{
	static struct asked a[3] = {[1] = {.q.once = true}};

	fake.script = die_on_third;
	ask_for(&a[0], "a", 5000);
	ask_for(&a[1], "once", 5000);
	ask_for(&a[2], "c", 5000);
	run();
	assert_int_equal(a[0].answers, 1);
	assert_int_equal(a[1].failures, 1);
	assert_int_equal(a[1].why, UPSTREAM_LOST);
	assert_int_equal(a[2].answers, 1);
}

static void what_was_not_sent_yet_may_wait_even_when_it_is_for_once(void **state)
{
	static struct asked a;

	fake_kill(&fake);
	a.q.once = true;
	ask_for(&a, "a", 5000);
	fake_start(&fake);
	run();
	assert_int_equal(a.answers, 1);
}

static void no_answer_by_the_deadline_is_late(void **state)
{
	static struct asked a;

	fake.script = silence;
	ask_for(&a, "a", 30);
	run();
	assert_int_equal(a.failures, 1);
	assert_int_equal(a.why, UPSTREAM_LATE);
}

static void without_berthd_a_question_fails_as_away_when_patience_ends(void **state)
{
	static struct asked a;

	fake_kill(&fake);
	ask_for(&a, "a", 30);
	run();
	assert_int_equal(a.failures, 1);
	assert_int_equal(a.why, UPSTREAM_AWAY);
	/* It has been away for longer than anybody waits: said at once. */
	up.lost_ns = now_ns() - (UPSTREAM_PATIENCE_MS + 1) * NS_PER_MS;
	uint64_t before = now_ns();

	ask_for(&a, "b", 60000);
	run();
	assert_int_equal(a.why, UPSTREAM_AWAY);
	assert_true(now_ns() - before < 2 * NS_PER_S);
}

static void a_dropped_question_hears_nothing(void **state)
{
	static struct asked a, b;

	fake.script = silence;
	ask_for(&a, "a", 5000);
	ask_for(&b, "b", 100);
	question_drop(&b.q);
	question_drop(&b.q);
	outstanding--;
	fake.script = echo;
	ask_for(&b, "c", 5000);
	question_drop(&a.q);
	outstanding--;
	run();
	assert_int_equal(a.answers + a.failures, 0);
	assert_string_equal(b.text, "c");
}

static void no_more_are_sent_at_once_than_berthd_allows(void **state)
{
	static struct asked a[180];

	fake.script = hold_sixty;
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		assert_int_equal(ask_for(&a[i], "x", 5000), 0);
	run();
	assert_int_equal(fake.requests, ARRAY_SIZE(a));
	assert_int_equal(max_held, 60);
}

static void too_many_are_refused(void **state)
{
	static struct asked a[4200];
	size_t refused = 0;

	fake.script = silence;
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		refused += ask_for(&a[i], "x", 60000) == -EBUSY;
	assert_true(refused > 0 && refused < 200);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		question_drop(&a[i].q);
	assert_int_equal(up.bytes, 0);
	assert_int_equal(up.n_waiting + up.n_sent, 0);
}

static void large_questions_travel_in_a_memfd(void **state)
{
	static struct asked a;
	static char ref[200001];

	memset(ref, 'r', sizeof ref - 1);
	fake.script = measure;
	ask_for(&a, ref, 5000);
	run();
	assert_int_equal(measured, sizeof ref - 1);
}

static void the_end_fails_what_is_open(void **state)
{
	static struct asked a;

	fake.script = silence;
	ask_for(&a, "a", 5000);
	upstream_fini(&up);
	assert_int_equal(a.failures, 1);
	assert_int_equal(a.why, UPSTREAM_AWAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_reach_who_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_are_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_dead_berthd_did_not_answer_is_asked_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_be_asked_once_is_lost_with_berthd, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_sent_yet_may_wait_even_when_it_is_for_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(no_answer_by_the_deadline_is_late, setup, teardown),
		cmocka_unit_test_setup_teardown(without_berthd_a_question_fails_as_away_when_patience_ends, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_dropped_question_hears_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(no_more_are_sent_at_once_than_berthd_allows, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(large_questions_travel_in_a_memfd, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_fails_what_is_open, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

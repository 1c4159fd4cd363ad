/* tests/unit/test_policy.c - who is started again, when, and with which words. */
#include "tests/unit/unit.h"

#include "base/loop.h"
#include "supervisor/policy.h"

#include <signal.h>

#define NO	       BERTH__RESTART_POLICY__KIND__NO
#define ON_FAILURE     BERTH__RESTART_POLICY__KIND__ON_FAILURE
#define ALWAYS	       BERTH__RESTART_POLICY__KIND__ALWAYS
#define UNLESS_STOPPED BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED

#define EXIT(n)                                                                                                        \
	{                                                                                                              \
		.known = true, .code = (n), .ran_ns = NS_PER_S                                                         \
	}
#define KILLED                                                                                                         \
	{                                                                                                              \
		.known = true, .signal = SIGKILL, .ran_ns = NS_PER_S                                                   \
	}
#define UNSEEN                                                                                                         \
	{                                                                                                              \
		.ran_ns = NS_PER_S                                                                                     \
	}
#define ASKED                                                                                                          \
	{                                                                                                              \
		.known = true, .signal = SIGTERM, .asked = true, .ran_ns = NS_PER_S                                    \
	}
#define NO_START                                                                                                       \
	{                                                                                                              \
		.start_failed = true                                                                                   \
	}
#define BY_HAND                                                                                                        \
	{                                                                                                              \
		.start_failed = true, .by_person = true                                                                \
	}

static const struct {
	Berth__RestartPolicy__Kind kind;
	uint32_t max;
	struct history h;
	struct ending end;
	enum verdict verdict;
	uint64_t delay_ns;
	const char *why;
} rows[] = {
	{NO, 0, {0, 0}, EXIT(1), VERDICT_STAY_ENDED, 0, "policy no: exit code 1, no restart"},
	{NO, 0, {0, 0}, UNSEEN, VERDICT_STAY_ENDED, 0, "policy no: exit status unknown, no restart"},
	{ON_FAILURE, 0, {0, 0}, EXIT(0), VERDICT_STAY_ENDED, 0, "policy on-failure: exit code 0, no failure"},
	{ON_FAILURE, 0, {0, 0}, EXIT(3), VERDICT_RESTART, 0, "policy on-failure: exit code 3, retry 1 at once"},
	{ON_FAILURE,
	 3,
	 {1, 1},
	 EXIT(3),
	 VERDICT_RESTART,
	 100 * NS_PER_MS,
	 "policy on-failure: exit code 3, retry 2 of 3 in 100 ms"},
	{ON_FAILURE,
	 3,
	 {3, 3},
	 EXIT(3),
	 VERDICT_STAY_ENDED,
	 0,
	 "policy on-failure: exit code 3, all retries are used up"},
	{ON_FAILURE, 0, {0, 0}, KILLED, VERDICT_RESTART, 0, "policy on-failure: killed by SIGKILL, retry 1 at once"},
	/* Nobody saw it: that is no success. */
	{ON_FAILURE, 0, {0, 0}, UNSEEN, VERDICT_RESTART, 0, "policy on-failure: exit status unknown, retry 1 at once"},
	{ALWAYS, 0, {0, 0}, EXIT(0), VERDICT_RESTART, 0, "policy always: exit code 0, retry 1 at once"},
	{ALWAYS, 0, {0, 0}, ASKED, VERDICT_STAY_ENDED, 0, "policy always: killed by SIGTERM, the end was asked for"},
	{UNLESS_STOPPED,
	 0,
	 {0, 0},
	 ASKED,
	 VERDICT_STAY_ENDED,
	 0,
	 "policy unless-stopped: killed by SIGTERM, the end was asked for"},
	{UNLESS_STOPPED, 0, {0, 0}, EXIT(0), VERDICT_RESTART, 0, "policy unless-stopped: exit code 0, retry 1 at once"},
	{ALWAYS,
	 0,
	 {0, 0},
	 BY_HAND,
	 VERDICT_STAY_ENDED,
	 0,
	 "policy always: could not start, a start by hand is not repeated"},
	{ALWAYS,
	 0,
	 {2, 2},
	 NO_START,
	 VERDICT_RESTART,
	 200 * NS_PER_MS,
	 "policy always: could not start, retry 3 in 200 ms"},
};

static struct decision decide(Berth__RestartPolicy__Kind kind, uint32_t max, struct history h, struct ending end,
			      uint32_t jitter)
{
	Berth__RestartPolicy p = BERTH__RESTART_POLICY__INIT;

	p.has_kind = p.has_max_retries = 1;
	p.kind = kind;
	p.max_retries = max;
	return policy_decide(&p, &h, &end, jitter);
}

static void verdicts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct decision d = decide(rows[i].kind, rows[i].max, rows[i].h, rows[i].end, 0);

		assert_row(d.verdict == rows[i].verdict, i);
		assert_row(d.delay_ns == rows[i].delay_ns, i);
		if (strcmp(d.why, rows[i].why))
			fail_msg("row %zu: \"%s\" instead of \"%s\"", i, d.why, rows[i].why);
		assert_row(d.history.restarts == rows[i].h.restarts + (d.verdict == VERDICT_RESTART), i);
	}
}

static void backs_off_from_100ms_to_60s_and_never_gives_up(void **state)
{
	struct history h = {0, 0};
	uint64_t expected = POLICY_FIRST_DELAY_NS;

	for (int i = 0; i < 200; i++) {
		struct decision d = decide(ALWAYS, 0, h, (struct ending)EXIT(1), 0);

		assert_int_equal(d.verdict, VERDICT_RESTART);
		if (i == 0) {
			assert_int_equal(d.delay_ns, 0);
		} else {
			assert_int_equal(d.delay_ns, expected);
			expected = expected * 2 < POLICY_MAX_DELAY_NS ? expected * 2 : POLICY_MAX_DELAY_NS;
		}
		assert_int_equal(d.alarm, d.delay_ns == POLICY_MAX_DELAY_NS);
		h = d.history;
	}
}

static void a_healthy_run_clears_the_failures_but_not_the_count(void **state)
{
	struct ending end = EXIT(1);
	struct decision d;

	end.ran_ns = POLICY_HEALTHY_NS;
	d = decide(ALWAYS, 0, (struct history){.failures = 9, .restarts = 9}, end, 0);
	assert_int_equal(d.delay_ns, 0);
	assert_int_equal(d.history.failures, 1);
	assert_int_equal(d.history.restarts, 10);
	end.ran_ns = POLICY_HEALTHY_NS - 1;
	d = decide(ALWAYS, 0, (struct history){.failures = 9, .restarts = 9}, end, 0);
	assert_true(d.delay_ns > 0);
}

static void jitter_spreads_by_a_tenth_at_most(void **state)
{
	struct history h = {.failures = 5};

	for (uint32_t jitter = 0; jitter < 5000; jitter += 7) {
		uint64_t plain = decide(ALWAYS, 0, h, (struct ending)EXIT(1), 0).delay_ns;
		uint64_t with = decide(ALWAYS, 0, h, (struct ending)EXIT(1), jitter).delay_ns;

		assert_true(with >= plain && with <= plain + plain / 10);
	}
	assert_true(decide(ALWAYS, 0, h, (struct ending)EXIT(1), 1).delay_ns !=
		    decide(ALWAYS, 0, h, (struct ending)EXIT(1), 999).delay_ns);
}

static void counters_do_not_wrap(void **state)
{
	struct decision d = decide(ALWAYS, 0, (struct history){UINT32_MAX, UINT32_MAX}, (struct ending)EXIT(1), 0);

	assert_int_equal(d.verdict, VERDICT_RESTART);
	assert_int_equal(d.history.failures, UINT32_MAX);
	assert_int_equal(d.history.restarts, UINT32_MAX);
	assert_true(d.delay_ns >= POLICY_MAX_DELAY_NS);
}

static void an_absent_policy_is_no(void **state)
{
	struct history h = {0, 0};
	struct ending end = EXIT(1);

	assert_int_equal(policy_decide(NULL, &h, &end, 0).verdict, VERDICT_STAY_ENDED);
	assert_false(policy_starts_at_boot(NULL, true));
}

static void who_starts_at_boot(void **state)
{
	static const struct {
		Berth__RestartPolicy__Kind kind;
		bool desired, starts;
	} boots[] = {
		{NO, true, false},	  {NO, false, false},		{ALWAYS, true, true},
		{ALWAYS, false, true},	  {UNLESS_STOPPED, true, true}, {UNLESS_STOPPED, false, false},
		{ON_FAILURE, true, true}, {ON_FAILURE, false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(boots); i++) {
		Berth__RestartPolicy p = BERTH__RESTART_POLICY__INIT;

		p.has_kind = 1;
		p.kind = boots[i].kind;
		assert_row(policy_starts_at_boot(&p, boots[i].desired) == boots[i].starts, i);
	}
}

static void a_waiting_retry_follows_the_policy_of_now(void **state)
{
	static const struct {
		Berth__RestartPolicy__Kind kind;
		uint32_t max, restarts;
		bool want;
	} cases[] = {
		{NO, 0, 1, false},	    {ALWAYS, 0, 100, true},   {UNLESS_STOPPED, 0, 100, true},
		{ON_FAILURE, 0, 100, true}, {ON_FAILURE, 3, 3, true}, {ON_FAILURE, 3, 4, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Berth__RestartPolicy p = BERTH__RESTART_POLICY__INIT;
		struct history h = {.restarts = cases[i].restarts};

		p.has_kind = 1;
		p.kind = cases[i].kind;
		p.has_max_retries = 1;
		p.max_retries = cases[i].max;
		assert_int_equal(policy_retries(&p, &h), cases[i].want);
	}
	assert_false(policy_retries(NULL, &(struct history){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(backs_off_from_100ms_to_60s_and_never_gives_up),
		cmocka_unit_test(a_healthy_run_clears_the_failures_but_not_the_count),
		cmocka_unit_test(jitter_spreads_by_a_tenth_at_most),
		cmocka_unit_test(counters_do_not_wrap),
		cmocka_unit_test(an_absent_policy_is_no),
		cmocka_unit_test(who_starts_at_boot),
		cmocka_unit_test(a_waiting_retry_follows_the_policy_of_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

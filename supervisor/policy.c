/* supervisor/policy.c - see supervisor/policy.h */
#include "supervisor/policy.h"

#include "base/loop.h"
#include "base/str.h"

#include <stdio.h>

static const char *kind_name(Berth__RestartPolicy__Kind kind)
{
	switch (kind) {
	case BERTH__RESTART_POLICY__KIND__ON_FAILURE:
		return "on-failure";
	case BERTH__RESTART_POLICY__KIND__ALWAYS:
		return "always";
	case BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED:
		return "unless-stopped";
	case BERTH__RESTART_POLICY__KIND__NO:
	default:
		return "no";
	}
}

static void ending_words(const struct ending *e, char *buf, size_t size)
{
	char name[32];

	if (e->start_failed)
		snprintf(buf, size, "could not start");
	else if (!e->known)
		snprintf(buf, size, "exit status unknown");
	else if (e->signal)
		snprintf(buf, size, "killed by %s", signal_name(e->signal, name, sizeof name));
	else
		snprintf(buf, size, "exit code %d", e->code);
}

static bool ending_is_failure(const struct ending *e)
{
	return e->start_failed || !e->known || e->signal || e->code;
}

/* 0, then 100 ms doubling to the ceiling; the jitter is added last, so that the ceiling too is spread. */
static uint64_t backoff_ns(uint32_t failures, uint32_t jitter)
{
	uint64_t delay = POLICY_FIRST_DELAY_NS;

	if (!failures)
		return 0;
	for (uint32_t i = 1; i < failures && delay < POLICY_MAX_DELAY_NS; i++)
		delay *= 2;
	if (delay > POLICY_MAX_DELAY_NS)
		delay = POLICY_MAX_DELAY_NS;
	return delay + delay / 10 * (jitter % 1024) / 1024;
}

static void delay_words(uint64_t ns, char *buf, size_t size)
{
	if (!ns)
		snprintf(buf, size, "at once");
	else if (ns < 10 * NS_PER_S)
		snprintf(buf, size, "in %llu ms", (unsigned long long)(ns / 1000000));
	else
		snprintf(buf, size, "in %llu s", (unsigned long long)(ns / NS_PER_S));
}

static struct decision decide_stay(struct decision d, const char *kind, const char *end, const char *why)
{
	d.verdict = VERDICT_STAY_ENDED;
	snprintf(d.why, sizeof d.why, "policy %s: %s, %s", kind, end, why);
	return d;
}

struct decision policy_decide(const Berth__RestartPolicy *p, const struct history *h, const struct ending *e,
			      uint32_t jitter)
{
	Berth__RestartPolicy__Kind kind = p && p->has_kind ? p->kind : BERTH__RESTART_POLICY__KIND__NO;
	struct decision d = {.verdict = VERDICT_STAY_ENDED, .history = *h};
	uint32_t max = p && p->has_max_retries ? p->max_retries : 0;
	const char *name = kind_name(kind);
	char end[64], when[40], of[24] = "";

	ending_words(e, end, sizeof end);
	if (e->asked)
		return decide_stay(d, name, end, "the end was asked for");
	if (e->start_failed && e->by_person)
		return decide_stay(d, name, end, "a start by hand is not repeated");
	if (kind == BERTH__RESTART_POLICY__KIND__NO)
		return decide_stay(d, name, end, "no restart");
	if (kind == BERTH__RESTART_POLICY__KIND__ON_FAILURE) {
		if (!ending_is_failure(e))
			return decide_stay(d, name, end, "no failure");
		if (max && h->restarts >= max)
			return decide_stay(d, name, end, "all retries are used up");
		if (max)
			snprintf(of, sizeof of, " of %u", max);
	}
	if (!e->start_failed && e->ran_ns >= POLICY_HEALTHY_NS)
		d.history.failures = 0;
	d.verdict = VERDICT_RESTART;
	d.delay_ns = backoff_ns(d.history.failures, jitter);
	d.alarm = d.delay_ns >= POLICY_MAX_DELAY_NS;
	if (d.history.failures < UINT32_MAX)
		d.history.failures++;
	if (d.history.restarts < UINT32_MAX)
		d.history.restarts++;
	delay_words(d.delay_ns, when, sizeof when);
	snprintf(d.why, sizeof d.why, "policy %s: %s, retry %u%s %s", name, end, d.history.restarts, of, when);
	return d;
}

bool policy_starts_at_boot(const Berth__RestartPolicy *p, bool desired_running)
{
	switch (p && p->has_kind ? p->kind : BERTH__RESTART_POLICY__KIND__NO) {
	case BERTH__RESTART_POLICY__KIND__ALWAYS:
		return true;
	case BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED:
	case BERTH__RESTART_POLICY__KIND__ON_FAILURE:
		return desired_running;
	case BERTH__RESTART_POLICY__KIND__NO:
	default:
		return false;
	}
}

bool policy_retries(const Berth__RestartPolicy *p, const struct history *h)
{
	switch (p && p->has_kind ? p->kind : BERTH__RESTART_POLICY__KIND__NO) {
	case BERTH__RESTART_POLICY__KIND__ALWAYS:
	case BERTH__RESTART_POLICY__KIND__UNLESS_STOPPED:
		return true;
	case BERTH__RESTART_POLICY__KIND__ON_FAILURE:
		/* The one that waits is counted already. */
		return !p->has_max_retries || !p->max_retries || h->restarts <= p->max_retries;
	case BERTH__RESTART_POLICY__KIND__NO:
	default:
		return false;
	}
}

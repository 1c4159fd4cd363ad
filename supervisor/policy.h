/* supervisor/policy.h - pure: does an ended container start again, and when? No clock, no I/O, no memory of its own. */
#pragma once

#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct history {
	uint32_t failures; /* ends in a row without a healthy run between: what the backoff grows with */
	uint32_t restarts; /* by policy since the last start by a person: what max_retries counts and inspect shows */
};

struct ending {
	bool known; /* the exit status was seen */
	int code, signal;
	bool asked;	   /* somebody asked for this end (stop, kill) */
	bool start_failed; /* it never ran */
	bool by_person;	   /* that start was asked for by a person, who has the answer: it is not repeated */
	uint64_t ran_ns;   /* how long it ran */
};

enum verdict { VERDICT_STAY_ENDED, VERDICT_RESTART };

struct decision {
	enum verdict verdict;
	uint64_t delay_ns;	/* before the restart; 0 = at once */
	bool alarm;		/* the backoff has reached its ceiling: say so loudly */
	struct history history; /* as it is after this decision */
	char why[160];		/* for people: "policy on-failure: exit code 1, retry 3 in 400 ms" */
};

#define POLICY_FIRST_DELAY_NS 100000000ull /* after the first, immediate restart; doubles */
#define POLICY_MAX_DELAY_NS   60000000000ull
#define POLICY_HEALTHY_NS     10000000000ull /* a run of this length clears the failures */

/* jitter: a random number that the caller draws; spreads the delay by up to 10 %. */
struct decision policy_decide(const Berth__RestartPolicy *p, const struct history *h, const struct ending *e,
			      uint32_t jitter);
/* At berthd's start after a reboot (no shim can be alive): does it start? always: yes; unless-stopped and on-failure: if it was
 * wanted running, which nobody wants of one that was stopped; no: no. */
bool policy_starts_at_boot(const Berth__RestartPolicy *p, bool desired_running);
/* Is a retry that waits for its time still wanted? The policy may have been changed meanwhile. */
bool policy_retries(const Berth__RestartPolicy *p, const struct history *h);

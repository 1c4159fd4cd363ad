/* supervisor/audit.h - the actions: who asked for what, when it began and ended, and how.
 *
 * One that has not ended is kept in memory and in the store, so that a berthd that died leaves a trace of what it was doing.
 * request_audit (request.h) opens one; the terminal answer to the request ends it. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

struct audit;

/* Opens the log and ends what an earlier berthd left open. */
int audit_open(struct supervisor *sv);
void audit_close(struct supervisor *sv);

/* The object of an action that was opened before there was one. */
void audit_object(struct supervisor *sv, uint64_t action, const Berth__Meta *object);
/* reason may be NULL. 0 and unknown numbers are harmless. */
void audit_finish(struct supervisor *sv, uint64_t action, bool ok, const char *reason);
/* A decision of berthd itself (principal "berthd"): opened and finished at once, or (finished false) ended by audit_finish. */
uint64_t audit_own(struct supervisor *sv, const char *verb, const char *kind, const Berth__Meta *object, bool finished,
		   bool ok, const char *reason);

/* supervisor/repeat.h - a request that is asked again after a crash ate its answer, and that a crash may have let do its work.
 *
 * Its client_token knows what it was making or removing (supervisor/replay.h): whether that is there says what became of it. */
#pragma once

#include "supervisor/request.h"

/* True: it was done, and is answered, now or when the rest of it is. False: nothing of it is left: do it. */
bool request_repeated(struct request *rq, const char *id);

/* Before its rows are queued: the object that it makes or removes (request_audit says that); or the part of one. */
bool repeat_is_of_object(Berth__Envelope__BodyCase body);
void repeat_note(struct supervisor *sv, struct parked p, const char *id);

/* The same for one kind each, in its own file. */
typedef bool repeat_fn(struct request *rq, const char *id);
repeat_fn network_change_repeated; /* id: net_change.c knows how it is written */
repeat_fn security_rule_repeated;  /* id: uuid of a rule */
repeat_fn floating_ip_repeated, floating_pool_repeated;

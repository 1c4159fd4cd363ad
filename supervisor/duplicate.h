/* supervisor/duplicate.h - addresses of leases that somebody else on the wire says are his: told by berth-net behind the start (net/claim.h), shown with the
 * lease until its interface is made again, and then asked for again. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/supervisor.h"

void duplicate_seen(struct supervisor *sv, const Net__DuplicateSeen *seen);
void duplicates_forget(Berth__Lease *l);

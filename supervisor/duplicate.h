/* supervisor/duplicate.h - addresses of leases that somebody else on the wire says are his: told by berth-net behind the start (net/claim.h) or whenever he comes (net/watch.h), shown with
 * lease and network until its interface is made again, and then asked for again. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/net.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/client.h"
#include "supervisor/network.h"
#include "supervisor/supervisor.h"

void duplicate_seen(struct supervisor *sv, const Net__DuplicateSeen *seen);
void duplicates_forget(Berth__Lease *l);
/* Those in a network that he may see, in the arena. */
void duplicates_view(const struct network *n, const struct principal *who, struct arena *a, Berth__Network *view);

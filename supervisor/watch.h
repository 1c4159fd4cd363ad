/* supervisor/watch.h - changes, told to those who asked: a ring of the last events, and subscribers with bounded queues. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

struct client;

int watch_new(struct supervisor *sv, struct watch **ret);
void watch_free(struct watch *w);

/* The client reads again: go on with what its subscriptions have not been sent. */
void watch_client_drained(struct supervisor *sv, uint64_t client);

/* Call it while the object is still in its table: labels, image and pod for the filters are looked up there. Copies what it needs. Gives the event its revision and time. attributes: NULL-terminated list of key, value, key, value … */
void watch_publish(struct supervisor *sv, const char *kind, const char *type, const Berth__Meta *meta,
		   const char *reason, const char *const *attributes);

/* supervisor/replay.h - idempotency: the same request asked again under the same client_token is not done again.
 *
 * A client_token belongs to its principal. While the first request runs, an equal one joins it and gets the same answer; afterwards
 * the stored answer is repeated; another body under the same client_token is CONFLICT. A client_token lives for REPLAY_LIFE, less when its
 * principal uses more than REPLAY_PER_PRINCIPAL in that time (then the one answered longest ago goes). It is in the
 * store before the request's own writes are, with the object that the request makes or removes (replay_object): after a crash between the
 * two the repetition finds the object instead of making a second one. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"

#define REPLAY_LIFE_NS	     (3600ull * NS_PER_S)
#define REPLAY_PER_PRINCIPAL 1024u
#define REPLAY_SIZE	     128 /* of a client_token, with its NUL */

struct replays;
struct replay;

enum replay_result {
	REPLAY_NEW = 1, /* do it; the answer goes to *ret */
	REPLAY_JOINED,	/* it runs: the answer will come */
	REPLAY_REPEAT,	/* *ret has the answer: replay_answer */
	REPLAY_MADE,	/* a crash ate the answer; what was being made or removed: replay_object_uuid */
	REPLAY_OTHER,	/* another body */
	REPLAY_FULL,	/* too many running */
};

int replays_open(struct supervisor *sv); /* loads what the store has */
void replays_close(struct supervisor *sv);

uint64_t replay_hash(const Berth__Envelope *env); /* of what was asked: body, project, if_revision, accept */
/* One of the above or -ENOMEM. p: who waits. */
int replay_take(struct replays *ts, const char *principal, const char *text, uint64_t hash, struct parked p,
		struct replay **ret);
void replay_object(struct supervisor *sv, struct replay *t, const char *uuid);
const char *replay_object_uuid(const struct replay *t);
/* The packed answer; NULL while it runs. */
const void *replay_answer(const struct replay *t, size_t *ret_len);
/* The terminal answer of the first request (packed, id 0): kept, and sent to all who joined. */
void replay_finish(struct supervisor *sv, struct replay *t, const void *answer, size_t len);
/* The first request did nothing and said so (refused before it began): forget the client_token. Those who joined get the answer. */
void replay_drop(struct supervisor *sv, struct replay *t, const void *answer, size_t len);

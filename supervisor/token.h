/* supervisor/token.h - idempotency: the same request asked again under the same client_token is not done again.
 *
 * A token belongs to its principal. While the first request runs, an equal one joins it and gets the same answer; afterwards
 * the stored answer is repeated; another body under the same token is CONFLICT. A token lives for TOKEN_LIFE, less when its
 * principal uses more than TOKEN_PER_PRINCIPAL in that time (then the one answered longest ago goes). It is in the
 * store before the request's own writes are, with the object that the request makes or removes (token_object): after a crash between the
 * two the repetition finds the object instead of making a second one. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"

#define TOKEN_LIFE_NS	    (3600ull * NS_PER_S)
#define TOKEN_PER_PRINCIPAL 1024u
#define TOKEN_SIZE	    128	/* of a client_token, with its NUL */

struct tokens;
struct token;

enum token_result {
	TOKEN_NEW = 1,	/* do it; the answer goes to *ret */
	TOKEN_JOINED,	/* it runs: the answer will come */
	TOKEN_REPEAT,	/* *ret has the answer: token_answer */
	TOKEN_MADE,	/* a crash ate the answer; what was being made or removed: token_object_uuid */
	TOKEN_OTHER,	/* another body */
	TOKEN_FULL,	/* too many running */
};

int tokens_open(struct supervisor *sv);	/* loads what the store has */
void tokens_close(struct supervisor *sv);

uint64_t token_hash(const Berth__Envelope *env);	/* of what was asked: body, project, if_revision */
/* One of the above or -ENOMEM. p: who waits. */
int token_take(struct tokens *ts, const char *principal, const char *text, uint64_t hash, struct parked p, struct token **ret);
void token_object(struct supervisor *sv, struct token *t, const char *uuid);
const char *token_object_uuid(const struct token *t);
/* The packed answer; NULL while it runs. */
const void *token_answer(const struct token *t, size_t *ret_len);
/* The terminal answer of the first request (packed, id 0): kept, and sent to all who joined. */
void token_finish(struct supervisor *sv, struct token *t, const void *answer, size_t len);
/* The first request did nothing and said so (refused before it began): forget the token. Those who joined get the answer. */
void token_drop(struct supervisor *sv, struct token *t, const void *answer, size_t len);

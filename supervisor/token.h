/* supervisor/token.h - access tokens: who shows a secret is a user of a project, with a role.
 *
 * A secret is 256 random bits, "berth_" and 43 characters; it leaves berthd once, in the answer to TokenCreate. The store and memory
 * have its SHA-256, by which it is found. A token is valid from the commit of its row until it expires or is revoked, to the instant;
 * what its user watches just then ends. (What makes a repeated request one request, a client_token, is replay.h.) */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/client.h"

#define TOKEN_SECRET_SIZE 50 /* with its NUL */

struct tokens;

int tokens_open(struct supervisor *sv, struct err *e); /* loads what the store has */
void tokens_close(struct supervisor *sv);

/* Makes of a peer the user whose token this is: 0, or -ENOENT (unknown, revoked, expired) with *who untouched. */
int token_principal(struct supervisor *sv, const char *secret, struct principal *who);

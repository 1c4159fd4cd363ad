/* fetch/challenge.h - what a server wants to be shown: the header WWW-Authenticate (RFC 9110, 11.6.1). Foreign bytes. */
#pragma once

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_scheme scheme; /* the best of those offered that is known here */
	char realm[1024];	      /* bearer: who gives tokens, a URL */
	char service[256];
	char error[64]; /* bearer: why the token that was shown is not enough */
};

/* One header's value, which may offer several. Adds to what an earlier header of the same answer offered. What is too long or not
 * well formed is passed over. */
void challenge_parse(const char *value, struct challenge *c);

/* supervisor/client.h - one connection on the control socket, and the answers that are still owed to it.
 *
 * Whoever answers later keeps a `struct parked` (by value): client and request by number, never by pointer, so that a client
 * which has gone is simply not found. Exactly one terminal reply per request; reply_* with `more` come before it. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "proto/peer.h"
#include "supervisor/supervisor.h"

struct parked {
	uint64_t client;  /* 0 = nobody (the daemon itself asked) */
	uint64_t request; /* envelope.id */
	uint64_t action;  /* id of the action to finish with this answer, 0 = none */
};

#define PRINCIPAL_SIZE	132
#define REQUEST_ID_SIZE 64

/* What somebody may, each more than the one before it: row by row in request.c. */
enum role {
	ROLE_NONE = 0, /* a peer of api.sock without a token */
	/* the objects of one project, and nothing that makes him root on the host (check_member_*) */
	ROLE_MEMBER,
	ROLE_ADMIN,    /* all projects, all that an operator may, but tokens */
	ROLE_OPERATOR, /* may use the control socket: one of its group */
	ROLE_ROOT,
};

struct principal {
	uint32_t uid, gid; /* of the peer */
	int pid;
	enum role role;
	bool exact;		   /* of one request: the beginning of a uuid names nothing */
	uint64_t token;		   /* number of the access token that it is by, 0 = by the peer's credentials */
	char name[PRINCIPAL_SIZE]; /* "root", "uid:1000", "alice@shop" */
	char project[64];
	char request_id[REQUEST_ID_SIZE];
};

/* Everybody else's objects are there for those who look after the host, and not there for the others. */
static inline bool principal_sees_all(const struct principal *who)
{
	return who->role >= ROLE_ADMIN;
}
bool principal_sees(const struct principal *who, const Berth__Meta *object);

/* Terminal replies. Also finish the action (result ok / error and the reason). fds are not consumed. */
void reply_error(struct supervisor *sv, struct parked p, Berth__Error__Code code, const char *field, const char *fmt,
		 ...) __attribute__((format(printf, 5, 6)));
/* … of which nothing was done. */
void reply_store_full(struct supervisor *sv, struct parked p);
/* With step and errno. */
void reply_err(struct supervisor *sv, struct parked p, Berth__Error__Code code, const struct err *e);
/* Of berth-net: whose step is no field is the kernel's, whose word belongs into the text. */
void reply_net_err(struct supervisor *sv, struct parked p, const struct err *e);
void reply_done(struct supervisor *sv, struct parked p, const char *uuid);
void reply_said(struct supervisor *sv, struct parked p, const char *uuid, const char *text); /* NULL: nothing more */
/* The terminal answer to a request with `accept`, while its action goes on: a later reply only ends the action. reply_begun says Done. */
void reply_accepted(struct supervisor *sv, struct parked p, Berth__Envelope *body);
void reply_begun(struct supervisor *sv, struct parked p, const char *uuid);
/* body: only the oneof is set. */
void reply(struct supervisor *sv, struct parked p, Berth__Envelope *body, const int *fds, unsigned n_fds);
/* Someone still waits for this answer. */
bool parked_alive(const struct supervisor *sv, struct parked p);
/* fn is called, once, from the loop, when the client goes away or cancels before the terminal reply, which it still owes (to who
 * joined by a client_token, and to the action). -ENOENT: already gone. */
int parked_on_gone(struct supervisor *sv, struct parked p, void (*fn)(void *arg, bool cancelled), void *arg);
/* A default deadline does not run while a pull of any size is under way; it begins anew after it. */
void parked_deadline(struct supervisor *sv, struct parked p, bool runs);
/* The code that a person's error becomes: EINVAL -> INVALID, ENOENT -> NOT_FOUND, ENOTSUP -> UNSUPPORTED, ENOSPC -> EXHAUSTED … */
Berth__Error__Code error_code_of(const struct err *e);

/* Not terminal. -ENOBUFS: the client does not read. */
int reply_more(struct supervisor *sv, struct parked p, Berth__Envelope *body);

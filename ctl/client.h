/* ctl/client.h - requests to berthd: connect, say Hello, ask, wait for the terminal reply.
 *
 * When berthd goes away or answers UNAVAILABLE (an upgrade), the client connects again for up to CLIENT_PATIENCE_MS and asks
 * again what was not answered, with the same client_token, so that nothing is done twice. A request whose answer carries a
 * descriptor cannot have a token: it is asked again only when berthd surely did nothing, else it is `lost`. That
 * nobody listens when we come is said at once. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "proto/envelope.h"

#include <stdbool.h>

#define CLIENT_PATIENCE_MS 10000

struct client {
	const char *path;    /* of the socket */
	const char *project; /* NULL: the token's, or berthd's default */
	const char *token;   /* an access token's secret; NULL: the credentials of this process */
	int fd;
	unsigned connections; /* made so far: berthd was restarted when it grows */
	uint64_t last_id;
	char server[64]; /* from its Hello: "berth 0.1.0" */
	uint32_t server_version;
};

#define CLIENT_NULL ((struct client){.fd = -1})

/* One request. Filled by the caller: env.body_case with the body's pointer, fds, more. */
struct ask {
	Berth__Envelope env;
	const int *fds; /* sent with it, not consumed */
	unsigned n_fds;
	/* Each reply before the terminal one; the request may be changed here, it is packed anew when asked again. */
	void (*more)(struct ask *a, const Berth__Envelope *reply);
	void *arg;
	/* The outcome: a terminal reply, or NULL. */
	Berth__Envelope *reply;
	struct wire_fds reply_fds;
	bool once; /* set by the caller: the answer has a descriptor */
	bool lost; /* with once: berthd went away; whether it was done is not known, its action has request_id `id` */
	char id[UUID_SIZE]; /* request_id, and client_token unless once */
	/* For client.c */
	bool changes;
	bool sent;
};

/* body is of the type that body_case says. */
void ask_init(struct ask *a, Berth__Envelope__BodyCase body_case, void *body);
void ask_fini(struct ask *a);
static inline const Berth__Error *ask_error(const struct ask *a) /* berthd's refusal, or NULL */
{
	return a->reply && a->reply->body_case == BERTH__ENVELOPE__BODY_ERROR ? a->reply->error : NULL;
}

int client_open(struct client *c, struct err *e);
void client_close(struct client *c);

/* Asks all, up to a number of them at once. 0 when each got its terminal reply (which may be an Error); negative errno with
 * e filled when berthd could not be reached: then those without a reply have none. */
int client_ask_all(struct client *c, struct ask *asks, unsigned n, struct err *e);
int client_ask(struct client *c, struct ask *a, struct err *e);

/* supervisor/control.h - the sockets for requests: who is connected, and which of their requests are not answered yet.
 *
 * RUN/control.sock, 0660, of group cfg.socket_group: whoever gets in is an operator by that. RUN/api.sock, 0666: who connects is nobody,
 * each request says by its token whose it is; made for berth-gateway, which so needs no rights of its own. A connection begins with Hello from each side. What a client may hold is
 * bounded (requests open, bytes queued); one that breaks the protocol or does not read is dropped, and nobody waits for it. */
#pragma once

#include "base/err.h"
#include "supervisor/client.h"
#include "supervisor/request.h"

#define CLIENT_OPEN_MAX	   64u	 /* requests of one client that are not answered yet; on api.sock of one principal */
#define API_OPEN_MAX	   1024u /* … and of all principals of a connection */
#define CLIENT_OUT_BYTES   (1u << 20) /* queued for one client */
#define CLIENT_OUT_RECORDS 256u
#define API_OUT_BYTES	   (8u << 20) /* a gateway speaks for many */
#define API_OUT_RECORDS	   (2 * API_OPEN_MAX)
#define API_PER_UID	   32u /* connections */

/* fd -1: makes the control socket; else one that an earlier berthd made (an upgrade in place). api.sock is always made anew: berthds before
 * it would not take it over, and its clients come again by themselves. */
int control_open(struct supervisor *sv, int fd, struct err *e);
/* Everything still open is answered UNAVAILABLE, every client dropped. The listening socket is closed but not unlinked. */
void control_close(struct supervisor *sv);
/* Stays ours; control_close closes it: dup it to keep it. */
int control_listen_fd(const struct supervisor *sv);
uint32_t control_clients(const struct supervisor *sv);

struct replay;

/* A request that has no terminal answer yet. Outlives its client only when a client_token wants the answer. */
struct open {
	struct list link;      /* client.open */
	struct open *next;     /* same bucket of control.bucket */
	struct client *client; /* NULL: gone */
	struct parked parked;  /* action is filled once it is known */
	uint64_t token;	       /* whose it is: principal.token */
	bool begun_is_done;    /* accept, and not a create: any good answer is Done */
	const struct request_row *row;
	struct replay *replay; /* owes its answer to this request; NULL without client_token */
	struct timer deadline;
	bool own_deadline; /* named by the asker */
	void (*on_gone)(void *arg, bool cancelled);
	void *on_gone_arg;
};

struct client {
	struct peer peer;
	struct list link;    /* control.clients */
	struct client *next; /* same bucket of control.by_id */
	struct supervisor *sv;
	uint64_t id;
	bool api;	      /* came by api.sock */
	struct principal who; /* project and request_id are a request's */
	struct list open;     /* of struct open.link */
	uint32_t n_open;
	uint32_t version; /* 0 until its Hello */
	bool told;	  /* why it is being dropped */
};

struct open *control_open_find(const struct supervisor *sv, struct parked p);
struct client *control_client_find(const struct supervisor *sv, uint64_t id);
/* -ENOMEM. The caller has checked that the number is free. */
int control_open_add(struct client *c, const struct principal *who, uint64_t request, const struct request_row *row,
		     struct open **ret);
void control_open_end(struct supervisor *sv, struct open *o);
/* It broke the protocol: told so (PROTOCOL), said once in the log, dropped. Returns -EPROTO. */
int client_bad(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A terminal answer to a request that was never opened. */
void client_refuse(struct client *c, uint64_t request, Berth__Error__Code code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Takes a request back: 0, -ENOENT (not open, or somebody else's), -EBUSY (it changes something and has begun). */
int control_cancel(struct client *c, uint64_t request, uint64_t token);
/* An access token has expired or was revoked: what only looks under it ends with UNAUTHENTICATED, what changes something goes on. */
void control_token_ended(struct supervisor *sv, uint64_t token);
/* The request goes on, but its client is not told any more; freed with the answer. Without a client_token it ends at once. */
void control_open_detach(struct supervisor *sv, struct open *o);
/* Sends one record: -ENOBUFS when the client does not read, and then it is on its way out. env->id is set by the caller. */
int client_send(struct client *c, const Berth__Envelope *env, const int *fds, unsigned n_fds);

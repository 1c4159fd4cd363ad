/* shim/session.h - the shim's end of a session (proto/session.h): records in and out of one client of an exec or an attach. */
#pragma once

#include "base/loop.h"
#include "proto/session.h"

#include <stddef.h>

struct session;

struct session_ops {
	size_t (*input)(struct session *s, const char *data,
			size_t len); /* taken; the rest is held until session_resume */
	void (*input_end)(struct session *s);
	void (*resize)(struct session *s, unsigned rows, unsigned cols);
	void (*signal)(struct session *s, int sig);
	void (*writable)(struct session *s); /* after session_has_room said no */
	void (*gone)(struct session *s);     /* the client left, or does not speak the protocol */
};

struct session {
	struct loop *loop;
	struct source source;
	const struct session_ops *ops;
	char *buf;     /* SESSION_MAX bytes to receive into, shared with others */
	int fd;	       /* owned; -1: no client */
	bool hello;    /* the client has said hello */
	bool detached; /* gone() because the client said so, not because it was lost */
	bool out_wait;
	char *held; /* stdin that the program had no room for: fresh pages */
	size_t held_len, held_at;
};

/* Takes fd and says hello. Negative errno: fd is closed. */
int session_open(struct session *s, struct loop *loop, int fd, const struct session_ops *ops, char *buf);
void session_close(struct session *s); /* idempotent; ops are not called */

/* In pieces of SESSION_MAX. false: the client is gone, or has no room for a small record: it is of no use any more. */
bool session_send(struct session *s, enum session_type type, const void *data, size_t len);
/* Does the client take more? If not, `writable` is called when it does. After yes, 64 KiB more fit. */
bool session_has_room(struct session *s);
void session_resume(struct session *s); /* the program takes stdin again */

/* shim/attach.h - clients that watch, and perhaps feed, the container's own streams.
 *
 * They do not belong to its life: one that does not take what is in its socket within ATTACH_PATIENCE is dropped, and until
 * then its slowness paces the program, as a terminal would. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "shim/session.h"

#define ATTACH_MAX	       16
#define ATTACH_PATIENCE_MS     1000
#define ATTACH_PATIENCE_TTY_MS 10000

struct shim;

struct attach {		 /* in a page of its own */
	struct list all; /* shim.attaches, or shim.dead */
	struct shim *shim;
	struct session session;
	struct timer stall;
	bool want_stdin;
	bool blocked;
	bool dead;
};

int attach_new(struct shim *s, int fd, bool want_stdin, unsigned rows, unsigned cols); /* takes fd */
void attach_output(struct shim *s, int stream, const char *data, size_t len);
void attach_closed(struct shim *s, int stream);
void attach_room(struct shim *s);				 /* the program takes stdin */
void attach_hurry(struct shim *s);				 /* the program has ended: who is blocked is dropped */
void attach_end(struct shim *s, const struct session_exit *how); /* says so to all and lets them go */
void attach_fail(struct shim *s, const char *text, size_t len);	 /* nothing was executed; attach_end follows */
void attach_sweep(struct shim *s);				 /* frees the dead: at the end of a turn */

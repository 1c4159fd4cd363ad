/* ctl/session.h - the client's end of an exec or attach (proto/session.h): terminal, pipes and signals of this process on one
 * side, the shim's session socket on the other. */
#pragma once

#include "base/err.h"
#include "ctl/terminal.h"
#include "proto/session.h"

#include <stdbool.h>

struct session_opts {
	bool send_stdin;
	bool tty;		 /* the program has a terminal: ours goes raw if it is one */
	bool redraw;		 /* what is on its screen is not on ours yet: a change of size makes it paint */
	bool proxy_signals;	 /* pass on what would end us; not with tty, where keys do that */
	struct detach_keys keys; /* only with tty */
};

enum session_how {
	SESSION_ENDED,	   /* the program ended: exit, and error if it was never executed */
	SESSION_DETACHED,  /* the user pressed the keys */
	SESSION_LOST,	   /* the other side closed without a word */
	SESSION_SIGNALLED, /* a signal ended us, not the program: signal */
	SESSION_NO_OUTPUT, /* nobody reads our output any more */
};

struct session_end {
	enum session_how how;
	struct session_exit exit;
	int signal;
	char error[512];
};

/* Until its end. sock is not consumed. Negative errno with e filled when we ourselves could not. The terminal is as before
 * whenever this returns. */
int session_run(int sock, const struct session_opts *opts, struct session_end *ret, struct err *e);

/* The exit status that a shell expects. */
int session_exit_status(const struct session_end *end);

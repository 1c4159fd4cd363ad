/* ctl/foreground.h - a program in the foreground: what run, start -a, attach and exec have in common. */
#pragma once

#include "ctl/command.h"
#include "ctl/session.h"

struct foreground {
	const char *ref;  /* of the container, for questions afterwards */
	const char *what; /* for messages: the container's name */
	bool exec;	  /* the session is of an exec, not of the container's own program */
	bool auto_remove; /* wait until it is gone, so that its name is free when we return */
	struct session_opts session;
};

/* Flags that run, start, attach and exec share. */
struct foreground_opts {
	struct detach_keys keys;
	bool keys_given; /* else the default */
	bool no_sig_proxy;
};
extern const struct flag foreground_flags[];

/* Takes fd; -1: there was none with the answer, or no answer. The exit status. */
int foreground_run(struct app *app, const struct foreground *f, int fd);

/* tty, stdin and keys into *ret; the exit status of -t without a terminal. */
int foreground_prepare(const struct app *app, const struct foreground_opts *o, bool tty, bool send_stdin,
		       struct session_opts *ret);

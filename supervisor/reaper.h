/* supervisor/reaper.h - children that have ended. Not all are ours to know: what is orphaned comes to pid 1, and whoever is executed anew in
 * an upgrade, or on the way back from one, inherits what the one before it had started. Each is reaped; who wants to know how one
 * of his own ended says so. */
#pragma once

#include "base/list.h"
#include "supervisor/supervisor.h"

#include <signal.h>
#include <sys/types.h>

struct child {
	struct list link; /* supervisor.children */
	pid_t pid;
	void (*ended)(struct child *c, const siginfo_t *how); /* it is not in the list any more */
};

/* In the turn of the loop in which it was started, before it can be reaped. */
void reaper_watch(struct supervisor *sv, struct child *c, pid_t pid, void (*ended)(struct child *, const siginfo_t *));
void reaper_forget(struct child *c); /* NULL-safe for one that is all zeroes */
/* All that have ended by now; at SIGCHLD, and at the start. */
void reaper_reap(struct supervisor *sv);
/* For the end of one that was killed (-1: harmless), a moment: before berthd itself ends, or becomes another program, which then reaps it. One that
 * hangs in the kernel is left. */
void reaper_wait(int pidfd);

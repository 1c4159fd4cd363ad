/* supervisor/reaper.h - children that have ended. Each that is known is reaped by its pidfd: the kernel looks for any that has ended among all
 * that live, thousands. Not all are ours to know: what is orphaned comes to pid 1, and whoever is executed anew in an upgrade, or on the way
 * back from one, inherits what the one before it had started. Those are looked for, not more often than once a second. */
#pragma once

#include "base/list.h"
#include "supervisor/supervisor.h"

#include <signal.h>
#include <sys/types.h>

struct child {
	struct list link; /* supervisor.children */
	struct source source;
	pid_t pid;
	int pidfd;					      /* not owned */
	void (*ended)(struct child *c, const siginfo_t *how); /* it is not in the list any more */
};

/* In the turn of the loop in which it was started, before it can be reaped. The pidfd is closed after reaper_forget, or in ended. */
void reaper_watch(struct supervisor *sv, struct child *c, pid_t pid, int pidfd,
		  void (*ended)(struct child *, const siginfo_t *));
void reaper_forget(struct child *c); /* NULL-safe for one that is all zeroes */
/* One that has ended, and nobody asks how. Harmless if it was reaped, or is somebody else's child. */
void reaper_take(int pidfd);
/* All that have ended by now, at the start; and soon, at SIGCHLD. */
void reaper_reap(struct supervisor *sv);
void reaper_soon(struct supervisor *sv);
/* For the end of one that was killed (-1: harmless), a moment: before berthd itself ends, or becomes another program, which then reaps it. One that
 * hangs in the kernel is left. */
void reaper_wait(int pidfd);

/* shim/sync.h - between the shim and a child on its way to exec: a socket for records, a shared page for progress.
 *
 * The child's end closes on exec, so end of file means "executed", but only when the shared page says that the child had come
 * to its exec; end of file before that is a death, hence a failure. A barrier that reads end of file fails as well. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum sync_kind {
	SYNC_FAILED = 1, /* err: nothing was executed; the child ends */
	SYNC_SKIPPED,	 /* err: an optional step failed */
	SYNC_NET,	 /* fds: the network namespace that this launch made */
	SYNC_ROOT,  /* fds: the overlay, attached nowhere; err.text: what it is made of; value: it is the kept one */
	SYNC_AHEAD, /* fds: what step `value` of a PreparePlan made, attached nowhere */
	SYNC_READY, /* standing by */
	SYNC_PLAN, /* shim -> child that stands by; fds: the plan, and 0, 1, 2 of the program unless it has a terminal */
	SYNC_TTY,  /* fds: master and slave of the terminal */
	SYNC_PID,  /* value: pid of the container's first process, child of the shim (two-stage launch) */
	SYNC_HELD,    /* waiting for the release */
	SYNC_INIT,    /* the child becomes one of the container: what follows is not to be trusted */
	SYNC_STARTED, /* init: the program was executed */
	SYNC_STATUS,  /* init: value is the program's wait status */
	SYNC_RELEASE, /* shim -> child */
};

struct sync_record {
	int kind;
	int value;
	struct err err;
};

struct progress { /* in a page that both see; the child writes, the shim reads when time is up or the child has died */
	char step[48];
	_Atomic uint64_t deadline_ns; /* of this step alone; 0 = none */
	_Atomic uint32_t at_exec;     /* everything else is done */
};

struct progress *progress_new(void); /* NULL with errno */
void progress_free(struct progress *p);
void progress_step(struct progress *p, const char *step, uint32_t timeout_ms);

int sync_open(int fds[2]); /* [0] the shim's, non-blocking; [1] the child's, blocking */

/* Child. Errors are of no use to a child whose shim is gone: it will read end of file at its next barrier, or be killed. */
void sync_send(int fd, enum sync_kind kind, int value, const struct err *e);
void sync_send_fds(int fd, enum sync_kind kind, const int *fds, unsigned n_fds);
void sync_send_ahead(int fd, int step, int mount_fd);
void sync_send_root(int fd, int mount_fd, bool kept, const struct err *key);
int sync_wait_release(int fd);				  /* negative errno; -ECANCELED at end of file */
int sync_wait_plan(int fd, int *ret_plan, int ret_io[3]); /* likewise; the caller's */

/* Shim: 0 and a record, or WIRE_GONE, WIRE_AGAIN, negative errno. ret_fds[2] are -1 or the caller's. */
int sync_receive(int fd, struct sync_record *ret, int ret_fds[2]);
void sync_release(int fd);
int sync_send_plan(int fd, int plan_fd, const int io[3]); /* 0; negative errno: nobody is there */

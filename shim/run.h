/* shim/run.h - the container's incarnation: from the clone to its exit record. launch.c brings it up, this takes it down.
 *
 * Down: the first process is reaped -> everything left in the group is killed, counters are read, the exit record goes to /run
 * -> its streams are read to their end and the log is flushed, both for a moment at most -> clients get the end -> Exited. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "proto/shim.pb-c.h"
#include "shim/stdio.h"
#include "shim/sync.h"

#include <stdint.h>

#define RUN_SKIPPED_MAX 896 /* a shim's data are two pages in all, see main.c */
#define RUN_LINGER_MS	100 /* for streams that others still hold, and the log */

struct shim;

struct run {
	Shim__ShimState state;
	uint64_t incarnation;
	int64_t started_at, finished_at;
	int pid; /* of the container's first process; 0: none, or reaped */
	int pidfd;
	int cgroup_fd;	/* of the incarnation's group */
	int mounts_fd;	/* its mount namespace, whose end must not delay the news of its own; -1 */
	bool signalled; /* by berthd */
	bool tty, held, userns, pid_host, pid_shared;
	bool own_mounts; /* nothing of the host's is mounted in it */
	bool stdin_open, stdin_once, stdin_taken;
	char exit_record[256];
	char request_id[64]; /* of who asked for it; for the log */

	char skipped[RUN_SKIPPED_MAX]; /* strings with their NULs */
	unsigned skipped_len, n_skipped;

	int oom_fd; /* memory.events */
	struct source oom;
	uint64_t oom_kills;
	bool oom_known;

	struct stdio io;
	unsigned blocked; /* attachers that must take something first */
	const char *rest; /* of the chunk that was read: the log has no room for it */
	size_t rest_len;
	int rest_stream;
	struct timer patience; /* with the log */
	bool force;	       /* drop rather than wait */

	int code, signal; /* of the end */
	bool core_dumped;
	int init_status; /* what init said of its program; -1 */
	bool ended, finished;
	struct timer linger;
	struct err failure;

	/* While launching. */
	struct progress *progress;
	int sync_fd;
	struct source sync;
	struct timer deadline;
	uint64_t deadline_ns; /* of the whole */
	uint32_t look_ms;     /* how often to look at a step's own deadline */
	int first_pid;	      /* of the process that builds the rootfs, when another one follows it */
	bool net_made;	      /* this launch made the network namespace */
	bool holds;	      /* it stops before exec, and was not released yet */
	bool init, timed_out, failed;
	bool foreign; /* an init in the container has the other end of the sync socket */
};

void run_init(struct shim *s);
void run_reset(struct shim *s, uint64_t incarnation); /* before a launch */
void run_kill(struct shim *s);			      /* all of the group */
void run_reaped(struct shim *s, int code, int signal, bool core_dumped);
void run_failed(struct shim *s);    /* of a launch: nothing is left */
void run_flow(struct shim *s);	    /* whether its output is read, after `blocked` or `rest` changed */
void run_log_event(struct shim *s); /* the log writer has room, or is done */
void run_watch_oom(struct shim *s);
void run_hold_mounts(struct shim *s);
void run_skip(struct shim *s, const struct err *e);
const struct stdio_ops *run_stdio_ops(void);
int exit_code_of(const struct err *e); /* of what was not executed: 127 not found, else 126 */

/* shim/exec.h - one more process in the container: its own group beside `main`, its own streams, its own client. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "proto/shim.pb-c.h"
#include "proto/wire.h"
#include "shim/session.h"
#include "shim/stdio.h"
#include "shim/sync.h"

#define EXEC_MAX       64
#define EXEC_ID_MAX    64
#define EXEC_LINGER_MS 100 /* after the process has ended, for those that still hold its streams */

struct shim;

struct exec {		 /* in a page of its own */
	struct list all; /* shim.execs, or shim.dead_execs */
	struct shim *shim;
	char id[EXEC_ID_MAX + 1];
	int pid;       /* 0: reaped */
	bool foreign;  /* who has the other end of the sync socket is one of the container already */
	int first_pid; /* of the process that another one will follow, or has followed; 0: reaped, or there is none */
	int pidfd, group_fd;
	struct stdio io;
	bool has_client; /* it may have left since: session.fd < 0 */
	bool tty;
	struct session session;
	struct progress *progress;
	int sync_fd;
	struct source sync;
	struct timer timeout, linger, bury;
	unsigned bury_ms;
	bool started, failed, timed_out, ended, finished, dead;
	int code, signal;
	struct err failure;
};

void exec_start(struct shim *s, const Shim__Exec *m, int plan_fd, int session_fd); /* takes session_fd */
void exec_signal(struct shim *s, const char *id, int sig);
struct exec *exec_of_pid(struct shim *s, int pid);
void exec_reaped(struct exec *x, int pid, int code, int signal);
bool exec_hear(struct shim *s); /* takes in who followed whom; true: there is one of whom that is still to be said */
void exec_forget_all(struct shim *s); /* the container's group is gone, or about to be removed by berthd */
void exec_sweep(struct shim *s);      /* frees the dead: at the end of a turn */

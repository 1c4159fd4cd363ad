/* shim/shim.h - all that a shim is. One object, made in main, passed to everyone. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "shim/ahead.h"
#include "shim/exec.h"
#include "shim/link.h"
#include "shim/logger.h"
#include "shim/next.h"
#include "shim/run.h"
#include "shim/standby.h"

struct shim {
	struct loop loop;
	const char *uuid;
	char boot_id[40];
	struct link link;
	struct source signals;
	struct source log_event;
	struct timer tick; /* armed while there is output: reports drops, then gives memory back */
	bool active;	   /* since the last tick */
	bool leaving;	   /* Bye */
	uint64_t reported_lines, reported_bytes; /* LogDropped */

	struct run run;
	struct logger logger;
	struct list execs, dead_execs;
	unsigned n_execs;
	struct list attaches, dead_attaches;
	unsigned n_attaches;
	char *scratch; /* SESSION_MAX bytes: what is read for or from a session */

	int user_fd, net_fd; /* namespaces that incarnations share; -1 */
	bool net_ahead;	     /* net_fd was made before there was a plan */
	struct ahead ahead;  /* so were these */
	struct standby standby;
	struct next next;
	int mounts_fd; /* mount namespace of an incarnation that has ended, to be let go; -1 */
	struct timer mounts;
	int volumes_fd; /* mount namespace of volumes, which lives as long as somebody has it open; -1 */
	int root_fd;	/* overlay that they share (overlay.h); -1 */
	char root_key[20];
	uint32_t user_first, user_count;
	int pid_ns_fd; /* our own, to come back to */
};

void shim_active(struct shim *s); /* output flows */
void shim_leave(struct shim *s);  /* Bye: kill, then end */
int shim_log_event_watch(struct shim *s);
/* A fork-like clone into `group`, in the pid namespace of ns_of (a pidfd) or in ours (-1). The pid, 0 in the child. */
int shim_clone(struct shim *s, unsigned long long flags, int group_fd, int ns_of, int *ret_pidfd);
/* Closes a descriptor whose last reference may mean work for a disk: in a child that nobody waits for. */
void shim_close_aside(int fd);
void *page_new(void); /* zeroed page for one session's object; NULL with errno */
void page_free(void *page);

/* supervisor/shimlink.h - one shim as berthd sees it: spawn, plan out, reports in, death noticed.
 *
 * Two descriptors each: the connection and the shim's pidfd. */
#pragma once

#include "proto/peer.h"
#include "proto/shim.h"
#include "supervisor/supervisor.h"

struct shimlink;

struct shimlink_ops { /* called from the loop; owner decides what the reports mean */
	/* All there is to know; may come again. *container_pidfd: of pid 1 in the container or -1, take_fd() to keep it. */
	void (*hello)(void *owner, const Shim__ShimHello *h, int *container_pidfd);
	/* Before the hello of one that has made a network namespace ahead: that, take_fd() to keep it. NULL: the owner has no use for it. */
	void (*network)(void *owner, int *ns_fd);
	void (*message)(void *owner, const Shim__ShimMessage *m, int *container_pidfd); /* with Running */
	/* The shim's process has ended, or it was sent away and has hung up: all it had to say was said, and it does nothing
	 * any more. The owner calls shimlink_free. */
	void (*gone)(void *owner);
};

/* A new shim from the sealed memfd, in shims/; the link is usable at once. */
int shimlink_spawn(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner,
		   struct shimlink **ret, struct err *e);
/* A living one, by RUN/shims/<uuid>. -ENOENT, -ECONNREFUSED: there is none. hello() comes when it has answered. */
int shimlink_adopt(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner,
		   struct shimlink **ret);
/* Another owner hears of it from now on. */
void shimlink_give(struct shimlink *s, const struct shimlink_ops *ops, void *owner);
void shimlink_free(struct shimlink *s);	     /* closes; does not end the shim */
void shimlinks_close(struct supervisor *sv); /* of those that were sent away and have not ended yet */

/* fds in the order of m->fds; not consumed. */
int shimlink_send(struct shimlink *s, const Shim__ShimMessage *m, const int *fds, unsigned n_fds);
int shimlink_signal(struct shimlink *s, uint64_t incarnation, int signal);
int shimlink_bye(struct shimlink *s);
int shimlink_query(struct shimlink *s);
/* Of an earlier version: what runs under it goes on, but it does not know all that a plan of ours may say. */
bool shimlink_is_old(const struct shimlink *s);
int shimlink_pid(const struct shimlink *s);
bool shimlink_lives(const struct shimlink *s); /* … at this moment, as the kernel knows before the loop does */
void shimlink_kill(struct shimlink *s);	       /* SIGKILL by pidfd */
void shimlink_end(struct shimlink *s);	       /* … and waits for its end: reaper_wait */

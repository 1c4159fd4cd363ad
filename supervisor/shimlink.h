/* supervisor/shimlink.h - one shim as berthd sees it: spawn, plan out, reports in, death noticed. */
#pragma once

#include "proto/peer.h"
#include "proto/shim.pb-c.h"
#include "supervisor/supervisor.h"

struct shimlink;

struct shimlink_ops {	/* called from the loop; owner decides what the reports mean */
	void (*hello)(void *owner, const Shim__ShimHello *h);
	void (*message)(void *owner, const Shim__ShimMessage *m, struct wire_fds *fds);
	void (*gone)(void *owner);	/* the shim process has ended (pidfd), the link is closed: call shimlink_free */
};

/* A new shim from the sealed memfd, in shims/; the link is usable at once. */
int shimlink_spawn(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner, struct shimlink **ret, struct err *e);
/* A living one, by RUN/shims/<uuid>. -ENOENT, -ECONNREFUSED: there is none. hello() comes when it has answered. */
int shimlink_adopt(struct supervisor *sv, const char *uuid, const struct shimlink_ops *ops, void *owner, struct shimlink **ret);
void shimlink_free(struct shimlink *s);	/* closes; does not end the shim */

/* fds in the order of m->fds; not consumed. */
int shimlink_send(struct shimlink *s, const Shim__ShimMessage *m, const int *fds, unsigned n_fds);
int shimlink_pid(const struct shimlink *s);
void shimlink_kill(struct shimlink *s);	/* SIGKILL by pidfd */

/* shim/link.h - the connection to berthd. The newest one counts; losing it changes nothing for the container. */
#pragma once

#include "base/loop.h"
#include "proto/shim.pb-c.h"

struct shim;

struct link {
	struct source listen, peer;
	int listen_fd, fd;
	bool stale; /* a report was lost, berthd does not read: ShimHello will say all when it does */
};

#define LINK_RECORD_MAX 4096 /* of either direction: plans travel by memfd */

int link_open(struct shim *s, const char *path,
	      int first_fd); /* first_fd: -1, or the connection that we were born with */
void link_close(struct shim *s);
/* fds in the order of m->fds, not consumed. What cannot be sent is dropped: see stale. */
void link_send(struct shim *s, Shim__ShimMessage *m, const int *fds, unsigned n_fds);

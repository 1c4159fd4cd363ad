/* shim/ns.h - namespaces that outlive an incarnation, and those that are joined.
 *
 * The user namespace is made once, by a child that does nothing but exist until its maps are written; the network namespace is
 * made by the first launch. Both are kept by descriptor: a restart finds its addresses where they were. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* A new user namespace with container ids 0..count-1 at first..; the fd or negative errno, step "user namespace". */
int ns_user_new(uint32_t first, uint32_t count, struct err *e);
/* "user", "net" or "pid" of a process of ours that was not reaped; the fd or negative errno. */
int ns_open(pid_t pid, const char *name);
/* The process behind a pidfd, in our numbers; negative errno when it is gone. */
pid_t ns_pidfd_pid(int pidfd);
int ns_loopback_up(struct err *e); /* in the calling process's network namespace */
/* A new network namespace with its loopback up, made from here and back: only while we are one thread. The fd or negative errno. */
int ns_net_new(struct err *e);

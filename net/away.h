/* net/away.h - NICs of the host that are with pods, or on their way back. The namespace of each is held as long as a pod has it, so that it does not end
 * before its NIC was taken out. */
#pragma once

#include "net/nl.h"
#include "proto/net.pb-c.h"

#include <stdbool.h>

struct away; /* all of them */

struct away_ops {
	/* It is to be known before it goes, and when it is back. */
	int (*seen)(void *arg, uint32_t key, const Net__Nic *nic);
	/* A socket in that namespace. */
	int (*enter)(void *arg, int ns_fd, struct nl *inside, struct err *e);
	void *arg;
};

int away_open(struct away **ret, struct nl *host, int home_fd, const struct away_ops *ops, struct err *e);
void away_close(struct away *a);

/* When a network is made, and before the NIC goes: what it is. One that never came back is first given what it was. */
int away_look(struct away *a, uint32_t key, const Net__Uplink *u, bool goes, struct err *e);
/* It is in the pod now, or was already: in the namespace, in which it has this index. Takes ns_fd. */
int away_hold(struct away *a, uint32_t key, const Net__Uplink *u, int ns_fd, int index, struct err *e);
/* The pod has it no more. What cannot be given back at once is, as soon as the kernel has it. */
int away_return(struct away *a, uint32_t key, const Net__Uplink *u, struct err *e);
/* Its network is gone. What is no hardware is looked for no longer: whatever gets its name is another. */
void away_forget(struct away *a, uint32_t key);
/* What a State says: with a pod, or not. */
void away_begin(struct away *a, const Net__State *s);
/* When away_again wants to be called (now_ns), 0: no need. */
uint64_t away_due(const struct away *a);
void away_again(struct away *a);

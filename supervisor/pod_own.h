/* supervisor/pod_own.h - what the files of the pod have in common: pod.c (the object), pod_member.c, pod_holder.c, pod_net.c. */
#pragma once

#include "supervisor/pod.h"

/* pod.c. -EBUSY: it has no row yet, or none any more. */
int pod_put(struct pod *p, bool must_fit, store_done *done, void *arg);

/* pod_holder.c. Starts it, or waits for the last one's end. */
int pod_holder_start(struct pod *p, struct err *e);
void pod_holder_ready(struct pod *p);
void pod_holder_failed(struct pod *p, const struct err *e);
timer_fn pod_on_timer; /* of a launch, and of a removal */

/* pod_member.c. Those that wait look again, or hear why they cannot start; those that run are ended with the holder. */
void pod_members_wake(struct pod *p);
void pod_members_fail(struct pod *p, const struct err *e);
void pod_members_kill(struct pod *p);

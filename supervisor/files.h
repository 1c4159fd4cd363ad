/* supervisor/files.h - /etc/hosts and /etc/resolv.conf of containers that run, when what they say has changed. Each launch makes them anew; in
 * between a job writes those that nobody has edited (job/files.c). */
#pragma once

#include "supervisor/net_holder.h"

struct container;

/* Of every container that lives there: its interfaces are others than they were, or its networks say something else. */
void files_changed(struct net_holder *h);
void files_forget(struct container *c);

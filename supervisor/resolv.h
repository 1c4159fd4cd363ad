/* supervisor/resolv.h - /etc/resolv.conf of containers: what their network says, else what the host asks. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/arena.h"
#include "supervisor/net_holder.h"
#include "supervisor/supervisor.h"

/* What the host asks, but for name servers on its loopback, which are none in a container. Once, at the start: /etc is a disk. */
void resolv_read(struct supervisor *sv);
/* The content, in the arena; NULL: he is in no network. */
const char *resolv_conf(const struct net_holder *h, struct arena *a);

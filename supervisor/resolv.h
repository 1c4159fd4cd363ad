/* supervisor/resolv.h - whom the host asks for names, and /etc/resolv.conf of containers, which name the gateways of their networks:
 * berth-dns answers there, and asks on. So nothing in a container has to change when the host asks others than before. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/address.h"
#include "supervisor/arena.h"
#include "supervisor/net_holder.h"
#include "supervisor/supervisor.h"

#define RESOLV_SERVERS 3u /* as many as the libc asks */

int resolv_open(struct supervisor *sv, struct err *e); /* reads the host's file, and again when it changes */
void resolv_close(struct supervisor *sv);
unsigned resolv_servers(const struct supervisor *sv);
const struct address *resolv_server(const struct supervisor *sv, unsigned i);
/* In any of his networks: the servers that the host asks stand in no file of his then. */
bool resolv_asks_us(const struct net_holder *h);
/* The content, in the arena; NULL: he is in no network. */
const char *resolv_conf(const struct net_holder *h, struct arena *a);

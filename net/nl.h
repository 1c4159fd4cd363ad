/* net/nl.h - one netlink request and its acknowledgement, over libmnl. Blocking: only berth-net speaks netlink, and it has one thing to do
 * at a time. A socket belongs to the network namespace that it was opened in, wherever its owner goes. */
#pragma once

#include "base/err.h"

#include <libmnl/libmnl.h>
#include <stdint.h>

struct remover;

struct nl {
	struct mnl_socket *sock;
	struct remover *remover; /* of links of its namespace (net/remover.h); NULL: who asks waits */
	uint32_t seq;
	char out[4096], in[32768]; /* one request; what the kernel fills at once in a dump */
};

int nl_open(struct nl *nl, struct err *e);	       /* rtnetlink */
int nl_open_of(struct nl *nl, int bus, struct err *e); /* NETLINK_… */
void nl_close(struct nl *nl);

/* A new request in nl->out. flags: NLM_F_CREATE …; REQUEST and ACK (or DUMP) are added. */
struct nlmsghdr *nl_request(struct nl *nl, uint16_t type, uint16_t flags);
/* Sends it and reads until its end. fn (may be NULL) gets each message of the answer. 0 or the kernel's negative errno. */
int nl_talk(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg);

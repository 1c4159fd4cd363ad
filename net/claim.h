/* net/claim.h - addresses of ports on wires that others are on: neither berth's leases nor our tables know who else has one. While the port is in use
 * already it is asked for whose they are, and what nobody else has is announced, so that switches and neighbours forget who had it
 * before. Behind the start: nothing waits for it. */
#pragma once

#include "net/driver.h"
#include "net/ip.h"
#include "net/link.h"
#include "proto/net.pb-c.h"

struct claims; /* all that are under way */

struct claim_ops {
	/* Somebody else says that it is his. Negative: berthd is gone. */
	int (*duplicate)(void *arg, const char *host_link, const struct ip *ip, const uint8_t mac[6]);
	void *arg;
};

int claims_open(struct claims **ret, int closer, const struct claim_ops *ops,
		struct err *e); /* closer: of net/closer.h */
/* fd: of announce_open in the namespace of the link with this index, which has this MAC; taken, also when it fails. Who says that something is his with that MAC is the port itself. */
int claim_begin(struct claims *c, const Net__Port *p, int fd, int index, const uint8_t mac[6], struct err *e);
/* It is known already that somebody else has it, who cannot be heard. */
int claim_taken(struct claims *c, const char *host_link, const struct ip *ip, const uint8_t mac[6]);
/* The port goes: its namespace is no longer held by us. */
void claim_end(struct claims *c, const char *host_link);
int claims_fd(const struct claims *c);	     /* readable: claims_go_on */
uint64_t claims_due(const struct claims *c); /* when it wants to be called (now_ns), 0: no need */
int claims_go_on(struct claims *c);

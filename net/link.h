/* net/link.h - links, one request each. What is there already is no error. Negative errno with e filled. */
#pragma once

#include "net/nl.h"

#include <stdbool.h>
#include <stddef.h>

struct link {
	int index, master;
	int lower;	/* what it lies on, or its other end; 0 */
	bool elsewhere; /* … in another namespace */
	uint32_t mtu;
	bool up;
	char name[16], kind[16]; /* "" of hardware */
	char device[48];	 /* the hardware, on its bus; "" */
	uint8_t mac[6], permanent[6];
	bool has_permanent;
};

int link_index(struct nl *nl, const char *name); /* or negative errno: -ENODEV */
int link_get(struct nl *nl, const char *name, struct link *ret);
int link_at(struct nl *nl, int index, struct link *ret);
/* Up, with this MAC and MTU (0: what the kernel gives). Costs less than all that link_get tells. */
bool link_is(struct nl *nl, const char *name, const uint8_t mac[6], uint32_t mtu);
struct link_pair {
	const char *host, *inside;     /* names */
	int ns_fd;		       /* the second end is born in there: moving it there later costs 16 ms */
	const uint8_t *mac, *host_mac; /* host_mac NULL: the kernel's choice */
	uint32_t mtu;		       /* 0: the kernel's */
	uint32_t group;		       /* of the host's end */
	int master;		       /* the bridge that the host's end is a port of; 0: none */
	bool dormant; /* once up, the host's end is not operational (RFC 2863): packets pass, IPv6 makes itself no addresses */
};
/* -EEXIST: the host's is there. Neither is up: a peer born up fails with ENOTCONN. */
int link_pair_add(struct nl *nl, const struct link_pair *p, struct err *e);
/* What the kernel does when a link's carrier has come, which it puts off for another thread to do, is done when this returns (from 6.7 on). */
void link_settle(struct nl *nl, const char *name);
/* All that is not there yet: one of the kind that is there is no error, anything else of that name is. mtu 0: the kernel's. */
int link_bridge_add(struct nl *nl, const char *name, const uint8_t mac[6], uint32_t mtu, struct err *e);
int link_vlan_add(struct nl *nl, const char *name, int parent, uint16_t id, uint32_t mtu, struct err *e);
/* Whether the kernel makes links of this kind, and loads what it needs for it: asked for one that has nothing to lie on, which it refuses. -EOPNOTSUPP. */
int link_kind_find(struct nl *nl, const char *kind, struct err *e);
/* A macvlan or ipvlan link of a link of the host, born in the namespace under that name, which nothing has there. mac NULL: its parent's. */
int link_upper_add(struct nl *nl, const char *kind, const char *mode, int parent, const char *inside, int ns_fd,
		   const uint8_t *mac, uint32_t mtu, struct err *e);
/* One that leads nowhere, to have addresses: a dummy, or on a kernel without those a bridge without ports. */
int link_lone_add(struct nl *nl, const char *name, struct err *e);
int link_up(struct nl *nl, int index, struct err *e);
int link_down(struct nl *nl, int index, struct err *e);
/* Into another namespace, down and without addresses, as they are after that. */
int link_move(struct nl *nl, int index, int ns_fd, const char *name, struct err *e);
int link_name(struct nl *nl, int index, const char *name, struct err *e); /* of one that is down */
int link_mtu(struct nl *nl, int index, uint32_t mtu, struct err *e);
int link_mac(struct nl *nl, int index, const uint8_t mac[6], struct err *e);
/* Up, with the number by which the rules know it (ip-link(8) calls it a group). */
int link_up_in_group(struct nl *nl, int index, uint32_t group, struct err *e);
int link_master(struct nl *nl, int index, int master, struct err *e); /* a port of that bridge */
/* What comes from a port of a bridge may go back there. */
int link_hairpin(struct nl *nl, int index, struct err *e);
int link_group(struct nl *nl, const char *name, uint32_t group, struct err *e);
/* Done when it is gone; in time with what else the kernel does of it only where nl has no remover. */
int link_del(struct nl *nl, const char *name, struct err *e);
int link_del_at(struct nl *nl, int index); /* acknowledged; the kernel's errno, but for ENODEV */
bool link_is_there(struct nl *nl, int index);
void link_lock_wait(struct nl *nl); /* until whatever somebody is doing to a link is done */
/* Every link, by name, and its group. */
int link_each(struct nl *nl, void (*fn)(void *arg, const char *name, uint32_t group), void *arg, struct err *e);

/* Every link, whole. */
int link_each_whole(struct nl *nl, void (*fn)(void *arg, const struct link *l), void *arg, struct err *e);

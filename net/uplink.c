/* net/uplink.c - see net/uplink.h */
#include "net/uplink.h"

#include "base/str.h"
#include "net/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VLAN_LAST  4094u
#define FREE_NS	   (10 * 1000 * 1000)
#define FREE_TRIES 500u /* 5 s: while thousands end it takes that long */

/* "eth0.100": its link and its number. */
static bool vlan_of(const char *parent, char lower[16], uint32_t *id)
{
	const char *dot = strrchr(parent, '.');

	if (!dot || dot == parent || str_to_u32(dot + 1, id) < 0 || !*id || *id > VLAN_LAST)
		return false;
	snprintf(lower, 16, "%.*s", (int)(dot - parent), parent);
	return true;
}

static int mtu_fits(const Net__Uplink *u, const struct link *parent, struct err *e)
{
	if (u->mtu <= parent->mtu)
		return 0;
	return err_set(e, ERANGE, "spec.mtu", "%u is more than %s has, which is %u", u->mtu, u->parent, parent->mtu);
}

int uplink_parent(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e)
{
	int r = link_get(host, u->parent, ret);

	if (r == -ENODEV)
		r = link_get(host, u->link, ret);
	if (r < 0)
		return err_set(e, r == -ENODEV ? ENOENT : -r, PARENT_FIELD, "there is no link %s", u->parent);
	return mtu_fits(u, ret, e);
}

/* The VLAN of a link, under a name by which it is known as ours. */
static int vlan_make(struct nl *host, const Net__Uplink *u, struct err *e)
{
	char lower[16];
	struct link parent;
	uint32_t id;
	int r;

	if (link_get(host, u->parent, &parent) != -ENODEV || !vlan_of(u->parent, lower, &id) ||
	    link_get(host, lower, &parent) < 0)
		return 0; /* there, or none */
	r = mtu_fits(u, &parent, e);
	if (r == 0)
		r = link_vlan_add(host, u->link, parent.index, (uint16_t)id, 0, e);
	if (r == 0) {
		int index = link_index(host, u->link);

		r = index < 0 ? err_set(e, -index, "network", "find the VLAN %s", u->parent) : link_up(host, index, e);
	}
	return r;
}

int upper_network_put(struct nl *host, const Net__Network *n, struct err *e)
{
	struct link parent;
	int r = vlan_make(host, n->uplink, e);

	return r < 0 ? r : uplink_parent(host, n->uplink, &parent, e);
}

int upper_network_del(struct nl *host, const Net__Network *n, struct err *e)
{
	return link_del(host, n->uplink->link, e);
}

/* A container that starts again may find its last namespace not taken apart yet, with a link in it that has its MAC (macvlan) or its addresses (ipvlan). */
static int inside_when_free(struct nl *inside, const Net__Port *p, bool gateway, struct err *e)
{
	int r = port_inside(inside, p, gateway, e);

	for (unsigned i = 0; r == -EADDRINUSE && i < FREE_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = FREE_NS}, NULL);
		r = port_inside(inside, p, gateway, e);
	}
	return r;
}

int upper_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e)
{
	const Net__Uplink *u = p->uplink;
	bool macvlan = u->driver == NET__DRIVER__MACVLAN;
	struct link parent;
	int r = vlan_make(host, u, e);

	if (r == 0)
		r = uplink_parent(host, u, &parent, e);
	if (r == 0)
		r = link_upper_add(host, macvlan ? "macvlan" : "ipvlan", u->mode, parent.index, p->link, ns_fd,
				   p->mac.len ? p->mac.data : NULL, p->mtu, e);
	/* On layer 3 there are no neighbours to ask: everything goes to the parent. */
	return r < 0 ? r : inside_when_free(inside, p, macvlan || !strcmp(u->mode, "l2"), e);
}

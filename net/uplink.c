/* net/uplink.c - see net/uplink.h */
#include "net/uplink.h"

#include "base/str.h"
#include "net/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VLAN_LAST 4094u

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
	if (r == 0)
		r = port_routers_ignore(u->link, e);
	if (r == 0) {
		int index = link_index(host, u->link);

		r = index < 0 ? err_set(e, -index, "network", "find the VLAN %s", u->parent) : link_up(host, index, e);
	}
	return r;
}

static const char *kind_of(const Net__Uplink *u)
{
	return u->driver == NET__DRIVER__MACVLAN ? "macvlan" : "ipvlan";
}

int upper_network_put(struct nl *host, const Net__Network *n, struct err *e)
{
	struct link parent;
	int r = link_kind_find(host, kind_of(n->uplink), e);

	if (r == 0)
		r = vlan_make(host, n->uplink, e);
	return r < 0 ? r : uplink_parent(host, n->uplink, &parent, e);
}

int upper_network_del(struct nl *host, const Net__Network *n, struct err *e)
{
	return link_del(host, n->uplink->link, e);
}

/* 1: an earlier berth-net has made it; 0: nothing has its name. */
static int upper_is_there(struct nl *inside, const char *kind, const struct link *parent, const Net__Port *p,
			  struct err *e)
{
	struct link l;
	int r = link_get(inside, p->link, &l);

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return err_set(e, -r, "network", "look for a link %s", p->link);
	if (!strcmp(l.kind, kind) && l.elsewhere && l.lower == parent->index)
		return 1;
	return port_link_taken(p, e);
}

int upper_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e)
{
	const Net__Uplink *u = p->uplink;
	const char *kind = kind_of(u);
	struct link parent;
	int r = vlan_make(host, u, e);

	if (r == 0)
		r = uplink_parent(host, u, &parent, e);
	if (r == 0)
		r = upper_is_there(inside, kind, &parent, p, e);
	if (r == 0)
		r = link_upper_add(host, kind, u->mode, parent.index, p->link, ns_fd, p->mac.len ? p->mac.data : NULL,
				   p->mtu, e);
	if (r < 0)
		return r;
	r = port_inside(inside, p, e);
	return r == -EADDRINUSE ? UPPER_TAKEN : r;
}

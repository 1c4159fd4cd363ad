/* net/phys.c - see net/phys.h */
#include "net/phys.h"

#include "net/address.h"
#include "net/port.h"
#include "net/uplink.h"

#include <errno.h>
#include <string.h>

void nic_of(Net__Nic *nic, struct link *of, bool away)
{
	net__nic__init(nic);
	nic->has_mac = nic->has_mtu = nic->has_up = nic->has_away = 1;
	nic->mac = (ProtobufCBinaryData){sizeof of->mac, of->mac};
	nic->has_permanent = of->has_permanent;
	if (of->has_permanent)
		nic->permanent = (ProtobufCBinaryData){sizeof of->permanent, of->permanent};
	nic->device = of->device[0] ? of->device : NULL;
	nic->mtu = of->mtu;
	nic->up = of->up;
	nic->away = away;
}

/* ---------------------------------------------------------------- which it is */

struct search {
	const Net__Nic *nic;
	struct link *found;
};

bool nic_is_hardware(const Net__Nic *nic)
{
	return nic && nic->device && nic->has_permanent;
}

static bool is_it(const Net__Nic *nic, const struct link *l)
{
	return l->has_permanent && !strcmp(l->device, nic->device) &&
	       !memcmp(l->permanent, nic->permanent.data, sizeof l->permanent);
}

static void search_look(void *arg, const struct link *l)
{
	struct search *s = arg;

	if (is_it(s->nic, l))
		*s->found = *l;
}

int phys_find(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e)
{
	struct search s = {u->nic, ret};
	int r = link_get(host, u->parent, ret);

	/* Another one may have got its name meanwhile. */
	if (r == 0 && (!nic_is_hardware(u->nic) || is_it(u->nic, ret)))
		return 0;
	*ret = (struct link){0};
	r = nic_is_hardware(u->nic) ? link_each_whole(host, search_look, &s, e) : 0;
	if (r < 0 || ret->index)
		return r;
	err_set(e, ENOENT, PARENT_FIELD, "there is no NIC %s", u->parent);
	return -ENODEV;
}

int phys_inside(struct nl *inside, const Net__Port *p)
{
	const Net__Nic *nic = p->uplink->nic;
	struct link l = {0};
	struct search s = {nic, &l};
	struct err e;

	if (!nic || !nic->away)
		return link_index(inside, p->link);
	if (nic_is_hardware(nic) && link_each_whole(inside, search_look, &s, &e) == 0 && l.index)
		return l.index;
	if (nic->index && link_at(inside, (int)nic->index, &l) == 0)
		return l.index;
	return link_index(inside, p->link);
}

/* ---------------------------------------------------------------- there */

/* What the host itself uses it does not lose by an order for a container. */
static int is_unused(struct nl *host, const struct link *l, struct err *e)
{
	int r = address_any(host, l->index);

	if (r < 0)
		return err_set(e, -r, "network", "look for addresses of %s", l->name);
	if (r)
		return err_set(e, EBUSY, PARENT_FIELD,
			       "%s has addresses of the host, who would lose it: take them away first", l->name);
	if (l->master)
		return err_set(e, EBUSY, PARENT_FIELD, "%s is part of another link (a bridge or a bond)", l->name);
	if (!strcmp(l->kind, "bridge"))
		return err_set(e, EINVAL, PARENT_FIELD, "%s is a bridge, and those cannot be moved", l->name);
	return 0;
}

int phys_network_put(struct nl *host, const Net__Network *n, struct err *e)
{
	const Net__Uplink *u = n->uplink;
	struct link l;
	int r;

	if (u->nic && u->nic->away)
		return 0;
	r = phys_find(host, u, &l, e);
	return r < 0 ? r : is_unused(host, &l, e);
}

int phys_network_del(struct nl *host, const Net__Network *n, struct err *e)
{
	return 0;
}

int phys_attach(struct nl *host, struct nl *inside, int ns_fd, const Net__Port *p, struct err *e)
{
	const Net__Uplink *u = p->uplink;
	struct link l;
	int r = link_index(inside, p->link);

	if (r == -ENODEV) {
		r = phys_find(host, u, &l, e);
		if (r == 0)
			r = is_unused(host, &l, e);
		if (r == 0)
			r = link_move(host, l.index, ns_fd, p->link, e);
		if (r < 0)
			return r;
		r = link_index(inside, p->link);
	}
	if (r > 0)
		r = u->mtu ? link_mtu(inside, r, u->mtu, e) : 0;
	else
		err_set(e, -r, "network", "find the link %s again", p->link);
	return r < 0 ? r : port_inside(inside, p, e);
}

/* ---------------------------------------------------------------- and back */

int phys_return(struct nl *inside, int index, int home_fd, const Net__Uplink *u, struct err *e)
{
	return link_move(inside, index, home_fd, u->parent, e);
}

int phys_restore(struct nl *host, const Net__Uplink *u, struct link *ret, struct err *e)
{
	const Net__Nic *nic = u->nic;
	struct link l;
	int r = phys_find(host, u, &l, e);

	if (r < 0)
		return r;
	if (strcmp(l.name, u->parent) != 0) {
		r = link_down(host, l.index, e);
		if (r == 0)
			r = link_name(host, l.index, u->parent, e);
	}
	if (r == 0 && nic && nic->has_mac && memcmp(nic->mac.data, l.mac, sizeof l.mac) != 0)
		r = link_mac(host, l.index, nic->mac.data, e);
	if (r == 0 && nic && nic->mtu && nic->mtu != l.mtu)
		r = link_mtu(host, l.index, nic->mtu, e);
	if (r == 0 && nic && nic->has_up)
		r = nic->up ? link_up(host, l.index, e) : link_down(host, l.index, e);
	if (r == 0 && link_get(host, u->parent, ret) < 0)
		r = err_set(e, ENODEV, "network", "%s is gone again", u->parent);
	return r;
}

/* net/driver.c - see net/driver.h */
#include "net/driver.h"

#include "base/own.h"
#include "net/bridge.h"
#include "net/phys.h"
#include "net/routed.h"
#include "net/table.h"
#include "net/uplink.h"

#include <string.h>

#define DRIVER(noun) noun##_network_put, noun##_network_del, noun##_attach

static const struct net_driver routed = {true, true, WIRE_NONE, DRIVER(routed), routed_again};
static const struct net_driver bridge = {true, true, WIRE_INSIDE, DRIVER(bridge), bridge_again};
static const struct net_driver ports = {false, true, WIRE_INSIDE, DRIVER(bridge), NULL};
static const struct net_driver phys = {false, false, WIRE_INSIDE, DRIVER(phys), NULL};
static const struct net_driver macvlan = {false, false, WIRE_INSIDE, DRIVER(upper), NULL};
static const struct net_driver ipvlan = {false, false, WIRE_PARENT, DRIVER(upper), NULL};
static const struct net_driver ipvlan_layer3 = {false, false, WIRE_NONE, DRIVER(upper), NULL};

const struct net_driver *net_driver_of(const Net__Uplink *u)
{
	switch (u ? u->driver : NET__DRIVER__ROUTED) {
	case NET__DRIVER__BRIDGE:
		return u->parent ? &ports : &bridge;
	case NET__DRIVER__MACVLAN:
		return &macvlan;
	case NET__DRIVER__IPVLAN:
		return u->mode && !strcmp(u->mode, "l2") ? &ipvlan : &ipvlan_layer3;
	case NET__DRIVER__PHYS:
		return &phys;
	default:
		return &routed;
	}
}

const char *net_driver_link(const Net__Uplink *u)
{
	return !u ? GATEWAY_LINK : u->driver == NET__DRIVER__BRIDGE && !u->parent ? u->link : NULL;
}

static bool is_name(const char *s)
{
	return s[0] && strlen(s) < 16 && !strpbrk(s, "\"{}/ \n");
}

bool uplink_is_sound(const Net__Uplink *u)
{
	const Net__Nic *nic = u ? u->nic : NULL;

	if (nic && ((nic->has_mac && nic->mac.len != 6) || (nic->has_permanent && nic->permanent.len != 6)))
		return false;
	return !u || (u->link && is_name(u->link) && !strncmp(u->link, LINK_PREFIX, strlen(LINK_PREFIX)) &&
		      (!u->parent || is_name(u->parent)) && (u->parent || u->driver == NET__DRIVER__BRIDGE) &&
		      (u->mode || (u->driver != NET__DRIVER__MACVLAN && u->driver != NET__DRIVER__IPVLAN)));
}

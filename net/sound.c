/* net/sound.c - see net/sound.h */
#include "net/sound.h"

#include "net/driver.h"
#include "net/floating.h"
#include "net/table.h"

#include <errno.h>
#include <string.h>

static bool subnet_is_sound(const Net__Subnet *s)
{
	return (s->network.len == 4 || s->network.len == 16) && s->gateway.len == s->network.len &&
	       s->prefix <= s->network.len * 8;
}

/* The others have their parent's. */
static bool mac_is_sound(const Net__Port *p)
{
	return p->mac.len == 6 || (!p->mac.len && p->uplink && p->uplink->driver >= NET__DRIVER__MACVLAN);
}

bool host_link_is_sound(const char *name)
{
	return !strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) && strlen(name) < 16 && !strpbrk(name, "\"{} \n");
}

static bool links_are_sound(const Net__Port *p)
{
	return p && p->host_link && p->link && host_link_is_sound(p->host_link) && strlen(p->link) < 16;
}

bool slot_is_sound(const Net__Port *p, struct err *e)
{
	bool sound = links_are_sound(p) && p->mac.len == 6 && !p->n_addresses && !p->policy && !p->uplink;

	if (!sound)
		err_set(e, EINVAL, "network", "not a slot");
	return sound;
}

bool port_is_sound(const Net__Port *p, struct err *e)
{
	bool sound =
		links_are_sound(p) && mac_is_sound(p) && p->network_key && p->n_addresses && uplink_is_sound(p->uplink);

	for (size_t i = 0; sound && i < p->n_addresses; i++)
		sound = p->addresses[i].len == 4 || p->addresses[i].len == 16;
	for (size_t i = 0; sound && i < p->n_subnets; i++)
		sound = subnet_is_sound(p->subnets[i]);
	for (size_t i = 0; sound && i < p->n_published; i++)
		sound = !p->published[i]->host_ip.len || p->published[i]->host_ip.len == 4 ||
			p->published[i]->host_ip.len == 16;
	for (size_t i = 0; sound && i < p->n_floating; i++)
		sound = floating_is_sound(p->floating[i]);
	if (!sound)
		err_set(e, EINVAL, "network", "not a port");
	return sound;
}

bool network_is_sound(const Net__Network *n, struct err *e)
{
	bool sound = n && n->key && uplink_is_sound(n->uplink);

	for (size_t i = 0; sound && i < n->n_subnets; i++)
		sound = subnet_is_sound(n->subnets[i]);
	if (!sound)
		err_set(e, EINVAL, "network", "not a network");
	return sound;
}

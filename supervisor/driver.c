/* supervisor/driver.c - see supervisor/driver.h
 *
 * Why the table is as it is: the host's nftables see what passes the host's own IP stack (routed, and what leaves a bridge of ours), and what
 * passes a port of a bridge; frames of macvlan, ipvlan and of a NIC that was moved they never see. There is no end of those at the host
 * either, so nothing to count or to limit at. On somebody else's bridge the ports are ours, the bridge is not. */
#include "supervisor/driver.h"

#include "base/own.h"
#include "supervisor/check_field.h"
#include "supervisor/network.h"
#include "supervisor/set.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define BIT(f)	 (1u << FEATURE_##f)
#define ANY	 (BIT(ADDRESSES) | BIT(IPV6) | BIT(HOT_ATTACH) | BIT(MTU))
#define HOST_END (BIT(MANY) | BIT(MAC) | BIT(ANTI_SPOOFING) | BIT(RATE_IN) | BIT(RATE_OUT) | BIT(COUNTERS))
#define GATEWAY                                                                                                        \
	(BIT(GATEWAY) | BIT(DNS) | BIT(MASQUERADE) | BIT(INTERNAL) | BIT(PUBLISH) | BIT(FLOATING_IPS) | BIT(ISOLATION))

const struct driver drivers[] = {
	{"routed", "a route to each address, no bridge", .ahead = true,
	 .features = ANY | HOST_END | GATEWAY | BIT(SECURITY_GROUPS)},
	{"bridge", "a bridge of berth's own, with broadcasts", .features = ANY | HOST_END | GATEWAY},
	{"bridge", "ports of a bridge that the host has", .parent = true, .features = ANY | HOST_END},
	{"macvlan", "links with a MAC of their own on a link of the host", .parent = true,
	 .modes = "bridge private vepa passthru", .features = ANY | BIT(MANY) | BIT(MAC)},
	{"ipvlan", "links with addresses of their own on a link of the host", .parent = true, .modes = "l2 l3 l3s",
	 .features = ANY | BIT(MANY)},
	{"phys", "a NIC or VF of the host itself, given back afterwards", .parent = true, .features = ANY},
	{"host", "the host's own network", .fixed = true},
	{"none", "a loopback and nothing else", .fixed = true},
};
const unsigned n_drivers = ARRAY_SIZE(drivers);

static const char *const names[] = {
	[FEATURE_ADDRESSES] = "addresses",
	[FEATURE_IPV6] = "IPv6",
	[FEATURE_MANY] = "many containers",
	[FEATURE_HOT_ATTACH] = "hot attach",
	[FEATURE_MAC] = "fixed MAC",
	[FEATURE_MTU] = "MTU",
	[FEATURE_GATEWAY] = "gateway on the host",
	[FEATURE_DNS] = "name resolution",
	[FEATURE_MASQUERADE] = "masquerade",
	[FEATURE_INTERNAL] = "internal",
	[FEATURE_PUBLISH] = "published ports",
	[FEATURE_FLOATING_IPS] = "floating IPs",
	[FEATURE_ISOLATION] = "isolation",
	[FEATURE_ANTI_SPOOFING] = "anti-spoofing",
	[FEATURE_SECURITY_GROUPS] = "security groups",
	[FEATURE_RATE_IN] = "rate limit in",
	[FEATURE_RATE_OUT] = "rate limit out",
	[FEATURE_COUNTERS] = "counters",
};
static_assert(ARRAY_SIZE(names) == FEATURE_N_, "each has a name");

static bool has_parent(const Berth__Network *obj)
{
	return obj->parent && obj->parent[0];
}

static const struct driver *driver_find(const char *name, bool parent)
{
	const struct driver *found = NULL;

	for (unsigned i = 0; i < n_drivers; i++)
		if (!strcmp(drivers[i].name, name) && (!found || drivers[i].parent == parent))
			found = &drivers[i];
	return found;
}

const struct driver *driver_of(const Berth__Network *obj)
{
	return driver_find(obj->driver ? obj->driver : "", has_parent(obj));
}

bool driver_has(const struct driver *d, enum driver_feature f)
{
	return d->features & 1u << f;
}

bool driver_can(const Berth__Network *obj, enum driver_feature f)
{
	/* In passthru it is the parent's. */
	return driver_has(driver_of(obj), f) && !(f == FEATURE_MAC && obj->mode && !strcmp(obj->mode, "passthru"));
}

const char *driver_feature_name(enum driver_feature f)
{
	return names[f];
}

/* "routed, bridge" */
static const char *drivers_with(enum driver_feature f, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < n_drivers; i++) {
		bool again = i && !strcmp(drivers[i - 1].name, drivers[i].name) && driver_has(&drivers[i - 1], f);

		if (driver_has(&drivers[i], f) && !again && used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "", drivers[i].name);
	}
	return buf;
}

static int lacks(const char *name, const struct driver *d, enum driver_feature f, struct err *e)
{
	char with[160];

	return err_set(e, ENOTSUP, "", "%s%s%s the driver %s%s, which cannot enforce this: %s; drivers that can: %s",
		       name ? "network " : "it ", name ? name : "", name ? " has" : "has", d->name,
		       d->parent ? " with a parent" : "", names[f], drivers_with(f, with, sizeof with));
}

int driver_needs(const struct network *n, enum driver_feature f, struct err *e)
{
	const struct driver *d = driver_of(n->obj);

	return driver_can(n->obj, f) ? 0 : lacks(n->obj->meta->name, d, f, e);
}

/* ---------------------------------------------------------------- what is asked for */

static bool is_word(const char *words, const char *value)
{
	size_t len = strlen(value);

	for (const char *p = words; len && !strchr(value, ' ') && (p = strstr(p, value)); p += len)
		if ((p == words || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

static int check_mode(const struct driver *d, char **mode, struct err *e)
{
	field_empty_is_absent(mode);
	if (!d->modes && *mode)
		return field_bad(e, "spec.mode", "the driver %s has no modes", d->name);
	if (!d->modes)
		return 0;
	if (!*mode)
		set_text(mode, "%.*s", (int)strcspn(d->modes, " "), d->modes);
	if (!*mode)
		return err_set(e, ENOMEM, "spec.mode", "no memory");
	return is_word(d->modes, *mode)
		       ? 0
		       : field_bad(e, "spec.mode", "'%.20s': the driver %s has %s", *mode, d->name, d->modes);
}

static int check_parent(const struct driver *d, char **parent, struct err *e)
{
	field_empty_is_absent(parent);
	if (!d->parent && *parent)
		return field_bad(e, "spec.parent", "the driver %s leads to no link of the host", d->name);
	if (d->parent && !*parent)
		return field_bad(e, "spec.parent", "the driver %s needs a link of the host to lead to (-o parent=LINK)",
				 d->name);
	if (*parent && (strlen(*parent) >= IF_NAMESIZE || strpbrk(*parent, "/: \t\n\"{}*") || !strcmp(*parent, ".") ||
			!strcmp(*parent, "..")))
		return field_bad(e, "spec.parent", "'%.40s' is not the name of a link", *parent);
	if (*parent && !strcmp(*parent, "lo"))
		return field_bad(e, "spec.parent", "lo leads nowhere");
	return 0;
}

int driver_check(Berth__Network *obj, struct err *e)
{
	const struct driver *d;
	int r;

	if (!obj->driver || !obj->driver[0])
		set_text(&obj->driver, DRIVER_DEFAULT);
	d = obj->driver ? driver_of(obj) : NULL;
	if (!d)
		return field_bad(e, "spec.driver",
				 "'%.60s' is no driver: there are routed, bridge, macvlan, ipvlan and phys",
				 obj->driver);
	if (d->fixed)
		return err_set(e, EINVAL, "spec.driver", "the network %s is always there: no other is made", d->name);
	r = check_parent(d, &obj->parent, e);
	if (r == 0)
		r = check_mode(d, &obj->mode, e);
	if (r == 0 && obj->masquerade && !driver_has(d, FEATURE_MASQUERADE)) {
		r = lacks(NULL, d, FEATURE_MASQUERADE, e);
		snprintf(e->step, sizeof e->step, "spec.masquerade");
	}
	if (r == 0 && obj->masquerade && obj->internal)
		r = field_bad(e, "spec.masquerade", "nothing of an internal network leaves the host");
	if (r == 0 && obj->internal && !driver_has(d, FEATURE_INTERNAL)) {
		r = lacks(NULL, d, FEATURE_INTERNAL, e);
		snprintf(e->step, sizeof e->step, "spec.internal");
	}
	return r;
}

/* One link takes one kind of upper links: macvlan, ipvlan and bridges exclude each other in the kernel. A NIC that is given away has none. */
const char *driver_quarrel(const Berth__Network *a, const Berth__Network *b)
{
	if (!has_parent(a) || !has_parent(b) || strcmp(a->parent, b->parent) != 0)
		return NULL;
	if (strcmp(a->driver, b->driver) != 0)
		return "one link has one driver";
	if (!strcmp(a->driver, "phys"))
		return "it is given to one container at a time";
	if (!strcmp(a->driver, "ipvlan") && strcmp(a->mode, b->mode) != 0)
		return "the mode is the same for all ipvlan links of a parent";
	if (!strcmp(a->driver, "macvlan") && (!strcmp(a->mode, "passthru") || !strcmp(b->mode, "passthru")))
		return "passthru takes all of it";
	return NULL;
}

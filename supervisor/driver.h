/* supervisor/driver.h - what each driver of networks can enforce: one table, from which every check is made and which `berth network drivers`
 * shows. What a driver cannot enforce is refused, never ignored. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>

#define DRIVER_DEFAULT "routed"

struct network;

enum driver_feature {
	FEATURE_ADDRESSES, /* leased by berth */
	FEATURE_IPV6,
	FEATURE_MANY,	    /* more than one container at a time */
	FEATURE_HOT_ATTACH, /* to what runs */
	FEATURE_MAC,	    /* of one's choice */
	FEATURE_MTU,
	FEATURE_GATEWAY, /* the host is it */
	FEATURE_DNS,	 /* names of containers, asked for at the gateway */
	FEATURE_MASQUERADE,
	FEATURE_INTERNAL, /* nothing leaves the host */
	FEATURE_PUBLISH,
	FEATURE_FLOATING_IPS,
	FEATURE_ISOLATION, /* from other networks */
	FEATURE_ANTI_SPOOFING,
	FEATURE_SECURITY_GROUPS,
	FEATURE_RATE_IN,
	FEATURE_RATE_OUT,
	FEATURE_COUNTERS, /* of the host's end */
	FEATURE_N_
};

struct driver {
	const char *name, *about;
	bool parent;	   /* the network leads to a link of the host; a driver may be there with and without */
	const char *modes; /* separated by blanks, the first is the default; NULL: none */
	bool ahead;	   /* its interfaces are all the same until they have addresses: some are made ahead (slot.h) */
	bool fixed;	   /* such networks are always there, and nobody makes one */
	unsigned features; /* bits */
};

extern const struct driver drivers[];
extern const unsigned n_drivers;

/* Of a network as it is, or as it is asked for; NULL: there is none with that name. */
const struct driver *driver_of(const Berth__Network *obj);
bool driver_has(const struct driver *d, enum driver_feature f);
bool driver_can(const Berth__Network *obj, enum driver_feature f); /* with its mode */
const char *driver_feature_name(enum driver_feature f);
/* -ENOTSUP: e says of network and driver what they cannot, and who can. e->step is left empty: the caller knows the field. */
int driver_needs(const struct network *n, enum driver_feature f, struct err *e);
/* driver, parent and mode of a network to be: completed, or refused. e->step: the field. */
int driver_check(Berth__Network *obj, struct err *e);
/* Why two networks cannot have one parent, or NULL. */
const char *driver_quarrel(const Berth__Network *a, const Berth__Network *b);

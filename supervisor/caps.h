/* supervisor/caps.h - capability names and masks (libcap knows the names; the kernel says how many there are). */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdint.h>

int caps_parse(const char *name, int *ret); /* "NET_ADMIN", "cap_net_admin" -> number; -EINVAL */
uint64_t caps_all(void);		    /* every one that this kernel has */
uint64_t caps_ours(void);		    /* those of our bounding set: nobody can be given more */
uint64_t caps_default(void);		    /* Docker's default set */
/* The bounding set that a spec asks for, within ours. Names were checked before. */
uint64_t caps_of(const Berth__Security *s);
int caps_name(int cap, char *buf, unsigned size); /* "CAP_NET_ADMIN"; -EINVAL */

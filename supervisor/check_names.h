/* supervisor/check_names.h - what a spec says of names: lines of /etc/hosts, and of resolv.conf. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stddef.h>

#define HOST_GATEWAY "host-gateway" /* in place of an address */

/* As the resolver of a libc takes them from resolv.conf, of which they are lines. at: the field that both are in. */
int check_dns(const char *at, char *const *servers, size_t n_servers, char *const *search, size_t n_search,
	      struct err *e);
/* The first that is given; NULL: none is. */
const char *names_field(const Berth__NameOptions *names);
/* network: "none", "host", or NULL. */
int check_names(const Berth__NameOptions *names, const char *network, struct err *e);

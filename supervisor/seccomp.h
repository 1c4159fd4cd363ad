/* supervisor/seccomp.h - seccomp profiles compiled by libseccomp to BPF, once for each (profile, capability set), and cached. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seccomp_cache;
int seccomp_cache_new(struct seccomp_cache **ret);
/* False: this kernel has no filters. Containers then run without, unless they bring a profile, which is refused. */
bool seccomp_is_usable(const struct seccomp_cache *c);
void seccomp_cache_free(struct seccomp_cache *c);
/* The filter for a spec: *ret_bpf (owned by the cache, valid until the next call; NULL when unconfined or not usable) is *ret_len bytes of struct
 * sock_filter. A bad profile: e->text says where. Takes milliseconds the first time for a profile. */
int seccomp_get(struct seccomp_cache *c, const Berth__Security *s, uint64_t caps, const void **ret_bpf, size_t *ret_len,
		struct err *e);

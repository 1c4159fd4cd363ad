/* shim/ahead.h - mounts that were made before the launch that may use them: each under a key that says what it was made of. */
#pragma once

#include "proto/shim.pb-c.h"

#include <stdint.h>

#define AHEAD_MAX 8

struct ahead {
	unsigned n;
	struct {
		uint64_t key;
		int fd; /* owned; attached nowhere */
	} made[AHEAD_MAX];
};

#define FNV_BASIS 0xcbf29ce484222325ull
static inline uint64_t fnv(uint64_t h, const void *data, size_t len)
{
	const unsigned char *at = data;

	while (len--)
		h = (h ^ *at++) * 0x100000001b3ull; /* FNV-1a */
	return h;
}

uint64_t ahead_key(const Shim__Step *s);		    /* 0: there can be none of it */
int ahead_find(const struct ahead *a, const Shim__Step *s); /* still a's; -1 */
void ahead_close(struct ahead *a);

/* image/partial.h - partial/<hex>: a blob on its way from a registry, as far as it has come.
 *
 * It stays when a pull breaks or is killed, and the next one goes on behind it; nobody takes it for a blob. What is whole waits here
 * too until all of its image is: then it becomes a blob. A lock on the file tells who fills it: nobody else does, and others who
 * need it wait until it is whole. What is left here is swept after a day. */
#pragma once

#include "image/source.h"
#include "image/store.h"

#define PARTIAL_KEPT_NS (24ll * 3600 * 1000000000)

struct partial {
	int fd; /* owned; O_RDWR */
	char digest[72];
	uint64_t have; /* bytes in it */
	bool whole;    /* verified */
};

#define PARTIAL_NULL ((struct partial){.fd = -1})

/* 0: ours to fill, or (whole set) filled and verified by another. -EWOULDBLOCK: another is at it, ask again later. */
int partial_open(struct image_store *s, const char *digest, uint64_t size, struct partial *ret, struct err *e);
/* All of it is written: has it that digest? Then it is whole, and others may have it. -EBADMSG (e filled): it is not, and is empty now. */
int partial_verify(struct partial *p, uint64_t size, struct err *e);
/* It becomes a blob. */
int partial_keep(struct image_store *s, struct partial *p, struct err *e);
void partial_close(struct partial *p);
/* Those that nobody holds and that were not touched since. */
int partial_sweep(struct image_store *s, int64_t before_ns, uint64_t *freed, struct err *e);

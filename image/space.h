/* image/space.h - how much may still be written before the disk counts as full: an import must not take what containers and
 * the store need to go on. */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct space {
	int fd;	       /* not owned: anything on that file system */
	uint64_t left; /* bytes, since the last look */
};

/* Bytes that may be written to the file system of fd. */
int space_free(int fd, uint64_t *ret, struct err *e);
int space_init(struct space *s, int fd, struct err *e);
/* ENOSPC when no more than the reserve would be left. */
int space_take(struct space *s, uint64_t bytes, struct err *e);
/* Would that many bytes fit? Takes nothing. */
int space_check(struct space *s, uint64_t bytes, struct err *e);

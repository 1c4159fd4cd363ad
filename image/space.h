/* image/space.h - how much may still be written before the disk counts as full: an import must not take what containers and
 * the store need to go on. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct space {
	int fd;	       /* not owned: anything on that file system */
	uint64_t left; /* bytes, since the last look */
	uint64_t nodes_left;
	uint64_t end; /* of what space_write last wrote: behind it there may be a hole */
};

/* Bytes of an archive that need not become file content: headers, padding, links with data. */
#define SPACE_SLACK (1ull << 30)

/* Bytes that may be written to the file system of fd. */
int space_free(int fd, uint64_t *ret, struct err *e);
int space_init(struct space *s, int fd, struct err *e);
/* ENOSPC when no more than the reserve would be left. */
int space_take(struct space *s, uint64_t bytes, struct err *e);
/* The same for one inode. */
int space_take_node(struct space *s, struct err *e);
/* Writes to a file that has nothing there yet; longer runs of zeros become holes. The file's size is the caller's. */
int space_write(struct space *s, int fd, const void *data, size_t len, off_t at, struct err *e);
/* Would that many bytes fit? Takes nothing. */
int space_check(struct space *s, uint64_t bytes, struct err *e);

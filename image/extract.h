/* image/extract.h - a tar into a folder that is in use: of a container that may be running and hostile, or of whoever copies something
 * out of one. Not for layers (image/unpack.h): no whiteouts, no digests, and nobody may be trusted with a path.
 *
 * A path is only ever resolved by openat2 below root_fd, up to the last part; that is made, replaced or removed by *at calls on its
 * folder's descriptor which follow no links. Whatever is renamed or swapped meanwhile, nothing outside of root_fd is reached. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum extract_owner {
	EXTRACT_OWNER_LEAVE,   /* as whoever extracts makes files */
	EXTRACT_OWNER_ROOT,    /* 0:0 */
	EXTRACT_OWNER_ARCHIVE, /* by number */
};

struct extract {
	int root_fd;
	const char *base; /* the folder below root_fd where all goes; it must be there */
	const char *only; /* an entry of any other name there is refused; NULL: none is */
	/* symlinks that are there are followed, within root_fd; else a path that leads through one, and leaving root_fd, is refused */
	bool follow;
	enum extract_owner owner;
	bool special_bits; /* setuid, setgid, sticky and file capabilities are kept */
	bool devices;	   /* device nodes are made, if we may; else passed over */
	bool reserve;	   /* leave some room on the disk (image/space.h) */
};

struct extract_result {
	uint64_t entries, bytes;
	uint64_t passed_over; /* device nodes, owners that may not be given away */
};

/* fd: the archive, plain, gzip or zstd, to its end. What was extracted before a failure stays. */
int extract_tar(int fd, const struct extract *x, struct extract_result *ret, struct err *e);

/* image/unpack.h - one layer's archive into a folder that overlayfs can stack on the layers below it. */
#pragma once

#include "base/err.h"
#include "image/source.h"

#include <stdint.h>

#define UNPACK_ENTRIES_MAX 4000000u
#define UNPACK_XATTRS_MAX  64

struct unpack_result {
	uint64_t bytes; /* of file content written */
	uint64_t entries;
};

/* from: the blob, compressed or not. dir_fd: a new folder, 0755 root. lower_fd: folders of the layers below, topmost first.
 * Fails if the archive's bytes are not those of diff_id; what was written stays for the caller to remove. Nothing is synced. */
int layer_unpack(const struct source_part *from, const char *diff_id, int dir_fd, const int *lower_fd, unsigned n_lower,
		 struct unpack_result *ret, struct err *e);

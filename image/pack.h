/* image/pack.h - a folder with all that is in it, or one file, as a tar (pax, written by libarchive): owners by number, times to the
 * nanosecond, hard links within it, holes, device nodes, file capabilities, ACLs and other xattrs. The same tree gives the same bytes.
 *
 * No link is followed, so nothing outside of the tree is ever in it, whoever changes the tree meanwhile; a file that changes its size
 * while it is read is cut or padded with zeros to what its header said. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_DEPTH_MAX	  260  /* folders within each other: as many descriptors are open at once */
#define PACK_SEGMENTS_MAX 4096 /* pieces of a file with holes; what comes behind the last is written with its zeros */

struct pack_how {
	int (*write)(void *arg, const void *data, size_t len, struct err *e); /* the tar; negative errno ends it */
	/* Paths as they are in the archive, below `as`. What is skipped is not in it, nor is what lies below; NULL: nothing is. */
	bool (*skip)(void *arg, const char *path);
	/* Of what a tar cannot hold ("a socket"): it is left out. NULL: silently. */
	void (*note)(void *arg, const char *path, const char *what);
	void *arg;
	/* The tree is the upper layer of an overlay: what that says in its own marks about the layers below becomes ".wh." entries of an image's
	 * layer. What it cannot say there (a folder that was renamed, a file whose content is elsewhere) is an error. */
	bool upper;
	/* Files that the kernel makes up when they are read (/proc, /sys) have no size and no end: of their folders the topmost is in it, empty. */
	bool no_kernel_files;
	/* Owners as somebody outside of a user namespace sees them: first_id is root, those that are no id of it become `nobody`. n_ids 0: as
	 * they are. File capabilities that the root of first_id gave are those of root anyway. */
	uint32_t first_id, n_ids;
};

struct pack_result {
	uint64_t bytes; /* content of files */
	uint64_t entries, left_out;
};

/* What parent_fd has at name (its last part, no slashes; "." is the folder itself, "" whatever was opened, with O_PATH) becomes the entry `as` ("" with ".": the top of the
 * archive, "./"). */
int tree_pack(const struct pack_how *how, int parent_fd, const char *name, const char *as, struct pack_result *ret,
	      struct err *e);

/* Is it on a file system that has no files of its own? Any descriptor. */
bool pack_is_kernel_file(int fd);

/* image/merge.h - the folders of a layer being unpacked, seen as overlayfs will show them: the layer on top of the layers
 * below it. Decides where an entry's parent really is, and makes it in the layer when only a lower one has it.
 *
 * Why not simply write into the layer's own folder: with `bin -> usr/bin` in a lower layer, an entry "bin/sh" would make a
 * real folder bin there, which would hide the symlink and everything behind it. Why not write through a mounted overlay: that
 * copies up what is only touched, leaves overlayfs' own marks in the layer, and needs a mount for each layer.
 *
 * Nothing here follows a symlink by the kernel: links are read and walked by hand, below the root, so a path that was resolved
 * contains folders only, and every open says RESOLVE_NO_SYMLINKS. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MERGE_DEPTH_MAX 256 /* folders within each other */
#define MERGE_DIRS_MAX	2000000
#define MERGE_BYTES_MAX (256u << 20) /* of the table: long paths, many layers */
#define MERGE_PATH_SIZE 4096

struct merge_dir {
	char *path;	       /* owned; no slash in front, "" = the root */
	bool made;	       /* exists in the layer */
	bool opaque;	       /* hides what lower layers have */
	struct timespec mtime; /* set at the end: making entries changes it */
	uint8_t *lower;	       /* owned: indexes of the layers below that show through, topmost first */
	unsigned n_lower;
};

struct merge {
	int fd;		     /* the layer; not owned */
	const int *lower_fd; /* topmost first; not owned */
	unsigned n_lower;
	struct merge_dir **slot; /* hash table by path */
	unsigned n_slots, n_dirs;
	size_t bytes; /* of all records */
};

int merge_init(struct merge *m, int fd, const int *lower_fd, unsigned n_lower, struct err *e);
void merge_fini(struct merge *m);

/* The folder that holds path's last part (*ret_name points into path). make: in the layer, made if it is not there; else it
 * may be one that only lower layers have. path has neither slashes at its end nor "." as its last part. Refuses "..", what is
 * too long or too deep, and what goes through something that is not a folder. */
int merge_parent(struct merge *m, const char *path, bool make, struct merge_dir **ret, const char **ret_name,
		 struct err *e);

/* One step down from a folder that exists in the layer: the record of a folder that was just made there. opaque hides the
 * lower layers' folder of that name. */
int merge_made(struct merge *m, struct merge_dir *parent, const char *name, bool opaque, struct merge_dir **ret,
	       struct err *e);
/* What lies at dir/name in the layer is gone or replaced by something that is not a folder: forget it and all below. */
int merge_drop(struct merge *m, struct merge_dir *parent, const char *name, struct err *e);
struct merge_dir *merge_lookup(struct merge *m, struct merge_dir *parent,
			       const char *name);			 /* NULL: not known as a folder */
int merge_opaque(struct merge *m, struct merge_dir *dir, struct err *e); /* the layers below show through no more */

enum merge_type { MERGE_NONE, MERGE_FOLDER, MERGE_OTHER };
/* What the layers below show at dir/name. With MERGE_OTHER and ret_fd not NULL: opened with O_PATH. */
enum merge_type merge_lower(struct merge *m, struct merge_dir *dir, const char *name, int *ret_fd);

int merge_open(struct merge *m, const struct merge_dir *dir, struct err *e); /* O_RDONLY|O_DIRECTORY, in the layer */
/* The mtime of every folder that was made, when all entries are there. */
int merge_times(struct merge *m, struct err *e);

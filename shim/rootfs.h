/* shim/rootfs.h - the container's root: built in a private mount namespace, entered by pivot_root. Runs in the child.
 *
 * Every path of the container is resolved below its root by openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): links in the
 * image lead nowhere else. */
#pragma once

#include "base/err.h"
#include "shim/child.h"

#include <stdint.h>

/* Host's side: sources of the mounts, a private tree, overlay or empty root. */
int rootfs_prepare(struct child *c, struct err *e);
/* Second process of a two-stage launch: the same root as a mount of this namespace that is not locked. */
int rootfs_reopen(struct child *c, struct err *e);
/* Its staging tmpfs has room for what the files of l say. */
int rootfs_stage_fit(const struct child *c, const Shim__LaunchPlan *l, struct err *e);
int rootfs_enter(struct child *c, struct err *e); /* pivot_root; the host's mounts are gone */
int rootfs_seal(struct child *c, struct err *e);  /* read-only, after everything was put in its place */

int root_open(const struct child *c, const char *path, uint64_t flags); /* the fd or negative errno */
bool root_is_link(const struct child *c, const char *path);		/* or is reached through one */
/* Folder or empty file at path, made with what leads to it if missing. The O_PATH descriptor or negative errno. */
int root_make_dir(const struct child *c, const char *path, unsigned mode);
int root_make_file(const struct child *c, const char *path);
/* The folder that holds path's last component, made if missing; *ret_name points into path. */
int root_parent(const struct child *c, const char *path, const char **ret_name);

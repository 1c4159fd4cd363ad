/* shim/mounts.h - the steps of a plan that fill the rootfs: mounts, nodes, links, files, masks, sysctls. Runs in the child.
 *
 * A step that takes something from the host has two halves: its source becomes a detached mount while the process still has
 * the host's rights, and is moved to its place in the container's namespaces, perhaps by another process (user namespaces). */
#pragma once

#include "base/err.h"
#include "shim/child.h"

int mounts_open_sources(struct child *c, struct err *e); /* binds, and nodes that will be bound */
int mounts_open_files(struct child *c, struct err *e);	 /* files: written to the staging tmpfs */
int mounts_apply(struct child *c, Shim__Step__Stage stage, struct err *e);

/* Moves the detached mount fd onto target (a file or folder of the container, made if missing). */
int mount_place(struct child *c, int fd, const char *target, struct err *e);

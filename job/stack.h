/* job/stack.h - the layers of a container as they are seen together, and what of its upper layer only mounting has made. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* Folders, lowest first, mounted over the lowest, where nobody else looks: in mounts of our own. A descriptor, or negative errno. One
 * folder is what it is. */
int stack_open(char *const *folder, size_t n, struct err *e);
/* The same of what is below a container's upper layer: its image's layers, and below them the mount points (STATE/mountpoints). */
int stack_open_below(const char *state, const Berth__Container *c, struct err *e);

/* Mount points that no layer below has: the shim makes them in the upper layer, with the folders on the way there. */
struct made {
	char **path; /* owned; no slash in front */
	size_t n;
};
int made_find(struct made *m, const Berth__Container *c, int upper_fd, int lower_fd, struct err *e);
bool made_has(const struct made *m, const char *path);
bool made_in(const struct made *m, const char *folder); /* one of them is in it */
void made_fini(struct made *m);

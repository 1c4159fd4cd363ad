/* supervisor/rebuild.h - `berth rebuild`: a new rootfs, of the same or another image, for a container that stays what it is.
 *
 * What is wanted (Container.rebuild) is in the row before anything happens to the container; from then on whoever is berthd carries it out.
 * A container's upper layer has a number (Container.rootfs), so that one write of its row changes the image and the layer together: a
 * berthd that dies leaves the old ones or the new ones. What is old goes into the trash behind it. */
#pragma once

#include "supervisor/container.h"

/* "upper", "work" of the present rootfs; buf at least 32. */
const char *rebuild_leaf(const struct container *c, const char *name, char *buf);
/* A row that was read has one that is wanted. */
void rebuild_loaded(struct container *c);
/* It begins as soon as the container's state is one to begin from. */
void rebuild_look(struct container *c);
/* The container goes: nothing comes of a rebuild. */
void rebuild_forget(struct container *c);
/* Its row as it is now is on the way to the disk; it is there, or not. */
void rebuild_storing(struct container *c);
void rebuild_stored(struct container *c, int result);
/* The rootfs before this one, if it is still there. */
void rebuild_discard(struct container *c);
/* Between its two files. What is in force and what is wanted change places. */
void rebuild_exchange(Berth__Container *obj, Berth__Rebuild *rb);
void rebuild_end(struct container *c); /* whatever came of it */

/* shim/overlay.h - the rootfs of layers. Runs in the child, on the host's side.
 *
 * The mount outlives the incarnation: a clone of it, attached nowhere, goes to the shim, and the next incarnation gets it if it is
 * still made of the same. So the end of a container does not wait for the sync that the last unmount brings (of everything that
 * is dirty on that disk, whoever wrote it), and a restart does not mount an overlay again. */
#pragma once

#include "base/err.h"
#include "shim/child.h"

#define OVERLAY_KEY_SIZE 17

/* At c->root_path; sets c->root_read_only and hands the clone over. */
int overlay_mount(struct child *c, const Shim__Overlay *o, struct err *e);

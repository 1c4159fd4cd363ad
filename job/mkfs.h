/* job/mkfs.h - an empty file system, made by the host's own mkfs.ext4. */
#pragma once

#include "base/err.h"

/* In all of the file, which nobody else has open. */
int mkfs_run(int image_fd, struct err *e);

/* ctl/mount_text.h - mounts as Docker's users write them, into the request's words. Pure. Whether the host can do it, berthd says. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

int mount_from_volume(Berth__Mount *m, const char *text, struct err *e); /* -v SOURCE:TARGET[:OPTIONS] */
int mount_from_mount(Berth__Mount *m, const char *text, struct err *e);	 /* --mount type=bind,src=…,dst=… */
int mount_from_tmpfs(Berth__Mount *m, const char *text, struct err *e);	 /* --tmpfs TARGET[:OPTIONS] */

/* "//a/./b/" -> "/a/b": what a shell's completion leaves behind. ".." stays, for berthd to refuse. The caller frees it. */
char *path_tidy(const char *path);

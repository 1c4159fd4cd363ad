/* ctl/volume_text.h - volumes as Docker's users write them, into the request's words. Pure. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

int volume_driver_text(Berth__VolumeCreate *v, const char *text,
		       struct err *e); /* plain, sized, tmpfs; Docker's local is any */
int volume_size_text(Berth__VolumeCreate *v, const char *text, struct err *e);
int volume_label_text(Berth__VolumeCreate *v, const char *text, struct err *e); /* KEY[=VALUE] */
/* Docker's -o: size=10g; type=tmpfs, device=…, o=size=64m,mode=700,uid=1,gid=2 */
int volume_option_text(Berth__VolumeCreate *v, const char *text, struct err *e);
const char *volume_driver_name(Berth__Volume__Driver driver);

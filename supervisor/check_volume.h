/* supervisor/check_volume.h - what may be asked of a volume. Pure. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#define VOLUME_SIZED_MIN (16ull << 20) /* below it ext4 has no room for a journal */
#define VOLUME_SIZED_MAX (16ull << 40)
#define VOLUME_BLOCK	 4096u /* sizes are multiples of it */

int check_volume(Berth__VolumeCreate *v,
		 struct err *e); /* completes it: a size without a driver means sized, and becomes whole blocks */
int check_volume_growth(const Berth__Volume *v, Berth__VolumeUpdate *ask, struct err *e);

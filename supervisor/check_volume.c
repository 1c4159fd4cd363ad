/* supervisor/check_volume.c - see supervisor/check_volume.h */
#include "supervisor/check_volume.h"

#include "supervisor/check_field.h"

#include <errno.h>

static int size_round(uint64_t *size, struct err *e)
{
	if (*size < VOLUME_SIZED_MIN || *size > VOLUME_SIZED_MAX)
		return field_bad(e, "size_bytes", "a sized volume has 16 MiB to 16 TiB, not %llu bytes",
				 (unsigned long long)*size);
	*size = (*size + VOLUME_BLOCK - 1) & ~(uint64_t)(VOLUME_BLOCK - 1);
	return 0;
}

static int check_tmpfs(const Berth__VolumeCreate *v, struct err *e)
{
	if (!v->size_bytes)
		return field_bad(e, "size_bytes", "a tmpfs volume needs a size: it takes the host's memory");
	if (v->size_bytes < VOLUME_BLOCK)
		return field_bad(e, "size_bytes", "a tmpfs of %llu bytes: at least one page, 4096",
				 (unsigned long long)v->size_bytes);
	if (v->has_mode && v->mode > 07777)
		return field_bad(e, "mode", "mode %o is beyond 7777", v->mode);
	return 0;
}

int check_volume(Berth__VolumeCreate *v, struct err *e)
{
	int r = field_labels("labels", v->labels, &v->n_labels, e);

	if (r < 0)
		return r;
	if (!v->has_driver && v->has_size_bytes) {
		v->has_driver = true;
		v->driver = BERTH__VOLUME__DRIVER__SIZED;
	}
	if (v->driver == BERTH__VOLUME__DRIVER__TMPFS)
		return check_tmpfs(v, e);
	if (v->has_mode || v->has_uid || v->has_gid)
		return field_bad(e, "mode", "mode, uid and gid are for tmpfs volumes");
	switch (v->driver) {
	case BERTH__VOLUME__DRIVER__PLAIN:
		if (v->has_size_bytes)
			return field_bad(e, "size_bytes", "a plain volume has no size: driver sized has one");
		return 0;
	case BERTH__VOLUME__DRIVER__SIZED:
		if (!v->has_size_bytes)
			return field_bad(e, "size_bytes", "a sized volume needs a size");
		return size_round(&v->size_bytes, e);
	default:
		return field_bad(e, "driver", "there are plain, sized and tmpfs");
	}
}

int check_volume_growth(const Berth__Volume *v, Berth__VolumeUpdate *ask, struct err *e)
{
	int r;

	if (!ask->has_size_bytes)
		return field_bad(e, "size_bytes", "a size is missing: nothing else of a volume can be changed");
	if (v->driver != BERTH__VOLUME__DRIVER__SIZED)
		return field_unsupported(e, "size_bytes", "only a sized volume can grow");
	r = size_round(&ask->size_bytes, e);
	if (!r && ask->size_bytes < v->size_bytes)
		return field_unsupported(e, "size_bytes", "it has %llu bytes, and a volume cannot shrink",
					 (unsigned long long)v->size_bytes);
	return r;
}

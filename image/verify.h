/* image/verify.h - is everything there that images need, and is it what its digest says? Nothing is changed; what is
 * damaged is marked, so that a pull brings it anew (image/damaged.h).
 *
 * A blob is hashed. An unpacked layer has no digest of its own, but what it was made from is here: it is unpacked again beside it, on the
 * same lower layers, and compared node by node, so that each damaged file is named. That needs room for one layer at a time, costs as
 * much as an import, and nothing at a pull. */
#pragma once

#include "image/store.h"

#include <stdbool.h>

struct verify_options {
	bool all;   /* the whole store: also blobs that no image of the list needs */
	bool quick; /* layers are only looked for */
	image_progress_fn *progress;
	void *arg;
};

/* Of an image without manifest_digest (the layers of a container) only that the layers are there. The caller frees *ret
 * (berth__verify_reply__free_unpacked). Negative: it could not be found out. */
int image_verify(struct image_store *s, const Berth__Image *const *images, size_t n, const struct verify_options *o,
		 Berth__VerifyReply **ret, struct err *e);

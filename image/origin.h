/* image/origin.h - where the blobs of an image come from: the files of a layout, or a registry. */
#pragma once

#include "image/oci.h"
#include "image/source.h"

struct origin {
	/* One blob, whole and verified; ret is closed by the caller. */
	int (*open)(struct origin *o, const struct oci_descriptor *d, struct source_part *ret, struct err *e);
	/* These will be asked for, in this order: what takes time may begin now. NULL: nothing to prepare. */
	int (*expect)(struct origin *o, const struct oci_descriptor *d, unsigned n, struct err *e);
};

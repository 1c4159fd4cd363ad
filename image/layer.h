/* image/layer.h - layers/<chain hex>: made once, however many images and imports want it. */
#pragma once

#include "image/source.h"
#include "image/store.h"

/* Unpacks the blob unless the layer is there. lower_fd: the layers below, topmost first. The layer's descriptor (caller closes). */
int layer_make(struct image_store *s, const char *chain_id, const char *diff_id, const struct source_part *blob,
	       const int *lower_fd, unsigned n_lower, struct err *e);
int layer_look(struct image_store *s, const char *chain_id); /* opens it; -1: not there */
/* An empty folder at path in the store, as a layer's is before it is unpacked; what was there goes. Opened. */
int layer_begin(struct image_store *s, const char *path, struct err *e);
bool layer_is_there(struct image_store *s, const char *chain_id);
/* What its files hold and what they take on the disk (in 512 byte blocks); hard links count once. */
int layer_size(int fd, uint64_t *bytes, uint64_t *blocks);

/* supervisor/image.h - the images that berthd knows: an index in memory of what jobs put on the disk. */
#pragma once

#include "proto/berth.pb-c.h"
#include "supervisor/supervisor.h"

struct image {
	struct table_node node; /* supervisor.images */
	Berth__Image *obj;	/* owned */
	bool changing;		/* a write of its row is on the way */
	bool removing;		/* its row is being deleted: it is not found any more */
};

int image_load(struct supervisor *sv, struct err *e); /* at start */
/* By name, id ("sha256:…", or hex prefix of at least 12), or uuid. NULL: e is filled. */
struct image *image_find(struct supervisor *sv, const char *ref, struct err *e);
void image_fini(struct supervisor *sv);
/* STATE/images/layers/<hex> of a chain id. */
void image_layer_path(const struct supervisor *sv, const char *chain_id, char *buf, unsigned size);

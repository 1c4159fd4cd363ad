/* supervisor/image.h - the images that berthd knows: an index in memory of what jobs put on the disk. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"
#include "supervisor/client.h"
#include "supervisor/supervisor.h"

struct image {
	struct table_node node; /* supervisor.images */
	Berth__Image *obj;	/* owned */
	bool removing;		/* its row is being deleted: it is not found any more */
};

/* Somebody waits for an image to be there. Who asked for the same shares the work, which ends when the last has gone. */
struct image_wait {
	struct list link;      /* import.waits */
	struct import *import; /* NULL: it does not wait */
	struct parked
		parked; /* gets the progress; when it is taken back or its client goes away, the wait ends. 0: nobody */
	/* Once, from the loop, when it waits no more: the images as they are in the index, or what went wrong. */
	void (*done)(struct image_wait *w, const Berth__ImageReply *found, const Berth__Error *error);
};

/* Is what is asked for here? 1: *ret is it. 0: it has to be pulled. Negative: it cannot be had (e; the step is a field of the request or "image").
 * who NULL: he was looked at before. */
int image_want(struct supervisor *sv, const struct principal *who, const Berth__ImagePull *ask, struct image **ret,
	       struct err *e);
/* Begins to pull, or joins who does. Negative: w->done is not called. */
int image_pull(struct supervisor *sv, const char *project, const char *owner, const Berth__ImagePull *ask,
	       struct image_wait *w, struct err *e);
void image_wait_forget(struct image_wait *w); /* done is not called any more; harmless if it does not wait */

int image_load(struct supervisor *sv, struct err *e); /* at start */
/* By name, id ("sha256:…", or hex prefix of at least 12), or uuid. NULL: e is filled. */
struct image *image_find(struct supervisor *sv, const char *ref, struct err *e);
void image_fini(struct supervisor *sv);
bool image_layer_is_needed(struct supervisor *sv, const char *id); /* by an image or a container */
/* STATE/images/layers/<hex> of a chain id. */
void image_layer_path(const struct supervisor *sv, const char *chain_id, char *buf, unsigned size);

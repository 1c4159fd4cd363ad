/* image/commit.h - the upper layer of a container becomes a layer on those of the image below it: a new image in the store. */
#pragma once

#include "image/pack.h"
#include "image/store.h"

struct commit_how {
	const char *manifest_digest; /* of the image below */
	const char *name;	     /* canonical; "": none */
	const Berth__ImageConfig
		*config; /* what a container of the new image is made from; the rest is taken over from below */
	const char *author, *message, *created_by; /* NULL: nothing is said */
	uint32_t first_id;			   /* of the container's user namespace; 0: none */
	bool (*skip)(void *arg, const char *path); /* as in image/pack.h */
	void (*note)(void *arg, const char *path, const char *what);
	/* Around the reading of the upper layer: from the one to the other nothing is to change in it. */
	int (*begin)(void *arg, struct err *e);
	void (*end)(void *arg);
	void *arg;
};

/* upper_fd -1: it has changed nothing. ret: as image_import gives it, freed by the caller; it shares no bytes with how. */
int image_commit(struct image_store *s, int upper_fd, const struct commit_how *how, image_progress_fn *progress,
		 void *arg, Berth__Image ***ret, size_t *ret_n, struct err *e);

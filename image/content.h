/* image/content.h - all of an image as the store has it: its manifest, and every blob that this names, open. What is removed or swept
 * from now on stays readable, so whoever sends an image away holds nobody up. */
#pragma once

#include "image/oci.h"
#include "image/source.h"
#include "image/store.h"

struct content_blob {
	struct oci_descriptor d;
	struct source_part part;
};

struct content {
	struct oci_descriptor root; /* of the manifest; without a name */
	char *json;		    /* owned: the manifest */
	struct oci_manifest manifest;
	struct content_blob
		*blob; /* owned: the config, then the layers, lowest first, each once, without foreign ones */
	unsigned n_blobs;
};

/* dir: STATE/images, which is only read. ret_blobs_fd (may be NULL): the folder below it that has all that is read. */
int content_store_open(struct image_store *s, const char *dir, int *ret_blobs_fd, struct err *e);
int content_open(struct image_store *s, const char *manifest_digest, struct content *ret, struct err *e);
void content_close(struct content *c);
/* NULL: not among them. */
struct content_blob *content_find(struct content *c, const char *digest);
/* Is it what its digest says? -EBADMSG: no. */
int content_verify(const struct content_blob *b, struct err *e);

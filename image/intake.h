/* image/intake.h - what imports and pulls share: from an index or a manifest to a Berth__Image, whatever brings the blobs. */
#pragma once

#include "image/origin.h"
#include "image/reference.h"
#include "image/store.h"

struct intake {
	struct image_store *store;
	struct origin *origin;
	char architecture[32], variant[32]; /* what is wanted; the host's by default */
	char name[REFERENCE_SIZE];	    /* instead of the names found, or "" */
	image_progress_fn *progress;
	void *arg;
	Berth__Image **image; /* owned until intake_take */
	size_t n_images;
};

void intake_init(struct intake *in, struct image_store *s, struct origin *o, image_progress_fn *progress, void *arg);
/* What was found goes to the caller, or (NULL) is freed. */
void intake_end(struct intake *in, Berth__Image ***ret, size_t *ret_n);
void intake_say(const struct intake *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same about one blob: its figures and a line. */
void intake_say_of(const struct intake *in, const struct image_progress *p, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *size_text(uint64_t bytes, char buf[32]); /* "31.2 MB" */

/* The image of an index or manifest, by its media type; name: what the source calls it, or NULL. */
int intake_descriptor(struct intake *in, const struct oci_descriptor *d, const char *name, struct err *e);
/* The image of a manifest that is known. */
int intake_image(struct intake *in, const struct oci_manifest *m, const char *manifest_digest, const char *name,
		 struct err *e);
/* Another name of an image that is there. What is no proper name is no name. */
int intake_name(struct intake *in, const char *manifest_digest, const char *name, struct err *e);
int intake_platforms_refuse(const struct intake *in, const struct oci_descriptor *d, unsigned n, struct err *e);

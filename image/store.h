/* image/store.h - images on disk, below STATE/images: an OCI image layout (blobs/sha256/…) and unpacked layers.
 *
 *   blobs/sha256/<hex>      manifests, configs, compressed layers; written as tmp, verified, fsynced, renamed
 *   layers/<chain hex>/     one unpacked layer; complete or absent (unpacked in tmp/, fsynced, renamed)
 *   partial/<hex>           blobs on their way from a registry (image/partial.h)
 *   damaged/                what is known to be damaged (image/damaged.h)
 *   tmp/                    of running jobs; swept at start
 *   lock                    flock: shared by imports and pulls, alone for a sweep
 *
 * Only jobs (berth-job) write here. berthd keeps what it needs of an image in its own store. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

struct image_store {
	int dir_fd;
	int lock_fd;
	uint64_t
		unpack_left; /* bytes that archives may still come to, decompressed; at first what the disk has room for */
};

int image_store_open(struct image_store *s, const char *dir, struct err *e); /* makes what is missing */
/* "unpack_max=BYTES": no more than that, whatever the disk has. -EINVAL: it is another word. */
int image_store_limit(struct image_store *s, const char *word);
void image_store_close(struct image_store *s);
/* No sweep while we are at it; until the store is closed. */
int image_store_share(struct image_store *s, struct err *e);
void image_store_unshare(struct image_store *s);

struct image_progress {
	const char *part;  /* digest of the blob that this is about, or NULL */
	const char *state; /* of the part: "waiting", "downloading", "unpacking", "complete" … */
	uint64_t at, size; /* bytes of it */
	const char *text;  /* a line for a person, or NULL: only the figures have changed */
};
typedef void image_progress_fn(void *arg, const struct image_progress *p);

/* Imports everything found in source (folder or tar, OCI layout or docker-archive, by content). One Berth__Image per image
 * (only names, image_id, manifest_digest, layers, size, config, image_created_at are set), freed by the caller. progress may be NULL. */
int image_import(struct image_store *s, int source_fd, const char *name_override, image_progress_fn *progress,
		 void *arg, Berth__Image ***ret, size_t *ret_n, struct err *e);
/* Removes every blob and layer that no image in the list needs, tmp/, and what lies in partial/ for partial_kept_ns. An image without manifest_digest keeps only its layers;
 * one without meta stands for a container.
 * What was made or renewed since listed_ns (wall clock: when the list was made) stays. -EWOULDBLOCK beside an import. */
int image_sweep(struct image_store *s, const Berth__Image *const *keep, size_t n, int64_t listed_ns,
		int64_t partial_kept_ns, uint64_t *ret_freed_bytes, struct err *e);

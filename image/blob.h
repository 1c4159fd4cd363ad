/* image/blob.h - blobs/sha256/<hex>: written below tmp/, verified, fsynced, renamed. A blob that is there is whole; what a
 * disk made of it since is another matter (image/damaged.h). */
#pragma once

#include "image/oci.h"
#include "image/source.h"
#include "image/space.h"
#include "image/store.h"

/* Copies. want NULL: whatever its digest is. ret_digest may be NULL. A blob that exists is kept, its times renewed (a sweep
 * that started before leaves it alone). */
int blob_put(struct image_store *s, const struct source_part *from, const char *want, char ret_digest[DIGEST_SIZE],
	     struct err *e);
int blob_put_bytes(struct image_store *s, const void *data, size_t len, char ret_digest[DIGEST_SIZE], struct err *e);
/* With that length and not known to be damaged, and a small one has its digest. Also renews its times. */
bool blob_is_there(struct image_store *s, const char *digest, uint64_t length);
/* Is it damaged? All of it is read; then it is marked. */
bool blob_look_damaged(struct image_store *s, const char *digest);
/* O_RDONLY; -ENOENT. */
int blob_open(struct image_store *s, const char *digest, struct err *e);
int blob_part(struct image_store *s, const char *digest, struct source_part *ret, struct err *e); /* all of it */
/* A small one (OCI_JSON_MAX) whole; the caller frees it. */
int blob_read(struct image_store *s, const char *digest, char **ret, size_t *ret_len, struct err *e);

/* One that is made piece by piece. It is nowhere until blob_out_end, and closing it before that forgets it. */
struct digest;
struct blob_out {
	struct image_store *store;
	int fd;
	struct digest *sum;
	struct space space;
	uint64_t bytes;
};
int blob_out_begin(struct blob_out *b, struct image_store *s, struct err *e);
int blob_out_add(struct blob_out *b, const void *data, size_t len, struct err *e);
int blob_out_end(struct blob_out *b, char ret_digest[DIGEST_SIZE], struct err *e);
void blob_out_close(struct blob_out *b); /* of one that was not ended; else harmless */

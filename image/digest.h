/* image/digest.h - sha256 as "sha256:<hex>", by libcrypto. */
#pragma once

#include "image/oci.h"

struct digest;

struct digest *digest_new(void); /* NULL: no memory */
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, char ret[DIGEST_SIZE]); /* frees d */
void digest_free(struct digest *d);			  /* of one that was not ended; NULL is fine */
void digest_of(const void *data, size_t len, char ret[DIGEST_SIZE]);

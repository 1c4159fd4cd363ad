/* image/ahead.h - a layer's plain bytes, decompressed and hashed by a thread that is a little ahead of who makes files of them: the one
 * is work of ours, the other the kernel's, and each is about half of an unpacking. */
#pragma once

#include "image/digest.h"
#include "image/source.h"

#include <sys/types.h>

struct ahead;

/* At most max bytes may come out of it. NULL: e is filled. */
struct ahead *ahead_open(const struct source_part *from, uint64_t max, struct err *e);
/* The next bytes, which stay until the next call. 0 at the end, negative errno with e filled. *ret_taken: bytes of the source that were
 * used up for them. */
ssize_t ahead_read(struct ahead *a, const void **ret, uint64_t *ret_taken, struct err *e);
/* Of all of it, once ahead_read has said 0. */
void ahead_digest(struct ahead *a, char ret[DIGEST_SIZE]);
void ahead_close(struct ahead *a); /* NULL is fine */

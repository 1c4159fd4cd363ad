/* image/behind.h - bytes that are used up by a thread a little behind who has them: while files are read, what was read before them is
 * hashed and compressed. */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct behind;

/* take is called by the thread, with piece after piece; its first error is the last call. NULL: e is filled. */
struct behind *behind_open(int (*take)(void *arg, const void *data, size_t len, struct err *e), void *arg,
			   struct err *e);
/* They are copied. An error is that of an earlier piece. */
int behind_add(struct behind *b, const void *data, size_t len, struct err *e);
/* All of it was taken, or why not; then what take has changed is the caller's again. */
int behind_end(struct behind *b, struct err *e);
void behind_close(struct behind *b); /* NULL is fine. Of one that was not ended: waits for what was given, too */

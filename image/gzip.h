/* image/gzip.h - bytes into a gzip stream, by isa-l. Layers that we make are gzip and not zstd: everything that reads images reads it,
 * also what is older than zstd's media type (2019), and isa-l makes it as fast as a disk takes it. The same bytes give the same stream. */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct gzip;

/* put gets the stream, piece by piece. NULL: no memory. */
struct gzip *gzip_new(int (*put)(void *arg, const void *data, size_t len, struct err *e), void *arg);
int gzip_add(struct gzip *g, const void *data, size_t len, struct err *e);
int gzip_end(struct gzip *g, struct err *e);
void gzip_free(struct gzip *g); /* NULL is fine */

/* image/stream.h - the plain bytes of a piece of a file or of a pipe, decompressed on the way: gzip, zstd or neither, told by
 * the first bytes. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STREAM_TO_END UINT64_MAX

struct stream;

/* length bytes of fd from offset on, read with pread(2); STREAM_TO_END reads a pipe (or a file from where it stands) to its
 * end. fd is not taken. NULL: e is filled; xz, bzip2 and lz4 are refused by name. */
struct stream *stream_open(int fd, uint64_t offset, uint64_t length, struct err *e);
void stream_close(struct stream *s);

/* Some bytes (at least one), 0 at the end, negative errno with e filled: a stream that is cut or damaged. */
ssize_t stream_read(struct stream *s, void *buf, size_t size, struct err *e);
uint64_t stream_taken(const struct stream *s);	   /* bytes of the source that were used up */
const char *stream_format(const struct stream *s); /* "gzip", "zstd", "plain" */

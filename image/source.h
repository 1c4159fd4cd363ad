/* image/source.h - where an image is imported from, as files by name: a folder, or a tar of it. What it holds (OCI layout or
 * docker-archive) is told by its content, never by its name. A pipe or a compressed tar is first spooled into an unnamed file. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_file;

struct image_source {
	int fd; /* owned: the folder, or the tar */
	bool folder;
	struct source_file *file; /* owned: what the tar holds */
	size_t n_files, size, name_bytes;
};

struct source_part { /* where the bytes of one file are */
	int fd;
	bool fd_owned;
	uint64_t offset, length;
	uint64_t *
		left; /* what layer_unpack may make of it, decompressed; counted down. NULL: what the disk has room for */
	void (*tick)(void *arg, uint64_t at); /* while it is read by layer_unpack: how far. NULL: nobody asks */
	void *tick_arg;
};

/* fd is not taken; spool_dir_fd: a folder for the unnamed file, of at most that many bytes. */
int image_source_open(struct image_source *s, int fd, int spool_dir_fd, uint64_t spool_max, struct err *e);
void image_source_close(struct image_source *s);

bool image_source_has(struct image_source *s, const char *path);
int image_source_find(struct image_source *s, const char *path, struct source_part *ret, struct err *e);
void source_part_close(struct source_part *p);
/* A small one whole, NUL added; the caller frees it. -EFBIG over max. */
int source_part_read(const struct source_part *p, size_t max, char **ret, size_t *ret_len, struct err *e);
/* The same by name. */
int image_source_read(struct image_source *s, const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);

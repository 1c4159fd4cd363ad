/* image/export.h - images out of the store, as others take them: an OCI image layout (a folder, or a tar of it) or a docker-archive.
 * The same images give the same bytes. Each blob is checked by its digest on its way out. */
#pragma once

#include "image/content.h"

enum export_form { EXPORT_OCI_ARCHIVE = 1, EXPORT_OCI_FOLDER, EXPORT_DOCKER_ARCHIVE, EXPORT_FORM_N_ };

struct image_export {
	struct content *content; /* owned; one for each image */
	const Berth__Image *const *image;
	unsigned n;
	image_progress_fn *progress;
	void *arg;
	uint64_t bytes; /* written */
};

/* Opens all blobs: after that the store is not needed any more. Of an image manifest_digest and names are read: those under which it is
 * to be known. image stays the caller's, and there until export_close. */
int export_open(struct image_export *x, struct image_store *s, const Berth__Image *const *image, unsigned n,
		struct err *e);
/* fd: a folder, which must be empty, or where the archive goes to (a file, a pipe). */
int export_write(struct image_export *x, enum export_form form, int fd, struct err *e);
void export_close(struct image_export *x);

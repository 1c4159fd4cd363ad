/* image/content.c - see image/content.h */
#include "image/content.h"

#include "base/own.h"
#include "image/blob.h"
#include "image/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE (1u << 20)

int content_store_open(struct image_store *s, const char *dir, int *ret_blobs_fd, struct err *e)
{
	*s = (struct image_store){.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .lock_fd = -1};
	if (s->dir_fd < 0)
		return err_set(e, errno, "images", "%s", dir);
	if (!ret_blobs_fd)
		return 0;
	*ret_blobs_fd = openat(s->dir_fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_blobs_fd < 0 ? err_set(e, errno, "images", "%s/blobs/sha256", dir) : 0;
}

/* ---------------------------------------------------------------- opening */

static int gone(const char *digest, struct err *e)
{
	return err_set(
		e, 0, "images",
		"%s is not in the store any more: the image was removed meanwhile, or is damaged (pull or import it again)",
		digest);
}

static int root_read(struct image_store *s, const char *digest, struct content *c, struct err *e)
{
	char found[DIGEST_SIZE];
	size_t len;
	int r = blob_read(s, digest, &c->json, &len, e);

	if (r < 0)
		return r == -ENOENT ? gone(digest, e) : r;
	digest_of(c->json, len, found);
	if (strcmp(found, digest) != 0)
		return err_set(e, 0, "images", "%s: its content is %s: damaged (pull or import it again)", digest,
			       found);
	memcpy(c->root.digest, found, sizeof found);
	c->root.size = len;
	if ((r = oci_document_type(c->json, len, c->root.media_type, e)) < 0)
		return r;
	return oci_manifest_parse(c->json, len, &c->manifest, e);
}

static int blob_add(struct image_store *s, struct content *c, const struct oci_descriptor *d, struct err *e)
{
	struct content_blob *b = &c->blob[c->n_blobs];
	int r;

	if (content_find(c, d->digest))
		return 0;
	*b = (struct content_blob){.d = *d, .part = {.fd = -1}};
	if ((r = blob_part(s, d->digest, &b->part, e)) < 0)
		return r == -ENOENT ? gone(d->digest, e) : r;
	c->n_blobs++;
	if (b->part.length != d->size)
		return err_set(e, 0, "images",
			       "%s has %llu bytes and should have %llu: damaged (pull or import it again)", d->digest,
			       (unsigned long long)b->part.length, (unsigned long long)d->size);
	return 0;
}

int content_open(struct image_store *s, const char *manifest_digest, struct content *ret, struct err *e)
{
	struct content c = {0};
	int r;

	if (!oci_digest_is_valid(manifest_digest))
		return err_set(e, 0, "images", "'%.80s' is not a digest", manifest_digest);
	r = root_read(s, manifest_digest, &c, e);
	if (r == 0) {
		c.blob = calloc(c.manifest.n_layers + 1, sizeof *c.blob);
		r = c.blob ? blob_add(s, &c, &c.manifest.config, e) : err_set(e, ENOMEM, "images", "no memory");
	}
	for (unsigned i = 0; r == 0 && i < c.manifest.n_layers; i++)
		if (!oci_is_foreign(c.manifest.layer[i].media_type) && !c.manifest.layer[i].elsewhere)
			r = blob_add(s, &c, &c.manifest.layer[i], e);
	if (r < 0)
		content_close(&c);
	else
		*ret = c;
	return r;
}

void content_close(struct content *c)
{
	for (unsigned i = 0; i < c->n_blobs; i++)
		source_part_close(&c->blob[i].part);
	free(c->blob);
	free(c->json);
	oci_manifest_fini(&c->manifest);
	*c = (struct content){0};
}

struct content_blob *content_find(struct content *c, const char *digest)
{
	for (unsigned i = 0; i < c->n_blobs; i++)
		if (!strcmp(c->blob[i].d.digest, digest))
			return &c->blob[i];
	return NULL;
}

int content_verify(const struct content_blob *b, struct err *e)
{
	AUTO_FREE char *buf = malloc(READ_SIZE);
	struct digest *sum = buf ? digest_new() : NULL;
	char found[DIGEST_SIZE];
	uint64_t at = 0;
	ssize_t n = 0;

	if (!sum)
		return err_set(e, ENOMEM, "images", "no memory");
	while ((n = pread(b->part.fd, buf, READ_SIZE, (off_t)at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		digest_add(sum, buf, (size_t)n);
		at += (uint64_t)n;
	}
	if (n < 0) {
		digest_free(sum);
		return err_set(e, errno, "images", "read %s", b->d.digest);
	}
	digest_end(sum, found);
	if (!strcmp(found, b->d.digest))
		return 0;
	err_set(e, 0, "images", "%s: its content in the store is %s: damaged (pull or import it again)", b->d.digest,
		found);
	return -EBADMSG;
}

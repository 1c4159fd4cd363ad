/* image/import.c - from files to Berth__Image: which images a source holds, what of them fits this host. A docker-archive has no
 * manifests: one is made for each image, so that afterwards all images in the store are alike. */
#include "image/store.h"

#include "base/buf.h"
#include "base/own.h"
#include "image/blob.h"
#include "image/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

struct import {
	struct intake in;
	struct origin origin;
	struct image_store *store;
	struct image_source source;
};

/* ---------------------------------------------------------------- blobs */

static int layout_blob_put(struct import *im, const struct oci_descriptor *d, struct err *e)
{
	char path[96];
	struct source_part part;
	int r;

	snprintf(path, sizeof path, "blobs/sha256/%s", d->digest + 7);
	if ((r = image_source_find(&im->source, path, &part, e)) < 0)
		return err_wrap(e, "the source lacks a blob");
	if (part.length != d->size)
		r = err_set(e, 0, "import", "%s has %llu bytes and should have %llu", d->digest,
			    (unsigned long long)part.length, (unsigned long long)d->size);
	else
		r = blob_put(im->store, &part, d->digest, NULL, e);
	source_part_close(&part);
	return r;
}

static int layout_open(struct origin *o, const struct oci_descriptor *d, struct source_part *ret, struct err *e)
{
	struct import *im = container_of(o, struct import, origin);
	int r = layout_blob_put(im, d, e);

	return r < 0 ? r : blob_part(im->store, d->digest, ret, e);
}

static int layout_expect(struct origin *o, const struct oci_descriptor *d, unsigned n, struct err *e)
{
	struct import *im = container_of(o, struct import, origin);
	char text[32];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (!blob_is_there(im->store, d[i].digest, d[i].size))
			intake_say_of(&im->in, &(struct image_progress){d[i].digest, "copying", 0, d[i].size, NULL},
				      "layer %u of %u: copying %s", i + 1, n, size_text(d[i].size, text));
		r = layout_blob_put(im, &d[i], e);
	}
	return r;
}

/* What a docker-archive has is put into the store first: its digests must be known. */
static int store_open(struct origin *o, const struct oci_descriptor *d, struct source_part *ret, struct err *e)
{
	return blob_part(container_of(o, struct import, origin)->store, d->digest, ret, e);
}

/* ---------------------------------------------------------------- OCI layout */

/* Of the entries of index.json that have i's name, is i the one for this host? Entries without a platform stand for themselves. */
static bool entry_is_chosen(const struct import *im, const struct oci_descriptor *list, unsigned n, unsigned i)
{
	if (oci_platform_pick(&list[i], 1, im->in.architecture, im->in.variant) < 0)
		return false;
	if (!list[i].os[0])
		return true;
	for (unsigned k = 0; k < n; k++) {
		struct oci_descriptor two[2] = {list[i], list[k]};

		if (k != i && list[k].os[0] && !strcmp(list[k].name, list[i].name) &&
		    oci_platform_pick(two, 2, im->in.architecture, im->in.variant) == 1)
			return false;
	}
	return true;
}

static int layout_import(struct import *im, struct err *e)
{
	AUTO_FREE struct oci_descriptor *list = NULL;
	AUTO_FREE char *json = NULL;
	AUTO_FREE char *layout = NULL;
	unsigned n, chosen = 0;
	size_t len;
	int r;

	if ((r = image_source_read(&im->source, "oci-layout", 4096, &layout, &len, e)) < 0 ||
	    (r = oci_layout_parse(layout, len, e)) < 0 ||
	    (r = image_source_read(&im->source, "index.json", OCI_JSON_MAX, &json, &len, e)) < 0 ||
	    (r = oci_index_parse(json, len, &list, &n, e)) < 0)
		return r;
	for (unsigned i = 0; i < n; i++)
		chosen += entry_is_chosen(im, list, n, i);
	if (!chosen)
		return intake_platforms_refuse(&im->in, list, n, e);
	if (im->in.name[0] && chosen > 1)
		return err_set(e, 0, "import", "the source holds %u images: one name cannot be given to all of them",
			       chosen);
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (!entry_is_chosen(im, list, n, i))
			continue;
		r = intake_descriptor(&im->in, &list[i], list[i].name, e);
		if (r < 0 && list[i].name[0])
			err_wrap(e, "image '%.100s'", list[i].name);
	}
	return r;
}

/* ---------------------------------------------------------------- docker-archive */

static int docker_blob_put(struct import *im, const char *path, struct oci_descriptor *d, struct err *e)
{
	struct source_part part;
	int r = image_source_find(&im->source, path, &part, e);

	if (r < 0)
		return err_wrap(e, "the source lacks a file");
	d->size = part.length;
	r = blob_put(im->store, &part, NULL, d->digest, e);
	source_part_close(&part);
	return r;
}

/* "sha256:<hex>.json" or "<hex>.json" or "blobs/sha256/<hex>": then the content must fit. */
static int config_name_check(const char *path, const char *digest, struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (strspn(name, "0123456789abcdef") == 64 && strncmp(name, digest + 7, 64))
		return err_set(e, 0, "import", "%.120s: its content is %s: damaged or forged", path, digest);
	return 0;
}

/* The compression is not told by the name: two bytes say it. */
static int docker_layer_type(struct image_store *s, struct oci_descriptor *d, struct err *e)
{
	unsigned char magic[4] = {0};
	AUTO_FD fd = blob_open(s, d->digest, e);

	if (fd < 0)
		return fd;
	if (pread(fd, magic, sizeof magic, 0) < 0)
		return err_set(e, errno, "import", "%s", d->digest);
	snprintf(d->media_type, sizeof d->media_type, "application/vnd.oci.image.layer.v1.tar%s",
		 magic[0] == 0x1f && magic[1] == 0x8b	 ? "+gzip"
		 : !memcmp(magic, "\x28\xb5\x2f\xfd", 4) ? "+zstd"
							 : "");
	return 0;
}

static int docker_blobs_put(struct import *im, const struct oci_docker *d, struct oci_manifest *m, struct err *e)
{
	int r = docker_blob_put(im, d->config, &m->config, e);

	if (r < 0 || (r = config_name_check(d->config, m->config.digest, e)) < 0)
		return r;
	m->layer = calloc(d->n_layers ? d->n_layers : 1, sizeof *m->layer);
	if (!m->layer)
		return err_set(e, ENOMEM, "import", "layers");
	for (; m->n_layers < d->n_layers; m->n_layers++) {
		struct oci_descriptor *layer = &m->layer[m->n_layers];

		intake_say(&im->in, "layer %u of %u: copying", m->n_layers + 1, d->n_layers);
		if ((r = docker_blob_put(im, d->layer[m->n_layers], layer, e)) < 0 ||
		    (r = docker_layer_type(im->store, layer, e)) < 0)
			return r;
	}
	return 0;
}

static int docker_image_import(struct import *im, const struct oci_docker *d, struct err *e)
{
	struct oci_manifest m = {0};
	char digest[DIGEST_SIZE];
	struct buf json;
	int r = docker_blobs_put(im, d, &m, e);

	buf_init(&json, OCI_JSON_MAX);
	if (r == 0 && oci_manifest_make(&m, &json) < 0)
		r = err_set(e, ENOMEM, "import", "manifest");
	if (r == 0)
		r = blob_put_bytes(im->store, json.data, json.len, digest, e);
	if (r == 0)
		r = intake_image(&im->in, &m, digest, d->n_names ? d->name[0] : NULL, e);
	for (unsigned i = 1; r == 0 && i < d->n_names; i++)
		r = intake_name(&im->in, digest, d->name[i], e);
	buf_fini(&json);
	oci_manifest_fini(&m);
	return r;
}

static int docker_import(struct import *im, struct err *e)
{
	AUTO_FREE char *json = NULL;
	struct oci_docker *list;
	unsigned n;
	size_t len;
	int r;

	if ((r = image_source_read(&im->source, "manifest.json", OCI_JSON_MAX, &json, &len, e)) < 0 ||
	    (r = oci_docker_parse(json, len, &list, &n, e)) < 0)
		return r;
	if (im->in.name[0] && n > 1)
		r = err_set(e, 0, "import", "the source holds %u images: one name cannot be given to all of them", n);
	for (unsigned i = 0; i < n && r == 0; i++) {
		r = docker_image_import(im, &list[i], e);
		if (r < 0)
			err_wrap(e, "image %u%s%.100s", i + 1, list[i].n_names ? " " : "",
				 list[i].n_names ? list[i].name[0] : "");
	}
	oci_docker_free(list, n);
	return r;
}

/* ---------------------------------------------------------------- the whole */

static int source_import(struct import *im, int source_fd, struct err *e)
{
	AUTO_FD spool = openat(im->store->dir_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (spool < 0)
		return err_set(e, errno, "import", "tmp");
	intake_say(&im->in, "reading the source");
	if ((r = image_source_open(&im->source, source_fd, spool, im->store->unpack_left, e)) < 0)
		return r;
	/* Newer Docker writes both into one archive; the layout says more. */
	if (image_source_has(&im->source, "index.json") && image_source_has(&im->source, "oci-layout")) {
		im->origin = (struct origin){.open = layout_open, .expect = layout_expect};
		r = layout_import(im, e);
	} else if (image_source_has(&im->source, "manifest.json")) {
		im->origin = (struct origin){.open = store_open};
		r = docker_import(im, e);
	} else {
		r = err_set(
			e, 0, "import",
			"neither an OCI image layout (oci-layout, index.json) nor a docker-archive (manifest.json)");
	}
	image_source_close(&im->source);
	if (r == 0 && !im->in.n_images)
		r = err_set(e, 0, "import", "no image in it has a layer: there is nothing to run");
	return r;
}
int image_import(struct image_store *s, int source_fd, const char *name_override, image_progress_fn *progress,
		 void *arg, Berth__Image ***ret, size_t *ret_n, struct err *e)
{
	struct import im = {.store = s};
	int r;

	intake_init(&im.in, s, &im.origin, progress, arg);
	if (name_override && *name_override && (r = reference_canonical(name_override, im.in.name, e)) < 0)
		return r;
	if ((r = image_store_share(s, e)) < 0)
		return r;
	r = source_import(&im, source_fd, e);
	flock(s->lock_fd, LOCK_UN);
	intake_end(&im.in, r < 0 ? NULL : ret, ret_n);
	return r;
}

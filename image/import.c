/* image/import.c - from a source to Berth__Image: which images it holds, what of them fits this host, their blobs verified
 * into the store, their layers unpacked. A docker-archive has no manifests: one is made for each image, so that afterwards all
 * images in the store are alike. */
#include "image/store.h"

#include "base/buf.h"
#include "base/own.h"
#include "image/blob.h"
#include "image/layer.h"
#include "image/oci.h"
#include "image/reference.h"
#include "image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define INDEX_NESTING_MAX 3

struct import {
	struct image_store *store;
	struct image_source source;
	char architecture[32], variant[32];
	char name[REFERENCE_SIZE]; /* instead of the names found, or "" */
	void (*progress)(void *arg, const char *text);
	void *arg;
	Berth__Image **image; /* owned until the end */
	size_t n_images;
};

static void say(struct import *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct import *im, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!im->progress)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	im->progress(im->arg, text);
}

static const char *size_text(uint64_t bytes, char buf[32])
{
	if (bytes < 1000000)
		snprintf(buf, 32, "%llu kB", (unsigned long long)(bytes + 999) / 1000);
	else
		snprintf(buf, 32, "%.1f MB", (double)bytes / 1e6);
	return buf;
}

/* ---------------------------------------------------------------- Berth__Image */

static int text_set(char **field, const char *text, struct err *e)
{
	*field = strdup(text);
	return *field ? 0 : err_set(e, ENOMEM, "import", "image");
}

static int text_add(char ***list, size_t *n, const char *text, struct err *e)
{
	char **more = realloc(*list, (*n + 1) * sizeof *more);

	if (!more)
		return err_set(e, ENOMEM, "import", "image");
	*list = more;
	if (text_set(&more[*n], text, e) < 0)
		return -ENOMEM;
	(*n)++;
	return 0;
}

/* What is no proper name is no name: the image can still be used by its id. */
static int name_add(struct import *im, Berth__Image *image, const char *name, struct err *e)
{
	char canonical[REFERENCE_SIZE];

	if (im->name[0])
		name = im->name;
	if (!name || !*name || reference_canonical(name, canonical, NULL) < 0)
		return 0;
	for (size_t i = 0; i < image->n_names; i++)
		if (!strcmp(image->names[i], canonical))
			return 0;
	return text_add(&image->names, &image->n_names, canonical, e);
}

/* The image of that manifest, a new one if it is not there yet. */
static Berth__Image *image_get(struct import *im, const char *manifest_digest, const char *image_id, struct err *e)
{
	Berth__Image **more, *image;

	for (size_t i = 0; i < im->n_images; i++)
		if (!strcmp(im->image[i]->manifest_digest, manifest_digest))
			return im->image[i];
	more = realloc(im->image, (im->n_images + 1) * sizeof(Berth__Image *));
	image = more ? malloc(sizeof *image) : NULL;
	if (more)
		im->image = more;
	if (!image) {
		err_set(e, ENOMEM, "import", "image");
		return NULL;
	}
	berth__image__init(image);
	if (text_set(&image->manifest_digest, manifest_digest, e) < 0 || text_set(&image->image_id, image_id, e) < 0) {
		berth__image__free_unpacked(image, NULL);
		return NULL;
	}
	im->image[im->n_images++] = image;
	return image;
}

/* ---------------------------------------------------------------- layers and config */

static void fds_close(int *fd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close_fd(&fd[i]);
}

static int blob_part(struct image_store *s, const char *digest, struct source_part *ret, struct err *e)
{
	AUTO_FD fd = blob_open(s, digest, e);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (fd < 0)
		return fd;
	if (end < 0)
		return err_set(e, errno, "import", "%s", digest);
	*ret = (struct source_part){.fd = take_fd(&fd), .fd_owned = true, .length = (uint64_t)end};
	return 0;
}

static int platform_check(const struct import *im, const struct oci_image *config, struct err *e)
{
	const char *os = config->config->os, *architecture = config->config->architecture;

	if (os && strcmp(os, "linux"))
		return err_set(e, 0, "import", "the image is for %.40s, not for linux", os);
	if (architecture && strcmp(architecture, im->architecture))
		return err_set(e, 0, "import", "the image is for %.40s, this host is %s", architecture,
			       im->architecture);
	return 0;
}

/* All layers, lowest first, each on top of the ones before; the chain ids and the size go into the image. */
static int layers_make(struct import *im, const struct oci_manifest *m, const struct oci_image *config,
		       Berth__Image *image, struct err *e)
{
	/* Topmost first, as overlayfs and the unpacker want them: filled from the end. */
	int lower[OCI_LAYERS_MAX];
	char chain[DIGEST_SIZE], parent[DIGEST_SIZE], text[32];
	uint64_t bytes, blocks, total = 0;
	unsigned n = m->n_layers;
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		struct source_part blob;
		int fd;

		oci_chain_id(i ? parent : NULL, config->diff_id[i], chain);
		memcpy(parent, chain, sizeof parent);
		if ((r = blob_part(im->store, m->layer[i].digest, &blob, e)) < 0) {
			fds_close(lower + n - i, i);
			return r;
		}
		if (!layer_is_there(im->store, chain))
			say(im, "layer %u of %u: unpacking %s", i + 1, n, size_text(m->layer[i].size, text));
		fd = layer_make(im->store, chain, config->diff_id[i], &blob, lower + n - i, i, e);
		source_part_close(&blob);
		if (fd < 0) {
			fds_close(lower + n - i, i);
			return err_wrap(e, "layer %u of %u", i + 1, n);
		}
		lower[n - 1 - i] = fd;
		r = text_add(&image->layers, &image->n_layers, chain, e);
		if (r == 0 && (r = layer_size(fd, &bytes, &blocks)) < 0)
			r = err_set(e, r, "import", "size of layer %u", i + 1);
		total += r == 0 ? bytes : 0;
		if (r < 0)
			fds_close(lower + n - 1 - i, i + 1);
	}
	if (r < 0)
		return r;
	fds_close(lower, n);
	image->has_size_bytes = true;
	image->size_bytes = total;
	return 0;
}

/* The blobs of m and its manifest are in the store. */
static int image_make(struct import *im, const struct oci_manifest *m, const char *manifest_digest, const char *name,
		      struct err *e)
{
	struct oci_image config = {0};
	AUTO_FREE char *json = NULL;
	Berth__Image *image;
	size_t len;
	int r;

	if ((r = blob_read(im->store, m->config.digest, &json, &len, e)) < 0 ||
	    (r = oci_image_parse(json, len, &config, e)) < 0)
		return r;
	r = platform_check(im, &config, e);
	if (r == 0 && config.n_diff_ids != m->n_layers)
		r = err_set(e, 0, "import", "the manifest has %u layers, the config %u", m->n_layers,
			    config.n_diff_ids);
	/* A base to build upon, with nothing in it to run: no reason to refuse what lies beside it. */
	if (r == 0 && !m->n_layers) {
		say(im, "image %s has no layers: left out", name && *name ? name : manifest_digest);
		oci_image_fini(&config);
		return 0;
	}
	if (r == 0) {
		image = image_get(im, manifest_digest, m->config.digest, e);
		r = image ? name_add(im, image, name, e) : -ENOMEM;
	}
	if (r == 0 && !image->config) {
		r = layers_make(im, m, &config, image, e);
		image->config = take_ptr(config.config);
		image->has_image_created_at = true;
		image->image_created_at = config.created_at;
	}
	oci_image_fini(&config);
	return r;
}

/* ---------------------------------------------------------------- OCI layout */

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

static int manifest_import(struct import *im, const struct oci_descriptor *d, const char *name, struct err *e)
{
	struct oci_manifest m;
	AUTO_FREE char *json = NULL;
	char text[32];
	size_t len;
	int r;

	if (d->size > OCI_JSON_MAX)
		return err_set(e, EFBIG, "import", "manifest %s", d->digest);
	if ((r = layout_blob_put(im, d, e)) < 0 || (r = blob_read(im->store, d->digest, &json, &len, e)) < 0 ||
	    (r = oci_manifest_parse(json, len, &m, e)) < 0)
		return r;
	r = m.config.size > OCI_JSON_MAX ? err_set(e, EFBIG, "import", "config %s", m.config.digest)
					 : layout_blob_put(im, &m.config, e);
	for (unsigned i = 0; r == 0 && i < m.n_layers; i++) {
		if (!blob_is_there(im->store, m.layer[i].digest, m.layer[i].size))
			say(im, "layer %u of %u: copying %s", i + 1, m.n_layers, size_text(m.layer[i].size, text));
		r = layout_blob_put(im, &m.layer[i], e);
	}
	if (r == 0)
		r = image_make(im, &m, d->digest, name, e);
	oci_manifest_fini(&m);
	return r;
}

static int platforms_refuse(const struct import *im, const struct oci_descriptor *d, unsigned n, struct err *e)
{
	struct buf found;
	int r;

	buf_init(&found, 300);
	for (unsigned i = 0; i < n && !found.failed; i++)
		if (d[i].os[0])
			buf_printf(&found, "%s%s/%s%s%s", found.len ? ", " : "", d[i].os, d[i].architecture,
				   d[i].variant[0] ? "/" : "", d[i].variant);
	r = err_set(e, 0, "import", "nothing in it is for linux/%s (found: %s)", im->architecture,
		    found.len ? found.data : "no image");
	buf_fini(&found);
	return r;
}

/* An index inside: one image for several platforms. Its blob is verified but only the chosen manifest is kept. */
static int index_import(struct import *im, const struct oci_descriptor *d, const char *name, unsigned nesting,
			struct err *e)
{
	AUTO_FREE struct oci_descriptor *list = NULL;
	AUTO_FREE char *json = NULL;
	unsigned n;
	size_t len;
	int r, pick;

	if (nesting > INDEX_NESTING_MAX)
		return err_set(e, 0, "import", "indexes within indexes");
	if (d->size > OCI_JSON_MAX)
		return err_set(e, EFBIG, "import", "index %s", d->digest);
	if ((r = layout_blob_put(im, d, e)) < 0 || (r = blob_read(im->store, d->digest, &json, &len, e)) < 0 ||
	    (r = oci_index_parse(json, len, &list, &n, e)) < 0)
		return r;
	pick = oci_platform_pick(list, n, im->architecture, im->variant);
	if (pick < 0)
		return platforms_refuse(im, list, n, e);
	if (oci_is_index(list[pick].media_type))
		return index_import(im, &list[pick], name, nesting + 1, e);
	return manifest_import(im, &list[pick], name, e);
}

/* Of the entries of index.json that have i's name, is i the one for this host? Entries without a platform stand for themselves. */
static bool entry_is_chosen(const struct import *im, const struct oci_descriptor *list, unsigned n, unsigned i)
{
	if (oci_platform_pick(&list[i], 1, im->architecture, im->variant) < 0)
		return false;
	if (!list[i].os[0])
		return true;
	for (unsigned k = 0; k < n; k++) {
		struct oci_descriptor two[2] = {list[i], list[k]};

		if (k != i && list[k].os[0] && !strcmp(list[k].name, list[i].name) &&
		    oci_platform_pick(two, 2, im->architecture, im->variant) == 1)
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
		return platforms_refuse(im, list, n, e);
	if (im->name[0] && chosen > 1)
		return err_set(e, 0, "import", "the source holds %u images: one name cannot be given to all of them",
			       chosen);
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (!entry_is_chosen(im, list, n, i))
			continue;
		r = oci_is_index(list[i].media_type) ? index_import(im, &list[i], list[i].name, 1, e)
						     : manifest_import(im, &list[i], list[i].name, e);
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

static int docker_manifest_make(const struct oci_manifest *m, struct buf *json)
{
	buf_printf(json,
		   "{\"schemaVersion\":2,\"mediaType\":\"application/"
		   "vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
		   "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%llu},\"layers\":[",
		   m->config.digest, (unsigned long long)m->config.size);
	for (unsigned i = 0; i < m->n_layers; i++)
		buf_printf(json, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", i ? "," : "",
			   m->layer[i].media_type, m->layer[i].digest, (unsigned long long)m->layer[i].size);
	buf_adds(json, "]}");
	return json->failed ? -ENOMEM : 0;
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

		say(im, "layer %u of %u: copying", m->n_layers + 1, d->n_layers);
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
	if (r == 0 && docker_manifest_make(&m, &json) < 0)
		r = err_set(e, ENOMEM, "import", "manifest");
	if (r == 0)
		r = blob_put_bytes(im->store, json.data, json.len, digest, e);
	if (r == 0)
		r = image_make(im, &m, digest, d->n_names ? d->name[0] : NULL, e);
	/* The image of this manifest is the last one or an earlier equal one. */
	for (unsigned i = 1; r == 0 && m.n_layers && i < d->n_names; i++)
		r = name_add(im, image_get(im, digest, m.config.digest, e), d->name[i], e);
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
	if (im->name[0] && n > 1)
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
	say(im, "reading the source");
	if ((r = image_source_open(&im->source, source_fd, spool, e)) < 0)
		return r;
	/* Newer Docker writes both into one archive; the layout says more. */
	if (image_source_has(&im->source, "index.json") && image_source_has(&im->source, "oci-layout"))
		r = layout_import(im, e);
	else if (image_source_has(&im->source, "manifest.json"))
		r = docker_import(im, e);
	else
		r = err_set(
			e, 0, "import",
			"neither an OCI image layout (oci-layout, index.json) nor a docker-archive (manifest.json)");
	image_source_close(&im->source);
	if (r == 0 && !im->n_images)
		r = err_set(e, 0, "import", "no image in it has a layer: there is nothing to run");
	return r;
}

static void images_free(Berth__Image **image, size_t n)
{
	for (size_t i = 0; i < n; i++)
		berth__image__free_unpacked(image[i], NULL);
	free(image);
}

int image_import(struct image_store *s, int source_fd, const char *name_override,
		 void (*progress)(void *arg, const char *text), void *arg, Berth__Image ***ret, size_t *ret_n,
		 struct err *e)
{
	struct import im = {.store = s, .progress = progress, .arg = arg};
	int r;

	if (name_override && *name_override && (r = reference_canonical(name_override, im.name, e)) < 0)
		return r;
	oci_host_platform(im.architecture, im.variant);
	while (flock(s->lock_fd, LOCK_SH) < 0)
		if (errno != EINTR)
			return err_set(e, errno, "import", "lock of the images");
	r = source_import(&im, source_fd, e);
	flock(s->lock_fd, LOCK_UN);
	if (r < 0) {
		images_free(im.image, im.n_images);
		return r;
	}
	*ret = im.image;
	*ret_n = im.n_images;
	return 0;
}

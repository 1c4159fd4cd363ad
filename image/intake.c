/* image/intake.c - see image/intake.h. Of an index only the manifest for the wanted platform is taken; the layers are unpacked in
 * order, each on top of the ones before. */
#include "image/intake.h"

#include "base/buf.h"
#include "base/loop.h"
#include "base/own.h"
#include "image/damaged.h"
#include "image/layer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_NESTING_MAX 3
#define TICK_NS		  (100 * NS_PER_MS)

void intake_init(struct intake *in, struct image_store *s, struct origin *o, image_progress_fn *progress, void *arg)
{
	*in = (struct intake){.store = s, .origin = o, .progress = progress, .arg = arg};
	oci_host_platform(in->architecture, in->variant);
}

void intake_end(struct intake *in, Berth__Image ***ret, size_t *ret_n)
{
	if (ret) {
		*ret = take_ptr(in->image);
		*ret_n = in->n_images;
	}
	for (size_t i = 0; in->image && i < in->n_images; i++)
		berth__image__free_unpacked(in->image[i], NULL);
	free(in->image);
	in->image = NULL;
	in->n_images = 0;
}

static void report(const struct intake *in, const struct image_progress *p)
{
	if (in->progress)
		in->progress(in->arg, p);
}

static void say(const struct intake *in, struct image_progress p, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
static void say(const struct intake *in, struct image_progress p, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof text, fmt, ap);
	p.text = text;
	report(in, &p);
}

void intake_say(const struct intake *in, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(in, (struct image_progress){0}, fmt, ap);
	va_end(ap);
}

void intake_say_of(const struct intake *in, const struct image_progress *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(in, *p, fmt, ap);
	va_end(ap);
}

const char *size_text(uint64_t bytes, char buf[32])
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
	return *field ? 0 : err_set(e, ENOMEM, "image", "image");
}

static int text_add(char ***list, size_t *n, const char *text, struct err *e)
{
	char **more = realloc(*list, (*n + 1) * sizeof *more);

	if (!more)
		return err_set(e, ENOMEM, "image", "image");
	*list = more;
	if (text_set(&more[*n], text, e) < 0)
		return -ENOMEM;
	(*n)++;
	return 0;
}

/* What is no proper name is no name: the image can still be used by its id. */
static int name_add(struct intake *in, Berth__Image *image, const char *name, struct err *e)
{
	char canonical[REFERENCE_SIZE];

	if (in->name[0])
		name = in->name;
	if (!name || !*name || reference_canonical(name, canonical, NULL) < 0)
		return 0;
	for (size_t i = 0; i < image->n_names; i++)
		if (!strcmp(image->names[i], canonical))
			return 0;
	return text_add(&image->names, &image->n_names, canonical, e);
}

static Berth__Image *image_find(const struct intake *in, const char *manifest_digest)
{
	for (size_t i = 0; i < in->n_images; i++)
		if (!strcmp(in->image[i]->manifest_digest, manifest_digest))
			return in->image[i];
	return NULL;
}

int intake_name(struct intake *in, const char *manifest_digest, const char *name, struct err *e)
{
	Berth__Image *image = image_find(in, manifest_digest);

	return image ? name_add(in, image, name, e) : 0;
}

/* The image of that manifest, a new one if it is not there yet. */
static Berth__Image *image_get(struct intake *in, const char *manifest_digest, const char *image_id, struct err *e)
{
	Berth__Image **more, *image = image_find(in, manifest_digest);

	if (image)
		return image;
	more = realloc(in->image, (in->n_images + 1) * sizeof(Berth__Image *));
	image = more ? malloc(sizeof *image) : NULL;
	if (more)
		in->image = more;
	if (!image) {
		err_set(e, ENOMEM, "image", "image");
		return NULL;
	}
	berth__image__init(image);
	if (text_set(&image->manifest_digest, manifest_digest, e) < 0 || text_set(&image->image_id, image_id, e) < 0) {
		berth__image__free_unpacked(image, NULL);
		return NULL;
	}
	in->image[in->n_images++] = image;
	return image;
}

/* ---------------------------------------------------------------- layers and config */

static void fds_close(int *fd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close_fd(&fd[i]);
}

static int platform_check(const struct intake *in, const struct oci_image *config, struct err *e)
{
	const char *os = config->config->os, *architecture = config->config->architecture;

	if (os && strcmp(os, "linux"))
		return err_set(e, 0, "image", "the image is for %.40s, not for linux", os);
	if (architecture && strcmp(architecture, in->architecture))
		return err_set(e, 0, "image", "the image is for %.40s, not for %s", architecture, in->architecture);
	return 0;
}

struct ticking { /* the unpacking of one layer, told as progress */
	const struct intake *in;
	const struct oci_descriptor *layer;
	uint64_t told_ns;
};

static void on_tick(void *arg, uint64_t at)
{
	struct ticking *t = arg;
	struct image_progress p = {t->layer->digest, "unpacking", at, t->layer->size, NULL};
	uint64_t now = now_ns();

	if (now - t->told_ns < TICK_NS)
		return;
	t->told_ns = now;
	report(t->in, &p);
}

/* One layer on top of those in lower; its descriptor. */
static int layer_get(struct intake *in, const struct oci_manifest *m, unsigned i, const char *chain,
		     const char *diff_id, const int *lower, struct err *e)
{
	struct ticking ticking = {.in = in, .layer = &m->layer[i]};
	struct image_progress p = {m->layer[i].digest, "unpacking", 0, m->layer[i].size, NULL};
	bool damaged = damaged_is(in->store, DAMAGED_LAYER, chain);
	struct source_part blob;
	char text[32];
	int fd, r = in->origin->open(in->origin, &m->layer[i], &blob, e);

	if (r < 0)
		return r;
	if (!layer_is_there(in->store, chain))
		intake_say_of(in, &p, "layer %u of %u: unpacking %s", i + 1, m->n_layers,
			      size_text(m->layer[i].size, text));
	blob.left = &in->store->unpack_left;
	blob.tick = on_tick;
	blob.tick_arg = &ticking;
	fd = layer_make(in->store, chain, diff_id, &blob, lower, i, e);
	source_part_close(&blob);
	p.state = "repaired";
	if (fd >= 0 && damaged)
		intake_say_of(in, &p, "layer %u of %u: what was here was damaged, and is replaced", i + 1, m->n_layers);
	p.state = "complete";
	p.at = p.size;
	if (fd >= 0)
		report(in, &p);
	return fd;
}

static int layer_note(Berth__Image *image, const struct oci_descriptor *blob, const char *chain, const char *diff_id,
		      uint64_t bytes, struct err *e)
{
	Berth__ImageLayer **more = realloc(image->layer_blobs, (image->n_layer_blobs + 1) * sizeof *more);
	Berth__ImageLayer *layer = more ? malloc(sizeof *layer) : NULL;

	if (more)
		image->layer_blobs = more;
	if (!layer)
		return err_set(e, ENOMEM, "image", "image");
	berth__image_layer__init(layer);
	image->layer_blobs[image->n_layer_blobs++] = layer;
	layer->has_blob_bytes = layer->has_size_bytes = true;
	layer->blob_bytes = blob->size;
	layer->size_bytes = bytes;
	layer->chain_id = strdup(chain);
	layer->diff_id = strdup(diff_id);
	layer->digest = strdup(blob->digest);
	layer->media_type = strdup(blob->media_type);
	return layer->chain_id && layer->diff_id && layer->digest && layer->media_type
		       ? 0
		       : err_set(e, ENOMEM, "image", "image");
}

/* All layers, lowest first, each on top of the ones before; the chain ids and the size go into the image. */
static int layers_make(struct intake *in, const struct oci_manifest *m, const struct oci_image *config,
		       Berth__Image *image, struct err *e)
{
	/* Topmost first, as overlayfs and the unpacker want them: filled from the end. */
	int lower[OCI_LAYERS_MAX];
	char chain[DIGEST_SIZE], parent[DIGEST_SIZE];
	uint64_t bytes, blocks, total = 0;
	unsigned n = m->n_layers;
	int r = 0;

	if (in->origin->expect && (r = in->origin->expect(in->origin, m->layer, n, e)) < 0)
		return r;
	for (unsigned i = 0; i < n && r == 0; i++) {
		int fd;

		oci_chain_id(i ? parent : NULL, config->diff_id[i], chain);
		memcpy(parent, chain, sizeof parent);
		fd = layer_get(in, m, i, chain, config->diff_id[i], lower + n - i, e);
		if (fd < 0) {
			fds_close(lower + n - i, i);
			return err_wrap(e, "layer %u of %u", i + 1, n);
		}
		lower[n - 1 - i] = fd;
		r = text_add(&image->layers, &image->n_layers, chain, e);
		if (r == 0 && (r = layer_size(fd, &bytes, &blocks)) < 0)
			r = err_set(e, r, "image", "size of layer %u", i + 1);
		if (r == 0)
			r = layer_note(image, &m->layer[i], chain, config->diff_id[i], bytes, e);
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

/* A small blob whole; the caller frees it. */
static int json_get(struct intake *in, const struct oci_descriptor *d, const char *what, char **ret, size_t *ret_len,
		    struct err *e)
{
	struct source_part part;
	int r;

	if (d->size > OCI_JSON_MAX)
		return err_set(e, EFBIG, "image", "%s %s: %llu bytes, and at most %u are taken", what, d->digest,
			       (unsigned long long)d->size, OCI_JSON_MAX);
	if ((r = in->origin->open(in->origin, d, &part, e)) < 0)
		return r;
	r = source_part_read(&part, OCI_JSON_MAX, ret, ret_len, e);
	source_part_close(&part);
	return r < 0 ? err_wrap(e, "%s %s", what, d->digest) : 0;
}

int intake_image(struct intake *in, const struct oci_manifest *m, const char *manifest_digest, const char *name,
		 struct err *e)
{
	struct oci_image config = {0};
	AUTO_FREE char *json = NULL;
	Berth__Image *image;
	size_t len;
	int r;

	if ((r = json_get(in, &m->config, "config", &json, &len, e)) < 0 ||
	    (r = oci_image_parse(json, len, &config, e)) < 0)
		return r;
	r = platform_check(in, &config, e);
	if (r == 0 && config.n_diff_ids != m->n_layers)
		r = err_set(e, 0, "image", "the manifest has %u layers, the config %u", m->n_layers, config.n_diff_ids);
	/* A base to build upon, with nothing in it to run: no reason to refuse what lies beside it. */
	if (r == 0 && !m->n_layers) {
		intake_say(in, "image %s has no layers: left out", name && *name ? name : manifest_digest);
		oci_image_fini(&config);
		return 0;
	}
	if (r == 0) {
		image = image_get(in, manifest_digest, m->config.digest, e);
		r = image ? name_add(in, image, name, e) : -ENOMEM;
	}
	if (r == 0 && !image->config) {
		r = layers_make(in, m, &config, image, e);
		image->config = take_ptr(config.config);
		image->has_image_created_at = true;
		image->image_created_at = config.created_at;
	}
	oci_image_fini(&config);
	return r;
}

/* ---------------------------------------------------------------- manifests and indexes */

static int manifest_take(struct intake *in, const struct oci_descriptor *d, const char *name, struct err *e)
{
	struct oci_manifest m;
	AUTO_FREE char *json = NULL;
	size_t len;
	int r;

	if ((r = json_get(in, d, "manifest", &json, &len, e)) < 0 || (r = oci_manifest_parse(json, len, &m, e)) < 0)
		return r;
	r = intake_image(in, &m, d->digest, name, e);
	oci_manifest_fini(&m);
	return r;
}

int intake_platforms_refuse(const struct intake *in, const struct oci_descriptor *d, unsigned n, struct err *e)
{
	struct buf found;
	int r;

	buf_init(&found, 300);
	for (unsigned i = 0; i < n && !found.failed; i++)
		if (d[i].os[0])
			buf_printf(&found, "%s%s/%s%s%s", found.len ? ", " : "", d[i].os, d[i].architecture,
				   d[i].variant[0] ? "/" : "", d[i].variant);
	r = err_set(e, 0, "image", "nothing in it is for linux/%s%s%s (found: %s)", in->architecture,
		    in->variant[0] ? "/" : "", in->variant, found.len ? found.data : "no image");
	buf_fini(&found);
	return r;
}

/* An index inside: one image for several platforms. Its blob is verified but only the chosen manifest is kept. */
static int index_take(struct intake *in, const struct oci_descriptor *d, const char *name, unsigned nesting,
		      struct err *e)
{
	AUTO_FREE struct oci_descriptor *list = NULL;
	AUTO_FREE char *json = NULL;
	unsigned n;
	size_t len;
	int r, pick;

	if (nesting > INDEX_NESTING_MAX)
		return err_set(e, 0, "image", "indexes within indexes");
	if ((r = json_get(in, d, "index", &json, &len, e)) < 0 || (r = oci_index_parse(json, len, &list, &n, e)) < 0)
		return r;
	pick = oci_platform_pick(list, n, in->architecture, in->variant);
	if (pick < 0)
		return intake_platforms_refuse(in, list, n, e);
	if (oci_is_index(list[pick].media_type))
		return index_take(in, &list[pick], name, nesting + 1, e);
	return manifest_take(in, &list[pick], name, e);
}

int intake_descriptor(struct intake *in, const struct oci_descriptor *d, const char *name, struct err *e)
{
	return oci_is_index(d->media_type) ? index_take(in, d, name, 1, e) : manifest_take(in, d, name, e);
}

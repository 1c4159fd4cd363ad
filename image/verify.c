/* image/verify.c - see image/verify.h */
#include "image/verify.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/own.h"
#include "image/blob.h"
#include "image/compare.h"
#include "image/damaged.h"
#include "image/digest.h"
#include "image/layer.h"
#include "image/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAULTS_MAX	  1000u
#define FAULTS_OF_A_LAYER 20u
#define READ_SIZE	  (1u << 20)
#define TICK_NS		  (200 * NS_PER_MS)

struct verify {
	struct image_store *store;
	const struct verify_options *o;
	Berth__VerifyReply *reply; /* owned until the end */
	void *blobs, *layers;	   /* of tsearch: digests and chain ids that were looked at, each owned */
	const Berth__Image *image; /* the one that it is about */
	const char *chain;	   /* the layer that it is about */
	unsigned of_layer;	   /* faults of it */
	uint64_t told_ns;
};

/* ---------------------------------------------------------------- faults */

static const char *image_label(const Berth__Image *image)
{
	return image->n_names ? image->names[0] : image->image_id ? image->image_id : "";
}

static int text_push(char ***list, size_t *n, const char *text)
{
	char *copy = strdup(text), **more = copy ? realloc(*list, (*n + 1) * sizeof *more) : NULL;

	if (!more) {
		free(copy);
		return -ENOMEM;
	}
	*list = more;
	more[(*n)++] = copy;
	return 0;
}

/* What was found of another image that needs the same. */
static int faults_share(struct verify *v, const char *object, struct err *e)
{
	for (size_t i = 0; v->image && i < v->reply->n_faults; i++) {
		Berth__VerifyFault *f = v->reply->faults[i];
		size_t k = 0;

		if (!f->object || strcmp(f->object, object) != 0)
			continue;
		while (k < f->n_images && strcmp(f->images[k], image_label(v->image)) != 0)
			k++;
		if (k == f->n_images && *image_label(v->image) &&
		    text_push(&f->images, &f->n_images, image_label(v->image)) < 0)
			return err_set(e, ENOMEM, "verify", "faults");
	}
	return 0;
}

static void fault_add(struct verify *v, const char *kind, const char *object, const char *path, const char *text)
{
	Berth__VerifyReply *r = v->reply;
	Berth__VerifyFault **more, *f;

	r->has_total_faults = true;
	r->total_faults++;
	if (r->n_faults >= FAULTS_MAX)
		return;
	more = realloc(r->faults, (r->n_faults + 1) * sizeof *more);
	f = more ? malloc(sizeof *f) : NULL;
	if (more)
		r->faults = more;
	if (!f)
		return; /* it is counted */
	berth__verify_fault__init(f);
	f->kind = strdup(kind);
	f->object = strdup(object);
	f->path = path ? strdup(path) : NULL;
	f->text = strdup(text);
	if (v->image && *image_label(v->image))
		(void)text_push(&f->images, &f->n_images, image_label(v->image));
	r->faults[r->n_faults++] = f;
}

static int text_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* 1: for the first time. */
static int look_first(void **seen, const char *text, struct err *e)
{
	char *copy = strdup(text);
	void *found = copy ? tsearch(copy, seen, text_compare) : NULL;

	if (!found) {
		free(copy);
		return err_set(e, ENOMEM, "verify", "list");
	}
	if (*(char **)found == copy)
		return 1;
	free(copy);
	return 0;
}

static void tell(struct verify *v, const char *part, uint64_t at, uint64_t size, const char *text)
{
	struct image_progress p = {part, "verifying", at, size, text};
	uint64_t now = now_ns();

	if (!v->o->progress || (!text && now - v->told_ns < TICK_NS))
		return;
	v->told_ns = now;
	v->o->progress(v->o->arg, &p);
}

/* ---------------------------------------------------------------- blobs */

/* Into found; size: what it really has. */
static int blob_hash(struct verify *v, const char *digest, uint64_t *ret_size, char found[DIGEST_SIZE], struct err *e)
{
	AUTO_FREE char *buf = malloc(READ_SIZE);
	AUTO_FD fd = blob_open(v->store, digest, e);
	struct digest *sum;
	struct stat st;
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "blob", "%s", digest);
	sum = buf ? digest_new() : NULL;
	if (!sum)
		return err_set(e, ENOMEM, "blob", "%s", digest);
	while ((n = read(fd, buf, READ_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		digest_add(sum, buf, (size_t)n);
		at += (uint64_t)n;
		tell(v, digest, at, (uint64_t)st.st_size, NULL);
	}
	digest_end(sum, found);
	*ret_size = at;
	return n < 0 ? err_set(e, errno, "blob", "%s", digest) : 0;
}

/* So that the next pull brings it anew; for an answer that is right without it, it is no more than that. */
static void mark(struct verify *v, enum damaged_kind kind, const char *digest, bool sound)
{
	if (sound)
		damaged_forget(v->store, kind, digest);
	else
		(void)damaged_note(v->store, kind, digest, NULL);
}

/* Of an error when it was read: what else there is (descriptors, say) may be short for us, and says nothing of the blob. */
static bool is_of_the_disk(int r)
{
	return r == -EIO || r == -EBADMSG || r == -EUCLEAN;
}

/* size: what the manifest says, UINT64_MAX: nothing does. 0 when it is sound, 1 when not (now or when it was looked at before). */
static int blob_verify(struct verify *v, const char *digest, uint64_t size, struct err *e)
{
	char found[DIGEST_SIZE], text[300];
	struct err why = {0};
	uint64_t has = 0;
	int r = look_first(&v->blobs, digest, e);

	if (r < 0)
		return r;
	if (r == 0) {
		for (size_t i = 0; i < v->reply->n_faults; i++)
			if (!strcmp(v->reply->faults[i]->object, digest))
				return (r = faults_share(v, digest, e)) < 0 ? r : 1;
		return 0;
	}
	r = blob_hash(v, digest, &has, found, &why);
	if (r == -ENOMEM)
		return err_set(e, ENOMEM, "verify", "blob");
	v->reply->blobs++;
	v->reply->blob_bytes += has;
	if (r == -ENOENT)
		fault_add(v, "blob", digest, NULL, "is missing");
	else if (r < 0) {
		snprintf(text, sizeof text, "cannot be read: %s", strerror(-r));
		fault_add(v, "blob", digest, NULL, text);
	} else if (size != UINT64_MAX && has != size) {
		snprintf(text, sizeof text, "has %llu bytes, should have %llu", (unsigned long long)has,
			 (unsigned long long)size);
		fault_add(v, "blob", digest, NULL, text);
	} else if (strcmp(found, digest) != 0) {
		snprintf(text, sizeof text, "is damaged: its digest is %s", found);
		fault_add(v, "blob", digest, NULL, text);
	} else {
		mark(v, DAMAGED_BLOB, digest, true);
		return 0;
	}
	if (r == 0 || is_of_the_disk(r))
		mark(v, DAMAGED_BLOB, digest, false);
	return 1;
}

/* ---------------------------------------------------------------- layers */

static void on_difference(void *arg, const char *path, const char *text)
{
	struct verify *v = arg;

	if (v->of_layer++ < FAULTS_OF_A_LAYER)
		fault_add(v, "layer", v->chain, path, text);
	else
		v->reply->total_faults++;
}

static void on_compared(void *arg, uint64_t bytes)
{
	struct verify *v = arg;

	tell(v, v->chain, bytes, 0, NULL);
}

/* Unpacks it once more and compares; the blob is sound. lower: topmost first. */
static int layer_again(struct verify *v, const struct oci_descriptor *blob, const char *diff_id, int layer_fd,
		       const int *lower, unsigned n_lower, const char *tmp, struct err *e)
{
	struct compare c = {.differs = on_difference, .tick = on_compared, .arg = v};
	struct unpack_result result;
	struct source_part part;
	AUTO_FD fd = -1;
	int r;

	fd = layer_begin(v->store, tmp, e);
	if (fd < 0)
		return fd;
	if ((r = blob_part(v->store, blob->digest, &part, e)) < 0)
		return r;
	part.left = &v->store->unpack_left;
	r = layer_unpack(&part, diff_id, fd, lower, n_lower, &result, e);
	source_part_close(&part);
	return r < 0 ? r : tree_compare(&c, layer_fd, fd, e);
}

static int layer_compare(struct verify *v, const struct oci_descriptor *blob, const char *diff_id, int layer_fd,
			 const int *lower, unsigned n_lower, struct err *e)
{
	struct err why = {0};
	char tmp[120], text[700];
	int r;

	snprintf(tmp, sizeof tmp, "tmp/%.64s.verify.%d", v->chain + 7, (int)getpid());
	v->of_layer = 0;
	r = layer_again(v, blob, diff_id, layer_fd, lower, n_lower, tmp, &why);
	(void)dir_remove_all(v->store->dir_fd, tmp); /* else the next sweep does */
	if (r == -ENOSPC || r == -EDQUOT || r == -ENOMEM) {
		*e = why;
		return err_wrap(e, "layer %s could not be compared with what its blob unpacks to", v->chain);
	}
	if (r < 0) {
		snprintf(text, sizeof text, "its blob cannot be unpacked any more: %s", why.text);
		fault_add(v, "layer", v->chain, NULL, text);
		return 0;
	}
	mark(v, DAMAGED_LAYER, v->chain, !v->of_layer);
	v->reply->layers_compared++;
	return 0;
}

/* Opens it; -1 (no fault twice): it is not there. */
static int layer_find(struct verify *v, const char *chain, bool *ret_first, struct err *e)
{
	int r = look_first(&v->layers, chain, e), fd;

	*ret_first = r == 1;
	if (r < 0)
		return r;
	fd = layer_look(v->store, chain);
	if (r == 1) {
		v->reply->layers++;
		if (fd < 0)
			fault_add(v, "layer", chain, NULL, "is missing");
	} else if (faults_share(v, chain, e) < 0) {
		close_fd(&fd);
		return -ENOMEM;
	}
	return fd < 0 ? -ENOENT : fd;
}

/* Each on top of the ones before, as when they were made. sound[i]: is its blob? */
static int layers_verify(struct verify *v, const struct oci_manifest *m, const struct oci_image *config,
			 const bool *sound, struct err *e)
{
	int lower[OCI_LAYERS_MAX];
	char chain[DIGEST_SIZE], parent[DIGEST_SIZE];
	unsigned n = m->n_layers, have = 0;
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < n; i++) {
		bool first;
		int fd;

		oci_chain_id(i ? parent : NULL, config->diff_id[i], chain);
		memcpy(parent, chain, sizeof parent);
		fd = layer_find(v, chain, &first, e);
		if (fd < 0 && fd != -ENOENT) {
			r = fd;
			break;
		}
		/* On top of one that is not there it would not come out the same. */
		if (fd >= 0 && first && !v->o->quick && sound[i] && have == i) {
			v->chain = chain;
			tell(v, chain, 0, m->layer[i].size, NULL);
			r = layer_compare(v, &m->layer[i], config->diff_id[i], fd, lower + n - have, have, e);
		}
		if (fd >= 0)
			lower[n - 1 - have++] = fd;
	}
	for (unsigned i = 0; i < have; i++)
		close_fd(&lower[n - 1 - i]);
	return r;
}

/* ---------------------------------------------------------------- images */

static bool image_says(const Berth__Image *image, const struct oci_image *config)
{
	char chain[DIGEST_SIZE], parent[DIGEST_SIZE];

	if (image->n_layers != config->n_diff_ids)
		return false;
	for (unsigned i = 0; i < config->n_diff_ids; i++) {
		oci_chain_id(i ? parent : NULL, config->diff_id[i], chain);
		memcpy(parent, chain, sizeof parent);
		if (strcmp(chain, image->layers[i]) != 0)
			return false;
	}
	return true;
}

static int config_verify(struct verify *v, const struct oci_manifest *m, const bool *sound, struct err *e)
{
	struct oci_image config = {0};
	AUTO_FREE char *json = NULL;
	struct err why = {0};
	size_t len;
	int r = blob_verify(v, m->config.digest, m->config.size, e);

	if (r != 0)
		return r < 0 ? r : 0;
	r = blob_read(v->store, m->config.digest, &json, &len, &why);
	if (r == 0)
		r = oci_image_parse(json, len, &config, &why);
	if (r < 0) {
		fault_add(v, "image", v->image->image_id, NULL, why.text);
		return 0;
	}
	if (config.n_diff_ids != m->n_layers || !image_says(v->image, &config) ||
	    strcmp(v->image->image_id, m->config.digest) != 0)
		fault_add(v, "image", v->image->image_id, NULL,
			  "its manifest, its config and what berthd knows of it disagree");
	else
		r = layers_verify(v, m, &config, sound, e);
	oci_image_fini(&config);
	return r;
}

static int manifest_verify(struct verify *v, struct err *e)
{
	bool sound[OCI_LAYERS_MAX];
	AUTO_FREE char *json = NULL;
	struct oci_manifest m = {0};
	struct err why = {0};
	size_t len;
	int r = blob_verify(v, v->image->manifest_digest, UINT64_MAX, e);

	if (r != 0)
		return r < 0 ? r : 0;
	r = blob_read(v->store, v->image->manifest_digest, &json, &len, &why);
	if (r == 0)
		r = oci_manifest_parse(json, len, &m, &why);
	if (r < 0) {
		fault_add(v, "image", image_label(v->image), NULL, why.text);
		return 0;
	}
	for (unsigned i = 0; r >= 0 && i < m.n_layers; i++) {
		r = blob_verify(v, m.layer[i].digest, m.layer[i].size, e);
		sound[i] = r == 0;
	}
	if (r >= 0)
		r = config_verify(v, &m, sound, e);
	oci_manifest_fini(&m);
	return r;
}

static int one_verify(struct verify *v, const Berth__Image *image, struct err *e)
{
	char text[300];
	int r = 0;

	v->image = image;
	if (image->manifest_digest && oci_digest_is_valid(image->manifest_digest)) {
		snprintf(text, sizeof text, "verifying %.200s", image_label(image));
		tell(v, image->manifest_digest, 0, 0, text);
		v->reply->images++;
		r = manifest_verify(v, e);
	}
	/* Also those that no readable config names any more. */
	for (size_t i = 0; r >= 0 && i < image->n_layers; i++) {
		bool first;
		int fd = layer_find(v, image->layers[i], &first, e);

		if (fd < 0 && fd != -ENOENT)
			r = fd;
		close_fd(&fd);
	}
	v->image = NULL;
	return r;
}

/* Blobs that no image of the list needs would be taken for good by the next import that does. */
static int rest_verify(struct verify *v, struct err *e)
{
	int fd = openat(v->store->dir_fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char digest[300];

	if (!dir) {
		r = err_set(e, errno, "verify", "blobs/sha256");
		close_fd(&fd);
		return r;
	}
	while (r >= 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(digest, sizeof digest, "sha256:%s", entry->d_name);
		if (oci_digest_is_valid(digest))
			r = blob_verify(v, digest, UINT64_MAX, e);
		else
			fault_add(v, "file", digest + 7, NULL, "is no blob's name, and lies among them");
	}
	closedir(dir);
	return r < 0 ? r : 0;
}

int image_verify(struct image_store *s, const Berth__Image *const *images, size_t n, const struct verify_options *o,
		 Berth__VerifyReply **ret, struct err *e)
{
	struct verify v = {.store = s, .o = o, .reply = malloc(sizeof *v.reply)};
	int r = v.reply ? image_store_share(s, e) : err_set(e, ENOMEM, "verify", "answer");

	if (!v.reply)
		return r;
	berth__verify_reply__init(v.reply);
	v.reply->has_images = v.reply->has_blobs = v.reply->has_blob_bytes = v.reply->has_layers =
		v.reply->has_layers_compared = v.reply->has_total_faults = true;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = one_verify(&v, images[i], e);
	if (r >= 0 && o->all)
		r = rest_verify(&v, e);
	image_store_unshare(s); /* who has the answer may ask for a sweep */
	tdestroy(v.blobs, free);
	tdestroy(v.layers, free);
	if (r < 0) {
		berth__verify_reply__free_unpacked(v.reply, NULL);
		return r;
	}
	*ret = v.reply;
	return 0;
}

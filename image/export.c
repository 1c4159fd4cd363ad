/* image/export.c - see image/export.h. An archive is written in one go, for it may be a pipe: so what is in it must have its size known
 * before. That of a layer of a docker-archive, which is not compressed there, is found by unpacking it once for nothing. */
#include "image/export.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/own.h"
#include "image/digest.h"
#include "image/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_SIZE   (1u << 20)
#define TAR_BLOCK   512u
#define OCTAL_MAX   077777777777ull /* of the eleven digits that a size has in a tar */
#define REF_NAME    "org.opencontainers.image.ref.name"
#define LAYOUT_FILE "{\"imageLayoutVersion\":\"1.0.0\"}"

/* Where files go: a tar, or a folder. One file at a time. */
struct sink {
	struct image_export *x;
	int fd;	       /* not owned */
	bool folder;   /* fd is one */
	int file_fd;   /* of a folder: the present file */
	uint64_t left; /* of the present file */
	uint64_t size; /* of it */
	char *buf;     /* owned */
	struct err *e;
};

/* ---------------------------------------------------------------- bytes */

static int write_failed(struct err *e)
{
	if (errno == EPIPE)
		return err_set(e, EPIPE, "export", "nobody reads the archive any more");
	return err_set(e, errno, "export", "write");
}

static int bytes_write(struct sink *k, int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		struct pollfd wait = {.fd = fd, .events = POLLOUT};

		if (n < 0 && errno == EAGAIN && (poll(&wait, 1, -1) > 0 || errno == EINTR))
			continue; /* whoever gave it to us does not want to wait: we do */
		if (n < 0 && errno != EINTR)
			return write_failed(k->e);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
			k->x->bytes += (uint64_t)n;
		}
	}
	return 0;
}

static int zeros_write(struct sink *k, size_t len)
{
	static const char zeros[2 * TAR_BLOCK];

	return bytes_write(k, k->fd, zeros, len);
}

/* ---------------------------------------------------------------- a file */

static int tar_header_write(struct sink *k, const char *name, uint64_t size)
{
	struct {
		char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
			version[2], rest[TAR_BLOCK - 265];
	} h = {.mode = "0000644", .uid = "0000000", .gid = "0000000", .mtime = "00000000000", .type = '0'};
	unsigned sum = 0;

	_Static_assert(sizeof h == TAR_BLOCK, "a tar's header");
	snprintf(h.name, sizeof h.name, "%s", name);
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	if (size <= OCTAL_MAX) {
		snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)size);
	} else { /* as GNU tar says it, which all have learned */
		h.size[0] = (char)0x80;
		for (int i = 0; i < 8; i++)
			h.size[11 - i] = (char)(size >> (8 * i));
	}
	memset(h.sum, ' ', sizeof h.sum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const unsigned char *)&h)[i];
	snprintf(h.sum, sizeof h.sum, "%06o", sum);
	return bytes_write(k, k->fd, (const char *)&h, sizeof h);
}

static int file_begin(struct sink *k, const char *name, uint64_t size)
{
	k->left = k->size = size;
	if (!k->folder)
		return tar_header_write(k, name, size);
	k->file_fd = path_create(k->fd, name, 0644, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return k->file_fd < 0 ? err_set(k->e, errno, "export", "%s", name) : 0;
}

static int file_add(struct sink *k, const char *data, size_t len)
{
	if (len > k->left)
		return err_set(k->e, EIO, "export", "a file has grown while it was read");
	k->left -= len;
	return bytes_write(k, k->folder ? k->file_fd : k->fd, data, len);
}

static int file_end(struct sink *k)
{
	int r = 0;

	if (k->left)
		return err_set(k->e, EIO, "export", "a file has become shorter while it was read");
	if (!k->folder)
		return zeros_write(k, (TAR_BLOCK - k->size % TAR_BLOCK) % TAR_BLOCK);
	if (fsync(k->file_fd) < 0)
		r = write_failed(k->e);
	close_fd(&k->file_fd);
	return r;
}

static int text_put(struct sink *k, const char *name, const char *data, size_t len)
{
	int r = file_begin(k, name, len);

	if (r == 0)
		r = file_add(k, data, len);
	return r < 0 ? r : file_end(k);
}

/* ---------------------------------------------------------------- blobs */

static void tell(const struct sink *k, const struct oci_descriptor *d, const char *state, uint64_t at)
{
	if (k->x->progress)
		k->x->progress(k->x->arg, &(struct image_progress){d->digest, state, at, d->size, NULL});
}

static int damaged(const struct sink *k, const char *digest, const char *found)
{
	return err_set(k->e, 0, "export", "%s: its content in the store is %s: damaged (pull or import it again)",
		       digest, found);
}

static int blob_put(struct sink *k, const char *name, const struct content_blob *b)
{
	char found[DIGEST_SIZE];
	struct digest *sum = digest_new();
	int r = sum ? file_begin(k, name, b->d.size) : err_set(k->e, ENOMEM, "export", "no memory");

	for (uint64_t at = 0; r == 0 && at < b->d.size;) {
		ssize_t n = pread(b->part.fd, k->buf, COPY_SIZE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = err_set(k->e, n < 0 ? errno : EIO, "export", "read %s", b->d.digest);
			break;
		}
		digest_add(sum, k->buf, (size_t)n);
		r = file_add(k, k->buf, (size_t)n);
		at += (uint64_t)n;
		tell(k, &b->d, "writing", at);
	}
	if (r < 0) {
		digest_free(sum);
		return r;
	}
	digest_end(sum, found);
	if (strcmp(found, b->d.digest) != 0)
		return damaged(k, b->d.digest, found);
	tell(k, &b->d, "complete", b->d.size);
	return file_end(k);
}

/* ---------------------------------------------------------------- OCI image layout */

/* Blobs that several images have are written once: is this the first to have it? */
static bool blob_is_first(const struct image_export *x, unsigned image, const char *digest)
{
	for (unsigned i = 0; i < image; i++)
		if (content_find(&x->content[i], digest) || !strcmp(x->content[i].root.digest, digest))
			return false;
	return true;
}

/* A layout has OCI's manifests: other tools see no others in it. The config, and so the image's id, stays what it was. */
static int root_convert(struct content *c, struct err *e)
{
	struct buf json;

	if (!strcmp(c->root.media_type, OCI_MANIFEST))
		return 0;
	buf_init(&json, OCI_JSON_MAX);
	if (oci_manifest_make(&c->manifest, &json) < 0) {
		buf_fini(&json);
		return err_set(e, ENOMEM, "export", "no memory");
	}
	free(c->json);
	c->root.size = json.len;
	c->json = buf_take(&json);
	snprintf(c->root.media_type, sizeof c->root.media_type, OCI_MANIFEST);
	digest_of(c->json, (size_t)c->root.size, c->root.digest);
	return 0;
}

static int layout_blobs_put(struct sink *k, unsigned i)
{
	struct content *c = &k->x->content[i];
	char name[96];
	int r = root_convert(c, k->e);

	for (unsigned b = 0; r == 0 && b < c->n_blobs; b++) {
		snprintf(name, sizeof name, "blobs/sha256/%.64s", c->blob[b].d.digest + 7);
		if (blob_is_first(k->x, i, c->blob[b].d.digest))
			r = blob_put(k, name, &c->blob[b]);
	}
	snprintf(name, sizeof name, "blobs/sha256/%.64s", c->root.digest + 7);
	if (r == 0 && blob_is_first(k->x, i, c->root.digest))
		r = text_put(k, name, c->json, (size_t)c->root.size);
	return r;
}

static void index_entry(struct buf *json, unsigned n, const struct oci_descriptor *d, const char *name)
{
	buf_printf(json, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu", n ? "," : "", d->media_type,
		   d->digest, (unsigned long long)d->size);
	if (name)
		buf_printf(json, ",\"annotations\":{\"" REF_NAME "\":\"%s\"}", name);
	buf_adds(json, "}");
}

/* Its entries: one for each name; names have nothing in them that JSON minds. */
static void index_make(const struct image_export *x, struct buf *json)
{
	unsigned n = 0;

	buf_adds(json,
		 "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[");
	for (unsigned i = 0; i < x->n; i++) {
		const Berth__Image *image = x->image[i];

		for (size_t k = 0; k < image->n_names; k++)
			index_entry(json, n++, &x->content[i].root, image->names[k]);
		if (!image->n_names)
			index_entry(json, n++, &x->content[i].root, NULL);
	}
	buf_adds(json, "]}");
}

static int layout_folders_make(struct sink *k)
{
	int r;

	if (!k->folder)
		return 0;
	r = mkdirat(k->fd, "blobs", 0755);
	if (r == 0)
		r = mkdirat(k->fd, "blobs/sha256", 0755);
	return r < 0 ? err_set(k->e, errno, "export", "blobs/sha256") : 0;
}

/* index.json is last: a layout without it is none. */
static int layout_write(struct sink *k)
{
	struct buf json;
	int r = layout_folders_make(k);

	if (r == 0)
		r = text_put(k, "oci-layout", LAYOUT_FILE, strlen(LAYOUT_FILE));
	for (unsigned i = 0; r == 0 && i < k->x->n; i++)
		r = layout_blobs_put(k, i);
	if (r < 0)
		return r;
	buf_init(&json, OCI_JSON_MAX);
	index_make(k->x, &json);
	r = json.failed ? err_set(k->e, ENOMEM, "export", "index.json")
			: text_put(k, "index.json", json.data, json.len);
	buf_fini(&json);
	return r;
}

/* ---------------------------------------------------------------- docker-archive */

/* What the layer is when it is unpacked: its size (write NULL), or all of it into the present file. */
static int layer_read(struct sink *k, const struct content_blob *b, const char *diff_id, bool write, uint64_t *ret_size)
{
	struct stream *s = stream_open(b->part.fd, 0, b->part.length, k->e);
	struct digest *sum = s ? digest_new() : NULL;
	char found[DIGEST_SIZE];
	ssize_t n = 0;
	int r = 0;

	if (s && !sum)
		r = err_set(k->e, ENOMEM, "export", "no memory");
	if (!s)
		r = -EBADMSG;
	*ret_size = 0;
	while (r == 0 && (n = stream_read(s, k->buf, COPY_SIZE, k->e)) > 0) {
		digest_add(sum, k->buf, (size_t)n);
		*ret_size += (uint64_t)n;
		if (write)
			r = file_add(k, k->buf, (size_t)n);
		tell(k, &b->d, write ? "writing" : "measuring", stream_taken(s));
	}
	stream_close(s);
	if (r == 0 && n < 0)
		r = (int)n;
	if (r < 0) {
		digest_free(sum);
		return err_wrap(k->e, "%s", b->d.digest);
	}
	digest_end(sum, found);
	return strcmp(found, diff_id) ? damaged(k, diff_id, found) : 0;
}

static int docker_layer_put(struct sink *k, const struct content_blob *b, const char *diff_id)
{
	uint64_t size, again;
	char name[96];
	int r = layer_read(k, b, diff_id, false, &size);

	snprintf(name, sizeof name, "%.64s.tar", diff_id + 7);
	if (r == 0)
		r = file_begin(k, name, size);
	if (r == 0)
		r = layer_read(k, b, diff_id, true, &again);
	if (r == 0)
		r = file_end(k);
	if (r == 0)
		tell(k, &b->d, "complete", b->d.size);
	return r;
}

struct written { /* names of what is in the archive: the same layer may be in many images */
	char (*hex)[65];
	unsigned n;
};

/* 1: it was there. */
static int written_add(struct written *w, const char *digest, struct err *e)
{
	char(*more)[65];

	for (unsigned i = 0; i < w->n; i++)
		if (!strcmp(w->hex[i], digest + 7))
			return 1;
	more = realloc(w->hex, (w->n + 1) * sizeof *more);
	if (!more)
		return err_set(e, ENOMEM, "export", "no memory");
	w->hex = more;
	memcpy(w->hex[w->n++], digest + 7, 65);
	return 0;
}

static void docker_names(struct buf *json, const Berth__Image *image)
{
	for (size_t k = 0; k < image->n_names; k++)
		buf_printf(json, "%s\"%s\"", k ? "," : "", image->names[k]);
}

/* One image: its layers and its config into the archive, its entry into the manifest. */
static int docker_image_put(struct sink *k, unsigned i, struct written *w, struct buf *json)
{
	struct content *c = &k->x->content[i];
	struct content_blob *config = content_find(c, c->manifest.config.digest);
	struct source_part part = config->part;
	struct oci_image image = {0};
	AUTO_FREE char *text = NULL;
	char name[96];
	size_t len;
	int r;

	if ((r = source_part_read(&part, OCI_JSON_MAX, &text, &len, k->e)) < 0 ||
	    (r = oci_image_parse(text, len, &image, k->e)) < 0)
		return r;
	if (image.n_diff_ids != c->manifest.n_layers)
		r = err_set(k->e, 0, "export", "the manifest has %u layers, the config %u", c->manifest.n_layers,
			    image.n_diff_ids);
	buf_printf(json, "%s{\"Config\":\"%.64s.json\",\"RepoTags\":[", i ? "," : "", c->manifest.config.digest + 7);
	docker_names(json, k->x->image[i]);
	buf_adds(json, "],\"Layers\":[");
	for (unsigned l = 0; r == 0 && l < image.n_diff_ids; l++) {
		struct content_blob *b = content_find(c, c->manifest.layer[l].digest);

		buf_printf(json, "%s\"%.64s.tar\"", l ? "," : "", image.diff_id[l] + 7);
		r = b ? written_add(w, image.diff_id[l], k->e)
		      : err_set(k->e, 0, "export", "%s is not in the store: a foreign layer",
				c->manifest.layer[l].digest);
		if (r == 0)
			r = docker_layer_put(k, b, image.diff_id[l]);
		else if (r > 0)
			r = 0;
	}
	buf_adds(json, "]}");
	snprintf(name, sizeof name, "%.64s.json", config->d.digest + 7);
	if (r == 0 && (r = written_add(w, config->d.digest, k->e)) == 0)
		r = blob_put(k, name, config);
	oci_image_fini(&image);
	return r < 0 ? r : 0;
}

static int docker_write(struct sink *k)
{
	struct written w = {0};
	struct buf json;
	int r = 0;

	buf_init(&json, OCI_JSON_MAX);
	buf_adds(&json, "[");
	for (unsigned i = 0; r == 0 && i < k->x->n; i++)
		r = docker_image_put(k, i, &w, &json);
	buf_adds(&json, "]");
	if (r == 0 && json.failed)
		r = err_set(k->e, ENOMEM, "export", "manifest.json");
	if (r == 0)
		r = text_put(k, "manifest.json", json.data, json.len);
	buf_fini(&json);
	free(w.hex);
	return r;
}

/* ---------------------------------------------------------------- the whole */

int export_open(struct image_export *x, struct image_store *s, const Berth__Image *const *image, unsigned n,
		struct err *e)
{
	int r = 0;

	x->image = image;
	x->n = 0;
	x->content = calloc(n ? n : 1, sizeof *x->content);
	if (!x->content)
		return err_set(e, ENOMEM, "export", "no memory");
	for (; r == 0 && x->n < n; x->n += r == 0)
		r = content_open(s, image[x->n]->manifest_digest, &x->content[x->n], e);
	return r;
}

static int folder_check(int fd, struct err *e)
{
	int empty = dir_is_empty(fd);

	if (empty < 0)
		return err_set(e, empty, "export", "the folder");
	return empty ? 0 : err_set(e, ENOTEMPTY, "export", "the folder");
}

int export_write(struct image_export *x, enum export_form form, int fd, struct err *e)
{
	AUTO_FREE char *buf = malloc(COPY_SIZE);
	struct sink k = {.x = x, .fd = fd, .folder = form == EXPORT_OCI_FOLDER, .file_fd = -1, .buf = buf, .e = e};
	struct stat st;
	int r = buf ? 0 : err_set(e, ENOMEM, "export", "no memory");

	if (r == 0 && fstat(fd, &st) < 0)
		r = err_set(e, errno, "export", "where to");
	if (r == 0 && S_ISDIR(st.st_mode) != k.folder)
		r = err_set(e, 0, "export",
			    k.folder ? "a layout as a folder needs a folder to go to"
				     : "an archive cannot go to a folder");
	if (r == 0 && k.folder)
		r = folder_check(fd, e);
	if (r == 0)
		r = form == EXPORT_DOCKER_ARCHIVE ? docker_write(&k) : layout_write(&k);
	if (r == 0 && !k.folder)
		r = zeros_write(&k, 2 * TAR_BLOCK);
	if (r == 0 && S_ISREG(st.st_mode) && fsync(fd) < 0)
		r = write_failed(e);
	close_fd(&k.file_fd);
	return r;
}

void export_close(struct image_export *x)
{
	for (unsigned i = 0; x->content && i < x->n; i++)
		content_close(&x->content[i]);
	free(x->content);
	*x = (struct image_export){0};
}

/* image/store.c - see image/store.h. Crash safety: a blob appears by link or a layer by rename after its content is on the
 * disk, so whatever has its final name is whole; all else is unnamed or in tmp/. */
#include "image/store.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "image/blob.h"
#include "image/damaged.h"
#include "image/layer.h"
#include "image/partial.h"
#include "image/space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

int image_store_open(struct image_store *s, const char *dir, struct err *e)
{
	static const char *const folders[] = {"blobs", "blobs/sha256", "damaged", "layers", "partial", "tmp"};
	bool made = false;
	int r;

	*s = (struct image_store){.dir_fd = -1, .lock_fd = -1};
	/* 0700: layers hold setuid programs and device nodes that nobody on the host is meant to reach. */
	r = dir_make(AT_FDCWD, dir, 0700);
	if (r < 0)
		return err_set(e, r, "images", "%s", dir);
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return err_set(e, errno, "images", "%s", dir);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (mkdirat(s->dir_fd, folders[i], 0700) == 0) {
			made = true;
		} else if (errno != EEXIST) {
			r = err_set(e, errno, "images", "%s/%s", dir, folders[i]);
			image_store_close(s);
			return r;
		}
	}
	/* What will be fsynced in a folder is there after a power cut only if the folder is. */
	if (made && syncfs(s->dir_fd) < 0) {
		r = err_set(e, errno, "images", "syncfs of %s", dir);
		image_store_close(s);
		return r;
	}
	s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0) {
		r = err_set(e, errno, "images", "%s/lock", dir);
		image_store_close(s);
		return r;
	}
	if ((r = space_free(s->dir_fd, &s->unpack_left, e)) < 0) {
		image_store_close(s);
		return r;
	}
	s->unpack_left += SPACE_SLACK;
	return 0;
}

int image_store_limit(struct image_store *s, const char *word)
{
	uint64_t max;

	if (!str_starts(word, "unpack_max=") || str_to_u64(word + 11, &max) < 0)
		return -EINVAL;
	if (max && max < s->unpack_left)
		s->unpack_left = max;
	return 0;
}

void image_store_close(struct image_store *s)
{
	close_fd(&s->dir_fd);
	close_fd(&s->lock_fd);
}

int image_store_share(struct image_store *s, struct err *e)
{
	while (flock(s->lock_fd, LOCK_SH) < 0)
		if (errno != EINTR)
			return err_set(e, errno, "images", "lock of the images");
	return 0;
}

void image_store_unshare(struct image_store *s)
{
	(void)flock(s->lock_fd, LOCK_UN);
}

/* ---------------------------------------------------------------- sweep: what is needed */

struct names { /* of 64 hex digits, sorted before they are searched */
	char (*hex)[65];
	size_t n, size;
};

static int name_add(struct names *list, const char *digest, struct err *e)
{
	if (!oci_digest_is_valid(digest))
		return err_set(e, 0, "sweep", "'%.80s' is not a digest", digest);
	if (list->n == list->size) {
		size_t size = list->size ? 2 * list->size : 64;
		char(*more)[65] = realloc(list->hex, size * sizeof *more);

		if (!more)
			return err_set(e, ENOMEM, "sweep", "list of names");
		list->hex = more;
		list->size = size;
	}
	memcpy(list->hex[list->n++], digest + 7, 65);
	return 0;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool name_has(const struct names *list, const char *hex)
{
	return list->n && bsearch(hex, list->hex, list->n, sizeof *list->hex, name_compare);
}

static int image_blobs(struct image_store *s, const Berth__Image *image, struct names *blobs, struct err *e)
{
	struct oci_manifest m;
	AUTO_FREE char *json = NULL;
	size_t len;
	int r;

	if ((r = blob_read(s, image->manifest_digest, &json, &len, e)) < 0 ||
	    (r = oci_manifest_parse(json, len, &m, e)) < 0)
		return r;
	r = name_add(blobs, image->manifest_digest, e);
	if (r == 0)
		r = name_add(blobs, m.config.digest, e);
	for (unsigned i = 0; r == 0 && i < m.n_layers; i++)
		r = name_add(blobs, m.layer[i].digest, e);
	oci_manifest_fini(&m);
	return r;
}

static int needed_collect(struct image_store *s, const Berth__Image *const *keep, size_t n, struct names *blobs,
			  struct names *layers, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		for (size_t l = 0; r == 0 && l < keep[i]->n_layers; l++)
			r = name_add(layers, keep[i]->layers[l], e);
		if (r == 0 && keep[i]->manifest_digest && *keep[i]->manifest_digest)
			r = image_blobs(s, keep[i], blobs, e);
		if (r < 0 && r != -ENOMEM && !keep[i]->meta)
			r = 0; /* a container runs without */
		/* Which blobs it needs cannot be known: then none may go. */
		if (r < 0)
			err_wrap(e, "image %s",
				 keep[i]->n_names    ? keep[i]->names[0]
				 : keep[i]->image_id ? keep[i]->image_id
						     : "?");
	}
	if (blobs->n)
		qsort(blobs->hex, blobs->n, sizeof *blobs->hex, name_compare);
	if (layers->n)
		qsort(layers->hex, layers->n, sizeof *layers->hex, name_compare);
	return r;
}

/* ---------------------------------------------------------------- sweep: what goes */

struct sweep {
	struct image_store *store;
	int64_t listed_ns;
	uint64_t freed;
};

static bool is_hex_name(const char *name)
{
	return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

/* File systems stamp with a clock that lags a tick behind. More than that would keep what came a moment before it was removed. */
#define CLOCK_LAG_NS 10000000

static bool is_newer(const struct stat *st, int64_t listed_ns)
{
	return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec >= listed_ns - CLOCK_LAG_NS;
}

static int blob_sweep(struct sweep *w, int dir_fd, const char *name, const struct stat *st, struct err *e)
{
	if (unlinkat(dir_fd, name, 0) < 0)
		return err_set(e, errno, "sweep", "blob %s", name);
	w->freed += (uint64_t)st->st_blocks * 512;
	return 0;
}

/* Out of layers/ in one step, then at leisure: a layer is whole or absent. */
static int layer_sweep(struct sweep *w, int dir_fd, const char *name, const struct stat *st, struct err *e)
{
	char gone[96];
	uint64_t bytes = 0, blocks = 0;
	AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r;

	(void)st;
	if (fd >= 0 && layer_size(fd, &bytes, &blocks) < 0)
		blocks = 0;
	snprintf(gone, sizeof gone, "tmp/%s.gone", name);
	r = dir_remove_all(w->store->dir_fd, gone);
	if (r == 0 && renameat(dir_fd, name, w->store->dir_fd, gone) < 0)
		r = -errno;
	if (r == 0)
		r = dir_remove_all(w->store->dir_fd, gone);
	if (r < 0)
		return err_set(e, r, "sweep", "layer %s", name);
	w->freed += blocks * 512;
	return 0;
}

static int folder_sweep(struct sweep *w, const char *path, const struct names *keep,
			int (*remove)(struct sweep *, int, const char *, const struct stat *, struct err *),
			struct err *e)
{
	int fd = openat(w->store->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!dir) {
		r = err_set(e, errno, "sweep", "%s", path);
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (!is_hex_name(entry->d_name) || name_has(keep, entry->d_name) ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || is_newer(&st, w->listed_ns))
			continue;
		r = remove(w, fd, entry->d_name, &st, e);
	}
	closedir(dir);
	return r;
}

static int tmp_sweep(struct image_store *s, struct err *e)
{
	int fd = openat(s->dir_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = err_set(e, errno, "sweep", "tmp");
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		r = dir_remove_all(fd, entry->d_name);
		if (r < 0)
			r = err_set(e, r, "sweep", "tmp/%s", entry->d_name);
	}
	closedir(dir);
	return r;
}

static bool name_is_used(void *arg, const char *hex)
{
	return name_has(arg, hex);
}

/* Those of containers, who may have them mounted. */
static int used_collect(const Berth__Image *const *keep, size_t n, struct names *used, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		for (size_t l = 0; r == 0 && !keep[i]->meta && l < keep[i]->n_layers; l++)
			r = name_add(used, keep[i]->layers[l], e);
	if (used->n)
		qsort(used->hex, used->n, sizeof *used->hex, name_compare);
	return r;
}

int image_sweep(struct image_store *s, const Berth__Image *const *keep, size_t n, int64_t listed_ns,
		int64_t partial_kept_ns, uint64_t *ret_freed_bytes, struct err *e)
{
	struct sweep w = {.store = s, .listed_ns = listed_ns};
	struct names blobs = {0}, layers = {0}, used = {0};
	int r;

	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno, "sweep", errno == EWOULDBLOCK ? "an import is running" : "lock");
	r = needed_collect(s, keep, n, &blobs, &layers, e);
	if (r == 0)
		r = used_collect(keep, n, &used, e);
	if (r == 0)
		r = tmp_sweep(s, e);
	if (r == 0)
		r = partial_sweep(s, listed_ns - partial_kept_ns, &w.freed, e);
	if (r == 0)
		r = folder_sweep(&w, "blobs/sha256", &blobs, blob_sweep, e);
	if (r == 0)
		r = folder_sweep(&w, "layers", &layers, layer_sweep, e);
	if (r == 0)
		r = damaged_sweep(s, name_is_used, &used, e);
	flock(s->lock_fd, LOCK_UN);
	free(blobs.hex);
	free(layers.hex);
	free(used.hex);
	*ret_freed_bytes = w.freed;
	return r;
}

/* image/usage.c - see image/usage.h. A layer or a blob is one thing with a size, and a count of those who need it. */
#include "image/usage.h"

#include "base/own.h"
#include "image/blob.h"
#include "image/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

struct part {
	char path[96];	  /* in the store: "layers/<hex>" or "blobs/sha256/<hex>"; first: what it is found by */
	uint64_t bytes;	  /* on the disk */
	unsigned needed;  /* by how many images and containers */
	bool active;	  /* one of them is a container, or an image that one has */
	const void *last; /* who needed it last: nobody counts twice */
};

struct usage {
	struct image_store *store;
	void *parts; /* of tsearch; each owned */
	uint64_t total, active;
};

static int part_compare(const void *a, const void *b)
{
	return strcmp(((const struct part *)a)->path, ((const struct part *)b)->path);
}

/* ---------------------------------------------------------------- layers and blobs */

static uint64_t folder_bytes(int fd)
{
	uint64_t bytes, blocks = 0;
	struct stat st;

	/* What cannot be read counts as far as it could. */
	(void)layer_size(fd, &bytes, &blocks);
	if (fstat(fd, &st) == 0)
		blocks += (uint64_t)st.st_blocks;
	return blocks * 512;
}

static uint64_t path_bytes(int dir_fd, const char *path)
{
	struct stat st;
	AUTO_FD fd = -1;

	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return (uint64_t)st.st_blocks * 512;
	fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : folder_bytes(fd);
}

/* who: the image; NULL: a container, whose image may have gone. */
static int part_need(struct usage *u, const char *folder, const char *digest, const void *who, bool active,
		     struct err *e)
{
	struct part *p = calloc(1, sizeof *p), **found;

	if (!p)
		return err_set(e, ENOMEM, "usage", "parts");
	if (!oci_digest_is_valid(digest)) {
		free(p);
		return 0;
	}
	snprintf(p->path, sizeof p->path, "%s/%.64s", folder, digest + 7);
	found = (struct part **)tsearch(p, &u->parts, part_compare);
	if (!found) {
		free(p);
		return err_set(e, ENOMEM, "usage", "parts");
	}
	if (*found == p)
		p->bytes = path_bytes(u->store->dir_fd, p->path);
	else
		free(p);
	(*found)->needed += who && (*found)->last != who;
	if (who)
		(*found)->last = who;
	(*found)->active |= active;
	return 0;
}

typedef int part_fn(struct usage *u, const char *folder, const char *digest, const void *who, bool active,
		    struct err *e);

/* Calls fn for each layer and blob of the image. A manifest that cannot be read has none: `verify` is who complains. */
static int image_parts(struct usage *u, const Berth__DiskUsageImage *image, part_fn *fn, struct err *e)
{
	bool active = image->containers;
	struct oci_manifest m;
	AUTO_FREE char *json = NULL;
	size_t len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < image->n_layers; i++)
		r = fn(u, "layers", image->layers[i], image, active, e);
	if (r < 0 || !image->manifest_digest || !oci_digest_is_valid(image->manifest_digest) ||
	    blob_read(u->store, image->manifest_digest, &json, &len, NULL) < 0 ||
	    oci_manifest_parse(json, len, &m, NULL) < 0)
		return r;
	r = fn(u, "blobs/sha256", image->manifest_digest, image, active, e);
	if (r == 0)
		r = fn(u, "blobs/sha256", m.config.digest, image, active, e);
	for (unsigned i = 0; r == 0 && i < m.n_layers; i++)
		r = fn(u, "blobs/sha256", m.layer[i].digest, image, active, e);
	oci_manifest_fini(&m);
	return r;
}

/* The second time round: what each image has, and what of it others need too. */
static int part_share(struct usage *u, const char *folder, const char *digest, const void *who, bool active,
		      struct err *e)
{
	Berth__DiskUsageImage *image = (Berth__DiskUsageImage *)(uintptr_t)who;
	struct part key, **found;

	(void)active;
	(void)e;
	snprintf(key.path, sizeof key.path, "%s/%.64s", folder, digest + 7);
	found = oci_digest_is_valid(digest) ? (struct part **)tfind(&key, &u->parts, part_compare) : NULL;
	if (!found || (*found)->last == who)
		return 0; /* twice in one image */
	(*found)->last = who;
	image->size_bytes += (*found)->bytes;
	if ((*found)->needed > 1)
		image->shared_bytes += (*found)->bytes;
	return 0;
}

static void part_sum(const void *node, VISIT which, void *arg)
{
	const struct part *p = *(const struct part *const *)node;
	struct usage *u = arg;

	if (which != postorder && which != leaf)
		return;
	u->total += p->bytes;
	u->active += p->active ? p->bytes : 0;
}

static void part_forget(const void *node, VISIT which, void *arg)
{
	(void)arg;
	if (which == postorder || which == leaf)
		(*(struct part *const *)node)->last = NULL;
}

/* ---------------------------------------------------------------- the others */

static int kind_add(Berth__DiskUsageReply *u, const char *name, uint64_t count, uint64_t active, uint64_t size,
		    uint64_t reclaimable, struct err *e)
{
	Berth__DiskUsageKind **more = realloc(u->kinds, (u->n_kinds + 1) * sizeof *more), *k;

	k = more ? malloc(sizeof *k) : NULL;
	if (more)
		u->kinds = more;
	if (!k)
		return err_set(e, ENOMEM, "usage", "answer");
	berth__disk_usage_kind__init(k);
	u->kinds[u->n_kinds++] = k;
	k->kind = strdup(name);
	k->has_count = k->has_active = k->has_size_bytes = k->has_reclaimable_bytes = true;
	k->count = count;
	k->active = active;
	k->size_bytes = size;
	k->reclaimable_bytes = reclaimable;
	return k->kind ? 0 : err_set(e, ENOMEM, "usage", "answer");
}

static int images_measure(struct usage *s, Berth__DiskUsageReply *u, struct err *e)
{
	uint64_t active = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < u->n_images; i++)
		r = image_parts(s, u->images[i], part_need, e);
	for (size_t i = 0; r == 0 && i < u->n_containers; i++)
		for (size_t k = 0; r == 0 && k < u->containers[i]->n_layers; k++)
			r = part_need(s, "layers", u->containers[i]->layers[k], NULL, true, e);
	twalk_r(s->parts, part_forget, NULL);
	for (size_t i = 0; r == 0 && i < u->n_images; i++) {
		Berth__DiskUsageImage *image = u->images[i];

		image->has_size_bytes = image->has_shared_bytes = true;
		active += image->containers != 0;
		r = image_parts(s, image, part_share, e);
	}
	twalk_r(s->parts, part_sum, s);
	return r < 0 ? r : kind_add(u, "images", u->n_images, active, s->total, s->total - s->active, e);
}

static int containers_measure(int state_fd, Berth__DiskUsageReply *u, struct err *e)
{
	uint64_t active = 0, total = 0, reclaimable = 0;
	char path[128];

	for (size_t i = 0; i < u->n_containers; i++) {
		Berth__DiskUsageContainer *c = u->containers[i];

		snprintf(path, sizeof path, "containers/%.40s/logs", c->meta->uuid);
		c->has_size_bytes = c->has_log_bytes = true;
		c->log_bytes = path_bytes(state_fd, path);
		snprintf(path, sizeof path, "containers/%.40s/upper", c->meta->uuid);
		c->size_bytes = path_bytes(state_fd, path);
		active += c->running;
		total += c->size_bytes + c->log_bytes;
		reclaimable += c->running ? 0 : c->size_bytes + c->log_bytes;
	}
	return kind_add(u, "containers", u->n_containers, active, total, reclaimable, e);
}

/* A volume is STATE/volumes/<uuid>, and what else begins so: the file that a sized one lies in, what fills one. */
static void volumes_walk(int state_fd, Berth__DiskUsageReply *u)
{
	int fd = openat(state_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close_fd(&fd); /* there was never a volume */
		return;
	}
	while ((entry = readdir(dir)))
		for (size_t i = 0; entry->d_name[0] != '.' && i < u->n_volumes; i++)
			if (!strncmp(entry->d_name, u->volumes[i]->meta->uuid, strlen(u->volumes[i]->meta->uuid)))
				u->volumes[i]->size_bytes += path_bytes(fd, entry->d_name);
	closedir(dir);
}

static int volumes_measure(int state_fd, Berth__DiskUsageReply *u, struct err *e)
{
	uint64_t active = 0, total = 0, reclaimable = 0;

	for (size_t i = 0; i < u->n_volumes; i++)
		u->volumes[i]->has_size_bytes = true;
	volumes_walk(state_fd, u);
	for (size_t i = 0; i < u->n_volumes; i++) {
		const Berth__DiskUsageVolume *v = u->volumes[i];

		active += v->containers != 0;
		total += v->size_bytes;
		reclaimable += v->containers ? 0 : v->size_bytes;
	}
	return kind_add(u, "volumes", u->n_volumes, active, total, reclaimable, e);
}

static int partial_add(Berth__DiskUsageReply *u, int dir_fd, const char *name, struct err *e)
{
	AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	Berth__DiskUsagePartial **more, *p;
	struct stat st;
	char digest[DIGEST_SIZE + 8];

	snprintf(digest, sizeof digest, "sha256:%.64s", name);
	if (fd < 0 || !oci_digest_is_valid(digest) || fstat(fd, &st) < 0)
		return 0; /* it has become a blob */
	more = realloc(u->partials, (u->n_partials + 1) * sizeof *more);
	p = more ? malloc(sizeof *p) : NULL;
	if (more)
		u->partials = more;
	if (!p)
		return err_set(e, ENOMEM, "usage", "answer");
	berth__disk_usage_partial__init(p);
	u->partials[u->n_partials++] = p;
	p->digest = strdup(digest);
	p->has_size_bytes = p->has_updated_at = p->has_active = true;
	p->size_bytes = (uint64_t)st.st_blocks * 512;
	p->updated_at = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	p->active = flock(fd, LOCK_EX | LOCK_NB) < 0;
	return p->digest ? 0 : err_set(e, ENOMEM, "usage", "answer");
}

static int partials_measure(struct image_store *s, Berth__DiskUsageReply *u, struct err *e)
{
	int fd = openat(s->dir_fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint64_t active = 0, total = 0, reclaimable = 0;
	struct dirent *entry;

	if (!dir) {
		r = err_set(e, errno, "usage", "partial");
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (strlen(entry->d_name) == 64)
			r = partial_add(u, fd, entry->d_name, e);
	closedir(dir);
	for (size_t i = 0; i < u->n_partials; i++) {
		active += u->partials[i]->active;
		total += u->partials[i]->size_bytes;
		reclaimable += u->partials[i]->active ? 0 : u->partials[i]->size_bytes;
	}
	return r < 0 ? r : kind_add(u, "partial pulls", u->n_partials, active, total, reclaimable, e);
}

int usage_measure(struct image_store *s, int state_fd, Berth__DiskUsageReply *u, struct err *e)
{
	struct usage usage = {.store = s};
	int r = images_measure(&usage, u, e);

	tdestroy(usage.parts, free);
	if (r == 0)
		r = containers_measure(state_fd, u, e);
	if (r == 0)
		r = volumes_measure(state_fd, u, e);
	if (r == 0)
		r = partials_measure(s, u, e);
	return r;
}

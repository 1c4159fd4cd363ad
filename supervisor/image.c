/* supervisor/image.c - see supervisor/image.h.
 *
 * Jobs put images on the disk and say what they found (image_import.c); the store has a row for each; this index is the rows in
 * memory. */
#include "supervisor/image_own.h"

#include "base/log.h"
#include "base/str.h"
#include "image/reference.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- one image */

void image_obj_free(Berth__Image *obj)
{
	if (obj)
		berth__image__free_unpacked(obj, NULL);
}

bool image_has_name(const Berth__Image *obj, const char *name)
{
	for (size_t i = 0; i < obj->n_names; i++)
		if (!strcmp(obj->names[i], name))
			return true;
	return false;
}

void image_drop_name(Berth__Image *obj, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < obj->n_names; i++) {
		if (strcmp(obj->names[i], name) != 0)
			obj->names[kept++] = obj->names[i];
		else
			free(obj->names[i]);
	}
	obj->n_names = kept;
}

int image_touch(struct supervisor *sv, Berth__Image *obj)
{
	char *name = strdup(obj->n_names ? obj->names[0] : "");

	if (!name)
		return -ENOMEM;
	free(obj->meta->name);
	obj->meta->name = name;
	obj->meta->has_revision = obj->meta->has_updated_at = obj->meta->has_generation = true;
	obj->meta->revision = supervisor_next_revision(sv);
	obj->meta->updated_at = wall_ns();
	obj->meta->generation++;
	return 0;
}

/* ---------------------------------------------------------------- the index */

int image_set(struct supervisor *sv, Berth__Image *obj)
{
	struct table_node *n = table_find(&sv->images, obj->meta->uuid);
	struct image *im;
	int r;

	if (n) {
		im = image_of(n);
		image_obj_free(im->obj);
		im->obj = obj;
		return 0;
	}
	im = calloc(1, sizeof *im);
	if (!im) {
		image_obj_free(obj);
		return -ENOMEM;
	}
	im->obj = obj;
	im->node.id = obj->meta->id;
	snprintf(im->node.uuid, sizeof im->node.uuid, "%s", obj->meta->uuid);
	r = table_add(&sv->images, &im->node);
	if (r < 0) {
		image_obj_free(obj);
		free(im);
	}
	return r;
}

void image_free(struct supervisor *sv, struct image *im)
{
	table_del(&sv->images, &im->node);
	image_obj_free(im->obj);
	free(im);
}

static int on_image_load(void *arg, const void *blob, size_t len)
{
	Berth__Image *obj = berth__image__unpack(NULL, len, blob);

	if (!obj || !obj->meta || !obj->meta->uuid || !obj->meta->name || !obj->image_id) {
		log_error("an image in the store cannot be read and is left alone there");
		image_obj_free(obj);
		return 0;
	}
	return image_set(arg, obj);
}

int image_load(struct supervisor *sv, struct err *e)
{
	int r = imports_new(sv);

	if (r < 0)
		return err_set(e, -r, "image", "load the images");
	r = store_load(sv->store, STORE_IMAGE, on_image_load, sv, e);
	if (r < 0)
		return r;
	/* What a crash left of removed images and unfinished imports. Not now: the containers, whose layers count, come later. */
	r = imports_sweep_soon(sv->imports);
	return r < 0 ? err_set(e, -r, "image", "load the images") : 0;
}

void image_fini(struct supervisor *sv)
{
	struct table_node *n;

	if (!sv->imports)
		return;
	imports_free(sv->imports);
	sv->imports = NULL;
	while ((n = list_first(&sv->images.all, struct table_node, link)))
		image_free(sv, image_of(n));
}

/* ---------------------------------------------------------------- finding one */

static struct image *image_by_name(struct supervisor *sv, const char *name)
{
	struct table_node *n;

	list_each (n, &sv->images.all, link)
		if (!image_of(n)->removing && image_has_name(image_of(n)->obj, name))
			return image_of(n);
	return NULL;
}

static bool is_hex(const char *s)
{
	return *s && strspn(s, "0123456789abcdef") == strlen(s);
}

/* "sha256:<64 digits>", or the first 12 digits or more of it. */
static struct image *image_by_id(struct supervisor *sv, const char *ref, bool *ret_many)
{
	const char *hex = str_starts(ref, "sha256:") ? ref + 7 : ref;
	struct image *found = NULL;
	struct table_node *n;

	if (strlen(hex) < 12 || strlen(hex) > 64 || !is_hex(hex))
		return NULL;
	list_each (n, &sv->images.all, link) {
		const Berth__Image *obj = image_of(n)->obj;

		if (image_of(n)->removing || !obj->image_id || strlen(obj->image_id) < 7 ||
		    !str_starts(obj->image_id + 7, hex))
			continue;
		*ret_many = found != NULL;
		if (found)
			return NULL;
		found = image_of(n);
	}
	return found;
}

struct image *image_by_config(struct supervisor *sv, const char *image_id)
{
	struct table_node *n;

	list_each (n, &sv->images.all, link)
		if (image_of(n)->obj->image_id && !strcmp(image_of(n)->obj->image_id, image_id) &&
		    !image_of(n)->removing)
			return image_of(n);
	return NULL;
}

struct image *image_find(struct supervisor *sv, const char *ref, struct err *e)
{
	char name[REFERENCE_SIZE];
	struct table_node *n = uuid_is(ref) ? table_find(&sv->images, ref) : NULL;
	struct image *im = n && !image_of(n)->removing ? image_of(n) : NULL;
	struct err bad = {0};
	bool many = false;

	if (!im && reference_canonical(ref, name, &bad) == 0)
		im = image_by_name(sv, name);
	if (!im)
		im = image_by_id(sv, ref, &many);
	if (im)
		return im;
	if (many)
		(void)err_set(e, ENOTUNIQ, "image", "'%.100s' fits several images: give more digits", ref);
	else if (*bad.text && !str_starts(ref, "sha256:"))
		(void)err_set(e, EINVAL, "image", "%s", bad.text);
	else
		(void)err_set(e, ENOENT, "image",
			      "no image '%.200s' on this host (berth pull or berth image import brings one in)", ref);
	return NULL;
}

void image_layer_path(const struct supervisor *sv, const char *chain_id, char *buf, unsigned size)
{
	snprintf(buf, size, "%s/images/layers/%s", sv->cfg.state_dir,
		 str_starts(chain_id, "sha256:") ? chain_id + 7 : chain_id);
}

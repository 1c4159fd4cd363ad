/* supervisor/image_request.c - requests about images that are there: list, inspect, remove. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "base/str.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/request.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_NAMED 3u

/* ---------------------------------------------------------------- list, inspect */

/* "busy*", "busybox:latest", "docker.io/library/busybox": a pattern for the whole name, or for what comes behind its host. */
static bool filter_name(const void *listing, const void *image, const char *pattern)
{
	const Berth__Image *obj = image;
	char canonical[REFERENCE_SIZE];
	bool is_name = reference_canonical(pattern, canonical, NULL) == 0;

	for (size_t i = 0; i < obj->n_names; i++) {
		const char *tail = strrchr(obj->names[i], '/');

		if ((is_name && !strcmp(obj->names[i], canonical)) || fnmatch(pattern, obj->names[i], 0) == 0 ||
		    (tail && fnmatch(pattern, tail + 1, 0) == 0))
			return true;
	}
	return false;
}

static bool filter_label(const void *listing, const void *image, const char *value)
{
	const Berth__ImageConfig *cfg = ((const Berth__Image *)image)->config;

	return cfg && filter_label_fits(cfg->labels, cfg->n_labels, value);
}

static const char *id_digits(const char *id)
{
	return str_starts(id, "sha256:") ? id + 7 : id;
}

static bool image_id_can_be(const char *value)
{
	return filter_can_be_id(id_digits(value)) && !strchr(value, '-');
}

static bool filter_id(const void *listing, const void *image, const char *value)
{
	const char *id = ((const Berth__Image *)image)->image_id;

	return id && str_starts(id_digits(id), id_digits(value));
}

static bool filter_dangling(const void *listing, const void *image, const char *value)
{
	return (((const Berth__Image *)image)->n_names == 0) == filter_switch(value);
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"reference", filter_name},
	{"label", filter_label, .all = true},
	{"id", filter_id, "the beginning of an image id", image_id_can_be},
	{"dangling", filter_dangling, FILTER_SWITCH},
};

static void reply_images(struct request *rq, Berth__Image **images, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;

	body.images = images;
	body.n_images = n;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &body;
	reply(rq->sv, rq->parked, &env, NULL, 0);
}

void image_reply(struct request *rq, struct image *im)
{
	reply_images(rq, &im->obj, 1);
}

void on_image_list(struct request *rq)
{
	const Berth__ImageList *a = rq->env->image_list;
	AUTO_FREE Berth__Image **images = calloc(rq->sv->images.n + 1, sizeof *images);
	struct table_node *node;
	size_t n = 0;

	if (!images) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	if (!filters_check(rq, filters, ARRAY_SIZE(filters), a->filters, a->n_filters))
		return;
	list_each (node, &rq->sv->images.all, link) {
		Berth__Image *obj = image_of(node)->obj;

		if (filters_fit(filters, ARRAY_SIZE(filters), a->filters, a->n_filters, NULL, obj))
			images[n++] = obj;
	}
	reply_images(rq, images, n);
}

/* NULL: it was answered. */
struct image *image_wanted(struct request *rq, const char *ref)
{
	struct err e = {0};
	struct image *im = ref && *ref ? image_find(rq->sv, ref, &e) : NULL;

	if (!ref || !*ref)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "ref", "which image?");
	else if (!im && e.code == EINVAL)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "ref", "%s", e.text);
	else if (!im)
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
	return im;
}

void on_image_inspect(struct request *rq)
{
	struct image *im = image_wanted(rq, rq->env->image_inspect->ref);

	if (im)
		image_reply(rq, im);
}

/* ---------------------------------------------------------------- remove */

/* A name is used by those who were made under it, an image (name NULL) by all that were made from it. */
static bool container_uses_image(const Berth__Container *c, const char *image_id, const char *name)
{
	char canonical[REFERENCE_SIZE];

	if (!c->image_id || strcmp(c->image_id, image_id) != 0)
		return false;
	return !name || (reference_canonical(c->spec->image, canonical, NULL) == 0 && !strcmp(canonical, name));
}

/* "web, db and 3 more"; "" when nobody uses it. */
static void image_users(struct supervisor *sv, const char *image_id, const char *name, char *buf, size_t size)
{
	unsigned n = 0;
	struct table_node *node;
	size_t len = 0;

	buf[0] = 0;
	list_each (node, &sv->containers.all, link) {
		const Berth__Container *c = container_of(node, struct container, node)->obj;

		if (!container_uses_image(c, image_id, name))
			continue;
		if (n++ < USERS_NAMED && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%.64s", n > 1 ? ", " : "",
						c->meta->name && *c->meta->name ? c->meta->name : c->meta->uuid);
	}
	if (n > USERS_NAMED && len < size)
		snprintf(buf + len, size - len, " and %u more", n - USERS_NAMED);
}

struct image_removal {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE];
	Berth__Image *obj; /* owned: what is left after an untag; NULL: the image goes */
};

static void on_image_removed(void *arg, int result)
{
	struct image_removal *rm = arg;
	struct supervisor *sv = rm->sv;
	struct table_node *n = table_find(&sv->images, rm->uuid);
	struct image *im = n ? image_of(n) : NULL;
	bool gone = !rm->obj;

	sv->imports->n_removals--;
	if (im)
		im->removing = im->changing = false;
	if (result < 0) {
		reply_error(sv, rm->parked,
			    result == -ENOSPC ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__INTERNAL, NULL,
			    "the removal could not be stored: %s", strerror(-result));
	} else {
		if (im)
			watch_publish(sv, "image", gone ? "remove" : "untag", im->obj->meta, NULL, NULL);
		if (!gone)
			(void)image_set(sv, take_ptr(rm->obj)); /* it is there: only its object is exchanged */
		else if (im)
			image_free(sv, im);
		if (gone)
			sv->imports->sweep_again = true;
		reply_done(sv, rm->parked, rm->uuid);
	}
	imports_go_on(sv->imports);
	image_obj_free(rm->obj);
	free(rm);
}

/* May the whole image go, or (name) one of several names? False: it was answered. */
static bool image_may_go(struct request *rq, const Berth__Image *obj, const char *name)
{
	bool one_of_many = name && obj->n_names > 1;
	char users[400];

	if (rq->env->image_remove->force)
		return true;
	image_users(rq->sv, obj->image_id, one_of_many ? name : NULL, users, sizeof users);
	if (*users)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "the %s is used by %s: remove them first (with force the name goes, the layers with the "
			    "last of them)",
			    one_of_many ? "name" : "image", users);
	else if (!name && obj->n_names > 1)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "the image has %zu names (%s, %s …): remove them by name, or all with force", obj->n_names,
			    obj->names[0], obj->names[1]);
	else
		return true;
	return false;
}

void on_image_remove(struct request *rq)
{
	struct supervisor *sv = rq->sv;
	struct image *im = image_wanted(rq, rq->env->image_remove->ref);
	char name[REFERENCE_SIZE];
	struct image_removal *rm;
	bool by_name;
	int r;

	if (!im)
		return;
	request_audit(rq, "image", im->obj->meta);
	if (rq->env->has_if_revision && rq->env->if_revision != im->obj->meta->revision) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__STALE, "if_revision", "the image has revision %llu",
			    (unsigned long long)im->obj->meta->revision);
		return;
	}
	if (im->changing || sv->imports->storing) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "the names of images are being changed by another request just now: ask again");
		return;
	}
	by_name = reference_canonical(rq->env->image_remove->ref, name, NULL) == 0 && image_has_name(im->obj, name);
	if (!image_may_go(rq, im->obj, by_name ? name : NULL))
		return;
	rm = calloc(1, sizeof *rm);
	if (!rm) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	rm->sv = sv;
	rm->parked = rq->parked;
	snprintf(rm->uuid, sizeof rm->uuid, "%s", im->obj->meta->uuid);
	sv->imports->n_removals++;
	im->changing = true;
	if (by_name && im->obj->n_names > 1) {
		rm->obj = message_copy(&im->obj->base);
		if (rm->obj)
			image_drop_name(rm->obj, name);
		r = rm->obj ? image_touch(sv, rm->obj) : -ENOMEM;
		if (r == 0)
			r = store_put(sv->store, STORE_IMAGE, rm->obj->meta, &rm->obj->base, false, on_image_removed,
				      rm);
	} else {
		im->removing = true; /* from now on nobody finds it */
		r = store_delete(sv->store, STORE_IMAGE, rm->uuid, on_image_removed, rm);
	}
	if (r < 0)
		on_image_removed(rm, r == -ENOBUFS ? -ENOSPC : r);
}

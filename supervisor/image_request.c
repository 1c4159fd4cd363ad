/* supervisor/image_request.c - requests about images that are there: list, inspect. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "base/str.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/request.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_WHOLE_MAX (ENVELOPE_MAX / 2)

/* ---------------------------------------------------------------- list, inspect */

/* A pattern for the whole name or for what comes behind a slash of it, with the tag or without: as in Docker "busybox" fits all tags of it. */
static bool pattern_fits(const char *pattern, const char *name)
{
	char bare[REFERENCE_SIZE];
	const char *slash = strrchr(name, '/');
	const char *end = strpbrk(slash ? slash : name, ":@");

	snprintf(bare, sizeof bare, "%.*s", end ? (int)(end - name) : -1, name);
	for (const char *from = name; from; from = strchr(from, '/')) {
		from += *from == '/';
		if (fnmatch(pattern, from, 0) == 0 || fnmatch(pattern, bare + (from - name), 0) == 0)
			return true;
	}
	return false;
}

static bool name_fits(const char *pattern, const char *name)
{
	char canonical[REFERENCE_SIZE];

	return pattern_fits(pattern, name) ||
	       (reference_canonical(pattern, canonical, NULL) == 0 && !strcmp(name, canonical));
}

static bool filter_name(const void *listing, const void *image, const char *pattern)
{
	const Berth__Image *obj = image;

	for (size_t i = 0; i < obj->n_names; i++)
		if (name_fits(pattern, obj->names[i]))
			return true;
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

struct image_listing {
	int64_t before, since; /* when the images were made that `before` and `since` name */
};

/* Asked once for the whole list, before it is walked. */
static bool filter_before(const void *listing, const void *image, const char *value)
{
	return ((const Berth__Image *)image)->image_created_at < ((const struct image_listing *)listing)->before;
}

static bool filter_since(const void *listing, const void *image, const char *value)
{
	return ((const Berth__Image *)image)->image_created_at > ((const struct image_listing *)listing)->since;
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"reference", filter_name},
	{"label", filter_label, .all = true},
	{"id", filter_id, "the beginning of an image id", image_id_can_be},
	{"dangling", filter_dangling, FILTER_SWITCH},
	{"before", filter_before, .all = true},
	{"since", filter_since, .all = true},
};

static void reply_images(struct supervisor *sv, struct parked parked, Berth__Image **images, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;

	body.images = images;
	body.n_images = n;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &body;
	reply(sv, parked, &env, NULL, 0);
}

void image_reply_one(struct supervisor *sv, struct parked parked, Berth__Image *obj)
{
	reply_images(sv, parked, &obj, 1);
}

void image_reply(struct request *rq, struct image *im)
{
	image_reply_one(rq->sv, rq->parked, im->obj);
}

/* The images that filters name; false: one is not there, which was answered. */
static bool listing_images(struct request *rq, const Berth__ImageList *a, struct image_listing *l)
{
	for (size_t i = 0; i < a->n_filters; i++) {
		bool before = !strcmp(a->filters[i]->key, "before"), since = !strcmp(a->filters[i]->key, "since");
		struct err e = {0};
		struct image *im = before || since ? image_find(rq->sv, a->filters[i]->value, &e) : NULL;

		if ((before || since) && !im) {
			reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
			return false;
		}
		if (before && im->obj->image_created_at < l->before)
			l->before = im->obj->image_created_at;
		if (since && im->obj->image_created_at > l->since)
			l->since = im->obj->image_created_at;
	}
	return true;
}

/* Whole when one answer holds all of them; else without what makes an image large and no table shows: inspect has it. Otherwise a
 * few dozen images with all the labels that they may have would be the last that could be listed. */
static void reply_list(struct supervisor *sv, struct parked parked, Berth__Image **images, size_t n)
{
	AUTO_FREE Berth__Image *lean = NULL;
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += berth__image__get_packed_size(images[i]);
	if (total > LIST_WHOLE_MAX) {
		lean = calloc(n, sizeof *lean);
		if (!lean) {
			reply_error(sv, parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
			return;
		}
		for (size_t i = 0; i < n; i++) {
			lean[i] = *images[i];
			lean[i].config = NULL;
			lean[i].n_layers = lean[i].n_layer_blobs = 0;
			images[i] = &lean[i];
		}
	}
	reply_images(sv, parked, images, n);
}

static bool is_of_names(const Berth__Filter *f)
{
	return !strcmp(f->key, "name") || !strcmp(f->key, "reference");
}

/* Of one key any must fit, of both keys each, as with the images themselves. */
static bool name_is_listed(const Berth__ImageList *a, const char *name)
{
	bool asked[2] = {0}, fits[2] = {0};

	for (size_t i = 0; i < a->n_filters; i++) {
		bool which = !strcmp(a->filters[i]->key, "name");

		if (!is_of_names(a->filters[i]))
			continue;
		asked[which] = true;
		fits[which] |= name_fits(a->filters[i]->value, name);
	}
	return (fits[0] || !asked[0]) && (fits[1] || !asked[1]);
}

/* Who asks for names gets those alone, as from Docker: what an image is called besides is not what was looked for. */
struct named_views {
	Berth__Image *images;
	char **names;
};

static void views_free(struct named_views *v)
{
	free(v->images);
	free(v->names);
}

/* One of which no name fits all that was asked for (by several filters) is no image of such a name. */
static bool views_make(struct named_views *v, const Berth__ImageList *a, Berth__Image **images, size_t *n)
{
	size_t total = 0, at = 0, kept = 0;
	bool wanted = false;

	for (size_t i = 0; i < a->n_filters; i++)
		wanted |= is_of_names(a->filters[i]);
	if (!wanted)
		return true;
	for (size_t i = 0; i < *n; i++)
		total += images[i]->n_names;
	v->images = calloc(*n + 1, sizeof *v->images);
	v->names = calloc(total + 1, sizeof *v->names);
	if (!v->images || !v->names)
		return false;
	for (size_t i = 0; i < *n; i++) {
		const Berth__Image *image = images[i];
		Berth__Image *view = &v->images[kept];

		*view = *image;
		view->names = v->names + at;
		view->n_names = 0;
		for (size_t k = 0; k < image->n_names; k++)
			if (name_is_listed(a, image->names[k]))
				view->names[view->n_names++] = image->names[k];
		at += view->n_names;
		if (view->n_names)
			images[kept++] = view;
	}
	*n = kept;
	return true;
}

void on_image_list(struct request *rq)
{
	struct image_listing listing = {.before = INT64_MAX, .since = INT64_MIN};
	const Berth__ImageList *a = rq->env->image_list;
	AUTO_FREE Berth__Image **images = calloc(rq->sv->images.n + 1, sizeof *images);
	struct named_views views = {0};
	struct table_node *node;
	size_t n = 0;

	if (!images) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	if (!filters_check(rq, filters, ARRAY_SIZE(filters), a->filters, a->n_filters) ||
	    !listing_images(rq, a, &listing))
		return;
	list_each (node, &rq->sv->images.all, link) {
		Berth__Image *obj = image_of(node)->obj;

		if (filters_fit(filters, ARRAY_SIZE(filters), a->filters, a->n_filters, &listing, obj))
			images[n++] = obj;
	}
	if (views_make(&views, a, images, &n))
		reply_list(rq->sv, rq->parked, images, n);
	else
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
	views_free(&views);
}

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
	AUTO_FREE char **used_by = im ? calloc(rq->sv->containers.n + 1, sizeof *used_by) : NULL;
	struct table_node *node;
	Berth__Image view;

	if (!im)
		return;
	view = *im->obj;
	view.used_by = used_by;
	list_each (node, &rq->sv->containers.all, link) {
		const Berth__Container *c = container_of(node, struct container, node)->obj;

		if (used_by && c->image_id && !strcmp(c->image_id, view.image_id) && principal_sees(&rq->who, c->meta))
			used_by[view.n_used_by++] = c->meta->uuid;
	}
	image_reply_one(rq->sv, rq->parked, &view);
}

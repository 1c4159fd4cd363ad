/* supervisor/image_prune.c - prune: images that no container was made from go, all in one write; the answer comes when the sweep has
 * freed what they held. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct prune {
	struct image_edit edit;
	struct list link; /* imports.prunes, when it waits for a sweep */
	bool swept;	  /* the sweep that runs began after its images had gone */
	struct parked parked;
	Berth__ImagePrune *ask; /* owned */
	char **removed;		/* owned */
	size_t n_removed;
};

/* ---------------------------------------------------------------- which */

static bool filter_until(const void *listing, const void *image, const char *value)
{
	int64_t at = 0;

	return str_to_time(value, *(const int64_t *)listing, &at) == 0 &&
	       ((const Berth__Image *)image)->image_created_at < at;
}

static bool until_can_be(const char *value)
{
	int64_t at;

	return str_to_time(value, wall_ns(), &at) == 0;
}

static bool label_fits(const Berth__Image *obj, const char *value)
{
	return obj->config && filter_label_fits(obj->config->labels, obj->config->n_labels, value);
}

static bool filter_label(const void *listing, const void *image, const char *value)
{
	return label_fits(image, value);
}

static bool filter_no_label(const void *listing, const void *image, const char *value)
{
	return !label_fits(image, value);
}

static const struct filter_row filters[] = {
	{"until", filter_until, "a time, or how long ago (24h)", until_can_be, .all = true},
	{"label", filter_label, .all = true},
	{"label!", filter_no_label, .all = true},
};

static bool is_used(struct supervisor *sv, const Berth__Image *obj)
{
	struct table_node *n;

	list_each (n, &sv->containers.all, link) {
		const Berth__Container *c = container_of(n, struct container, node)->obj;

		if (c->image_id && !strcmp(c->image_id, obj->image_id))
			return true;
	}
	return false;
}

static int removed_add(struct prune *p, const char *text)
{
	char *copy = strdup(text), **more = copy ? realloc(p->removed, (p->n_removed + 1) * sizeof *more) : NULL;

	if (!more) {
		free(copy);
		return -ENOMEM;
	}
	p->removed = more;
	p->removed[p->n_removed++] = copy;
	return 0;
}

static int prune_make(struct image_edit *ed)
{
	struct prune *p = container_of(ed, struct prune, edit);
	struct table_node *n;
	int64_t now = wall_ns();
	int r = 0;

	list_each (n, &ed->sv->images.all, link) {
		struct image *im = image_of(n);

		if (im->removing || (im->obj->n_names && !p->ask->all) ||
		    !filters_fit(filters, ARRAY_SIZE(filters), p->ask->filters, p->ask->n_filters, &now, im->obj) ||
		    is_used(ed->sv, im->obj))
			continue;
		for (size_t i = 0; r == 0 && i < im->obj->n_names; i++)
			r = removed_add(p, im->obj->names[i]);
		if (r == 0)
			r = removed_add(p, im->obj->image_id);
		if (r == 0)
			r = image_edit_remove(ed, im);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---------------------------------------------------------------- the answer */

static void prune_free(struct prune *p)
{
	list_del(&p->link);
	berth__image_prune__free_unpacked(p->ask, NULL);
	for (size_t i = 0; i < p->n_removed; i++)
		free(p->removed[i]);
	free(p->removed);
	free(p);
}

/* freed NULL: not yet. */
static void prune_answer(struct prune *p, const uint64_t *freed)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__PruneReply body = BERTH__PRUNE_REPLY__INIT;

	body.removed = p->removed;
	body.n_removed = p->n_removed;
	body.has_freed_bytes = freed != NULL;
	body.freed_bytes = freed ? *freed : 0;
	env.body_case = BERTH__ENVELOPE__BODY_PRUNE_REPLY;
	env.prune_reply = &body;
	reply(p->edit.sv, p->parked, &env, NULL, 0);
	prune_free(p);
}

static void prune_done(struct image_edit *ed, int result)
{
	struct prune *p = container_of(ed, struct prune, edit);
	struct imports *im = ed->sv->imports;
	uint64_t nothing = 0;

	if (result < 0) {
		image_edit_refuse(ed->sv, p->parked, result);
		prune_free(p);
	} else if (!p->n_removed && !p->ask->all) {
		prune_answer(p, &nothing);
	} else {
		im->sweep_again = true;
		im->sweep_partials |= p->ask->all;
		if (imports_must_wait(im)) { /* for who knows how long */
			prune_answer(p, NULL);
			return;
		}
		list_push(&im->prunes, &p->link);
	}
}

static void prune_drop(struct image_edit *ed)
{
	prune_free(container_of(ed, struct prune, edit));
}

void image_prunes_begin(struct imports *im)
{
	struct prune *p;

	list_each (p, &im->prunes, link)
		p->swept = true;
}

void image_prunes_end(struct imports *im, const uint64_t *freed)
{
	struct prune *p;

	list_each (p, &im->prunes, link)
		if (p->swept)
			prune_answer(p, freed);
}

void image_prunes_free(struct imports *im)
{
	while (!list_empty(&im->prunes))
		prune_free(list_first(&im->prunes, struct prune, link));
}

void on_image_prune(struct request *rq)
{
	static const struct image_edit_ops ops = {prune_make, prune_done, prune_drop};
	const Berth__ImagePrune *ask = rq->env->image_prune;
	struct prune *p;

	if (!filters_check(rq, filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters))
		return;
	request_audit(rq, "image", NULL);
	p = calloc(1, sizeof *p);
	if (p)
		p->ask = message_copy(&ask->base);
	if (!p || !p->ask) {
		free(p);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
		return;
	}
	p->parked = rq->parked;
	list_init(&p->link);
	image_edit_begin(rq->sv, &p->edit, &ops);
}

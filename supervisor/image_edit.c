/* supervisor/image_edit.c - whatever gives, moves and takes names and images, one after the other: each sees them as the one before
 * left them. Its rows are one write, so a name is never on two images nor lost, whenever berthd dies; the index follows when they are on
 * the disk, not before. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct image_change {
	struct list link;  /* image_edit.changes */
	Berth__Image *obj; /* owned: what it will be, or was */
	const char *event;
	bool is_new, removed;
};

/* ---------------------------------------------------------------- what it changes */

static void change_free(struct image_change *ch)
{
	list_del(&ch->link);
	image_obj_free(ch->obj);
	free(ch);
}

/* Takes obj, also on failure (NULL). */
static struct image_change *change_new(struct image_edit *ed, Berth__Image *obj, const char *event)
{
	struct image_change *ch = obj ? calloc(1, sizeof *ch) : NULL;

	if (!ch) {
		image_obj_free(obj);
		return NULL;
	}
	ch->obj = obj;
	ch->event = event;
	list_push(&ed->changes, &ch->link);
	return ch;
}

static struct image_change *change_find(struct image_edit *ed, const Berth__Image *obj)
{
	struct image_change *ch;

	list_each (ch, &ed->changes, link)
		if (!strcmp(ch->obj->meta->uuid, obj->meta->uuid))
			return ch;
	return NULL;
}

/* The change of an image that is there; begun with this one if it is the first of it. */
static struct image_change *change_of(struct image_edit *ed, const struct image *im, const char *event)
{
	struct image_change *ch = change_find(ed, im->obj);

	return ch ? ch : change_new(ed, message_copy(&im->obj->base), event);
}

struct image_change *image_edit_new(struct image_edit *ed, Berth__Image *obj, const char *event)
{
	struct image_change *ch = change_new(ed, obj, event);

	if (ch)
		ch->is_new = true;
	return ch;
}

int image_edit_of(struct image_edit *ed, const char *image_id, const char *event, struct image_change **ret)
{
	struct image *im = image_by_config(ed->sv, image_id);

	list_each (*ret, &ed->changes, link) {
		if (!strcmp((*ret)->obj->image_id, image_id)) {
			(*ret)->event = event;
			return 0;
		}
	}
	if (!im)
		return -ENOENT;
	*ret = change_of(ed, im, event);
	return *ret ? 0 : -ENOMEM;
}

static int name_add(Berth__Image *obj, const char *name)
{
	char **names, *copy;

	if (image_has_name(obj, name))
		return 0;
	copy = strdup(name);
	names = copy ? realloc(obj->names, (obj->n_names + 1) * sizeof *names) : NULL;
	if (!names) {
		free(copy);
		return -ENOMEM;
	}
	obj->names = names;
	obj->names[obj->n_names++] = copy;
	return 0;
}

int image_edit_drop_name(struct image_edit *ed, const struct image *im, const char *name)
{
	struct image_change *ch = change_of(ed, im, "untag");

	if (!ch)
		return -ENOMEM;
	image_drop_name(ch->obj, name);
	return 0;
}

/* Whoever else has it loses it: an image without names is one all the same. */
int image_edit_name(struct image_edit *ed, struct image_change *to, const char *name)
{
	struct image_change *ch;
	struct table_node *n;

	list_each (ch, &ed->changes, link)
		if (ch != to)
			image_drop_name(ch->obj, name);
	list_each (n, &ed->sv->images.all, link)
		if (image_has_name(image_of(n)->obj, name) && !change_find(ed, image_of(n)->obj) &&
		    image_edit_drop_name(ed, image_of(n), name) < 0)
			return -ENOMEM;
	return name_add(to->obj, name);
}

int image_edit_remove(struct image_edit *ed, struct image *im)
{
	struct image_change *ch = change_of(ed, im, "remove");

	if (!ch)
		return -ENOMEM;
	ch->removed = im->removing = true; /* from now on nobody finds it */
	return 0;
}

/* ---------------------------------------------------------------- the index follows */

static int change_show(struct supervisor *sv, struct image_change *ch)
{
	struct table_node *n = table_find(&sv->images, ch->obj->meta->uuid);
	Berth__Image *obj;
	int r;

	if (ch->removed) {
		watch_publish(sv, "image", ch->event, ch->obj->meta, NULL, NULL);
		if (n)
			image_free(sv, image_of(n));
		imports_sweep_wanted(sv->imports);
		return 0;
	}
	obj = take_ptr(ch->obj);
	r = image_set(sv, obj);
	if (r == 0)
		watch_publish(sv, "image", ch->event, obj->meta, NULL, NULL);
	return r;
}

/* It was not stored: what was to go is there. */
static void change_forget(struct supervisor *sv, struct image_change *ch)
{
	struct table_node *n = table_find(&sv->images, ch->obj->meta->uuid);

	if (n && ch->removed)
		image_of(n)->removing = false;
}

static void edit_end(struct image_edit *ed, int result)
{
	struct imports *im = ed->sv->imports;
	struct image_change *ch;

	while ((ch = list_first(&ed->changes, struct image_change, link))) {
		int r = 0;

		if (result < 0)
			change_forget(ed->sv, ch);
		else
			r = change_show(ed->sv, ch);
		if (r < 0)
			result = r;
		change_free(ch);
	}
	list_del(&ed->link);
	if (im->editing == ed)
		im->editing = NULL;
	ed->ops->done(ed, result);
}

/* ---------------------------------------------------------------- storing */

static void on_edit_stored(void *arg, int result)
{
	struct image_edit *ed = arg;
	struct imports *im = ed->sv->imports;

	edit_end(ed, result);
	imports_go_on(im);
}

static int edit_store(struct image_edit *ed)
{
	struct supervisor *sv = ed->sv;
	AUTO_FREE struct store_row *rows = NULL;
	struct image_change *ch;
	size_t n = 0, n_new = 0;

	list_each (ch, &ed->changes, link) {
		n++;
		n_new += ch->is_new;
		if (!ch->removed && image_touch(sv, ch->obj) < 0)
			return -ENOMEM;
	}
	if (sv->images.n + n_new > sv->images.capacity)
		return -ENOBUFS;
	rows = calloc(n, sizeof *rows);
	if (!rows)
		return -ENOMEM;
	n = 0;
	list_each (ch, &ed->changes, link) {
		rows[n].meta = ch->obj->meta;
		rows[n++].object = ch->removed ? NULL : &ch->obj->base;
	}
	return store_write(sv->store, STORE_IMAGE, rows, n, on_edit_stored, ed);
}

void image_edits_go_on(struct imports *im)
{
	struct image_edit *ed;

	while (!im->editing && im->sv->jobs && (ed = list_first(&im->edits, struct image_edit, link))) {
		int r;

		im->editing = ed;
		r = ed->ops->make(ed);
		if (r == 0 && !list_empty(&ed->changes))
			r = edit_store(ed);
		else if (r == 0)
			r = 1; /* nothing is changed */
		if (r != 0)
			edit_end(ed, r < 0 ? r : 0);
	}
}

void image_edit_begin(struct supervisor *sv, struct image_edit *ed, const struct image_edit_ops *ops)
{
	ed->sv = sv;
	ed->ops = ops;
	list_init(&ed->changes);
	list_push(&sv->imports->edits, &ed->link);
	imports_go_on(sv->imports);
}

/* Those whose turn never came, and the one whose write was given up. */
void image_edits_free(struct imports *im)
{
	struct image_edit *ed;
	struct image_change *ch;

	im->editing = NULL;
	while ((ed = list_first(&im->edits, struct image_edit, link))) {
		while ((ch = list_first(&ed->changes, struct image_change, link)))
			change_free(ch);
		list_del(&ed->link);
		ed->ops->drop(ed);
	}
}

Berth__Error__Code image_edit_failure(int r, char *text, size_t size)
{
	snprintf(text, size, "it could not be stored: %s",
		 r == -ENOSPC	 ? "the store's disk is full"
		 : r == -ENOBUFS ? "there is no room for more images, or the store's disk does not keep up"
				 : strerror(-r));
	return r == -ENOSPC || r == -ENOBUFS ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__INTERNAL;
}

void image_edit_refuse(struct supervisor *sv, struct parked parked, int r)
{
	char text[200];
	Berth__Error__Code code = image_edit_failure(r, text, sizeof text);

	reply_error(sv, parked, code, NULL, "%s", text);
}

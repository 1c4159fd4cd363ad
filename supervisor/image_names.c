/* supervisor/image_names.c - tag and rm: names of images that are here, given, moved and taken. */
#include "supervisor/image_own.h"

#include "base/buf.h"
#include "base/own.h"
#include "image/reference.h"
#include "supervisor/audit.h"
#include "supervisor/container.h"
#include "supervisor/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_NAMED 3u
#define SAID_MAX    (64u << 10)

/* A request that waits for its turn, and then for the disk. */
struct naming {
	struct image_edit edit;
	struct parked parked;
	char uuid[UUID_SIZE];	   /* of the image */
	char name[REFERENCE_SIZE]; /* tag: to give; rm: to take, "" = the whole image */
	bool force;
	uint64_t if_revision; /* 0: any */
	struct buf said;      /* rm: what becomes of it, in lines */
	bool answered;
};

static void naming_refuse(struct naming *nm, Berth__Error__Code code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void naming_refuse(struct naming *nm, Berth__Error__Code code, const char *field, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	nm->answered = true;
	reply_error(nm->edit.sv, nm->parked, code, field, "%s", text);
}

/* The image is looked for again: it may have gone while others had their turn. */
static struct image *naming_image(struct naming *nm)
{
	struct table_node *n = table_find(&nm->edit.sv->images, nm->uuid);
	struct image *im = n && !image_of(n)->removing ? image_of(n) : NULL;

	if (!im)
		naming_refuse(nm, BERTH__ERROR__CODE__NOT_FOUND, NULL, "the image was removed meanwhile");
	return im;
}

static void naming_free(struct naming *nm)
{
	buf_fini(&nm->said);
	free(nm);
}

static void naming_drop(struct image_edit *ed)
{
	naming_free(container_of(ed, struct naming, edit));
}

static void naming_begin(struct request *rq, const struct image *im, const char *name, bool force,
			 const struct image_edit_ops *ops)
{
	struct naming *nm = calloc(1, sizeof *nm);

	if (!nm) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
		return;
	}
	nm->parked = rq->parked;
	nm->force = force;
	buf_init(&nm->said, SAID_MAX);
	nm->if_revision = rq->env->has_if_revision ? rq->env->if_revision : 0;
	snprintf(nm->uuid, sizeof nm->uuid, "%s", im->obj->meta->uuid);
	snprintf(nm->name, sizeof nm->name, "%s", name);
	image_edit_begin(rq->sv, &nm->edit, ops);
}

static bool revision_fits(struct naming *nm, const struct image *im)
{
	if (!nm->if_revision || nm->if_revision == im->obj->meta->revision)
		return true;
	naming_refuse(nm, BERTH__ERROR__CODE__STALE, "if_revision", "the image has revision %llu",
		      (unsigned long long)im->obj->meta->revision);
	return false;
}

/* ---------------------------------------------------------------- tag */

static int tag_make(struct image_edit *ed)
{
	struct naming *nm = container_of(ed, struct naming, edit);
	struct image *im = naming_image(nm);
	struct image_change *ch;
	int r;

	if (!im || !revision_fits(nm, im))
		return -ECANCELED;
	if (image_has_name(im->obj, nm->name))
		return 0;
	if (im->obj->n_names >= REFERENCES_MAX) {
		naming_refuse(nm, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the image has %u names: that is the limit",
			      REFERENCES_MAX);
		return -ECANCELED;
	}
	r = image_edit_of(ed, im->obj->image_id, "tag", &ch);
	return r < 0 ? r : image_edit_name(ed, ch, nm->name);
}

static void tag_done(struct image_edit *ed, int result)
{
	struct naming *nm = container_of(ed, struct naming, edit);
	struct table_node *n = table_find(&ed->sv->images, nm->uuid);

	if (result < 0 && !nm->answered)
		image_edit_refuse(ed->sv, nm->parked, result);
	else if (!nm->answered && n)
		image_reply_one(ed->sv, nm->parked, image_of(n)->obj);
	naming_free(nm);
}

void on_image_tag(struct request *rq)
{
	static const struct image_edit_ops ops = {tag_make, tag_done, naming_drop};
	const Berth__ImageTag *ask = rq->env->image_tag;
	struct image *im = image_wanted(rq, ask->ref);
	char name[REFERENCE_SIZE];
	struct err e = {0};

	if (!im)
		return;
	request_audit(rq, "image", im->obj->meta);
	if (reference_canonical(ask->name ? ask->name : "", name, &e) < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "name", "%s", e.text);
	else if (strchr(name, '@'))
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "name",
			    "%s: a digest is what an image is, not a name to give", name);
	else
		naming_begin(rq, im, name, false, &ops);
}

/* ---------------------------------------------------------------- rm */

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

/* May the whole image go, or (name) one of several names? */
static bool image_may_go(struct naming *nm, const Berth__Image *obj, const char *name)
{
	bool one_of_many = name && obj->n_names > 1;
	char users[400];

	if (nm->force)
		return true;
	image_users(nm->edit.sv, obj->image_id, one_of_many ? name : NULL, users, sizeof users);
	if (*users)
		naming_refuse(nm, BERTH__ERROR__CODE__CONFLICT, NULL,
			      "the %s is used by %s: remove them first (with force the name goes, the layers with the "
			      "last of them)",
			      one_of_many ? "name" : "image", users);
	else if (!name && obj->n_names > 1)
		naming_refuse(nm, BERTH__ERROR__CODE__CONFLICT, NULL,
			      "the image has %zu names (%s, %s …): remove them by name, or all with force",
			      obj->n_names, obj->names[0], obj->names[1]);
	else
		return true;
	return false;
}

/* Docker's words. */
static void say(struct naming *nm, const char *what, const char *of)
{
	buf_printf(&nm->said, "%s%s%s", nm->said.len ? "\n" : "", what, of);
}

static int rm_make(struct image_edit *ed)
{
	struct naming *nm = container_of(ed, struct naming, edit);
	struct image *im = naming_image(nm);

	if (!im || !revision_fits(nm, im))
		return -ECANCELED;
	if (*nm->name && !image_has_name(im->obj, nm->name)) {
		naming_refuse(nm, BERTH__ERROR__CODE__NOT_FOUND, NULL, "another image has that name now");
		return -ECANCELED;
	}
	if (!image_may_go(nm, im->obj, *nm->name ? nm->name : NULL))
		return -ECANCELED;
	if (*nm->name && im->obj->n_names > 1) {
		say(nm, "Untagged: ", nm->name);
		return image_edit_drop_name(ed, im, nm->name);
	}
	for (size_t i = 0; i < im->obj->n_names; i++)
		say(nm, "Untagged: ", im->obj->names[i]);
	say(nm, "Deleted: ", im->obj->image_id);
	return image_edit_remove(ed, im);
}

static void rm_done(struct image_edit *ed, int result)
{
	struct naming *nm = container_of(ed, struct naming, edit);

	if (result < 0 && !nm->answered)
		image_edit_refuse(ed->sv, nm->parked, result);
	else if (!nm->answered)
		reply_said(ed->sv, nm->parked, nm->uuid, nm->said.failed ? NULL : nm->said.data);
	naming_free(nm);
}

void on_image_remove(struct request *rq)
{
	static const struct image_edit_ops ops = {rm_make, rm_done, naming_drop};
	const Berth__ImageRemove *ask = rq->env->image_remove;
	struct image *im = image_wanted(rq, ask->ref);
	char name[REFERENCE_SIZE];
	bool by_name;

	if (!im)
		return;
	request_audit(rq, "image", im->obj->meta);
	by_name = reference_canonical(ask->ref, name, NULL) == 0 && image_has_name(im->obj, name);
	naming_begin(rq, im, by_name ? name : "", ask->force, &ops);
}

/* supervisor/image_import.c - imports: a job brings images in, what it found is stored, the index follows. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/job.h"
#include "supervisor/request.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define IMPORTS_MAX 64u

/* One import on its way: waiting for its turn, running, or being stored. */
struct import {
	struct list link; /* imports.all */
	struct supervisor *sv;
	struct parked parked;
	struct job *job; /* NULL: it waits, or has ended */
	int source_fd;	 /* owned until the job has it */
	char name[REFERENCE_SIZE];
	char project[64], owner[PRINCIPAL_SIZE];
	Berth__ImageReply *found; /* owned: the job's result */
	Berth__Error *error;	  /* owned: or why there is none */
	struct list changes;	  /* of struct change */
	unsigned storing;	  /* changes on their way to the disk */
	int store_result;
};

/* What an import or an untag makes of one image. The index is changed when the row is on the disk, not before. */
struct change {
	struct list link; /* import.changes */
	struct import *import;
	Berth__Image *obj; /* owned */
	bool found;	   /* the job found it; else it has lost a name to one that was found */
};

/* ---------------------------------------------------------------- storing what the job found */

static void change_free(struct change *ch)
{
	list_del(&ch->link);
	image_obj_free(ch->obj);
	free(ch);
}

static void import_free(struct import *imp)
{
	struct imports *im = imp->sv->imports;
	struct change *ch;

	while ((ch = list_first(&imp->changes, struct change, link)))
		change_free(ch);
	if (imp->found)
		berth__image_reply__free_unpacked(imp->found, NULL);
	if (imp->error)
		berth__error__free_unpacked(imp->error, NULL);
	close_fd(&imp->source_fd);
	list_del(&imp->link);
	im->n--;
	free(imp);
}

/* Of this import: the change of an image that it changes already, or NULL. */
static struct change *change_find(struct import *imp, const char *uuid, const char *image_id)
{
	struct change *ch;

	list_each (ch, &imp->changes, link)
		if (!strcmp(uuid ? ch->obj->meta->uuid : ch->obj->image_id, uuid ? uuid : image_id))
			return ch;
	return NULL;
}

/* Takes obj, also on failure (NULL). */
static struct change *change_new(struct import *imp, Berth__Image *obj)
{
	struct change *ch = obj ? calloc(1, sizeof *ch) : NULL;

	if (!ch) {
		image_obj_free(obj);
		return NULL;
	}
	ch->import = imp;
	ch->obj = obj;
	list_push(&imp->changes, &ch->link);
	return ch;
}

static int image_add_name(Berth__Image *obj, const char *name)
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

static int image_new_meta(struct import *imp, Berth__Image *obj)
{
	Berth__Meta *m = malloc(sizeof *m);
	char uuid[UUID_SIZE];

	if (!m)
		return -ENOMEM;
	berth__meta__init(m);
	if (obj->meta)
		berth__meta__free_unpacked(obj->meta, NULL);
	obj->meta = m;
	uuid_make(uuid);
	m->uuid = strdup(uuid);
	m->project = strdup(imp->project);
	m->owner = strdup(imp->owner);
	m->has_id = m->has_created_at = true;
	m->id = supervisor_next_id(imp->sv);
	m->created_at = wall_ns();
	return m->uuid && m->project && m->owner ? 0 : -ENOMEM;
}

/* The change for an image that the job found: a new image, or the one that we had under this id. */
static struct change *change_for_found(struct import *imp, const Berth__Image *found)
{
	struct change *ch = change_find(imp, NULL, found->image_id);
	struct image *old = image_by_config(imp->sv, found->image_id);

	if (ch)
		return ch;
	ch = change_new(imp, message_copy(old ? &old->obj->base : &found->base));
	if (!ch)
		return NULL;
	if (!old && image_new_meta(imp, ch->obj) < 0)
		return NULL;
	return ch;
}

/* Whoever else has this name loses it. */
static int names_move(struct import *imp, const struct change *to, const char *name)
{
	struct table_node *n;
	struct change *ch;

	list_each (ch, &imp->changes, link)
		if (ch != to)
			image_drop_name(ch->obj, name);
	list_each (n, &imp->sv->images.all, link) {
		const Berth__Image *obj = image_of(n)->obj;

		if (!image_has_name(obj, name) || change_find(imp, obj->meta->uuid, NULL))
			continue;
		ch = change_new(imp, message_copy(&obj->base));
		if (!ch)
			return -ENOMEM;
		image_drop_name(ch->obj, name);
	}
	return 0;
}

static int import_make_changes(struct import *imp)
{
	struct change *ch;

	for (size_t i = 0; i < imp->found->n_images; i++) {
		const Berth__Image *found = imp->found->images[i];

		if (!found->image_id || !*found->image_id)
			return -EPROTO;
		ch = change_for_found(imp, found);
		if (!ch)
			return -ENOMEM;
		ch->found = true;
		for (size_t k = 0; k < found->n_names; k++)
			if (names_move(imp, ch, found->names[k]) < 0 || image_add_name(ch->obj, found->names[k]) < 0)
				return -ENOMEM;
	}
	list_each (ch, &imp->changes, link)
		if (image_touch(imp->sv, ch->obj) < 0)
			return -ENOMEM;
	return 0;
}

static void import_answer(struct import *imp)
{
	struct supervisor *sv = imp->sv;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;

	if (imp->error) {
		env.body_case = BERTH__ENVELOPE__BODY_ERROR;
		env.error = imp->error;
		reply(sv, imp->parked, &env, NULL, 0);
		return;
	}
	if (imp->store_result < 0) {
		reply_error(sv, imp->parked,
			    imp->store_result == -ENOSPC || imp->store_result == -ENOBUFS
				    ? BERTH__ERROR__CODE__EXHAUSTED
				    : BERTH__ERROR__CODE__INTERNAL,
			    NULL, "the image could not be stored: %s", strerror(-imp->store_result));
		return;
	}
	AUTO_FREE Berth__Image **images = calloc(imp->found->n_images ? imp->found->n_images : 1, sizeof *images);
	for (size_t i = 0; images && i < imp->found->n_images; i++) {
		struct image *im = image_by_config(sv, imp->found->images[i]->image_id);

		if (im)
			images[body.n_images++] = im->obj;
	}
	body.images = images;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &body;
	if (body.n_images)
		audit_object(sv, imp->parked.action, images[0]->meta);
	reply(sv, imp->parked, &env, NULL, 0);
}

static void import_end(struct import *imp)
{
	struct imports *im = imp->sv->imports;

	if (im->storing == imp)
		im->storing = NULL;
	import_answer(imp);
	import_free(imp);
	imports_go_on(im);
}

static void on_change_stored(void *arg, int result)
{
	struct change *ch = arg;
	struct import *imp = ch->import;
	struct supervisor *sv = imp->sv;

	if (result == 0) {
		const char *type = ch->found ? "import" : "untag";
		Berth__Image *obj = take_ptr(ch->obj);

		result = image_set(sv, obj);
		if (result == 0)
			watch_publish(sv, "image", type, obj->meta, NULL, NULL);
	}
	if (result < 0)
		imp->store_result = result;
	change_free(ch);
	if (--imp->storing == 0)
		import_end(imp);
}

static void import_store(struct import *imp)
{
	struct supervisor *sv = imp->sv;
	struct change *ch;
	int r = import_make_changes(imp);

	sv->imports->storing = imp;
	imp->store_result = r;
	imp->storing = 1; /* ours, so that it does not end while we are still at it */
	if (r == 0 && sv->images.n + imp->found->n_images > sv->images.capacity)
		imp->store_result = r = -ENOBUFS;
	list_each (ch, &imp->changes, link) {
		if (r < 0)
			break;
		r = store_put(sv->store, STORE_IMAGE, ch->obj->meta, &ch->obj->base, false, on_change_stored, ch);
		if (r == 0)
			imp->storing++;
		else
			imp->store_result = r;
	}
	if (--imp->storing == 0)
		import_end(imp);
}

/* ---------------------------------------------------------------- the job */

static void on_import_record(void *arg, const Berth__Envelope *env)
{
	struct import *imp = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	switch (env->body_case) {
	case BERTH__ENVELOPE__BODY_EVENT_BATCH:
		view.body_case = env->body_case;
		view.event_batch = env->event_batch;
		(void)reply_more(imp->sv, imp->parked, &view); /* progress: one who does not read is dropped by it */
		break;
	case BERTH__ENVELOPE__BODY_IMAGE_REPLY:
		if (!imp->found)
			imp->found = message_copy(&env->image_reply->base);
		break;
	case BERTH__ENVELOPE__BODY_ERROR:
		if (!imp->error)
			imp->error = message_copy(&env->error->base);
		break;
	default:
		break;
	}
}

static Berth__Error *error_new(Berth__Error__Code code, const char *text)
{
	Berth__Error e = BERTH__ERROR__INIT;

	e.has_code = true;
	e.code = code;
	e.text = (char *)(uintptr_t)text; /* only packed */
	return message_copy(&e.base);
}

static void on_import_done(void *arg, int status)
{
	struct import *imp = arg;
	struct imports *im = imp->sv->imports;

	imp->job = NULL;
	im->n_running--;
	if (!imp->error && (!imp->found || status != 0))
		imp->error =
			error_new(BERTH__ERROR__CODE__INTERNAL,
				  WIFSIGNALED(status) ? "the import was killed" : "the import ended without a result");
	if (!imp->error && !imp->found) /* no memory even for that */
		imp->store_result = -ENOMEM;
	if (imp->error || !imp->found) {
		im->sweep_again = true; /* layers of a failed import that nobody needs */
		import_end(imp);
		return;
	}
	imports_go_on(im);
}

static void import_start(struct import *imp)
{
	static const struct job_ops ops = {.record = on_import_record, .done = on_import_done};
	struct supervisor *sv = imp->sv;
	char dir[sizeof sv->cfg.state_dir + 16];
	const char *argv[] = {"import", dir, *imp->name ? imp->name : NULL, NULL};
	struct err e = {0};

	snprintf(dir, sizeof dir, "%s/images", sv->cfg.state_dir);
	if (job_start(sv, argv, &imp->source_fd, 1, 0, &ops, imp, &imp->job, &e) < 0) {
		reply_err(sv, imp->parked, error_code_of(&e), &e);
		import_free(imp);
		return;
	}
	close_fd(&imp->source_fd);
	sv->imports->n_running++;
}

static void on_import_gone(void *arg, bool cancelled)
{
	struct import *imp = arg;

	if (imp->job)
		job_cancel(imp->job);
	else if (!imp->found && !imp->storing) { /* it waited for a sweep */
		reply_error(imp->sv, imp->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cancelled");
		import_free(imp);
	}
}

void on_image_import(struct request *rq)
{
	const Berth__ImageImport *a = rq->env->image_import;
	struct supervisor *sv = rq->sv;
	struct imports *im = sv->imports;
	struct err e = {0};
	struct import *imp;

	if (im->n >= IMPORTS_MAX) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "%u imports are under way: that is the limit", im->n);
		return;
	}
	imp = calloc(1, sizeof *imp);
	if (!imp) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	if (a->name && *a->name && reference_canonical(a->name, imp->name, &e) < 0) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INVALID, "name", "%s", e.text);
		free(imp);
		return;
	}
	request_audit(rq, "image", NULL);
	imp->sv = sv;
	imp->parked = rq->parked;
	imp->source_fd = wire_fds_take(rq->fds, 0);
	snprintf(imp->project, sizeof imp->project, "%s", rq->who.project);
	snprintf(imp->owner, sizeof imp->owner, "%s", rq->who.name);
	list_init(&imp->changes);
	list_push(&im->all, &imp->link);
	im->n++;
	(void)parked_on_gone(sv, rq->parked, on_import_gone, imp); /* it is here: this is its request */
	imports_go_on(im);
}

/* ---------------------------------------------------------------- all of them */

int imports_new(struct supervisor *sv)
{
	struct imports *im = calloc(1, sizeof *im);

	if (!im)
		return -ENOMEM;
	im->sv = sv;
	list_init(&im->all);
	sv->imports = im;
	return 0;
}

void imports_free(struct imports *im)
{
	struct import *imp;

	if (!im)
		return;
	timer_del(&im->sweep_soon);
	while ((imp = list_first(&im->all, struct import, link)))
		import_free(imp);
	free(im);
}

void imports_go_on(struct imports *im)
{
	struct import *imp;

	list_each (imp, &im->all, link) {
		if (im->storing || im->n_removals)
			break;
		if (imp->found && !imp->job && !imp->storing) {
			import_store(imp); /* comes back here when it is stored */
			return;
		}
	}
	if (im->sweep_again && !im->sweeping && !im->n_running && !im->storing)
		imports_sweep(im);
	if (im->sweeping)
		return;
	list_each (imp, &im->all, link)
		if (!imp->job && !imp->found)
			import_start(imp);
}

/* supervisor/image.c - see supervisor/image.h.
 *
 * Jobs put images on the disk and say what they found; the store has a row for each; this index is the rows in memory. Imports
 * and sweeps exclude each other: a sweep is told what to keep when it starts, so nothing may be added while it runs. */
#include "supervisor/image.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/job.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define IMPORTS_MAX	  64u
#define SWEEP_AT_START_NS (2 * NS_PER_S)
#define SWEEP_DEADLINE_NS (3600 * NS_PER_S)
#define USERS_NAMED	  3u

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

struct imports {
	struct supervisor *sv;
	struct list all;
	unsigned n, n_running;
	struct import *storing; /* one at a time: each sees the names as the one before left them */
	unsigned n_removals;	/* on their way to the disk: nothing is stored beside them, for the same reason */
	bool sweeping, sweep_again;
	struct timer sweep_soon;
};

static void imports_go_on(struct imports *im);

/* ---------------------------------------------------------------- messages */

static void *message_copy(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	AUTO_FREE uint8_t *data = malloc(len ? len : 1);

	if (!data)
		return NULL;
	protobuf_c_message_pack(m, data);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, data);
}

static void image_obj_free(Berth__Image *obj)
{
	if (obj)
		berth__image__free_unpacked(obj, NULL);
}

static bool image_has_name(const Berth__Image *obj, const char *name)
{
	for (size_t i = 0; i < obj->n_names; i++)
		if (!strcmp(obj->names[i], name))
			return true;
	return false;
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

static void image_drop_name(Berth__Image *obj, const char *name)
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

/* meta.name is the first reference, or nothing when it has lost all of them. */
static int image_touch(struct supervisor *sv, Berth__Image *obj)
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

/* ---------------------------------------------------------------- the index */

static struct image *image_of(struct table_node *n)
{
	return container_of(n, struct image, node);
}

/* Puts obj in the place of the image of its uuid, or adds it. Takes obj. */
static int image_set(struct supervisor *sv, Berth__Image *obj)
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

static void image_free(struct supervisor *sv, struct image *im)
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

static void on_sweep_soon(struct timer *t)
{
	struct imports *im = container_of(t, struct imports, sweep_soon);

	im->sweep_again = true;
	imports_go_on(im);
}

int image_load(struct supervisor *sv, struct err *e)
{
	struct imports *im = calloc(1, sizeof *im);
	int r;

	if (!im)
		return err_set(e, ENOMEM, "image", "load the images");
	im->sv = sv;
	list_init(&im->all);
	sv->imports = im;
	r = store_load(sv->store, STORE_IMAGE, on_image_load, sv, e);
	if (r < 0)
		return r;
	/* What a crash left of removed images and unfinished imports. Not now: the containers, whose layers count, come later. */
	r = timer_in(&sv->loop, &im->sweep_soon, SWEEP_AT_START_NS, on_sweep_soon);
	return r < 0 ? err_set(e, -r, "image", "load the images") : 0;
}

static void import_free(struct import *imp);

void image_fini(struct supervisor *sv)
{
	struct table_node *n;
	struct import *imp;

	if (!sv->imports)
		return;
	timer_del(&sv->imports->sweep_soon);
	while ((imp = list_first(&sv->imports->all, struct import, link)))
		import_free(imp);
	while ((n = list_first(&sv->images.all, struct table_node, link)))
		image_free(sv, image_of(n));
	free(sv->imports);
	sv->imports = NULL;
}

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
		(void)err_set(e, ENOENT, "image", "no image '%.200s' on this host (berth image import brings one in)",
			      ref);
	return NULL;
}

void image_layer_path(const struct supervisor *sv, const char *chain_id, char *buf, unsigned size)
{
	snprintf(buf, size, "%s/images/layers/%s", sv->cfg.state_dir,
		 str_starts(chain_id, "sha256:") ? chain_id + 7 : chain_id);
}

/* ---------------------------------------------------------------- import: storing what the job found */

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

static struct image *image_by_config(struct supervisor *sv, const char *image_id)
{
	struct table_node *n;

	list_each (n, &sv->images.all, link)
		if (image_of(n)->obj->image_id && !strcmp(image_of(n)->obj->image_id, image_id) &&
		    !image_of(n)->removing)
			return image_of(n);
	return NULL;
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

/* ---------------------------------------------------------------- import: the job */

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

/* ---------------------------------------------------------------- sweep */

static void on_sweep_record(void *arg, const Berth__Envelope *env)
{
	if (env->body_case == BERTH__ENVELOPE__BODY_DONE && env->done->text && *env->done->text)
		log_info("images: %s", env->done->text);
	else if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		log_warn("sweeping images failed: %s", env->error->text ? env->error->text : "");
}

static void on_sweep_done(void *arg, int status)
{
	struct imports *im = arg;

	im->sweeping = false;
	if (status != 0)
		log_warn("the sweep of unused image layers ended with status %d", status);
	imports_go_on(im);
}

/* Everything that an image or a container needs. A container's layers count by themselves: its image may have been removed. */
static int sweep_keep(struct supervisor *sv, int *ret_fd)
{
	size_t n = sv->images.n + sv->containers.n, k = 0;
	AUTO_FREE Berth__Image **all = calloc(n ? n : 1, sizeof *all);
	AUTO_FREE Berth__Image *of_containers = calloc(sv->containers.n ? sv->containers.n : 1, sizeof *of_containers);
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	AUTO_FREE uint8_t *data = NULL;
	struct table_node *node;
	size_t len;

	if (!all || !of_containers)
		return -ENOMEM;
	list_each (node, &sv->images.all, link)
		all[body.n_images++] = image_of(node)->obj;
	list_each (node, &sv->containers.all, link) {
		const Berth__Container *c = container_of(node, struct container, node)->obj;

		berth__image__init(&of_containers[k]);
		of_containers[k].layers = c->layers;
		of_containers[k].n_layers = c->n_layers;
		all[body.n_images++] = &of_containers[k++];
	}
	body.images = all;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &body;
	len = berth__envelope__get_packed_size(&env);
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	berth__envelope__pack(&env, data);
	*ret_fd = memfd_sealed("berth-keep", data, len);
	return *ret_fd < 0 ? *ret_fd : 0;
}

static void sweep_start(struct imports *im)
{
	static const struct job_ops ops = {.record = on_sweep_record, .done = on_sweep_done};
	struct supervisor *sv = im->sv;
	char dir[sizeof sv->cfg.state_dir + 16];
	const char *argv[] = {"sweep", dir, NULL};
	AUTO_FD keep_fd = -1;
	struct err e = {0};
	int r = sweep_keep(sv, &keep_fd);

	im->sweep_again = false;
	if (r < 0) {
		log_error("unused image layers are not swept now: %s", strerror(-r));
		return;
	}
	snprintf(dir, sizeof dir, "%s/images", sv->cfg.state_dir);
	if (job_start(sv, argv, &keep_fd, 1, SWEEP_DEADLINE_NS, &ops, im, NULL, &e) < 0)
		log_err(&e, "unused image layers are not swept now");
	else
		im->sweeping = true;
}

/* Starts what may start now: first what was imported is stored, then a sweep if nothing runs, then the imports that wait. */
static void imports_go_on(struct imports *im)
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
		sweep_start(im);
	if (im->sweeping)
		return;
	list_each (imp, &im->all, link)
		if (!imp->job && !imp->found)
			import_start(imp);
}

/* ---------------------------------------------------------------- list, inspect, remove */

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
static struct image *image_wanted(struct request *rq, const char *ref)
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
		reply_images(rq, &im->obj, 1);
}

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

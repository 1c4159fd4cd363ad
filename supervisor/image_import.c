/* supervisor/image_import.c - imports and pulls: a job brings images in, what it found is stored, the index follows. Who asks for
 * what is being pulled already joins: the job is one, and it ends when the last of them has gone. */
#include "supervisor/image_own.h"

#include "base/own.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/commit.h"
#include "supervisor/job.h"
#include "supervisor/meta.h"
#include "supervisor/request.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define IMPORTS_MAX   256u
#define PULLS_RUNNING 6u /* others must get at jobs too */

/* One import or pull on its way: waiting for its turn, running, or being stored. */
struct import {
	struct list link; /* imports.all */
	struct supervisor *sv;
	struct list waits; /* of struct image_wait; of an import one */
	struct job *job;   /* NULL: it waits, or has ended */
	int source_fd;	   /* owned until the job has it: the archive, or the sealed request of a pull */
	void *pull; /* owned: the packed request of a pull, by which another is found to be the same; NULL: an import */
	size_t pull_len;
	struct commit *commit; /* owned; NULL: no commit */
	char name[REFERENCE_SIZE];
	char project[64], owner[PRINCIPAL_SIZE];
	Berth__ImageReply *found; /* owned: the job's result */
	Berth__Error *error;	  /* owned: or why there is none */
	struct image_edit edit;	  /* when it was found */
	int store_result;
	bool as_member;
	bool given_up; /* nobody waits for it any more, and its job is being ended */
};

/* ---------------------------------------------------------------- storing what the job found */

static Berth__Error *error_new(Berth__Error__Code code, const char *text)
{
	Berth__Error e = BERTH__ERROR__INIT;

	e.has_code = true;
	e.code = code;
	e.text = (char *)(uintptr_t)text; /* only packed */
	return message_copy(&e.base);
}

static void wait_end(struct image_wait *w, const Berth__ImageReply *found, Berth__Error__Code code, const char *text)
{
	Berth__Error error = BERTH__ERROR__INIT;

	error.has_code = true;
	error.code = code;
	error.text = (char *)(uintptr_t)text; /* only read */
	w->done(w, found, found ? NULL : &error);
}

static void import_free(struct import *imp)
{
	struct imports *im = imp->sv->imports;
	struct image_wait *w;

	commit_free(imp->commit);
	if (imp->found)
		berth__image_reply__free_unpacked(imp->found, NULL);
	if (imp->error)
		berth__error__free_unpacked(imp->error, NULL);
	while ((w = list_pop(&imp->waits, struct image_wait,
			     link))) { /* berthd's own end: everybody was told of that */
		w->import = NULL;
		wait_end(w, NULL, BERTH__ERROR__CODE__UNAVAILABLE, "berthd is going down");
	}
	if (imp->pull)
		explicit_bzero(imp->pull, imp->pull_len); /* credentials */
	free(imp->pull);
	close_fd(&imp->source_fd);
	list_del(&imp->link);
	im->n--;
	free(imp);
}

static int image_new_meta(struct import *imp, Berth__Image *obj)
{
	Berth__Meta *m = meta_new(imp->sv, NULL, imp->project, imp->owner, NULL);

	if (!m)
		return -ENOMEM;
	m->generation = 0; /* image_touch counts, and names it */
	if (obj->meta)
		berth__meta__free_unpacked(obj->meta, NULL);
	obj->meta = m;
	return 0;
}

/* A new image, or the one that is here under this id. */
static int found_take(struct import *imp, const Berth__Image *found)
{
	const char *event = imp->pull ? "pull" : imp->commit ? "commit" : "import";
	struct image_change *ch;
	Berth__Image *obj;
	int r = image_edit_of(&imp->edit, found->image_id, event, &ch);

	if (r == -ENOENT) {
		obj = message_copy(&found->base);
		if (!obj || image_new_meta(imp, obj) < 0) {
			image_obj_free(obj);
			return -ENOMEM;
		}
		ch = image_edit_new(&imp->edit, obj, event);
		r = ch ? 0 : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < found->n_names; i++)
		r = image_edit_name(&imp->edit, ch, found->names[i]);
	return r;
}

static int import_make(struct image_edit *ed)
{
	struct import *imp = container_of(ed, struct import, edit);
	int r = 0;

	for (size_t i = 0; r == 0 && i < imp->found->n_images; i++) {
		const Berth__Image *found = imp->found->images[i];

		r = found->image_id && *found->image_id ? found_take(imp, found) : -EPROTO;
	}
	return r;
}

static void wait_answer(const struct import *imp, struct image_wait *w)
{
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;
	char text[200];

	if (imp->error) {
		w->done(w, NULL, imp->error);
		return;
	}
	if (imp->store_result < 0) {
		wait_end(w, NULL, image_edit_failure(imp->store_result, text, sizeof text), text);
		return;
	}
	size_t n = imp->found->n_images, n_names = 0;
	for (size_t i = 0; i < n; i++)
		n_names += imp->found->images[i]->n_names;
	AUTO_FREE Berth__Image **images = calloc(n + 1, sizeof *images);
	AUTO_FREE char **names = calloc(n_names + 1, sizeof *names);
	for (size_t i = 0; images && names && i < n; i++) {
		const Berth__Image *found = imp->found->images[i];
		struct image *im = image_by_config(imp->sv, found->image_id);

		if (im)
			images[body.n_images++] = im->obj;
		for (size_t k = 0; im && k < found->n_names; k++)
			names[body.n_names++] = found->names[k];
	}
	body.images = images;
	body.names = names;
	w->done(w, &body, NULL);
}

/* Taken off the list before it is told: an answer that cannot be sent ends its client, who then leaves us. */
static void import_answer(struct import *imp)
{
	struct image_wait *w;

	while ((w = list_pop(&imp->waits, struct image_wait, link))) {
		(void)parked_on_gone(imp->sv, w->parked, NULL, NULL);
		w->import = NULL;
		wait_answer(imp, w);
	}
}

static void import_stored(struct image_edit *ed, int result)
{
	struct import *imp = container_of(ed, struct import, edit);

	imp->store_result = result;
	if (imp->commit && result == 0 && imp->found->n_images)
		commit_stored(imp->commit, imp->found->images[0]->image_id);
	import_answer(imp);
	import_free(imp);
}

static void import_drop(struct image_edit *ed)
{
	import_free(container_of(ed, struct import, edit));
}

/* ---------------------------------------------------------------- the job */

/* One who does not read is dropped by it, and then leaves the list. */
static void import_progress(struct import *imp, Berth__Envelope *view)
{
	struct image_wait *w;

	list_each (w, &imp->waits, link)
		(void)reply_more(imp->sv, w->parked, view);
}

/* What is ready for containers to come has the layer as it was. */
static void layer_repaired(struct import *imp, const Berth__EventBatch *batch)
{
	for (size_t i = 0; i < batch->n_events; i++)
		for (size_t k = 0; k < batch->events[i]->n_attributes; k++) {
			const Berth__KeyValue *a = batch->events[i]->attributes[k];

			if (!a->key || !a->value || strcmp(a->key, "state") || strcmp(a->value, "repaired"))
				continue;
			spares_retire(imp->sv);
			imports_sweep_wanted(imp->sv->imports);
		}
}

static void on_import_record(void *arg, const Berth__Envelope *env)
{
	struct import *imp = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	if (imp->commit && commit_heard(imp->commit, env))
		return;
	switch (env->body_case) {
	case BERTH__ENVELOPE__BODY_EVENT_BATCH:
		view.body_case = env->body_case;
		view.event_batch = env->event_batch;
		layer_repaired(imp, env->event_batch);
		import_progress(imp, &view);
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

static void on_import_done(void *arg, int status)
{
	static const struct image_edit_ops edit_ops = {import_make, import_stored, import_drop};
	struct import *imp = arg;
	struct imports *im = imp->sv->imports;
	const char *why = imp->commit ? commit_ended(imp->commit) : NULL;

	imp->job = NULL;
	im->n_running--;
	im->n_pulls -= imp->pull != NULL;
	if (why) {
		if (imp->error)
			berth__error__free_unpacked(imp->error, NULL);
		imp->error = error_new(BERTH__ERROR__CODE__CONFLICT, why);
	}
	if (!imp->error && (!imp->found || status != 0))
		imp->error = error_new(BERTH__ERROR__CODE__INTERNAL,
				       WIFSIGNALED(status) ? "it was killed" : "it ended without a result");
	if (!imp->error && !imp->found) /* no memory even for that */
		imp->store_result = -ENOMEM;
	if (!imp->error && imp->found) {
		image_edit_begin(imp->sv, &imp->edit, &edit_ops);
		return;
	}
	imports_sweep_wanted(im); /* layers of a failed import that nobody needs */
	import_answer(imp);
	import_free(imp);
	imports_go_on(im);
}

static void import_start(struct import *imp)
{
	static const struct job_ops ops = {.record = on_import_record, .done = on_import_done};
	struct supervisor *sv = imp->sv;
	char dir[sizeof sv->cfg.state_dir + 16];
	char max[64];
	const char *import_argv[] = {"import", dir, max, *imp->name ? imp->name : NULL, NULL};
	struct err e = {0};
	int r;

	snprintf(dir, sizeof dir, "%s/images", sv->cfg.state_dir);
	snprintf(max, sizeof max, "unpack_max=%llu", (unsigned long long)sv->cfg.image_max_size);
	r = imp->pull	  ? image_fetch_start(sv, "pull", imp->as_member, imp->source_fd, &ops, imp, &imp->job, &e)
	    : imp->commit ? commit_start(imp->commit, &ops, imp, &imp->job, &e)
			  : job_start(sv, import_argv, &imp->source_fd, 1, 0, &ops, imp, &imp->job, &e);
	if (r < 0) {
		imp->error = error_new(error_code_of(&e), e.text);
		imp->store_result = -ENOMEM; /* no memory even for that */
		import_answer(imp);
		import_free(imp);
		return;
	}
	close_fd(&imp->source_fd);
	sv->imports->n_running++;
	sv->imports->n_pulls += imp->pull != NULL;
}

void image_wait_forget(struct image_wait *w)
{
	struct import *imp = w->import;

	if (!imp)
		return;
	(void)parked_on_gone(imp->sv, w->parked, NULL, NULL);
	list_del(&w->link);
	w->import = NULL;
	if (!list_empty(&imp->waits) || !imp->sv->jobs) /* berthd's own end: the jobs were first */
		return;
	imp->given_up = true;
	if (imp->job)
		job_cancel(imp->job);
	else if (!imp->found) /* it waited for its turn */
		import_free(imp);
}

/* Of a request that waits for the image. Who asked is gone, and the answer, if there is a client_token, is for who joined. */
static void on_asker_gone(void *arg, bool cancelled)
{
	struct image_wait *w = arg;

	image_wait_forget(w);
	wait_end(w, NULL, cancelled ? BERTH__ERROR__CODE__CONFLICT : BERTH__ERROR__CODE__UNAVAILABLE,
		 cancelled ? "cancelled" : "nobody waits for it any more");
}

static void wait_add(struct import *imp, struct image_wait *w)
{
	w->import = imp;
	list_push(&imp->waits, &w->link);
	(void)parked_on_gone(imp->sv, w->parked, on_asker_gone, w); /* who accepted to be told later has left already */
}

int image_import_refusal(int r, struct err *e)
{
	return r == -ENOBUFS ? err_set(e, ENOBUFS, "image", "too many imports and pulls are under way")
			     : err_set(e, ENOBUFS, "image", "out of memory");
}

int image_import_begin(struct supervisor *sv, const struct import_order *o, struct image_wait *w)
{
	struct imports *im = sv->imports;
	struct import *imp = im->n < IMPORTS_MAX ? calloc(1, sizeof *imp) : NULL;

	if (!imp)
		return im->n < IMPORTS_MAX ? -ENOMEM : -ENOBUFS;
	imp->sv = sv;
	imp->source_fd = o->source_fd;
	imp->pull = o->pull;
	imp->pull_len = o->pull_len;
	imp->as_member = o->as_member;
	imp->commit = o->commit;
	snprintf(imp->name, sizeof imp->name, "%s", o->name);
	snprintf(imp->project, sizeof imp->project, "%s", o->project);
	snprintf(imp->owner, sizeof imp->owner, "%s", o->owner);
	list_init(&imp->edit.link);
	list_init(&imp->waits);
	list_push(&im->all, &imp->link);
	im->n++;
	wait_add(imp, w);
	imports_go_on(im);
	return 0;
}

bool image_import_join(struct supervisor *sv, const void *pull, size_t len, struct image_wait *w)
{
	struct import *imp;

	list_each (imp, &sv->imports->all, link) {
		if (!imp->pull || imp->given_up || imp->pull_len != len || memcmp(imp->pull, pull, len) != 0)
			continue;
		wait_add(imp, w);
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- a request that waits for nothing else */

struct asker {
	struct image_wait wait;
	struct supervisor *sv;
	bool about_image; /* as an action; a commit is one on its container */
};

static void on_asker_done(struct image_wait *w, const Berth__ImageReply *found, const Berth__Error *error)
{
	struct asker *a = container_of(w, struct asker, wait);
	struct parked parked = w->parked;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	if (error) {
		env.body_case = BERTH__ENVELOPE__BODY_ERROR;
		env.error = (Berth__Error *)(uintptr_t)error; /* only packed */
	} else {
		env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
		env.image_reply = (Berth__ImageReply *)(uintptr_t)found;
		if (found->n_images && a->about_image)
			audit_object(a->sv, parked.action, found->images[0]->meta);
	}
	reply(a->sv, parked, &env, NULL, 0);
	free(a);
}

struct image_wait *image_asker_new(struct request *rq)
{
	struct asker *a = calloc(1, sizeof *a);

	if (!a) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	a->sv = rq->sv;
	a->about_image = rq->env->body_case != BERTH__ENVELOPE__BODY_CONTAINER_COMMIT;
	a->wait = (struct image_wait){.parked = rq->parked, .done = on_asker_done};
	list_init(&a->wait.link);
	return &a->wait;
}

void image_asker_fail(struct image_wait *w, const struct err *e)
{
	wait_end(w, NULL, error_code_of(e), e->text);
}

void on_image_import(struct request *rq)
{
	const Berth__ImageImport *a = rq->env->image_import;
	char name[REFERENCE_SIZE] = "";
	struct import_order o = {.name = name, .project = rq->who.project, .owner = rq->who.name};
	struct image_wait *w;
	struct err e = {0};
	int r;

	if (a->name && *a->name && reference_canonical(a->name, name, &e) < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "name", "%s", e.text);
		return;
	}
	request_audit(rq, "image", NULL);
	w = image_asker_new(rq);
	if (!w)
		return;
	o.source_fd = wire_fds_take(rq->fds, 0);
	r = image_import_begin(rq->sv, &o, w);
	if (r == 0)
		return;
	close_fd(&o.source_fd);
	image_import_refusal(r, &e);
	image_asker_fail(w, &e);
}

/* ---------------------------------------------------------------- all of them */

int imports_new(struct supervisor *sv)
{
	struct imports *im = calloc(1, sizeof *im);

	if (!im)
		return -ENOMEM;
	im->sv = sv;
	list_init(&im->all);
	list_init(&im->sendings);
	list_init(&im->edits);
	list_init(&im->prunes);
	sv->imports = im;
	return 0;
}

void imports_free(struct imports *im)
{
	struct import *imp;

	if (!im)
		return;
	timer_del(&im->sweep_soon);
	sendings_free(im);
	image_edits_free(im);
	image_prunes_free(im);
	while ((imp = list_first(&im->all, struct import, link)))
		import_free(imp);
	free(im);
}

void imports_go_on(struct imports *im)
{
	struct import *imp;

	image_edits_go_on(im);
	if (im->sweep_again && !im->sweeping && !imports_must_wait(im) && list_empty(&im->edits) && im->sv->jobs)
		imports_sweep(im);
	if (im->sweeping || !im->sv->jobs)
		return;
	list_each (imp, &im->all, link)
		if (!imp->job && !imp->found && (!imp->pull || im->n_pulls < PULLS_RUNNING))
			import_start(imp);
}

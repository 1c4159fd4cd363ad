/* supervisor/image_send.c - images on their way out: a job sends one to a registry, or writes some to a file. It holds the blobs open (image/content.h), so
 * nothing else has to wait for it, whatever is removed meanwhile; and it ends when nobody waits for it any more. */
#include "supervisor/image_own.h"

#include "base/file.h"
#include "base/own.h"
#include "image/reference.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/job.h"
#include "supervisor/request.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SENDINGS_MAX	 256u
#define SENDINGS_RUNNING 6u /* others must get at jobs too */
#define EXPORT_REFS_MAX	 128u

struct sending {
	struct list link; /* imports.sendings */
	struct supervisor *sv;
	struct parked parked;
	bool alone;	 /* parked is not told any more: it has gone */
	struct job *job; /* NULL: it waits for its turn */
	const struct sending_kind *kind;
	int fd[2]; /* owned until the job has them */
	unsigned n_fds;
	char uuid[UUID_SIZE];	/* of the first image */
	char word[3][16];	/* of an export: its form, uid and gid */
	Berth__Envelope *reply; /* owned: the job's result */
};

struct sending_kind {
	int (*start)(struct sending *s, const struct job_ops *ops, struct err *e);
	const char *event; /* when it is done */
};

static void sending_free(struct sending *s)
{
	struct imports *im = s->sv->imports;

	for (unsigned i = 0; i < s->n_fds; i++)
		close_fd(&s->fd[i]);
	if (s->reply)
		berth__envelope__free_unpacked(s->reply, NULL);
	list_del(&s->link);
	im->n_sendings--;
	free(s);
}

void sendings_free(struct imports *im)
{
	struct sending *s;

	while ((s = list_first(&im->sendings, struct sending, link)))
		sending_free(s);
}

/* ---------------------------------------------------------------- the job */

static void on_record(void *arg, const Berth__Envelope *env)
{
	struct sending *s = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	if (env->body_case != BERTH__ENVELOPE__BODY_EVENT_BATCH) {
		if (!s->reply)
			s->reply = message_copy(&env->base);
		return;
	}
	view.body_case = env->body_case;
	view.event_batch = env->event_batch;
	if (!s->alone)
		(void)reply_more(s->sv, s->parked, &view);
}

static void sending_answer(struct sending *s, int status)
{
	struct table_node *n = table_find(&s->sv->images, s->uuid);
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;

	if (s->reply && s->reply->body_case == BERTH__ENVELOPE__BODY_ERROR) {
		env.body_case = s->reply->body_case;
		env.error = s->reply->error;
	} else if (s->reply && s->reply->body_case == BERTH__ENVELOPE__BODY_DONE && status == 0) {
		if (n && s->kind->event)
			watch_publish(s->sv, "image", s->kind->event, image_of(n)->obj->meta, NULL, NULL);
		done.uuid = s->uuid;
		done.text = s->reply->done->text;
		env.body_case = BERTH__ENVELOPE__BODY_DONE;
		env.done = &done;
	} else {
		reply_error(s->sv, s->parked, BERTH__ERROR__CODE__INTERNAL, NULL,
			    WIFSIGNALED(status) ? "it was killed" : "it ended without a result");
		return;
	}
	reply(s->sv, s->parked, &env, NULL, 0);
}

static void on_done(void *arg, int status)
{
	struct sending *s = arg;
	struct imports *im = s->sv->imports;

	im->n_sending--;
	if (!s->alone) {
		(void)parked_on_gone(s->sv, s->parked, NULL, NULL);
		sending_answer(s, status);
	}
	sending_free(s);
	sendings_go_on(im);
}

static void on_gone(void *arg, bool cancelled)
{
	struct sending *s = arg;

	s->alone = true;
	if (cancelled)
		reply_error(s->sv, s->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cancelled");
	else
		audit_finish(s->sv, s->parked.action, false, "nobody waits for it any more");
	if (s->job)
		job_cancel(s->job); /* comes back in on_done */
	else
		sending_free(s);
}

static void sending_start(struct sending *s)
{
	static const struct job_ops ops = {.record = on_record, .done = on_done};
	struct imports *im = s->sv->imports;
	struct err e = {0};
	int r = s->kind->start(s, &ops, &e);

	if (r < 0) {
		(void)parked_on_gone(s->sv, s->parked, NULL, NULL);
		reply_err(s->sv, s->parked, error_code_of(&e), &e);
		sending_free(s);
		return;
	}
	for (unsigned i = 0; i < s->n_fds; i++)
		close_fd(&s->fd[i]);
	im->n_sending++;
}

static struct sending *first_waiting(struct imports *im)
{
	struct sending *s;

	list_each (s, &im->sendings, link)
		if (!s->job)
			return s;
	return NULL;
}

/* Looked for anew each time: an answer that cannot be sent may end the client of others too. */
void sendings_go_on(struct imports *im)
{
	struct sending *s;

	while (im->n_sending < SENDINGS_RUNNING && (s = first_waiting(im)))
		sending_start(s);
}

/* Takes the descriptors. word: of an export, else NULL. */
static void sending_begin(struct request *rq, const struct sending_kind *kind, const char *uuid, const int *fds,
			  unsigned n_fds, char (*word)[16])
{
	struct imports *im = rq->sv->imports;
	struct sending *s = im->n_sendings < SENDINGS_MAX ? calloc(1, sizeof *s) : NULL;

	if (!s) {
		for (unsigned i = 0; i < n_fds; i++)
			close(fds[i]);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    im->n_sendings < SENDINGS_MAX ? "out of memory"
							  : "too many pushes and exports are under way");
		return;
	}
	*s = (struct sending){.sv = rq->sv, .parked = rq->parked, .kind = kind, .n_fds = n_fds};
	memcpy(s->fd, fds, n_fds * sizeof *fds);
	if (word)
		memcpy(s->word, word, sizeof s->word);
	snprintf(s->uuid, sizeof s->uuid, "%s", uuid);
	list_push(&im->sendings, &s->link);
	im->n_sendings++;
	(void)parked_on_gone(s->sv, s->parked, on_gone, s); /* it is here: this is its request */
	sendings_go_on(im);
}

/* ---------------------------------------------------------------- push */

static int push_start(struct sending *s, const struct job_ops *ops, struct err *e)
{
	return image_fetch_start(s->sv, "push", false, s->fd[0], ops, s, &s->job, e);
}

/* Another repository of that registry under which we know the image: it may have been pulled from there, or pushed to. */
static void mount_from(const Berth__Image *image, const struct reference *to, char buf[256])
{
	struct reference other;

	buf[0] = 0;
	for (size_t i = 0; i < image->n_names && !*buf; i++)
		if (reference_split(image->names[i], &other, NULL) == 0 && !strcmp(other.registry, to->registry) &&
		    strcmp(other.path, to->path) != 0)
			snprintf(buf, 256, "%s", other.path);
}

/* Where to: what was said, or the name by which the image was. False: it was answered. */
static bool destination_find(struct request *rq, const Berth__Image *image, char name[REFERENCE_SIZE],
			     struct reference *ret)
{
	const Berth__ImagePush *a = rq->env->image_push;
	bool said = a->destination && *a->destination;
	struct err e = {0};
	int r = reference_canonical(said ? a->destination : a->ref, name, &e);

	if (!said && (r < 0 || !image_has_name(image, name)))
		r = err_set(&e, 0, "push", "'%.100s' is no name of the image: say where to push it to", a->ref);
	if (r == 0)
		r = reference_split(name, ret, &e);
	if (r == 0 && ret->digest[0])
		r = err_set(&e, 0, "push", "a push goes to a tag, not to a digest");
	if (r < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "destination", "%s", e.text);
	return r == 0;
}

/* The request as the job gets it. */
static int push_seal(const Berth__ImagePush *ask, const Berth__Image *image, char *name, char *from)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImagePush push = *ask;
	void *data;
	size_t len;
	int fd;

	push.ref = image->manifest_digest;
	push.destination = name;
	push.mount_from = *from ? from : NULL;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_PUSH;
	env.image_push = &push;
	len = berth__envelope__get_packed_size(&env);
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	berth__envelope__pack(&env, data);
	fd = memfd_sealed("berth-push", data, len);
	explicit_bzero(data, len); /* credentials */
	free(data);
	return fd;
}

void on_image_push(struct request *rq)
{
	static const struct sending_kind kind = {.start = push_start, .event = "push"};
	struct image *im = image_wanted(rq, rq->env->image_push->ref);
	char name[REFERENCE_SIZE], from[256];
	struct reference to;
	int fd;

	if (!im || !destination_find(rq, im->obj, name, &to))
		return;
	request_audit(rq, "image", im->obj->meta);
	mount_from(im->obj, &to, from);
	fd = push_seal(rq->env->image_push, im->obj, name, from);
	if (fd < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
	else
		sending_begin(rq, &kind, im->obj->meta->uuid, &fd, 1, NULL);
}

/* ---------------------------------------------------------------- export */

static int export_start(struct sending *s, const struct job_ops *ops, struct err *e)
{
	char dir[sizeof s->sv->cfg.state_dir + 16];
	const char *argv[] = {"export", dir, s->word[0], s->word[1], s->word[2], NULL};

	snprintf(dir, sizeof dir, "%s/images", s->sv->cfg.state_dir);
	return job_start(s->sv, argv, s->fd, 2, 0, ops, s, &s->job, e);
}

struct listed {			/* what is to be exported, as the job gets it */
	Berth__Image *image;	/* owned: views of images that are there */
	Berth__Image **pointer; /* owned */
	char **names;		/* owned; each image has a piece of it */
	char (*text)[REFERENCE_SIZE];
	size_t n;
};

static void listed_fini(struct listed *l)
{
	free(l->image);
	free(l->pointer);
	free(l->names);
	free(l->text);
}

static int listed_init(struct listed *l, size_t n)
{
	*l = (struct listed){.image = calloc(n, sizeof *l->image),
			     .pointer = calloc(n, sizeof *l->pointer),
			     .names = calloc(n * n, sizeof *l->names),
			     .text = calloc(n, sizeof *l->text)};
	return l->image && l->pointer && l->names && l->text ? 0 : -ENOMEM;
}

/* The image and, if it was named by one, its name: once each. text: room for the name. */
static void listed_add(struct listed *l, size_t n_refs, const Berth__Image *obj, const char *ref,
		       char text[REFERENCE_SIZE])
{
	Berth__Image *view = NULL;

	for (size_t i = 0; i < l->n && !view; i++)
		if (!strcmp(l->image[i].manifest_digest, obj->manifest_digest))
			view = &l->image[i];
	if (!view) {
		view = &l->image[l->n];
		berth__image__init(view);
		view->manifest_digest = obj->manifest_digest;
		view->names = l->names + n_refs * l->n;
		l->pointer[l->n++] = view;
	}
	if (reference_canonical(ref, text, NULL) == 0 && image_has_name(obj, text) && !image_has_name(view, text))
		view->names[view->n_names++] = text;
}

static int listed_seal(struct listed *l)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;
	AUTO_FREE uint8_t *data = NULL;
	size_t len;

	body.images = l->pointer;
	body.n_images = l->n;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &body;
	len = berth__envelope__get_packed_size(&env);
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	berth__envelope__pack(&env, data);
	return memfd_sealed("berth-export", data, len);
}

/* False: it was answered. */
static bool export_list(struct request *rq, struct listed *l, struct image **ret_first)
{
	const Berth__ImageExport *a = rq->env->image_export;

	*ret_first = NULL;
	for (size_t i = 0; i < a->n_refs; i++) {
		struct image *im = image_wanted(rq, a->refs[i]);

		if (!im)
			return false;
		listed_add(l, a->n_refs, im->obj, a->refs[i], l->text[i]);
		if (!i)
			*ret_first = im;
	}
	return true;
}

static void export_begin(struct request *rq, struct listed *l, struct image *first)
{
	static const struct sending_kind kind = {.start = export_start};
	const Berth__ImageExport *a = rq->env->image_export;
	char word[3][16];
	int fds[2] = {listed_seal(l), -1};

	if (fds[0] < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
		return;
	}
	fds[1] = wire_fds_take(rq->fds, 0);
	snprintf(word[0], sizeof word[0], "%d",
		 a->has_form ? (int)a->form : BERTH__EXPORT_FORM__EXPORT_FORM_OCI_ARCHIVE);
	snprintf(word[1], sizeof word[1], "%u", rq->who.uid);
	snprintf(word[2], sizeof word[2], "%u", rq->who.gid);
	sending_begin(rq, &kind, first->obj->meta->uuid, fds, 2, word);
}

void on_image_export(struct request *rq)
{
	const Berth__ImageExport *a = rq->env->image_export;
	struct listed l = {0};
	struct image *first;

	if (!a->n_refs || a->n_refs > EXPORT_REFS_MAX) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "refs", "1 to %u images", EXPORT_REFS_MAX);
		return;
	}
	if (listed_init(&l, a->n_refs) < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
	} else if (export_list(rq, &l, &first)) {
		request_audit(rq, "image", first->obj->meta);
		export_begin(rq, &l, first);
	}
	listed_fini(&l);
}

/* supervisor/rebuild_request.c - a rebuild is asked for: what the container is to be, made of what was asked for when it was made and of the
 * other image; see supervisor/rebuild.h. */
#include "supervisor/rebuild.h"

#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/container_act.h"
#include "supervisor/container_request.h"
#include "supervisor/image.h"
#include "supervisor/publish.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_text(char *const *list, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(list[i]) == len && !memcmp(list[i], text, len))
			return true;
	return false;
}

static void drop_env(Berth__ContainerSpec *spec, const Berth__FromImage *from)
{
	size_t kept = 0;

	for (size_t i = 0; i < spec->n_env; i++) {
		if (has_text(from->env, from->n_env, spec->env[i], strcspn(spec->env[i], "=")))
			free(spec->env[i]);
		else
			spec->env[kept++] = spec->env[i];
	}
	spec->n_env = kept;
}

static void drop_labels(Berth__ContainerSpec *spec, const Berth__FromImage *from)
{
	size_t kept = 0;

	for (size_t i = 0; i < spec->n_labels; i++) {
		Berth__KeyValue *l = spec->labels[i];

		if (has_text(from->labels, from->n_labels, l->key, strlen(l->key)))
			berth__key_value__free_unpacked(l, NULL);
		else
			spec->labels[kept++] = l;
	}
	spec->n_labels = kept;
}

static bool same_list(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	bool same = n_a == n_b;

	for (size_t i = 0; same && i < n_a; i++)
		same = !strcmp(a[i], b[i]);
	return same;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* Of a row that a berthd wrote which did not note it yet: what is the same as the image's is the image's. */
static int from_image_guess(Berth__Container *obj)
{
	const Berth__ContainerSpec *spec = obj->spec;
	const Berth__ImageConfig *img = obj->image_config;
	Berth__FromImage *from = malloc(sizeof *from);
	int r = 0;

	if (!from)
		return -ENOMEM;
	berth__from_image__init(from);
	obj->from_image = from;
	SET(from, command, same_list(spec->command, spec->n_command, img->command, img->n_command));
	SET(from, workdir, same_text(spec->workdir, img->workdir));
	SET(from, user, same_text(spec->user, img->user));
	SET(from, stop_signal, same_text(spec->stop_signal, img->stop_signal));
	for (size_t i = 0; !r && i < spec->n_env; i++) {
		AUTO_FREE char *name = strndup(spec->env[i], strcspn(spec->env[i], "="));

		if (!name)
			r = -ENOMEM;
		else if (has_text(img->env, img->n_env, spec->env[i], strlen(spec->env[i])))
			r = strings_add(&from->env, &from->n_env, name);
	}
	for (size_t i = 0; i < spec->n_labels; i++)
		for (size_t k = 0; !r && k < img->n_labels; k++)
			if (same_text(spec->labels[i]->key, img->labels[k]->key) &&
			    same_text(spec->labels[i]->value, img->labels[k]->value))
				r = strings_add(&from->labels, &from->n_labels, img->labels[k]->key);
	return r;
}

/* What the spec has of its image goes, as if it had never been completed. */
static int uncomplete(Berth__Container *obj)
{
	Berth__ContainerSpec *spec = obj->spec;
	int r = obj->from_image || !obj->image_config ? 0 : from_image_guess(obj);
	Berth__FromImage *from = obj->from_image;

	if (r < 0 || !from)
		return r;
	if (!spec->entrypoint_set)
		strings_free(&spec->entrypoint, &spec->n_entrypoint);
	if (from->command)
		strings_free(&spec->command, &spec->n_command);
	if (from->workdir)
		set_text(&spec->workdir, "%s", "");
	if (from->user)
		set_text(&spec->user, "%s", "");
	if (from->stop_signal)
		set_text(&spec->stop_signal, "%s", "");
	drop_env(spec, from);
	drop_labels(spec, from);
	berth__from_image__free_unpacked(from, NULL);
	obj->from_image = NULL;
	if (obj->image_config)
		berth__image_config__free_unpacked(obj->image_config, NULL);
	obj->image_config = NULL;
	return 0;
}

static Berth__Rebuild *wanted_new(Berth__Container *fresh, const struct request *rq)
{
	const Berth__ContainerRebuild *ask = rq->env->container_rebuild;
	Berth__Rebuild *rb = malloc(sizeof *rb);

	if (!rb)
		return NULL;
	berth__rebuild__init(rb);
	rebuild_exchange(fresh, rb);
	rb->has_timeout_s = ask->has_timeout_s;
	rb->timeout_s = ask->timeout_s;
	if (rq->env->client_token)
		set_text(&rb->client_token, "%s", rq->env->client_token);
	return rb;
}

/* Nothing is called any more what it was made from: its own image, which is kept as long as it is there. False: that is not known. */
static bool own_image(const Berth__Container *obj, Berth__Image *ret)
{
	berth__image__init(ret);
	ret->image_id = obj->image_id;
	ret->manifest_digest = obj->image_manifest;
	ret->layers = obj->layers;
	ret->n_layers = obj->n_layers;
	ret->config = obj->image_config;
	return obj->n_layers && obj->image_config;
}

static int wanted_make(struct container *c, const struct request *rq, Berth__Rebuild **ret, struct err *e)
{
	const char *asked = rq->env->container_rebuild->image;
	const char *ref = asked && *asked ? asked : c->obj->spec->image;
	const struct image *image = image_find(c->sv, ref, e);
	Berth__Container *fresh;
	Berth__Image own;
	int r;

	if (!image && (ref == asked || e->code != ENOENT || !own_image(c->obj, &own))) {
		snprintf(e->step, sizeof e->step, "image");
		return e->code ? -e->code : -EINVAL;
	}
	fresh = message_copy(&c->obj->base);
	if (!fresh)
		return err_set(e, ENOMEM, "", "no memory");
	set_text(&fresh->spec->image, "%s", ref);
	r = uncomplete(fresh) < 0 ? err_set(e, ENOMEM, "", "no memory")
				  : container_complete(fresh, image ? image->obj : &own, e);
	if (r == 0)
		r = publish_lease(c->sv, fresh->spec->ports, fresh->spec->n_ports, c->node.uuid, e);
	if (r == 0) {
		*ret = wanted_new(fresh, rq);
		r = *ret ? 0 : err_set(e, ENOMEM, "", "no memory");
	}
	berth__container__free_unpacked(fresh, NULL);
	return r;
}

static bool same_token(const char *token, const struct request *rq)
{
	return token && rq->env->client_token && !strcmp(token, rq->env->client_token);
}

/* Asked again, of a berthd that came after the one that was asked first. True: he gets his answer. */
static bool asked_before(struct request *rq, struct container *c)
{
	const Berth__Container *obj = c->obj;
	bool to_run = c->start_after || container_state(c) == S(STARTING) ||
		      (container_state(c) == S(REBUILDING) && obj->status->desired_running) || c->waiting;
	struct event ev = EVENT(EV_REBUILD);

	if (!same_token(obj->rebuild ? obj->rebuild->client_token : obj->rebuilt_token, rq))
		return false;
	request_audit(rq, "container", obj->meta);
	ev.parked = rq->parked;
	if (to_run)
		container_owe(c, WAIT_RESTARTED, &ev);
	else if (c->rebuild.step != REBUILD_NONE)
		c->rebuild.parked = rq->parked;
	else
		answer_container(c, rq->parked, -1);
	return true;
}

void on_container_rebuild(struct request *rq)
{
	struct container *c = request_container(rq, rq->env->container_rebuild->ref);
	struct event ev = EVENT(EV_REBUILD);
	struct err e = {0};

	if (!c || asked_before(rq, c))
		return;
	if (c->rebuild.step != REBUILD_NONE || c->commit || !c->stored) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "it is being %s",
			    c->rebuild.step != REBUILD_NONE ? "rebuilt already"
			    : c->commit			    ? "committed"
							    : "created");
		return;
	}
	if (wanted_make(c, rq, &c->obj->rebuild, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	if (!request_event(rq, c, &ev))
		rebuild_end(c);
}

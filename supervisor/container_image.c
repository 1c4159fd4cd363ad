/* supervisor/container_image.c - the image of a container: what it gives to the spec, and the actions while it is being pulled. */
#include "supervisor/check_parts.h"
#include "supervisor/container_act.h"

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/pod.h"
#include "supervisor/publish.h"
#include "supervisor/remove.h"
#include "supervisor/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- completed from the image */

static bool env_names(char *const *env, size_t n, const char *entry)
{
	size_t len = strcspn(entry, "=");

	for (size_t i = 0; i < n; i++)
		if (strcspn(env[i], "=") == len && !memcmp(env[i], entry, len))
			return true;
	return false;
}

static int merge_env(Berth__ContainerSpec *spec, const Berth__ImageConfig *img, Berth__FromImage *from)
{
	char **env = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < spec->n_env && !r; i++)
		r = strings_add(&env, &n, spec->env[i]);
	for (size_t i = 0; i < img->n_env && !r; i++)
		if (!env_names(spec->env, spec->n_env, img->env[i])) {
			AUTO_FREE char *name = strndup(img->env[i], strcspn(img->env[i], "="));

			r = name ? strings_add(&from->env, &from->n_env, name) : -ENOMEM;
			r = r ? r : strings_add(&env, &n, img->env[i]);
		}
	if (r < 0) {
		strings_free(&env, &n);
		return r;
	}
	strings_free(&spec->env, &spec->n_env);
	spec->env = env;
	spec->n_env = n;
	return 0;
}

static int label_add(Berth__ContainerSpec *spec, const Berth__KeyValue *label)
{
	Berth__KeyValue **grown = realloc(spec->labels, (spec->n_labels + 1) * sizeof *grown);
	Berth__KeyValue *copy = message_copy(&label->base);

	if (grown)
		spec->labels = grown;
	if (!grown || !copy) {
		if (copy)
			berth__key_value__free_unpacked(copy, NULL);
		return -ENOMEM;
	}
	grown[spec->n_labels++] = copy;
	return 0;
}

static int merge_labels(Berth__ContainerSpec *spec, const Berth__ImageConfig *img, Berth__FromImage *from)
{
	size_t own = spec->n_labels;
	int r = 0;

	for (size_t i = 0; i < img->n_labels && !r; i++) {
		bool taken = false;

		for (size_t k = 0; k < own; k++)
			taken |= img->labels[i]->key && !strcmp(spec->labels[k]->key, img->labels[i]->key);
		if (!taken)
			r = label_add(spec, img->labels[i]);
		if (!taken && !r && img->labels[i]->key)
			r = strings_add(&from->labels, &from->n_labels, img->labels[i]->key);
	}
	return r;
}

static bool mount_is_on(const Berth__ContainerSpec *spec, const char *target)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (!strcmp(spec->mounts[i]->target, target))
			return true;
	return false;
}

static int volume_add(Berth__ContainerSpec *spec, const char *target)
{
	Berth__Mount **grown = realloc(spec->mounts, (spec->n_mounts + 1) * sizeof *grown);
	Berth__Mount *m = calloc(1, sizeof *m);
	char name[UUID_SIZE];

	if (grown)
		spec->mounts = grown;
	if (m) {
		berth__mount__init(m);
		SET(m, type, BERTH__MOUNT__TYPE__VOLUME);
		uuid_make(name);
		m->target = strdup(target);
		m->source = strdup(name);
	}
	if (!grown || !m || !m->target || !m->source) {
		if (m)
			berth__mount__free_unpacked(m, NULL);
		return -ENOMEM;
	}
	spec->mounts[spec->n_mounts++] = m;
	return 0;
}

/* The image's VOLUME lines: a volume of its own for each, unless the request mounts something there. */
static int merge_volumes(Berth__ContainerSpec *spec, const Berth__ImageConfig *img)
{
	int r = 0;

	for (size_t i = 0; i < img->n_volumes && !r; i++) {
		AUTO_FREE char *target = strdup(img->volumes[i]);
		size_t len = target ? strlen(target) : 0;

		while (len > 1 && target[len - 1] == '/') /* as people write it: VOLUME /data/ */
			target[--len] = 0;
		if (!target)
			r = -ENOMEM;
		else if (!mount_is_on(spec, target))
			r = volume_add(spec, target);
	}
	return r;
}

/* True: it is the image's. */
static bool merge_text(char **own, const char *image)
{
	if ((*own && (*own)[0]) || !image || !image[0])
		return false;
	set_text(own, "%s", image);
	return true;
}

/* As Docker: an entrypoint of the request's takes the image's command away too. */
static int merge_image(Berth__ContainerSpec *spec, const Berth__ImageConfig *img, Berth__FromImage *from)
{
	int r = 0;

	if (!spec->entrypoint_set) {
		SET(from, command, !spec->n_command);
		if (!spec->n_command)
			r = strings_copy(&spec->command, &spec->n_command, img->command, img->n_command);
		if (!r)
			r = strings_copy(&spec->entrypoint, &spec->n_entrypoint, img->entrypoint, img->n_entrypoint);
	}
	SET(from, workdir, merge_text(&spec->workdir, img->workdir));
	SET(from, user, merge_text(&spec->user, img->user));
	SET(from, stop_signal, merge_text(&spec->stop_signal, img->stop_signal));
	if (!r)
		r = merge_env(spec, img, from);
	if (!r)
		r = merge_volumes(spec, img);
	return r ? r : merge_labels(spec, img, from);
}

/* Said where it is looked for (inspect) and once in the log, not with each run. */
static int note_unheeded(Berth__Container *obj)
{
	const Berth__ImageHealthcheck *health = obj->image_config ? obj->image_config->healthcheck : NULL;
	char *note = (char *)"the image's HEALTHCHECK is not acted on: berth has no health checks yet";
	bool asked = health && health->n_test && strcmp(health->test[0], "NONE");

	if (asked)
		log_info("%s: %s", obj->spec->image, note);
	return strings_copy(&obj->status->notes, &obj->status->n_notes, &note, asked);
}

int container_complete(Berth__Container *obj, const Berth__Image *image, struct err *e)
{
	int r, sig;

	obj->image_config = image->config ? message_copy(&image->config->base) : NULL;
	set_text(&obj->image_id, "%s", image->image_id ? image->image_id : "");
	r = strings_copy(&obj->layers, &obj->n_layers, image->layers, image->n_layers);
	set_text(&obj->image_manifest, "%s", image->manifest_digest ? image->manifest_digest : "");
	obj->from_image = malloc(sizeof *obj->from_image);
	if (obj->from_image)
		berth__from_image__init(obj->from_image);
	else
		r = -ENOMEM;
	if (!r && obj->image_config)
		r = merge_image(obj->spec, obj->image_config, obj->from_image);
	if (!r)
		r = note_unheeded(obj);
	if (r < 0)
		return err_set(e, ENOBUFS, "spec.image", "no memory");
	r = publish_exposed(obj->spec, obj->image_config, e);
	if (r < 0)
		return r;
	r = check_mounts(obj->spec, e); /* once more, because of the image's volumes: their paths are foreign */
	if (r < 0)
		return err_wrap(e, "a volume of the image");
	if (!obj->spec->n_entrypoint && !obj->spec->n_command)
		return err_set(e, EINVAL, "spec.command", "neither the image nor the request names a command");
	/* The request's own was checked. A stop by SIGTERM instead would look like a program that does not listen. */
	if (obj->spec->stop_signal && str_to_signal(obj->spec->stop_signal, &sig) < 0)
		return err_set(e, EINVAL, "spec.stop_signal", "the image's '%.40s' is not a signal: name another",
			       obj->spec->stop_signal);
	return 0;
}

/* ---------------------------------------------------------------- pulled */

int container_pull_note(Berth__Container *obj, const Berth__ImagePull *ask, struct err *e)
{
	static const Berth__RegistryAuth emptied = BERTH__REGISTRY_AUTH__INIT;
	Berth__ImagePull note = *ask;

	if (note.auth)
		note.auth = (Berth__RegistryAuth *)(uintptr_t)&emptied; /* only packed */
	obj->pull = message_copy(&note.base);
	return obj->pull ? 0 : err_set(e, ENOBUFS, "spec.image", "no memory");
}

static void pull_failed(struct container *c, Berth__Error__Code code, const struct err *e)
{
	c->pull_code = code;
	c->failure = *e;
	container_post(c, EV_PULL_FAILED);
}

/* The image counts as used from this moment: between here and the event it could be removed. */
static void pull_done(struct container *c, const Berth__Image *image)
{
	struct err e;

	if (container_complete(c->obj, image, &e) < 0 ||
	    publish_lease(c->sv, c->obj->spec->ports, c->obj->spec->n_ports, c->node.uuid, &e) < 0) {
		pull_failed(c, error_code_of(&e), &e);
		return;
	}
	berth__image_pull__free_unpacked(c->obj->pull, NULL);
	c->obj->pull = NULL;
	container_post(c, EV_PULLED);
}

static void on_image_done(struct image_wait *w, const Berth__ImageReply *found, const Berth__Error *error)
{
	struct container *c = container_of(w, struct container, image);
	struct err e = {0};

	parked_deadline(c->sv, w->parked, true);
	if (found && found->n_images) {
		pull_done(c, found->images[0]);
		return;
	}
	/* Its words are complete, and its step is none of the request's fields. */
	err_set(&e, 0, "", "%s", error && error->text ? error->text : "the image was removed at once");
	pull_failed(c, error ? error->code : BERTH__ERROR__CODE__CONFLICT, &e);
}

/* Here already (when it is asked for again), or on its way from now on. */
static int pull_begin(struct container *c, const Berth__ImagePull *ask, struct parked parked, struct err *e)
{
	const Berth__Meta *meta = c->obj->meta;
	struct image *have;
	int r;

	if (c->obj->pull->auth && !ask)
		return err_set(
			e, EACCES, "pull",
			"its image was to be pulled with credentials, which berthd does not keep: create it anew");
	if (!ask)
		ask = c->obj->pull;
	r = image_want(c->sv, NULL, ask, &have, e);
	if (r > 0)
		pull_done(c, have->obj);
	if (r)
		return r;
	c->image.done = on_image_done;
	c->image.parked = parked;
	r = image_pull(c->sv, meta->project, meta->owner, ask, &c->image, e);
	if (r == 0)
		parked_deadline(c->sv, parked, false);
	return r;
}

state act_pull(struct container *c, struct event *ev)
{
	struct err e = {0};

	set_text(&c->obj->status->status_reason, "its image is being pulled");
	container_touch(c);
	if (!c->image.import && pull_begin(c, ev->pull, ev->parked, &e) < 0)
		pull_failed(c, error_code_of(&e), &e);
	return 0;
}

state container_pull_again(struct container *c)
{
	struct event ev = EVENT(EV_PULL);

	c->waiting = true;
	act_pull(c, &ev);
	return S(CREATING);
}

state act_pulled(struct container *c, struct event *ev)
{
	int r = c->stored || c->row_queued ? 0 : container_create_row(c);

	set_text(&c->obj->status->status_reason, "%s", "");
	container_touch(c);
	if (r < 0) {
		err_set(&c->failure, ENOBUFS, "store", "the store takes no more for now: %s", strerror(-r));
		c->pull_code = BERTH__ERROR__CODE__EXHAUSTED;
		act_pull_failed(c, ev);
		return S(DELETING);
	}
	if (c->waiting)
		return container_start(c, c->stored ? S(CREATED) : S(CREATING));
	return c->stored ? container_created(c) : S(CREATING);
}

/* Who waited hears why; and unless somebody was told that it exists, nothing of it is left. */
state act_pull_failed(struct container *c, struct event *ev)
{
	const unsigned hear = WAIT_BIT(WAIT_CREATED) | WAIT_BIT(WAIT_STARTED) | WAIT_BIT(WAIT_RESTARTED);
	Berth__ContainerStatus *st = c->obj->status;
	char text[512];

	close_fd(&c->session_fd);
	set_text(&st->status_reason, "%s", err_format(&c->failure, text, sizeof text));
	container_publish(c, "pull_failed", text, NULL);
	container_touch(c);
	c->waiting = false;
	SET(st, desired_running, 0);
	if (!waiter_any(c, WAIT_BIT(WAIT_ACCEPTED))) /* else in act_stored: first that it was accepted */
		waiters_fail(c, hear, c->pull_code, &c->failure);
	if (!c->stored && !c->row_queued)
		return remove_begin(c);
	if (c->by_person && c->obj->spec->auto_remove)
		return container_remove_own(c);
	container_answer(c, WAIT_BIT(WAIT_NOT_RUNNING) | WAIT_BIT(WAIT_NEXT_EXIT));
	pod_member_ended(c->pod, c);
	return 0;
}

state act_stop_pull(struct container *c, struct event *ev)
{
	state s;

	if (!c->obj->pull)
		return act_stop_ended(c, ev);
	image_wait_forget(&c->image);
	c->pull_code = BERTH__ERROR__CODE__CONFLICT;
	err_set(&c->failure, 0, "pull", "stopped while its image was being pulled");
	s = act_pull_failed(c, ev);
	SET(c->obj->status, stop_requested, 1);
	if (s == S(DELETING))
		container_owe(c, WAIT_ENDED, ev);
	else
		reply_done(c->sv, ev->parked, c->node.uuid);
	return s ? s : S(STOPPED);
}

/* supervisor/container_rebuild.c - the actions of a rebuild: what runs is stopped; when neither a process nor a shim holds the old rootfs,
 * the row is written with the new image and a new rootfs; when that is on the disk, it starts again if it ran. See supervisor/rebuild.h. */
#include "supervisor/rebuild.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/commit.h"
#include "supervisor/container_act.h"
#include "supervisor/container_request.h"
#include "supervisor/image.h"
#include "supervisor/job.h"
#include "supervisor/publish.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYE_DEADLINE_NS (5 * NS_PER_S)
#define AGAIN_NS	(1 * NS_PER_S)

struct rebuild {		 /* container.rebuild */
	Berth__Container *fresh; /* owned, until it is in force */
	struct parked parked;
	bool storing, written; /* written: it is in force, and its row on the way to the disk */
};

static void rebuild_free(struct container *c)
{
	if (c->rebuild && c->rebuild->fresh)
		berth__container__free_unpacked(c->rebuild->fresh, NULL);
	free(c->rebuild);
	c->rebuild = NULL;
}

void rebuild_forget(struct container *c)
{
	if (c->rebuild && c->rebuild->parked.client)
		reply_error(c->sv, c->rebuild->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "the container is being removed");
	rebuild_free(c);
}

const char *rebuild_leaf(const struct container *c, const char *name, char *buf)
{
	snprintf(buf, 32, c->obj->rootfs ? "%.16s.%u" : "%.16s", name, c->obj->rootfs);
	return buf;
}

/* ---------------------------------------------------------------- the old rootfs */

struct discard { /* handed to the store thread and back */
	struct supervisor *sv;
	char from[2][320], to[2][320];
};

static int discard_work(void *arg)
{
	struct discard *d = arg;
	int r = 0;

	for (int i = 0; i < 2; i++)
		if (rename(d->from[i], d->to[i]) < 0 && errno != ENOENT)
			r = -errno;
	return r;
}

static void on_discarded(void *arg, int result)
{
	struct discard *d = arg;

	if (result < 0)
		log_error("move %s into the trash: %s", d->from[0], strerror(-result));
	job_sweep_trash(d->sv);
	free(d);
}

void rebuild_discard(struct container *c)
{
	static const char *const names[] = {"upper", "work"};
	struct discard *d = c->obj->rootfs ? calloc(1, sizeof *d) : NULL;
	uint32_t old = c->obj->rootfs - 1;
	char leaf[32];

	if (!d)
		return;
	d->sv = c->sv;
	for (int i = 0; i < 2; i++) {
		snprintf(leaf, sizeof leaf, old ? "%s.%u" : "%s", names[i], old);
		path_container(c->sv, c->node.uuid, leaf, d->from[i], sizeof d->from[i]);
		snprintf(d->to[i], sizeof d->to[i], "%s/trash/%s.%s.%u", c->sv->cfg.state_dir, c->node.uuid, names[i],
			 old);
	}
	if (store_call(c->sv->store, discard_work, d, on_discarded) < 0)
		free(d); /* at the next start */
}

/* ---------------------------------------------------------------- actions */

/* They may have changed since the copy was made. */
static void networks_keep(Berth__ContainerSpec *to, Berth__ContainerSpec *from)
{
	Berth__NetworkAsk **asks = from->networks;
	size_t n = from->n_networks;
	char *network = from->network;

	from->networks = to->networks;
	from->n_networks = to->n_networks;
	from->network = to->network;
	to->networks = asks;
	to->n_networks = n;
	to->network = network;
}

/* In force from here, in memory; the disk follows. */
static void swap(struct container *c)
{
	Berth__Container *obj = c->obj, *fresh = c->rebuild->fresh, old = *obj;

	obj->spec = fresh->spec;
	obj->image_id = fresh->image_id;
	obj->image_config = fresh->image_config;
	obj->layers = fresh->layers;
	obj->n_layers = fresh->n_layers;
	networks_keep(obj->spec, old.spec);
	fresh->spec = old.spec;
	fresh->image_id = old.image_id;
	fresh->image_config = old.image_config;
	fresh->layers = old.layers;
	fresh->n_layers = old.n_layers;
	berth__container__free_unpacked(fresh, NULL);
	c->rebuild->fresh = NULL;
	c->rebuild->written = true;
	SET(obj, rootfs, obj->rootfs + 1);
	SET(obj->meta, generation, obj->meta->generation + 1);
	SET(obj->meta, observed_generation, obj->meta->generation);
	if (!obj->status->desired_running && waiter_add(c, WAIT_STORED, c->rebuild->parked, -1) == 0)
		c->rebuild->parked.client = 0;
	container_touch(c);
}

static state look(struct container *c)
{
	if (c->shim || container_group_populated(c)) {
		if (c->shim && container_step_older_than(c, BYE_DEADLINE_NS))
			shimlink_kill(c->shim);
		container_group_kill(c);
		container_poll_again(c);
		return S(REBUILDING);
	}
	if (!c->rebuild) /* begun by the berthd before: what is in its row counts */
		container_post(c, EV_REBUILT);
	else if (c->rebuild->fresh)
		swap(c);
	else if (!c->rebuild->storing) /* it could not be written */
		container_touch(c);
	return S(REBUILDING);
}

state container_rebuild_begin(struct container *c)
{
	timer_del(&c->timer);
	SET(c->obj->status, desired_running, c->start_after);
	set_text(&c->obj->status->status_reason, "%s", "it gets a new root file system");
	c->start_after = false;
	c->phase = PHASE_NONE;
	container_bye(c);
	container_poll_begin(c);
	return look(c);
}

/* It runs: by way of its end. */
state act_rebuild_running(struct container *c, struct event *ev)
{
	SET(c->obj->status, stop_requested, 1);
	c->waiting = false;
	c->start_after = true;
	container_owe(c, WAIT_RESTARTED, ev);
	container_touch(c);
	container_stop_begin(c, (ev->has_timeout ? ev->timeout_s : c->obj->spec->stop_timeout_s) * NS_PER_S);
	return S(STOPPING);
}

state act_rebuild(struct container *c, struct event *ev)
{
	c->start_after = container_state(c) == S(BACKOFF);
	if (c->start_after)
		container_owe(c, WAIT_RESTARTED, ev);
	else
		c->rebuild->parked = ev->parked;
	return container_rebuild_begin(c);
}

state act_timer_rebuilding(struct container *c, struct event *ev)
{
	return look(c);
}

state act_shim_gone_rebuilding(struct container *c, struct event *ev)
{
	act_shim_left(c, ev);
	return look(c);
}

state act_rebuilt(struct container *c, struct event *ev)
{
	bool start = c->obj->status->desired_running;

	timer_del(&c->timer);
	rebuild_free(c);
	rebuild_discard(c);
	set_text(&c->obj->status->status_reason, "%s", "");
	container_publish(c, "rebuild", NULL, (const char *const[]){"image", c->obj->spec->image, NULL});
	if (!start)
		return c->obj->status->incarnation ? S(STOPPED) : S(CREATED);
	c->by_person = true;
	container_start_wanted(c);
	return container_start(c, S(STOPPED));
}

void rebuild_storing(struct container *c)
{
	if (c->rebuild && c->rebuild->written)
		c->rebuild->storing = true;
}

void rebuild_stored(struct container *c, int result)
{
	if (!c->rebuild || !c->rebuild->storing)
		return;
	c->rebuild->storing = false;
	if (result == 0)
		container_post(c, EV_REBUILT);
	else
		container_arm(c, AGAIN_NS);
}

/* ---------------------------------------------------------------- the request */

static bool same_list(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	bool same = n_a == n_b;

	for (size_t i = 0; same && i < n_a; i++)
		same = !strcmp(a[i], b[i]);
	return same;
}

static void drop_text(char **own, const char *image)
{
	if (*own && image && !strcmp(*own, image))
		set_text(own, "%s", "");
}

/* What the spec has of its image, as if it had never been completed. That somebody asked for just what the image said anyway is not known
 * any more. */
static int uncomplete(Berth__Container *obj)
{
	Berth__ContainerSpec *spec = obj->spec;
	Berth__ImageConfig *img = obj->image_config;
	char **env = NULL;
	size_t n_env = 0, kept = 0;
	int r = 0;

	if (!img)
		return 0;
	if (!spec->entrypoint_set) {
		strings_free(&spec->entrypoint, &spec->n_entrypoint);
		if (same_list(spec->command, spec->n_command, img->command, img->n_command))
			strings_free(&spec->command, &spec->n_command);
	}
	for (size_t i = 0; !r && i < spec->n_env; i++) {
		bool of_image = false;

		for (size_t k = 0; !of_image && k < img->n_env; k++)
			of_image = !strcmp(spec->env[i], img->env[k]);
		if (!of_image)
			r = strings_add(&env, &n_env, spec->env[i]);
	}
	strings_free(&spec->env, &spec->n_env);
	spec->env = env;
	spec->n_env = n_env;
	for (size_t i = 0; i < spec->n_labels; i++) {
		Berth__KeyValue *l = spec->labels[i];
		bool of_image = false;

		for (size_t k = 0; !of_image && k < img->n_labels; k++)
			of_image = !strcmp(l->key, img->labels[k]->key) && l->value && img->labels[k]->value &&
				   !strcmp(l->value, img->labels[k]->value);
		if (of_image)
			berth__key_value__free_unpacked(l, NULL);
		else
			spec->labels[kept++] = l;
	}
	spec->n_labels = kept;
	drop_text(&spec->workdir, img->workdir);
	drop_text(&spec->user, img->user);
	drop_text(&spec->stop_signal, img->stop_signal);
	berth__image_config__free_unpacked(img, NULL);
	obj->image_config = NULL;
	return r;
}

static int fresh_make(struct container *c, const char *ref, Berth__Container **ret, struct err *e)
{
	Berth__Container *fresh = NULL;
	struct image *image;
	int r;

	image = image_find(c->sv, ref, e);
	if (!image) {
		snprintf(e->step, sizeof e->step, "image");
		return e->code ? -e->code : -EINVAL;
	}
	fresh = message_copy(&c->obj->base);
	if (!fresh)
		return err_set(e, ENOMEM, "", "no memory");
	set_text(&fresh->spec->image, "%s", ref);
	r = uncomplete(fresh) < 0 ? err_set(e, ENOMEM, "", "no memory") : container_complete(fresh, image->obj, e);
	if (r == 0)
		r = publish_lease(c->sv, fresh->spec->ports, fresh->spec->n_ports, c->node.uuid, e);
	if (r < 0)
		berth__container__free_unpacked(fresh, NULL);
	else
		*ret = fresh;
	return r;
}

void on_container_rebuild(struct request *rq)
{
	const Berth__ContainerRebuild *ask = rq->env->container_rebuild;
	struct container *c = request_container(rq, ask->ref);
	struct event ev = EVENT(EV_REBUILD);
	struct rebuild *rb;
	struct err e = {0};

	if (!c)
		return;
	if (c->rebuild || c->commit || !c->stored) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "it is being %s",
			    c->rebuild	? "rebuilt already"
			    : c->commit ? "committed"
					: "created");
		return;
	}
	rb = calloc(1, sizeof *rb);
	if (!rb) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	if (fresh_make(c, ask->image && *ask->image ? ask->image : c->obj->spec->image, &rb->fresh, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		free(rb);
		return;
	}
	ev.has_timeout = ask->has_timeout_s;
	ev.timeout_s = ask->timeout_s;
	c->rebuild = rb;
	if (!request_event(rq, c, &ev))
		rebuild_free(c);
}

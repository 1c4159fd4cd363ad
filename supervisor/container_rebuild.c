/* supervisor/container_rebuild.c - the actions of a rebuild: what runs is stopped; when neither a process nor a shim holds the old rootfs,
 * the row is written with the new image and a new rootfs; when that is on the disk, it starts again if it ran. See supervisor/rebuild.h. */
#include "supervisor/rebuild.h"

#include "base/log.h"
#include "supervisor/container_act.h"
#include "supervisor/job.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYE_DEADLINE_NS (5 * NS_PER_S)
#define AGAIN_NS	(1 * NS_PER_S)

static void wanted_free(struct container *c)
{
	if (c->obj->rebuild)
		berth__rebuild__free_unpacked(c->obj->rebuild, NULL);
	c->obj->rebuild = NULL;
}

void rebuild_end(struct container *c)
{
	wanted_free(c);
	memset(&c->rebuild, 0, sizeof c->rebuild);
}

void rebuild_forget(struct container *c)
{
	if (c->rebuild.parked.client)
		reply_error(c->sv, c->rebuild.parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "the container is being removed");
	rebuild_end(c);
}

void rebuild_loaded(struct container *c)
{
	if (c->obj->rebuild)
		c->rebuild.step = REBUILD_WANTED;
}

void rebuild_look(struct container *c)
{
	if (c->rebuild.step == REBUILD_WANTED && container_row_exists(container_state(c), EV_REBUILD_BEGIN))
		container_post(c, EV_REBUILD_BEGIN);
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

/* What may have changed since the new spec was made: networks, and what an update changes. */
static void others_keep(Berth__ContainerSpec *to, Berth__ContainerSpec *from)
{
	Berth__ContainerSpec old = *from;

	from->networks = to->networks;
	from->n_networks = to->n_networks;
	from->network = to->network;
	from->resources = to->resources;
	from->restart = to->restart;
	from->annotations = to->annotations;
	from->n_annotations = to->n_annotations;
	to->networks = old.networks;
	to->n_networks = old.n_networks;
	to->network = old.network;
	to->resources = old.resources;
	to->restart = old.restart;
	to->annotations = old.annotations;
	to->n_annotations = old.n_annotations;
}

/* Both directions at once: what is in force, and what is wanted, are of one image each. */
void rebuild_exchange(Berth__Container *obj, Berth__Rebuild *rb)
{
	Berth__Container old = *obj;

	obj->spec = rb->spec;
	obj->image_id = rb->image_id;
	obj->image_manifest = rb->image_manifest;
	obj->image_config = rb->image_config;
	obj->from_image = rb->from_image;
	obj->layers = rb->layers;
	obj->n_layers = rb->n_layers;
	rb->spec = old.spec;
	rb->image_id = old.image_id;
	rb->image_manifest = old.image_manifest;
	rb->image_config = old.image_config;
	rb->from_image = old.from_image;
	rb->layers = old.layers;
	rb->n_layers = old.n_layers;
}

/* In force from here, in memory; the disk follows. */
static void put_in_force(struct container *c)
{
	Berth__Container *obj = c->obj;

	rebuild_exchange(obj, obj->rebuild);
	others_keep(obj->spec, obj->rebuild->spec);
	set_null(&obj->rebuilt_token);
	if (obj->rebuild->client_token)
		set_text(&obj->rebuilt_token, "%s", obj->rebuild->client_token);
	wanted_free(c);
	c->rebuild.step = REBUILD_IN_FORCE;
	c->rebuild.storing = false;
	SET(obj, rootfs, obj->rootfs + 1);
	SET(obj->meta, generation, obj->meta->generation + 1);
	SET(obj->meta, observed_generation, obj->meta->generation);
	if (!obj->status->desired_running && waiter_add(c, WAIT_STORED, c->rebuild.parked, -1) == 0)
		c->rebuild.parked.client = 0;
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
	if (c->rebuild.step == REBUILD_NONE) /* the berthd before has put it in force */
		container_post(c, EV_REBUILT);
	else if (c->rebuild.step == REBUILD_WANTED)
		put_in_force(c);
	else if (!c->rebuild.storing) /* it could not be written */
		container_touch(c);
	return S(REBUILDING);
}

/* Who asked is told when it runs again. */
static void owe_restarted(struct container *c)
{
	struct event ev = EVENT(EV_REBUILD_BEGIN);

	ev.parked = c->rebuild.parked;
	c->rebuild.parked.client = 0;
	c->start_after = true;
	container_owe(c, WAIT_RESTARTED, &ev);
}

state container_rebuild_begin(struct container *c)
{
	const Berth__ContainerStatus *st = c->obj->status;

	/* It waits to run, or ran when it was asked for and has ended since, perhaps while no berthd was there to see how; or somebody
	 * else has restarted it meanwhile. */
	if (c->start_after || (container_state(c) != S(STOPPING) && !st->stop_requested &&
			       (st->desired_running || c->obj->rebuild->start)))
		owe_restarted(c);
	timer_del(&c->timer);
	SET(c->obj->status, desired_running, c->start_after);
	set_text(&c->obj->status->status_reason, "%s", "it gets a new root file system");
	c->start_after = false;
	c->phase = PHASE_NONE;
	container_bye(c);
	container_poll_begin(c);
	return look(c);
}

/* What runs goes on until it is on disk that it is to get a new one: from then on no crash of ours leaves it ended for nothing. */
state act_rebuild_asked(struct container *c, struct event *ev)
{
	SET(c->obj->rebuild, start, container_has_process(c));
	c->rebuild.step = REBUILD_ASKED;
	c->rebuild.parked = ev->parked;
	container_touch(c);
	return 0;
}

/* It runs: by way of its end. */
state act_rebuild_running(struct container *c, struct event *ev)
{
	const Berth__Rebuild *rb = c->obj->rebuild;

	SET(c->obj->status, stop_requested, 1);
	c->waiting = false;
	owe_restarted(c);
	container_touch(c);
	container_stop_begin(c, (rb->has_timeout_s ? rb->timeout_s : c->obj->spec->stop_timeout_s) * NS_PER_S);
	return S(STOPPING);
}

state act_rebuild(struct container *c, struct event *ev)
{
	c->start_after = false;
	c->waiting = false;
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
	rebuild_end(c);
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
	if (c->rebuild.step == REBUILD_ASKED || c->rebuild.step == REBUILD_IN_FORCE)
		c->rebuild.storing = true;
}

/* What could not be written down is not begun. */
static void undo(struct container *c)
{
	struct parked parked = c->rebuild.parked;

	rebuild_end(c);
	container_touch(c);
	reply_error(c->sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "it could not be stored: %s",
		    store_error(c->sv->store));
}

void rebuild_stored(struct container *c, int result)
{
	if (!c->rebuild.storing)
		return;
	c->rebuild.storing = false;
	if (c->rebuild.step == REBUILD_IN_FORCE && result < 0) {
		container_arm(c, AGAIN_NS);
	} else if (c->rebuild.step == REBUILD_IN_FORCE) {
		container_post(c, EV_REBUILT);
	} else if (result < 0) {
		undo(c);
	} else {
		c->rebuild.step = REBUILD_WANTED;
		rebuild_look(c);
	}
}

/* supervisor/volume.c - see supervisor/volume.h. The folder is made, and moved into the trash, by the store's thread in the same
 * step as the row, or before it by a job (a sized volume's): a crash leaves at most a folder that no row knows, which the start moves into
 * the trash. */
#include "supervisor/volume.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/job.h"
#include "supervisor/meta.h"
#include "supervisor/plan.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One write on its way. */
struct volume_work {
	struct supervisor *sv;
	struct parked parked;
	char uuid[UUID_SIZE];
	char path[256], trash[256];
};

static void volume_free(struct supervisor *sv, struct volume *v)
{
	table_del(&sv->volumes, &v->node);
	berth__volume__free_unpacked(v->obj, NULL);
	free(v->creators);
	free(v);
}

/* Takes obj. */
static int volume_new(struct supervisor *sv, Berth__Volume *obj, struct volume **ret)
{
	struct volume *v = calloc(1, sizeof *v);
	int r = -ENOMEM;

	if (v) {
		v->sv = sv;
		v->obj = obj;
		v->node.id = obj->meta->id;
		snprintf(v->node.uuid, sizeof v->node.uuid, "%s", obj->meta->uuid);
		r = table_add(&sv->volumes, &v->node);
	}
	if (r < 0) {
		berth__volume__free_unpacked(obj, NULL);
		free(v);
		return r;
	}
	*ret = v;
	return 0;
}

static int on_volume_load(void *arg, const void *blob, size_t len)
{
	Berth__Volume *obj = berth__volume__unpack(NULL, len, blob);
	struct volume *v;
	int r;

	if (!obj || !obj->meta || !obj->meta->uuid || !obj->meta->name || !obj->meta->project || !obj->path) {
		log_error("a volume in the store cannot be read and is left alone there");
		if (obj)
			berth__volume__free_unpacked(obj, NULL);
		return 0;
	}
	r = volume_new(arg, obj, &v);
	if (r == 0)
		v->stored = true;
	return r;
}

int volume_load(struct supervisor *sv, struct err *e)
{
	return store_load(sv->store, STORE_VOLUME, on_volume_load, sv, e);
}

void volume_fini(struct supervisor *sv)
{
	struct table_node *n;

	while (sv->volumes.bucket && (n = list_first(&sv->volumes.all, struct table_node, link)))
		volume_free(sv, volume_of(n));
}

struct volume *volume_find(struct supervisor *sv, const char *project, const char *name, unsigned *ret_n)
{
	struct volume *found = NULL;
	struct table_node *n;

	*ret_n = 0;
	list_each (n, &sv->volumes.all, link) {
		const Berth__Meta *m = volume_of(n)->obj->meta;

		if (volume_of(n)->removing || strcmp(m->name, name) != 0 ||
		    (project && strcmp(m->project, project) != 0))
			continue;
		found = volume_of(n);
		++*ret_n;
	}
	return found;
}

static void volume_path(const struct supervisor *sv, const char *folder, const char *uuid, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s/%s", sv->cfg.state_dir, folder, uuid);
}

/* What a request says of the kind. */
static int obj_kind(Berth__Volume *obj, const Berth__VolumeCreate *like)
{
	SET(obj, driver, like->driver);
	if (like->has_size_bytes)
		SET(obj, size_bytes, like->size_bytes);
	if (like->has_mode)
		SET(obj, mode, like->mode);
	if (like->has_uid)
		SET(obj, uid, like->uid);
	if (like->has_gid)
		SET(obj, gid, like->gid);
	obj->labels = calloc(like->n_labels + 1, sizeof *obj->labels);
	if (!obj->labels)
		return -ENOMEM;
	for (; obj->n_labels < like->n_labels; obj->n_labels++) {
		obj->labels[obj->n_labels] = message_copy(&like->labels[obj->n_labels]->base);
		if (!obj->labels[obj->n_labels])
			return -ENOMEM;
	}
	return 0;
}

static Berth__Volume *volume_obj_new(struct supervisor *sv, const char *project, const char *owner, const char *name,
				     const Berth__VolumeCreate *like)
{
	static const Berth__VolumeCreate plain = BERTH__VOLUME_CREATE__INIT;
	Berth__Volume *obj = malloc(sizeof *obj);
	char path[256];

	if (!obj)
		return NULL;
	berth__volume__init(obj);
	obj->meta = meta_new(sv, NULL, project, owner, name);
	if (obj->meta) {
		volume_path(sv, "volumes", obj->meta->uuid, path, sizeof path);
		obj->path = strdup(path);
	}
	if (obj->path && obj_kind(obj, like ? like : &plain) == 0)
		return obj;
	berth__volume__free_unpacked(obj, NULL);
	return NULL;
}

/* ---------------------------------------------------------------- make */

/* In the store's thread. */
static int volume_make_folder(void *arg)
{
	struct volume_work *w = arg;

	return dir_make(AT_FDCWD, w->path, 0755);
}

void volume_reply(struct supervisor *sv, struct parked p, Berth__Volume **volumes, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__VolumeReply body = BERTH__VOLUME_REPLY__INIT;

	body.volumes = volumes;
	body.n_volumes = n;
	env.body_case = BERTH__ENVELOPE__BODY_VOLUME_REPLY;
	env.volume_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

int volume_creator_add(struct volume *v, struct parked p)
{
	struct parked *grown = realloc(v->creators, (v->n_creators + 1) * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	v->creators = grown;
	v->creators[v->n_creators++] = p;
	return 0;
}

static void creators_answer(struct supervisor *sv, struct volume *v, const struct err *failure)
{
	for (unsigned i = 0; i < v->n_creators; i++)
		if (failure)
			reply_err(sv, v->creators[i], error_code_of(failure), failure);
		else
			volume_reply(sv, v->creators[i], &v->obj, 1);
	free(v->creators);
	v->creators = NULL;
	v->n_creators = 0;
}

/* There will be none. */
static void volume_fail(struct volume *v, const struct err *e)
{
	struct supervisor *sv = v->sv;

	log_err(e, "volume %s could not be made", v->obj->meta->name);
	creators_answer(sv, v, e);
	v->removing = true; /* who waited for it and asks again does not find it */
	volume_wake(sv, v, e);
	volume_free(sv, v);
}

static void on_volume_stored(void *arg, int result)
{
	struct volume_work *w = arg;
	struct supervisor *sv = w->sv;
	struct table_node *n = table_find(&sv->volumes, w->uuid);
	struct err e = {0};

	free(w);
	if (!n)
		return;
	if (result < 0) {
		err_set(&e, -result, "volume", "volume %s could not be made", volume_of(n)->obj->meta->name);
		volume_fail(volume_of(n), &e);
		return;
	}
	volume_of(n)->stored = true;
	creators_answer(sv, volume_of(n), NULL);
	watch_publish(sv, "volume", "create", volume_of(n)->obj->meta, NULL, NULL);
}

static struct volume_work *work_new(struct supervisor *sv, struct parked p, const char *uuid)
{
	struct volume_work *w = calloc(1, sizeof *w);

	if (!w)
		return NULL;
	w->sv = sv;
	w->parked = p;
	snprintf(w->uuid, sizeof w->uuid, "%s", uuid);
	volume_path(sv, "volumes", uuid, w->path, sizeof w->path);
	volume_path(sv, "trash", uuid, w->trash, sizeof w->trash);
	return w;
}

static int volume_store(struct volume *v)
{
	struct volume_work *w = work_new(v->sv, (struct parked){0}, v->node.uuid);
	int r = w ? store_put_after(v->sv->store, STORE_VOLUME, v->obj->meta, &v->obj->base, volume_make_folder,
				    on_volume_stored, w)
		  : -ENOMEM;

	if (r < 0)
		free(w);
	return r;
}

void volume_made(struct volume *v, const struct err *e)
{
	struct err full = {0};

	if (!e && volume_store(v) == 0)
		return;
	if (!e)
		err_set(&full, ENOBUFS, "volume", "make volume %s: the store's queue is full", v->obj->meta->name);
	volume_fail(v, e ? e : &full);
}

int volume_make(struct supervisor *sv, const char *project, const char *owner, const char *name,
		const Berth__VolumeCreate *like, struct volume **ret, struct err *e)
{
	Berth__Volume *obj = volume_obj_new(sv, project, owner, name, like);
	struct volume *v;
	int r = obj ? volume_new(sv, obj, &v) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "volume", r == -ENOSPC ? "no room for another volume (%u)" : "make a volume (%u)",
			       sv->volumes.capacity);
	if (obj->driver == BERTH__VOLUME__DRIVER__SIZED)
		r = volume_make_begin(v, e);
	else if (volume_store(v) < 0)
		r = err_set(e, ENOBUFS, "volume", "make volume %s: the store's queue is full", name);
	if (r < 0) {
		volume_free(sv, v);
		return r;
	}
	*ret = v;
	return 0;
}

int volume_get(struct supervisor *sv, const char *project, const char *name, struct volume **ret, struct err *e)
{
	unsigned n;

	*ret = volume_find(sv, project, name, &n);
	return *ret ? 0 : volume_make(sv, project, "berthd", name, NULL, ret, e);
}

int volume_use(struct supervisor *sv, const char *project, const char *name, struct plan_volume *ret, struct err *e)
{
	struct volume *v;
	int r = volume_get(sv, project, name, &v, e);

	if (r < 0)
		return r;
	ret->mounted = volume_is_mountable(v);
	ret->sized = v->obj->driver == BERTH__VOLUME__DRIVER__SIZED;
	if (!ret->mounted)
		snprintf(ret->path, sizeof ret->path, "%s", v->obj->path);
	else
		snprintf(ret->path, sizeof ret->path, "/%s%s", v->node.uuid, ret->sized ? "/data" : "");
	return 0;
}

bool volume_is_used_by(const struct volume *v, const struct container *c)
{
	const Berth__ContainerSpec *spec = c->obj->spec;
	const Berth__Meta *meta = v->obj->meta;

	if (strcmp(c->obj->meta->project, meta->project) != 0)
		return false;
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (spec->mounts[i]->type == BERTH__MOUNT__TYPE__VOLUME && spec->mounts[i]->source &&
		    !strcmp(spec->mounts[i]->source, meta->name))
			return true;
	return false;
}

/* ---------------------------------------------------------------- remove */

/* In the store's thread, when the row is gone. A folder that is not there is as good as moved. With the volume goes what a fill that
 * was killed has left beside it. */
static int volume_to_trash(void *arg)
{
	static const char *const ends[] = {"", ".new", ".filling"};
	struct volume_work *w = arg;
	char from[sizeof w->path + 16], to[sizeof w->trash + 16];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(from, sizeof from, "%s%s", w->path, ends[i]);
		snprintf(to, sizeof to, "%s%s", w->trash, ends[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			r = -errno;
	}
	return r;
}

static void on_volume_removed(void *arg, int result)
{
	struct volume_work *w = arg;
	struct supervisor *sv = w->sv;
	struct table_node *n = table_find(&sv->volumes, w->uuid);

	if (result < 0 && n) {
		volume_of(n)->removing = false;
		reply_error(sv, w->parked,
			    result == -ENOSPC ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__INTERNAL, NULL,
			    "volume %s could not be removed: %s", volume_of(n)->obj->meta->name, strerror(-result));
	} else if (n) {
		watch_publish(sv, "volume", "remove", volume_of(n)->obj->meta, NULL, NULL);
		volume_free(sv, volume_of(n));
		job_sweep_trash(sv);
		reply_done(sv, w->parked, w->uuid);
	}
	free(w);
}

static int removal_queue(struct volume *v, struct parked p)
{
	struct volume_work *w = work_new(v->sv, p, v->node.uuid);
	int r = w ? store_delete_then(v->sv->store, STORE_VOLUME, w->uuid, volume_to_trash, on_volume_removed, w)
		  : -ENOMEM;

	if (r < 0)
		free(w);
	return r;
}

void volume_unmounted_for_good(struct volume *v, const struct err *e)
{
	int r = e ? 0 : removal_queue(v, v->removal);

	v->leaving = false;
	if (!e && r == 0)
		return;
	v->removing = false;
	if (e)
		reply_err(v->sv, v->removal, BERTH__ERROR__CODE__INTERNAL, e);
	else
		reply_error(v->sv, v->removal, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the removal could not be queued: %s", strerror(-r));
}

int volume_remove(struct volume *v, struct parked p)
{
	int r = 0;

	if (v->mounted == VOLUME_UNMOUNTED && !v->job) {
		r = removal_queue(v, p);
	} else {
		v->leaving = true;
		v->removal = p;
	}
	v->removing = r == 0;
	if (v->leaving)
		volume_step(v);
	return r;
}

void volume_forget(struct supervisor *sv, const char *project, const char *name, const char *but_container)
{
	unsigned n_found;
	struct volume *v = volume_find(sv, project, name, &n_found);
	struct table_node *n;
	int r;

	if (!v)
		return;
	if (v->filling) {
		v->forget = true;
		return;
	}
	list_each (n, &sv->containers.all, link)
		if (strcmp(n->uuid, but_container) != 0 &&
		    volume_is_used_by(v, container_of(n, struct container, node)))
			return;
	r = volume_remove(v, (struct parked){0});
	if (r < 0)
		log_warn("anonymous volume %s stays: %s", name, strerror(-r));
}

void volume_filled(struct supervisor *sv, struct volume *v)
{
	bool forget = v->forget;

	v->filling = v->forget = false;
	if (forget)
		volume_forget(sv, v->obj->meta->project, v->obj->meta->name, "");
	else
		volume_step(v);
}

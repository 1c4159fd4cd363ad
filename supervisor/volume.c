/* supervisor/volume.c - see supervisor/volume.h. The folder is made, and moved into the trash, by the store's thread in the same
 * step as the row: a crash leaves at most a folder that no row knows, which the start moves into the trash. */
#include "supervisor/volume.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "supervisor/audit.h"
#include "supervisor/check.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/job.h"
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

static struct volume *volume_of(struct table_node *n)
{
	return container_of(n, struct volume, node);
}

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

/* project NULL: in any; *ret_n how many there are. */
static struct volume *find_within(struct supervisor *sv, const char *project, const char *name, unsigned *ret_n)
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

static struct volume *volume_find(struct supervisor *sv, const char *project, const char *name)
{
	unsigned n;

	return find_within(sv, project, name, &n);
}

/* The one that a request names, as container_find; NULL: refused. */
static struct volume *volume_asked(struct request *rq, const char *name)
{
	struct volume *v = volume_find(rq->sv, rq->who.project, name ? name : "");
	unsigned n = 1;

	if (!v && principal_sees_all(&rq->who))
		v = find_within(rq->sv, NULL, name ? name : "", &n);
	if (v && n == 1)
		return v;
	if (v)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__AMBIGUOUS, "name",
			    "%u projects have a volume '%.200s': say which one", n, name);
	else
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__NOT_FOUND, "name", "no volume '%.200s'",
			    name ? name : "");
	return NULL;
}

static void volume_path(const struct supervisor *sv, const char *folder, const char *uuid, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s/%s", sv->cfg.state_dir, folder, uuid);
}

static Berth__Volume *volume_obj_new(struct supervisor *sv, const char *project, const char *owner, const char *name)
{
	Berth__Volume *obj = malloc(sizeof *obj);
	char uuid[UUID_SIZE], path[256];
	Berth__Meta *m;

	if (!obj)
		return NULL;
	berth__volume__init(obj);
	m = obj->meta = malloc(sizeof *m);
	if (!m) {
		free(obj);
		return NULL;
	}
	berth__meta__init(m);
	uuid_make(uuid);
	volume_path(sv, "volumes", uuid, path, sizeof path);
	m->uuid = strdup(uuid);
	m->project = strdup(project);
	m->owner = strdup(owner);
	m->name = strdup(name);
	m->has_id = m->has_revision = m->has_created_at = m->has_updated_at = m->has_generation = true;
	m->id = supervisor_next_id(sv);
	m->revision = supervisor_next_revision(sv);
	m->created_at = m->updated_at = wall_ns();
	m->generation = 1;
	obj->path = strdup(path);
	if (m->uuid && m->project && m->owner && m->name && obj->path)
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

static void reply_volumes(struct supervisor *sv, struct parked p, Berth__Volume **volumes, size_t n)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__VolumeReply body = BERTH__VOLUME_REPLY__INIT;

	body.volumes = volumes;
	body.n_volumes = n;
	env.body_case = BERTH__ENVELOPE__BODY_VOLUME_REPLY;
	env.volume_reply = &body;
	reply(sv, p, &env, NULL, 0);
}

static int creator_add(struct volume *v, struct parked p)
{
	struct parked *grown = realloc(v->creators, (v->n_creators + 1) * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	v->creators = grown;
	v->creators[v->n_creators++] = p;
	return 0;
}

static void creators_answer(struct supervisor *sv, struct volume *v, int result)
{
	for (unsigned i = 0; i < v->n_creators; i++)
		if (result == 0)
			reply_volumes(sv, v->creators[i], &v->obj, 1);
		else
			reply_error(sv, v->creators[i],
				    result == -ENOSPC ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__INTERNAL,
				    NULL, "volume %s could not be made: %s", v->obj->meta->name, strerror(-result));
	free(v->creators);
	v->creators = NULL;
	v->n_creators = 0;
}

static void on_volume_stored(void *arg, int result)
{
	struct volume_work *w = arg;
	struct supervisor *sv = w->sv;
	struct table_node *n = table_find(&sv->volumes, w->uuid);

	free(w);
	if (!n)
		return;
	creators_answer(sv, volume_of(n), result);
	if (result == 0) {
		volume_of(n)->stored = true;
		watch_publish(sv, "volume", "create", volume_of(n)->obj->meta, NULL, NULL);
	} else {
		log_error("volume %s could not be made: %s", volume_of(n)->obj->meta->name, strerror(-result));
		volume_free(sv, volume_of(n));
	}
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

/* Row and folder are queued. */
static int volume_make(struct supervisor *sv, const char *project, const char *owner, const char *name,
		       struct volume **ret, struct err *e)
{
	Berth__Volume *obj = volume_obj_new(sv, project, owner, name);
	struct volume_work *w;
	struct volume *v;
	int r = obj ? volume_new(sv, obj, &v) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "volume", r == -ENOSPC ? "no room for another volume (%u)" : "make a volume (%u)",
			       sv->volumes.capacity);
	w = work_new(sv, (struct parked){0}, v->node.uuid);
	r = w ? store_put_after(sv->store, STORE_VOLUME, obj->meta, &obj->base, volume_make_folder, on_volume_stored, w)
	      : -ENOMEM;
	if (r < 0) {
		free(w);
		volume_free(sv, v);
		return err_set(e, -r, "volume", "make volume %s: the store's queue is full", name);
	}
	*ret = v;
	return 0;
}

int volume_get(struct supervisor *sv, const char *project, const char *name, struct volume **ret, struct err *e)
{
	*ret = volume_find(sv, project, name);
	return *ret ? 0 : volume_make(sv, project, "berthd", name, ret, e);
}

int volume_use(struct supervisor *sv, const char *project, const char *name, char *path, unsigned size, struct err *e)
{
	struct volume *v;
	int r = volume_get(sv, project, name, &v, e);

	if (r < 0)
		return r;
	if ((unsigned)snprintf(path, size, "%s", v->obj->path) >= size)
		return err_set(e, ENAMETOOLONG, "volume", "the path of volume %s", name);
	return 0;
}

void on_volume_create(struct request *rq)
{
	const char *name = rq->env->volume_create->name;
	struct supervisor *sv = rq->sv;
	struct err e = {0};
	char made[UUID_SIZE];
	struct volume *v;

	if (!name || !*name) { /* anonymous: known by a name of berth's */
		uuid_make(made);
		name = made;
	}
	if (check_name("name", name, &e) < 0) {
		reply_err(sv, rq->parked, BERTH__ERROR__CODE__INVALID, &e);
		return;
	}
	v = volume_find(sv, rq->who.project, name); /* as Docker: asking for one that is there is no error */
	request_audit(rq, "volume", v ? v->obj->meta : NULL);
	if (!v) {
		if (volume_make(sv, rq->who.project, rq->who.name, name, &v, &e) < 0) {
			reply_err(sv, rq->parked, error_code_of(&e), &e);
			return;
		}
		audit_object(sv, rq->parked.action, v->obj->meta);
	}
	if (v->stored)
		reply_volumes(sv, rq->parked, &v->obj, 1);
	else if (creator_add(v, rq->parked) < 0)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

/* ---------------------------------------------------------------- list, remove */

static bool container_uses(const struct container *c, const Berth__Meta *volume)
{
	const Berth__ContainerSpec *spec = c->obj->spec;

	if (strcmp(c->obj->meta->project, volume->project) != 0)
		return false;
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (spec->mounts[i]->type == BERTH__MOUNT__TYPE__VOLUME && spec->mounts[i]->source &&
		    !strcmp(spec->mounts[i]->source, volume->name))
			return true;
	return false;
}

/* Fills used (room for all containers) with uuids that stay the containers'. */
static size_t volume_users(struct supervisor *sv, const Berth__Volume *obj, char **used)
{
	struct table_node *n;
	size_t k = 0;

	list_each (n, &sv->containers.all, link)
		if (container_uses(container_of(n, struct container, node), obj->meta))
			used[k++] = n->uuid;
	return k;
}

static bool filter_name(const void *listing, const void *obj, const char *value)
{
	return strstr(((const Berth__Volume *)obj)->meta->name, value) != NULL;
}

static bool filter_dangling(const void *n_users, const void *obj, const char *value)
{
	return (*(const size_t *)n_users == 0) == filter_switch(value);
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"dangling", filter_dangling, FILTER_SWITCH},
};

void on_volume_inspect(struct request *rq)
{
	const char *name = rq->env->volume_inspect->name;
	struct supervisor *sv = rq->sv;
	struct volume *v = volume_asked(rq, name);
	AUTO_FREE char **used = v ? calloc(sv->containers.n + 1, sizeof *used) : NULL;
	Berth__Volume view, *one = &view;

	if (!v)
		return;
	if (!used) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	view = *v->obj;
	view.used_by = used;
	view.n_used_by = volume_users(sv, v->obj, used);
	reply_volumes(sv, rq->parked, &one, 1);
}

void on_volume_list(struct request *rq)
{
	const Berth__VolumeList *a = rq->env->volume_list;
	struct supervisor *sv = rq->sv;
	size_t n_all = sv->volumes.n, n_containers = sv->containers.n, n = 0;
	AUTO_FREE Berth__Volume **list = calloc(n_all + 1, sizeof *list);
	AUTO_FREE Berth__Volume *view = calloc(n_all + 1, sizeof *view);
	AUTO_FREE char **used = calloc(n_containers + 1, sizeof *used);
	struct table_node *node;

	if ((a->all_projects && !request_sees_all(rq)) ||
	    !filters_check(rq, filters, ARRAY_SIZE(filters), a->filters, a->n_filters))
		return;
	bool memory = list && view && used;
	AUTO_FREE char ***kept = memory ? calloc(n_all + 1, sizeof *kept) : NULL;
	if (!kept) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	list_each (node, &sv->volumes.all, link) {
		const Berth__Volume *obj = volume_of(node)->obj;
		size_t n_users = volume_users(sv, obj, used);

		if ((!a->all_projects && strcmp(obj->meta->project, rq->who.project) != 0) ||
		    volume_of(node)->removing ||
		    !filters_fit(filters, ARRAY_SIZE(filters), a->filters, a->n_filters, &n_users, obj))
			continue;
		view[n] = *obj;
		kept[n] = calloc(n_users + 1, sizeof *used);
		if (kept[n]) {
			memcpy(kept[n], used, n_users * sizeof *used);
			view[n].used_by = kept[n];
			view[n].n_used_by = n_users;
		}
		list[n] = &view[n];
		n++;
	}
	reply_volumes(sv, rq->parked, list, n);
	for (size_t i = 0; i < n; i++)
		free(kept[i]);
}

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

static bool volume_is_free(struct request *rq, const Berth__Volume *obj)
{
	struct table_node *n;

	list_each (n, &rq->sv->containers.all, link) {
		const struct container *c = container_of(n, struct container, node);

		if (!container_uses(c, obj->meta))
			continue;
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "volume %s is used by container %s: remove that first", obj->meta->name,
			    c->obj->meta->name && *c->obj->meta->name ? c->obj->meta->name : c->obj->meta->uuid);
		return false;
	}
	return true;
}

/* Queues the removal; p is answered when it is done. */
static int volume_remove(struct supervisor *sv, struct volume *v, struct parked p)
{
	struct volume_work *w = work_new(sv, p, v->node.uuid);
	int r = w ? store_delete_then(sv->store, STORE_VOLUME, w->uuid, volume_to_trash, on_volume_removed, w)
		  : -ENOMEM;

	if (r < 0)
		free(w);
	else
		v->removing = true;
	return r;
}

void volume_forget(struct supervisor *sv, const char *project, const char *name, const char *but_container)
{
	struct volume *v = volume_find(sv, project, name);
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
		    container_uses(container_of(n, struct container, node), v->obj->meta))
			return;
	r = volume_remove(sv, v, (struct parked){0});
	if (r < 0)
		log_warn("anonymous volume %s stays: %s", name, strerror(-r));
}

void volume_filled(struct supervisor *sv, struct volume *v)
{
	bool forget = v->forget;

	v->filling = v->forget = false;
	if (forget)
		volume_forget(sv, v->obj->meta->project, v->obj->meta->name, "");
}

void on_volume_remove(struct request *rq)
{
	const char *name = rq->env->volume_remove->name;
	struct supervisor *sv = rq->sv;
	struct volume *v = volume_asked(rq, name);
	int r;

	if (!v)
		return;
	request_audit(rq, "volume", v->obj->meta);
	if (rq->env->has_if_revision && rq->env->if_revision != v->obj->meta->revision) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__STALE, "if_revision", "the volume has revision %llu",
			    (unsigned long long)v->obj->meta->revision);
		return;
	}
	if (!volume_is_free(rq, v->obj))
		return;
	if (v->filling) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "volume %s is getting its content from an image just now: ask again", name);
		return;
	}
	r = volume_remove(sv, v, rq->parked);
	if (r < 0)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the removal could not be queued: %s",
			    strerror(-r));
}

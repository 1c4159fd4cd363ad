/* supervisor/volume_request.c - what is asked about volumes: create, list, inspect, update, remove, prune. */
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/check.h"
#include "supervisor/check_member.h"
#include "supervisor/check_volume.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/job.h"
#include "supervisor/launch.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define USAGE_NS (5 * NS_PER_S) /* so long an inspect waits for the disk; then it says nothing of what is used */

/* The one that a request names, as container_find; NULL: refused. */
static struct volume *volume_asked(struct request *rq, const char *name)
{
	unsigned n;
	struct volume *v = volume_find(rq->sv, rq->who.project, name ? name : "", &n);

	if (!v && principal_sees_all(&rq->who))
		v = volume_find(rq->sv, NULL, name ? name : "", &n);
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

static bool revision_fits(struct request *rq, const struct volume *v)
{
	if (!rq->env->has_if_revision || rq->env->if_revision == v->obj->meta->revision)
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__STALE, "if_revision", "the volume has revision %llu",
		    (unsigned long long)v->obj->meta->revision);
	return false;
}

/* What the checks found: the step is the field. */
static void refuse(struct request *rq, const struct err *e)
{
	reply_error(rq->sv, rq->parked, error_code_of(e), e->step, "%s", e->text);
}

/* ---------------------------------------------------------------- create */

/* What the volumes of a project take that have a size. */
static uint64_t project_bytes(const struct supervisor *sv, const char *project)
{
	struct table_node *n;
	uint64_t sum = 0;

	list_each (n, &sv->volumes.all, link)
		if (!strcmp(volume_of(n)->obj->meta->project, project))
			sum += volume_of(n)->grow_to ? volume_of(n)->grow_to : volume_of(n)->obj->size_bytes;
	return sum;
}

static int check_share(struct request *rq, uint64_t more, struct err *e)
{
	if (principal_sees_all(&rq->who))
		return 0;
	return check_member_volume(project_bytes(rq->sv, rq->who.project), more, rq->sv->cfg.project_volumes, e);
}

/* One that is there is as good as made, if it is what was asked for. */
static bool is_as_asked(struct request *rq, const struct volume *v, const Berth__VolumeCreate *ask)
{
	const Berth__Volume *obj = v->obj;

	if ((!ask->has_driver || ask->driver == obj->driver) &&
	    (!ask->size_bytes || ask->size_bytes == obj->size_bytes))
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXISTS, "name",
		    "there is a volume %s of another driver or size (berth volume inspect)", obj->meta->name);
	return false;
}

void on_volume_create(struct request *rq)
{
	const Berth__VolumeCreate *ask = rq->env->volume_create;
	const char *name = ask->name;
	struct supervisor *sv = rq->sv;
	struct err e = {0};
	char made[UUID_SIZE];
	struct volume *v;
	unsigned n;
	int r;

	if (!name || !*name) { /* anonymous: known by a name of berth's */
		uuid_make(made);
		name = made;
	}
	r = check_name("name", name, &e);
	if (!r)
		r = check_volume(rq->env->volume_create, &e);
	if (r < 0) {
		refuse(rq, &e);
		return;
	}
	v = volume_find(sv, rq->who.project, name, &n); /* as Docker: asking for one that is there is no error */
	request_audit(rq, "volume", v ? v->obj->meta : NULL);
	if (v && !is_as_asked(rq, v, ask))
		return;
	if (!v) {
		if (check_share(rq, ask->size_bytes, &e) < 0) {
			refuse(rq, &e);
			return;
		}
		if (volume_make(sv, rq->who.project, rq->who.name, name, ask, &v, &e) < 0) {
			reply_err(sv, rq->parked, error_code_of(&e), &e);
			return;
		}
		audit_object(sv, rq->parked.action, v->obj->meta);
	}
	if (v->stored)
		volume_reply(sv, rq->parked, &v->obj, 1);
	else if (volume_creator_add(v, rq->parked) < 0)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

/* ---------------------------------------------------------------- what they take: a job looks */

struct measuring {
	struct supervisor *sv;
	struct parked parked;
	Berth__Envelope *said;		   /* owned: the job's answer, NULL until it came */
	bool (*then)(struct measuring *m); /* true: m is still needed */
	char (*uuids)[UUID_SIZE];	   /* owned: those that were asked about */
	struct {
		char *name; /* owned; NULL: it stays */
		uint64_t bytes;
	} * pruned; /* owned */
	size_t n;
};

static void measuring_free(struct measuring *m)
{
	if (m->said)
		berth__envelope__free_unpacked(m->said, NULL);
	for (size_t i = 0; m->pruned && i < m->n; i++)
		free(m->pruned[i].name);
	free(m->pruned);
	free(m->uuids);
	free(m);
}

static void on_usage_record(void *arg, const Berth__Envelope *env)
{
	struct measuring *m = arg;

	if (env->body_case == BERTH__ENVELOPE__BODY_VOLUME_REPLY && !m->said)
		m->said = message_copy(&env->base);
}

static void on_usage_done(void *arg, int status)
{
	struct measuring *m = arg;

	if (!m->then(m))
		measuring_free(m);
}

/* false: it could not be told. */
static bool usage_of(const struct measuring *m, const char *uuid, uint64_t *ret)
{
	const Berth__VolumeReply *said = m->said ? m->said->volume_reply : NULL;

	for (size_t i = 0; said && i < said->n_volumes; i++) {
		const Berth__Volume *v = said->volumes[i];

		if (v->meta && v->meta->uuid && !strcmp(v->meta->uuid, uuid) && v->has_used_bytes) {
			*ret = v->used_bytes;
			return true;
		}
	}
	return false;
}

static int usage_pack(struct supervisor *sv, const struct measuring *m, int *ret_fd, struct err *e)
{
	AUTO_FREE Berth__Volume *view = calloc(m->n + 1, sizeof *view);
	AUTO_FREE Berth__Volume **list = calloc(m->n + 1, sizeof *list);
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__VolumeReply reply = BERTH__VOLUME_REPLY__INIT;

	if (!view || !list)
		return err_set(e, ENOMEM, "volume", "no memory");
	for (size_t i = 0; i < m->n; i++) {
		struct volume *v = volume_of(table_find(&sv->volumes, m->uuids[i]));

		view[i] = *v->obj;
		SET(&view[i], driver, v->obj->driver);
		SET(&view[i], mounted, v->mounted == VOLUME_MOUNTED);
		list[i] = &view[i];
	}
	reply.volumes = list;
	reply.n_volumes = m->n;
	env.body_case = BERTH__ENVELOPE__BODY_VOLUME_REPLY;
	env.volume_reply = &reply;
	return launch_pack(&env.base, "berth-volumes", ret_fd, e);
}

/* Takes m; then() follows in any case, at once if there is no job. */
static void measure(struct supervisor *sv, struct measuring *m, uint64_t deadline_ns)
{
	static const struct job_ops ops = {.record = on_usage_record, .done = on_usage_done};
	const char *argv[] = {"volume-usage", NULL};
	struct err e = {0};
	AUTO_FD list = -1;
	int r = usage_pack(sv, m, &list, &e);

	if (!r)
		r = job_start(sv, argv, (int[]){list, sv->volume_ns_fd}, sv->volume_ns_fd >= 0 ? 2 : 1, deadline_ns,
			      &ops, m, NULL, &e);
	if (!r)
		return;
	log_err(&e, "look what volumes take");
	on_usage_done(m, 0);
}

static struct measuring *measuring_new(struct request *rq, size_t n, bool (*then)(struct measuring *m))
{
	struct measuring *m = calloc(1, sizeof *m);

	if (m)
		m->uuids = calloc(n + 1, sizeof *m->uuids);
	if (!m || !m->uuids) {
		free(m);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return NULL;
	}
	m->sv = rq->sv;
	m->parked = rq->parked;
	m->then = then;
	return m;
}

static void measuring_add(struct measuring *m, const struct volume *v)
{
	snprintf(m->uuids[m->n++], UUID_SIZE, "%s", v->node.uuid);
}

/* ---------------------------------------------------------------- inspect, list */

/* Fills used (room for all containers) with uuids that stay the containers'. */
static size_t volume_users(const struct volume *v, char **used)
{
	struct table_node *n;
	size_t k = 0;

	list_each (n, &v->sv->containers.all, link)
		if (volume_is_used_by(v, container_of(n, struct container, node)))
			used[k++] = n->uuid;
	return k;
}

static void view_make(const struct volume *v, Berth__Volume *view)
{
	*view = *v->obj;
	SET(view, driver, v->obj->driver);
	if (volume_is_mountable(v)) {
		view->path = NULL; /* nobody finds it there */
		SET(view, mounted, v->mounted == VOLUME_MOUNTED);
	}
}

static bool inspect_answer(struct measuring *m)
{
	struct supervisor *sv = m->sv;
	struct table_node *n = table_find(&sv->volumes, m->uuids[0]);
	AUTO_FREE char **used = calloc(sv->containers.n + 1, sizeof *used);
	Berth__Volume view, *one = &view;
	uint64_t bytes;

	if (!n || !used) {
		reply_error(sv, m->parked, n ? BERTH__ERROR__CODE__EXHAUSTED : BERTH__ERROR__CODE__NOT_FOUND, "name",
			    n ? "no memory" : "the volume was removed meanwhile");
		return false;
	}
	view_make(volume_of(n), &view);
	view.used_by = used;
	view.n_used_by = volume_users(volume_of(n), used);
	if (usage_of(m, n->uuid, &bytes))
		SET(&view, used_bytes, bytes);
	volume_reply(sv, m->parked, &one, 1);
	return false;
}

void on_volume_inspect(struct request *rq)
{
	struct volume *v = volume_asked(rq, rq->env->volume_inspect->name);
	struct measuring *m = v ? measuring_new(rq, 1, inspect_answer) : NULL;

	if (!m)
		return;
	measuring_add(m, v);
	measure(rq->sv, m, USAGE_NS);
}

static bool filter_name(const void *listing, const void *obj, const char *value)
{
	return strstr(((const Berth__Volume *)obj)->meta->name, value) != NULL;
}

static bool filter_dangling(const void *n_users, const void *obj, const char *value)
{
	return (*(const size_t *)n_users == 0) == filter_switch(value);
}

static bool filter_label(const void *n_users, const void *obj, const char *value)
{
	const Berth__Volume *v = obj;

	return filter_label_fits(v->labels, v->n_labels, value);
}

static const char *const drivers[] = {"plain", "sized", "tmpfs"};

static bool filter_driver(const void *n_users, const void *obj, const char *value)
{
	return !strcasecmp(drivers[((const Berth__Volume *)obj)->driver - 1], value);
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"label", filter_label, .all = true},
	{"driver", filter_driver, "plain sized tmpfs"},
	{"dangling", filter_dangling, FILTER_SWITCH},
};

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
		size_t n_users = volume_users(volume_of(node), used);

		if ((!a->all_projects && strcmp(obj->meta->project, rq->who.project) != 0) ||
		    volume_of(node)->removing ||
		    !filters_fit(filters, ARRAY_SIZE(filters), a->filters, a->n_filters, &n_users, obj))
			continue;
		view_make(volume_of(node), &view[n]);
		kept[n] = calloc(n_users + 1, sizeof *used);
		if (kept[n]) {
			memcpy(kept[n], used, n_users * sizeof *used);
			view[n].used_by = kept[n];
			view[n].n_used_by = n_users;
		}
		list[n] = &view[n];
		n++;
	}
	volume_reply(sv, rq->parked, list, n);
	for (size_t i = 0; i < n; i++)
		free(kept[i]);
}

/* ---------------------------------------------------------------- update */

void on_volume_update(struct request *rq)
{
	Berth__VolumeUpdate *ask = rq->env->volume_update;
	struct supervisor *sv = rq->sv;
	struct volume *v = volume_asked(rq, ask->name);
	struct err e = {0};
	int r;

	if (!v)
		return;
	request_audit(rq, "volume", v->obj->meta);
	if (!revision_fits(rq, v))
		return;
	r = check_volume_growth(v->obj, ask, &e);
	if (!r && ask->size_bytes > v->obj->size_bytes)
		r = check_share(rq, ask->size_bytes - v->obj->size_bytes, &e);
	if (r < 0) {
		refuse(rq, &e);
		return;
	}
	if (v->grow_to || !v->stored) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    v->stored ? "volume %s is growing already" : "volume %s is just being made",
			    v->obj->meta->name);
		return;
	}
	v->grow_to = ask->size_bytes;
	v->growth = rq->parked;
	volume_step(v);
}

/* ---------------------------------------------------------------- remove */

static bool volume_is_free(struct request *rq, const struct volume *v)
{
	struct table_node *n;

	list_each (n, &rq->sv->containers.all, link) {
		const struct container *c = container_of(n, struct container, node);

		if (!volume_is_used_by(v, c))
			continue;
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "volume %s is used by container %s: remove that first", v->obj->meta->name,
			    c->obj->meta->name && *c->obj->meta->name ? c->obj->meta->name : c->obj->meta->uuid);
		return false;
	}
	return true;
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
	if (!revision_fits(rq, v))
		return;
	if (!volume_is_free(rq, v))
		return;
	if (v->filling) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "volume %s is getting its content from an image just now: ask again", name);
		return;
	}
	r = volume_remove(v, rq->parked);
	if (r < 0)
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the removal could not be queued: %s",
			    strerror(-r));
}

/* ---------------------------------------------------------------- prune */

static bool is_unused(const struct volume *v)
{
	struct table_node *n;

	list_each (n, &v->sv->containers.all, link)
		if (volume_is_used_by(v, container_of(n, struct container, node)))
			return false;
	return v->stored && !v->filling && !v->removing;
}

/* The removals have been committed, in the order of the store, or have failed: those that are gone, or about to, are named. */
static void on_pruned(void *arg, int result)
{
	struct measuring *m = arg;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__PruneReply body = BERTH__PRUNE_REPLY__INIT;
	AUTO_FREE char **removed = calloc(m->n + 1, sizeof *removed);

	SET(&body, freed_bytes, 0);
	for (size_t i = 0; removed && i < m->n; i++) {
		struct table_node *n = table_find(&m->sv->volumes, m->uuids[i]);

		if (!m->pruned[i].name || (n && !volume_of(n)->removing))
			continue;
		removed[body.n_removed++] = m->pruned[i].name;
		body.freed_bytes += m->pruned[i].bytes;
	}
	body.removed = removed;
	env.body_case = BERTH__ENVELOPE__BODY_PRUNE_REPLY;
	env.prune_reply = &body;
	if (removed)
		reply(m->sv, m->parked, &env, NULL, 0);
	else
		reply_error(m->sv, m->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
	measuring_free(m);
}

static int store_does_nothing(void *arg)
{
	return 0;
}

static bool prune_begin(struct measuring *m)
{
	m->pruned = calloc(m->n + 1, sizeof *m->pruned);
	for (size_t i = 0; m->pruned && i < m->n; i++) {
		struct table_node *n = table_find(&m->sv->volumes, m->uuids[i]);
		struct volume *v = n ? volume_of(n) : NULL;

		if (!v || !is_unused(v)) /* somebody took it meanwhile */
			continue;
		if (v->obj->driver == BERTH__VOLUME__DRIVER__SIZED)
			m->pruned[i].bytes = v->obj->size_bytes;
		else if (v->obj->driver == BERTH__VOLUME__DRIVER__PLAIN)
			(void)usage_of(m, n->uuid, &m->pruned[i].bytes);
		m->pruned[i].name = strdup(v->obj->meta->name);
		if (volume_remove(v, (struct parked){0}) < 0) /* the queue is full: what is left stays */
			break;
	}
	if (m->pruned && store_call(m->sv->store, store_does_nothing, m, on_pruned) == 0)
		return true;
	reply_error(m->sv, m->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
		    "the store's queue is full: some volumes may have been removed");
	return false;
}

void on_volume_prune(struct request *rq)
{
	static const struct filter_row allowed[] = {{"label", filter_label, .all = true}};
	const Berth__VolumePrune *ask = rq->env->volume_prune;
	struct supervisor *sv = rq->sv;
	struct measuring *m;
	struct table_node *n;

	if (!filters_check(rq, allowed, ARRAY_SIZE(allowed), ask->filters, ask->n_filters))
		return;
	request_audit(rq, "volume", NULL);
	m = measuring_new(rq, sv->volumes.n, prune_begin);
	if (!m)
		return;
	list_each (n, &sv->volumes.all, link) {
		const struct volume *v = volume_of(n);

		if (!strcmp(v->obj->meta->project, rq->who.project) && (ask->all || uuid_is(v->obj->meta->name)) &&
		    is_unused(v) &&
		    filters_fit(allowed, ARRAY_SIZE(allowed), ask->filters, ask->n_filters, NULL, v->obj))
			measuring_add(m, v);
	}
	measure(sv, m, 0);
}

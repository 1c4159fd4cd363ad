/* supervisor/pod.c - see supervisor/pod.h: the object, its row and its group, its removal. */
#include "supervisor/pod_own.h"

#include "base/log.h"
#include "base/own.h"
#include "cgroup/limits.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/floating.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYE_DEADLINE_NS (5 * NS_PER_S)
#define AGAIN_NS	(2 * NS_PER_S)

/* ---------------------------------------------------------------- making, loading, finding */

static int pod_take(struct supervisor *sv, Berth__Pod *obj, struct pod **ret, struct err *e)
{
	struct pod *p = calloc(1, sizeof *p);
	int r;

	if (!p) {
		berth__pod__free_unpacked(obj, NULL);
		return err_set(e, ENOMEM, "pod", "no memory for a pod");
	}
	p->sv = sv;
	p->obj = obj;
	p->pause_pidfd = -1;
	list_init(&p->containers);
	snprintf(p->node.uuid, sizeof p->node.uuid, "%s", obj->meta->uuid);
	p->node.id = obj->meta->id;
	if (!obj->implicit)
		net_holder_init(&p->net, sv, &pod_net_kind);
	r = table_add(&sv->pods, &p->node);
	if (r < 0) {
		net_holder_fini(&p->net);
		berth__pod__free_unpacked(obj, NULL);
		free(p);
		return err_set(e, -r, "pod", "there are too many pods");
	}
	*ret = p;
	return 0;
}

static Berth__Pod *object_new(const char *uuid)
{
	Berth__Pod *obj = calloc(1, sizeof *obj);
	Berth__Meta *meta = calloc(1, sizeof *meta);

	if (!obj || !meta) {
		free(obj);
		free(meta);
		return NULL;
	}
	berth__pod__init(obj);
	berth__meta__init(meta);
	obj->meta = meta;
	set_text(&meta->uuid, "%s", uuid);
	return obj;
}

int pod_new_implicit(struct supervisor *sv, const char *uuid, struct pod **ret, struct err *e)
{
	Berth__Pod *obj = object_new(uuid);

	if (!obj)
		return err_set(e, ENOMEM, "pod", "no memory for a pod");
	SET(obj, implicit, 1);
	return pod_take(sv, obj, ret, e);
}

void pod_free(struct pod *p)
{
	timer_del(&p->timer);
	net_holder_fini(&p->net);
	shimlink_free(p->holder);
	close_fd(&p->pause_pidfd);
	table_del(&p->sv->pods, &p->node);
	berth__pod__free_unpacked(p->obj, NULL);
	free(p);
}

static int load_row(void *arg, const void *blob, size_t len)
{
	struct supervisor *sv = arg;
	Berth__Pod *obj = message_unpack(&berth__pod__descriptor, blob, len);
	struct pod *p;
	struct err e;

	if (!obj || !obj->meta || !obj->meta->uuid || !uuid_is(obj->meta->uuid) || !obj->meta->name ||
	    !obj->meta->project || !obj->spec) {
		log_error("a pod in the store cannot be read and is left alone there");
		if (obj)
			berth__pod__free_unpacked(obj, NULL);
		return 0;
	}
	if (pod_take(sv, obj, &p, &e) < 0)
		log_err(&e, "a pod in the store cannot be taken up");
	else
		p->stored = true;
	return 0;
}

int pod_load(struct supervisor *sv, struct err *e)
{
	return store_load(sv->store, STORE_POD, load_row, sv, e);
}

static struct pod *find_within(struct supervisor *sv, const char *project, const char *ref, struct err *e)
{
	struct pod *found = NULL, *named = NULL;
	struct table_node *n;
	unsigned begin = 0, called = 0;

	list_each (n, &sv->pods.all, link) {
		struct pod *p = container_of(n, struct pod, node);

		if (p->obj->implicit || (project && strcmp(p->obj->meta->project, project) != 0))
			continue;
		if (!strcmp(p->node.uuid, ref))
			return p;
		if (!strcmp(p->obj->meta->name, ref)) {
			named = p;
			called++;
		}
		if (table_uuid_begins(p->node.uuid, ref)) {
			found = p;
			begin++;
		}
	}
	if (called > 1)
		err_set(e, ENOTUNIQ, "ref", "%u pods are called \"%s\": name the one that is meant by its uuid", called,
			ref);
	else if (!called && begin > 1)
		err_set(e, ENOTUNIQ, "ref", "several pods have a uuid that begins with \"%s\"", ref);
	else if (!called && !begin)
		err_set(e, ENOENT, "ref", "there is no pod \"%s\"", ref);
	return called == 1 ? named : !called && begin == 1 ? found : NULL;
}

struct pod *pod_find(struct supervisor *sv, const struct principal *who, const char *ref, struct err *e)
{
	struct pod *p;

	if (!ref || !*ref) {
		err_set(e, EINVAL, "ref", "no pod is named");
		return NULL;
	}
	p = find_within(sv, who->project, ref, e);
	return p || e->code != ENOENT || !principal_sees_all(who) ? p : find_within(sv, NULL, ref, e);
}

void pod_add(struct pod *p, struct container *c)
{
	c->pod = p;
	list_push(&p->containers, &c->in_pod);
}

void pod_del(struct pod *p, struct container *c)
{
	c->pod = NULL;
	list_del(&c->in_pod);
	if (p->obj->implicit) {
		pod_free(p);
	} else if (p->removing) {
		pod_remove_continue(p);
	} else {
		pod_member_ended(p, NULL);
	}
}

/* ---------------------------------------------------------------- its group */

static int group_prepare(struct pod *p, int fd, struct err *e)
{
	struct supervisor *sv = p->sv;
	struct cg_limits l;
	int r = cg_enable(fd, sv->cg.controllers, e);

	if (r < 0 || p->obj->implicit || !p->obj->spec->resources)
		return r;
	r = cg_limits_make(p->obj->spec->resources, sv->cg.controllers, false, &l, e);
	return r < 0 ? r : cg_limits_apply(fd, &l, e);
}

int pod_group_open(struct pod *p, int *ret_fd, struct err *e)
{
	struct supervisor *sv = p->sv;
	AUTO_FD fd = -1;
	int r = cg_open(sv->cg.shared_fd, p->node.uuid, &fd);

	if (r == -ENOENT) {
		r = cg_tree_make(&sv->cg, sv->cg.shared_fd, p->node.uuid, &fd, e);
		if (!r)
			r = group_prepare(p, fd, e);
	} else if (r < 0) {
		err_set(e, -r, "cgroup", "open the group of pod %s", p->node.uuid);
	}
	if (!r)
		*ret_fd = take_fd(&fd);
	return r;
}

int pod_put(struct pod *p, bool must_fit, store_done *done, void *arg)
{
	if (p->removing || !p->stored)
		return -EBUSY;
	SET(p->obj->meta, revision, supervisor_next_revision(p->sv));
	SET(p->obj->meta, updated_at, wall_ns());
	return store_put(p->sv->store, STORE_POD, p->obj->meta, &p->obj->base, must_fit, done, arg);
}

/* ---------------------------------------------------------------- removal */

static void on_row_deleted(void *arg, int result)
{
	struct pod *p = arg;

	if (result < 0) {
		reply_error(p->sv, p->removal, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the pod cannot be removed from the store now; it is tried again");
		p->removal = (struct parked){0};
		p->row_deleting = false;
		timer_in(&p->sv->loop, &p->timer, AGAIN_NS, pod_on_timer);
		return;
	}
	watch_publish(p->sv, "pod", "destroy", p->obj->meta, NULL, NULL);
	reply_done(p->sv, p->removal, p->node.uuid);
	floating_forget(p->sv, p->node.uuid, NULL);
	pod_free(p);
}

void pod_remove_continue(struct pod *p)
{
	if (!list_empty(&p->containers) || p->row_deleting || !p->stored)
		return;
	if (p->holder) {
		pod_holder_bye(p);
		timer_in(&p->sv->loop, &p->timer, BYE_DEADLINE_NS, pod_on_timer);
		return;
	}
	timer_del(&p->timer);
	close_fd(&p->pause_pidfd);
	cg_bury(&p->sv->graveyard, p->sv->cg.shared_fd, p->node.uuid);
	p->row_deleting = store_delete(p->sv->store, STORE_POD, p->node.uuid, on_row_deleted, p) >= 0;
	if (!p->row_deleting)
		timer_in(&p->sv->loop, &p->timer, AGAIN_NS, pod_on_timer);
}

void pod_remove(struct pod *p, struct parked parked)
{
	struct container *m;

	p->removing = true;
	p->removal = parked;
	list_each (m, &p->containers, in_pod) {
		struct event ev = EVENT(EV_REMOVE_FORCE);

		container_event(m, &ev, NULL);
	}
	pod_remove_continue(p);
}

int pod_create_row(struct supervisor *sv, Berth__Pod *obj, struct pod **ret, store_done *done, struct err *e)
{
	struct pod *p;
	int r = pod_take(sv, obj, &p, e);

	if (r < 0)
		return r;
	r = store_put(sv->store, STORE_POD, obj->meta, &obj->base, false, done, p);
	if (r < 0) {
		pod_free(p);
		return err_set(e, -r, "store", "the store takes no more for now");
	}
	*ret = p;
	return 0;
}

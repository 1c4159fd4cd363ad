/* supervisor/pod.c - see supervisor/pod.h
 *
 * States of an explicit pod: empty (no holder) -> starting (the holder has its plan) -> ready (its pause process runs, and we hold
 * its pidfd) or failed. A holder that ends takes the pod back to empty; its members are killed, because namespaces that cannot be
 * joined any more would split the pod in two. They come back, if their policies say so, around a new holder. */
#include "supervisor/pod.h"

#include "base/log.h"
#include "base/own.h"
#include "cgroup/limits.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/floating.h"
#include "supervisor/launch.h"
#include "supervisor/net_change.h"
#include "supervisor/plan.h"
#include "supervisor/recover.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAUNCH_DEADLINE_NS ((PLAN_TIMEOUT_MS + 5000) * NS_PER_MS)
#define BYE_DEADLINE_NS	   (5 * NS_PER_S)
#define AGAIN_NS	   (2 * NS_PER_S)

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

/* ---------------------------------------------------------------- members */

bool pod_init_done(const struct pod *p, const struct container *init)
{
	const Berth__ExitInfo *last = init->obj->status->last_exit;

	return last && last->known && !last->code && !last->signal && last->started_at >= p->holder_started_at &&
	       !container_has_process(init);
}

static bool failed_here(const struct pod *p, const struct container *init)
{
	const Berth__ContainerStatus *st = init->obj->status;

	if (init->waiting || container_has_process(init) ||
	    st->state == BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF)
		return false;
	return (st->last_exit && st->last_exit->started_at >= p->holder_started_at) ||
	       st->state == BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR;
}

/* The first init container before c that has not done its work around the present holder. */
static struct container *init_missing(struct pod *p, struct container *c)
{
	struct container *m;

	list_each (m, &p->containers, in_pod) {
		if (m == c && c->obj->spec->pod_init)
			return NULL;
		if (m != c && m->obj->spec->pod_init && !pod_init_done(p, m))
			return m;
	}
	return NULL;
}

static int holder_start(struct pod *p, struct err *e)
{
	if (p->state == POD_STARTING)
		return 0;
	p->state = POD_STARTING;
	timer_del(&p->timer);
	/* The last one is on its way out: started again when it is gone. */
	if (p->holder && p->bye_sent)
		return 0;
	return launch_holder(p, e);
}

int pod_admit(struct pod *p, struct container *c, char *why, unsigned size, struct err *e)
{
	struct container *init;
	int r;

	if (p->obj->implicit)
		return 1;
	if (p->removing)
		return err_set(e, 0, "pod", "its pod is being removed");
	if (p->state != POD_READY) {
		r = holder_start(p, e);
		if (r < 0) {
			p->state = POD_FAILED;
			return err_wrap(e, "start the holder of pod %s", p->obj->meta->name);
		}
		pod_arm(p);
		snprintf(why, size, "waits for pod %s to be ready", p->obj->meta->name);
		return 0;
	}
	init = init_missing(p, c);
	if (!init)
		return 1;
	/* One that failed is not started over and over by those who wait: by its own policy, or when a person asks again. */
	if (failed_here(p, init) && c->waiting) {
		snprintf(why, size, "waits for init container %s, which failed: %s", init->obj->meta->name,
			 init->obj->status->status_reason ? init->obj->status->status_reason : "");
		/* Who asked for this start hears of it; a restart by policy goes on waiting. */
		return c->by_person ? err_set(e, 0, "pod", "%s", why) : 0;
	}
	if (!init->waiting && !container_has_process(init) &&
	    init->obj->status->state != BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF)
		container_post(init, EV_LAUNCH);
	snprintf(why, size, "waits for init container %s", init->obj->meta->name);
	return 0;
}

/* Whoever waits looks again. */
static void members_wake(struct pod *p)
{
	struct container *m;

	list_each (m, &p->containers, in_pod)
		if (m->waiting)
			container_post(m, EV_LAUNCH);
}

void pod_member_ended(struct pod *p, struct container *c)
{
	if (!p->obj->implicit && (!c || c->obj->spec->pod_init))
		members_wake(p);
}

static void members_fail(struct pod *p, const struct err *e)
{
	struct container *m;

	list_each (m, &p->containers, in_pod)
		if (m->waiting) {
			m->waiting = false;
			m->failure = *e;
			container_post(m, EV_POD_FAILED);
		}
}

static void members_kill(struct pod *p)
{
	struct container *m;

	list_each (m, &p->containers, in_pod) {
		AUTO_FD fd = -1;

		if (container_has_process(m) && container_group_open(m, &fd) == 0) {
			log_warn("container %s: the holder of its pod %s died", m->node.uuid, p->obj->meta->name);
			cg_kill(fd);
		}
	}
}

/* ---------------------------------------------------------------- the holder */

static void holder_down(struct pod *p)
{
	char path[160];

	timer_del(&p->timer);
	close_fd(&p->pause_pidfd);
	net_holder_forget(&p->net);
	p->net.ready = false; /* its shim may have kept the namespace: what is there is found again */
	snprintf(path, sizeof path, "shared/%s/holder.%llu", p->node.uuid, (unsigned long long)p->incarnation);
	cg_bury(&p->sv->graveyard, p->sv->cg.root_fd, path);
	members_kill(p);
}

static void holder_failed(struct pod *p, const struct err *e)
{
	struct err wrapped = *e;

	holder_down(p);
	p->state = POD_FAILED;
	err_wrap(&wrapped, "the holder of pod %s", p->obj->meta->name);
	err_format(&wrapped, p->failure, sizeof p->failure);
	log_err(e, "the holder of pod %s", p->obj->meta->name);
	members_fail(p, &wrapped);
}

static void on_pod_timer(struct timer *t)
{
	struct pod *p = container_of(t, struct pod, timer);
	struct err e;

	if (p->removing) {
		if (p->holder)
			shimlink_kill(p->holder);
		pod_remove_continue(p);
		return;
	}
	err_set(&e, ETIMEDOUT, "pod", "no report of the launch");
	if (p->holder)
		shimlink_kill(p->holder);
	holder_failed(p, &e);
}

void pod_arm(struct pod *p)
{
	if (!timer_armed(&p->timer))
		timer_in(&p->sv->loop, &p->timer, LAUNCH_DEADLINE_NS, on_pod_timer);
}

static void holder_ready(struct pod *p)
{
	timer_del(&p->timer);
	p->state = POD_READY;
	p->failure[0] = 0;
	net_changes_resume(&p->net);
	members_wake(p);
}

static struct net_stored stored(const struct net_holder *h)
{
	const Berth__Pod *obj = container_of(h, struct pod, net)->obj;

	return (struct net_stored){obj->meta, obj->networks, obj->n_networks, obj->spec->ports, obj->spec->n_ports};
}

/* Its own, and those of its containers that have a process: they share its addresses. */
static char **names(const struct net_holder *h, struct arena *a, size_t *ret_n)
{
	const struct pod *p = container_of(h, struct pod, net);
	const struct container *m;
	size_t max = 3, n = 0;
	char **list;

	list_each (m, &p->containers, in_pod)
		max += 2;
	list = arena_alloc(a, max * sizeof *list);
	if (!list)
		return NULL;
	list[n++] = p->obj->meta->name;
	list[n++] = uuid_short(p->node.uuid, a);
	if (p->obj->spec->hostname && p->obj->spec->hostname[0])
		list[n++] = p->obj->spec->hostname;
	list_each (m, &p->containers, in_pod) {
		if (!container_has_process(m))
			continue;
		list[n++] = m->obj->meta->name;
		list[n++] = uuid_short(m->node.uuid, a);
	}
	*ret_n = a->failed ? 0 : n;
	return list;
}

static bool is_lived_in(const struct pod *p)
{
	struct container *m;

	list_each (m, &p->containers, in_pod)
		if (container_has_process(m))
			return true;
	return false;
}

static void attached(struct net_holder *h, const struct err *e)
{
	struct pod *p = container_of(h, struct pod, net);

	if (p->state != POD_STARTING || p->pause_pidfd < 0)
		return;
	/* Made sure of, after berthd was away: who lives there has had them all the time, and is not ended for that. */
	if (e && is_lived_in(p)) {
		log_err(e, "the network of pod %s", p->obj->meta->name);
	} else if (e) {
		shimlink_kill(p->holder);
		holder_failed(p, e);
		return;
	}
	holder_ready(p);
}

static struct net_rows net_rows(struct net_holder *h)
{
	Berth__Pod *obj = container_of(h, struct pod, net)->obj;

	return (struct net_rows){
		{&obj->networks, &obj->n_networks}, &obj->spec->networks, &obj->spec->n_networks, &obj->spec->network};
}

static int pod_put(struct pod *p, bool must_fit, store_done *done, void *arg)
{
	if (p->removing || !p->stored)
		return -EBUSY;
	SET(p->obj->meta, revision, supervisor_next_revision(p->sv));
	SET(p->obj->meta, updated_at, wall_ns());
	return store_put(p->sv->store, STORE_POD, p->obj->meta, &p->obj->base, must_fit, done, arg);
}

static int net_store(struct net_holder *h, store_done *done, void *arg)
{
	return pod_put(container_of(h, struct pod, net), false, done, arg);
}

static void net_touch(struct net_holder *h)
{
	struct pod *p = container_of(h, struct pod, net);
	int r = pod_put(p, true, NULL, NULL);

	if (r < 0 && !p->removing)
		log_error("pod %s: its row could not be written: %s", p->obj->meta->name, strerror(-r));
}

static int net_open(struct net_holder *h)
{
	return fcntl(container_of(h, struct pod, net)->pause_pidfd, F_DUPFD_CLOEXEC, 0);
}

const struct net_holder_kind pod_net_kind = {"pod", stored, names, attached, net_rows, net_store, net_touch, net_open};

/* Its pause process runs, and is to have its interfaces before anybody joins it. */
static void holder_running(struct pod *p, const Shim__Running *r)
{
	struct err e;

	p->incarnation = r->incarnation;
	p->holder_started_at = r->started_at;
	if (!net_holder_wants(&p->net)) {
		holder_ready(p);
	} else if (!p->net.left && net_holder_attach(&p->net, p->pause_pidfd, &e) < 0) {
		shimlink_kill(p->holder);
		holder_failed(p, &e);
	}
}

static void on_hello(void *owner, const Shim__ShimHello *h, int *pidfd)
{
	struct pod *p = owner;
	bool adopting = p->adopting;

	p->adopting = false;
	if (h->state == SHIM__SHIM_STATE__SHIM_RUNNING && h->running && *pidfd >= 0) {
		close_fd(&p->pause_pidfd);
		p->pause_pidfd = take_fd(pidfd);
		holder_running(p, h->running);
	} else if (adopting && h->state != SHIM__SHIM_STATE__SHIM_LAUNCHING && !p->bye_sent) {
		p->bye_sent = true;
		shimlink_bye(p->holder);
	}
	if (adopting)
		recover_answered(p->sv);
}

static void on_message(void *owner, const Shim__ShimMessage *m, int *pidfd)
{
	struct pod *p = owner;
	struct err e;

	switch (m->body_case) {
	case SHIM__SHIM_MESSAGE__BODY_RUNNING:
		/* Its pidfd, which the members need, comes with a hello. */
		shimlink_query(p->holder);
		break;
	case SHIM__SHIM_MESSAGE__BODY_FAILED:
		err_set(&e, m->failed->sys_errno, m->failed->step, "%s", m->failed->text ? m->failed->text : "");
		holder_failed(p, &e);
		break;
	case SHIM__SHIM_MESSAGE__BODY_EXITED:
		p->state = POD_EMPTY;
		holder_down(p);
		break;
	default:
		break;
	}
}

static void on_gone(void *owner)
{
	struct pod *p = owner;
	bool adopting = p->adopting, again = p->state == POD_STARTING && p->bye_sent;
	char path[160];
	struct err e;

	net_holder_down(&p->net);
	shimlink_free(p->holder);
	p->holder = NULL;
	p->adopting = p->bye_sent = false;
	path_shim(p->sv, p->node.uuid, path, sizeof path);
	unlink(path);
	path_exit(p->sv, p->node.uuid, path, sizeof path);
	unlink(path);
	if (p->removing) {
		pod_remove_continue(p);
	} else if (again) {
		if (launch_holder(p, &e) < 0)
			holder_failed(p, &e);
	} else if (p->state == POD_STARTING) {
		err_set(&e, 0, "pod", "its shim died during the launch");
		holder_failed(p, &e);
	} else if (p->state == POD_READY) {
		p->state = POD_EMPTY;
		holder_down(p);
	}
	if (adopting)
		recover_answered(p->sv);
}

const struct shimlink_ops pod_shim_ops = {.hello = on_hello, .message = on_message, .gone = on_gone};

/* ---------------------------------------------------------------- removal */

static void on_row_deleted(void *arg, int result)
{
	struct pod *p = arg;

	if (result < 0) {
		reply_error(p->sv, p->removal, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the pod cannot be removed from the store now; it is tried again");
		p->removal = (struct parked){0};
		p->row_deleting = false;
		timer_in(&p->sv->loop, &p->timer, AGAIN_NS, on_pod_timer);
		return;
	}
	watch_publish(p->sv, "pod", "destroy", p->obj->meta, NULL, NULL);
	reply_done(p->sv, p->removal, p->node.uuid);
	floating_forget(p->sv, p->node.uuid);
	pod_free(p);
}

void pod_holder_bye(struct pod *p)
{
	if (p->holder && !p->bye_sent)
		shimlink_bye(p->holder);
	p->bye_sent = p->holder != NULL;
}

void pod_remove_continue(struct pod *p)
{
	if (!list_empty(&p->containers) || p->row_deleting || !p->stored)
		return;
	if (p->holder) {
		pod_holder_bye(p);
		timer_in(&p->sv->loop, &p->timer, BYE_DEADLINE_NS, on_pod_timer);
		return;
	}
	timer_del(&p->timer);
	close_fd(&p->pause_pidfd);
	cg_bury(&p->sv->graveyard, p->sv->cg.shared_fd, p->node.uuid);
	p->row_deleting = store_delete(p->sv->store, STORE_POD, p->node.uuid, on_row_deleted, p) >= 0;
	if (!p->row_deleting)
		timer_in(&p->sv->loop, &p->timer, AGAIN_NS, on_pod_timer);
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

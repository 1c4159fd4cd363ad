/* supervisor/container_request.c - requests about containers that exist: found, audited, made an event of. */
#include "supervisor/container_request.h"

#include "base/own.h"
#include "cgroup/limits.h"
#include "proto/envelope.h"
#include "supervisor/check.h"
#include "supervisor/check_field.h"
#include "supervisor/check_member.h"
#include "supervisor/dnsd.h"
#include "supervisor/limiter.h"
#include "supervisor/names.h"
#include "supervisor/pod.h"
#include "supervisor/set.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct container *request_container(struct request *rq, const char *ref)
{
	struct err e;
	struct container *c = container_find(rq->sv, &rq->who, ref, &e);

	if (!c) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return NULL;
	}
	return request_revision_fits(rq, "container", c->obj->meta) ? c : NULL;
}

bool request_may_enter(struct request *rq, const struct container *c)
{
	struct err e;

	const Berth__PodSpec *pod = c->pod->obj->spec; /* NULL: a pod of its own, as the container's spec says */

	if (principal_sees_all(&rq->who) ||
	    (check_member_container(c->obj->spec, &e) == 0 && (!pod || check_member_pod(pod, &e) == 0)))
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__DENIED, "ref",
		    "the container has what a member may not ask for (%s): its programs are the admin's who made it",
		    e.step);
	return false;
}

bool request_event(struct request *rq, struct container *c, struct event *ev)
{
	struct err e;

	if (rq->verb)
		request_audit(rq, "container", c->obj->meta);
	ev->verb = rq->verb;
	ev->parked = rq->parked;
	if (ev->type != EV_EXEC && ev->type != EV_ATTACH)
		snprintf(c->request_id, sizeof c->request_id, "%s", rq->who.request_id);
	if (container_event(c, ev, &e) == 0) {
		if (rq->env->accept) /* perhaps it has ended already, and said so */
			reply_begun(rq->sv, rq->parked, c->node.uuid);
		return true;
	}
	reply_err(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, &e);
	return false;
}

/* For requests that are nothing but an event. */
static void tell(struct request *rq, const char *ref, struct event ev)
{
	struct container *c = request_container(rq, ref);

	if (c)
		request_event(rq, c, &ev);
}

int event_session(struct event *ev)
{
	int pair[2], r = wire_pair(pair);

	if (r < 0)
		return r;
	ev->session_fd = pair[0];
	ev->shim_session_fd = pair[1];
	return 0;
}

void on_container_start(struct request *rq)
{
	const Berth__ContainerStart *ask = rq->env->container_start;
	struct event ev = EVENT(EV_START);
	struct container *c = request_container(rq, ask->ref);
	int r;

	if (c && ask->attach && !request_may_enter(rq, c))
		return;
	r = c && ask->attach ? event_session(&ev) : 0;

	if (r < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "a socket for the session: %s",
			    strerror(-r));
	else if (c)
		request_event(rq, c, &ev);
}

void on_container_stop(struct request *rq)
{
	const Berth__ContainerStop *ask = rq->env->container_stop;
	struct event ev = EVENT(EV_STOP);

	ev.has_timeout = ask->has_timeout_s;
	ev.timeout_s = ask->timeout_s;
	tell(rq, ask->ref, ev);
}

void on_container_restart(struct request *rq)
{
	const Berth__ContainerRestart *ask = rq->env->container_restart;
	struct event ev = EVENT(EV_RESTART);

	ev.has_timeout = ask->has_timeout_s;
	ev.timeout_s = ask->timeout_s;
	tell(rq, ask->ref, ev);
}

void on_container_kill(struct request *rq)
{
	const Berth__ContainerKill *ask = rq->env->container_kill;
	struct event ev = EVENT(EV_KILL);

	ev.signal = SIGKILL;
	if (ask->signal && ask->signal[0] && str_to_signal(ask->signal, &ev.signal) < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "signal", "\"%s\" is not a signal",
			    ask->signal);
	else
		tell(rq, ask->ref, ev);
}

void on_container_pause(struct request *rq)
{
	tell(rq, rq->env->container_pause->ref, EVENT(EV_PAUSE));
}

void on_container_unpause(struct request *rq)
{
	tell(rq, rq->env->container_unpause->ref, EVENT(EV_UNPAUSE));
}

void on_container_remove(struct request *rq)
{
	const Berth__ContainerRemove *ask = rq->env->container_remove;
	struct event ev = EVENT(ask->force || ask->stop ? EV_REMOVE_FORCE : EV_REMOVE);

	ev.volumes = ask->volumes;
	ev.stop_first = ask->stop && !ask->force;
	tell(rq, ask->ref, ev);
}

static void container_set_name(struct container *c, const char *name)
{
	char old[260];

	snprintf(old, sizeof old, "%s", c->obj->meta->name);
	if (!strcmp(old, name))
		return;
	names_del(c->sv->names, c);
	set_text(&c->obj->meta->name, "%s", name);
	names_add(c->sv->names, c);
	container_publish(c, "rename", NULL, (const char *const[]){"old_name", old, NULL});
	container_touch(c);
}

static void wait_until(struct request *rq, struct container *c, enum waiter_kind kind)
{
	if (waiter_add(c, kind, rq->parked, -1) < 0)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

void on_container_wait(struct request *rq)
{
	const Berth__ContainerWait *ask = rq->env->container_wait;
	const char *until = ask->condition && ask->condition[0] ? ask->condition : "not-running";
	struct container *c = request_container(rq, ask->ref);
	Berth__ContainerState s;

	if (!c)
		return;
	s = container_state(c);
	if (!strcmp(until, "next-exit")) {
		wait_until(rq, c, WAIT_NEXT_EXIT);
	} else if (!strcmp(until, "removed")) {
		wait_until(rq, c, WAIT_REMOVED);
	} else if (strcmp(until, "not-running")) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "condition",
			    "\"%s\" is not a condition: not-running, next-exit or removed", until);
	} else if (container_has_process(c) || c->waiting || s == BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF ||
		   s == BERTH__CONTAINER_STATE__CONTAINER_STATE_UNKNOWN ||
		   s == BERTH__CONTAINER_STATE__CONTAINER_STATE_DELETING) {
		wait_until(rq, c, WAIT_NOT_RUNNING);
	} else {
		answer_wait(c, rq->parked);
	}
}

void on_container_rename(struct request *rq)
{
	const Berth__ContainerRename *ask = rq->env->container_rename;
	struct event ev = EVENT(EV_RENAME);
	struct container *c = request_container(rq, ask->ref), *other;
	struct err e;
	unsigned n;

	if (!c)
		return;
	if (check_name("name", ask->name ? ask->name : "", &e) < 0) {
		reply_err(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, &e);
		return;
	}
	other = names_find(rq->sv->names, c->obj->meta->project, ask->name, &n);
	if (other && other != c) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXISTS, "name",
			    "the name \"%s\" is taken by container %.12s", ask->name, other->node.uuid);
		return;
	}
	if (!request_event(rq, c, &ev))
		return;
	container_set_name(c, ask->name);
	dnsd_holder(container_net(c));
	wait_until(rq, c, WAIT_STORED);
}

/* ---------------------------------------------------------------- update */

/* Fields that are present replace those that were; protobuf says the same of two messages one after the other, but for lists. */
static Berth__Resources *resources_merge(Berth__Resources *old, const Berth__Resources *ask)
{
	static const Berth__Resources nothing = BERTH__RESOURCES__INIT;
	size_t n_io = old ? old->n_io_max : 0, old_len, new_len;
	Berth__Resources *merged;
	uint8_t *data;

	/* Left out for a moment: the request's list replaces ours. */
	if (old && ask->n_io_max)
		old->n_io_max = 0;
	old_len = berth__resources__get_packed_size(old ? old : &nothing);
	new_len = berth__resources__get_packed_size(ask);
	data = malloc(old_len + new_len + 1);
	if (data) {
		berth__resources__pack(old ? old : &nothing, data);
		berth__resources__pack(ask, data + old_len);
	}
	if (old)
		old->n_io_max = n_io;
	merged = data ? berth__resources__unpack(NULL, old_len + new_len, data) : NULL;
	free(data);
	return merged;
}

struct update { /* checked; the limits of a running container are written before the rest is changed */
	struct supervisor *sv;
	struct parked parked;
	Berth__Resources *resources; /* owned, as all below; NULL or none: stays as it is */
	Berth__RestartPolicy *restart;
	char *name;
	Berth__KeyValue **annotations; /* all that there shall be, if `annotated` */
	size_t n_annotations;
	bool annotated;
	char uuid[UUID_SIZE];
};

static void pairs_free(Berth__KeyValue **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		berth__key_value__free_unpacked(list[i], NULL);
	free(list);
}

static void update_free(struct update *u)
{
	if (u->resources)
		berth__resources__free_unpacked(u->resources, NULL);
	if (u->restart)
		berth__restart_policy__free_unpacked(u->restart, NULL);
	pairs_free(u->annotations, u->n_annotations);
	free(u->name);
	free(u);
}

/* All at once: one row is written, so that either everything of the request is there after a crash or nothing. */
static void update_done(struct container *c, struct update *u)
{
	Berth__ContainerSpec *spec = c->obj->spec;

	if (u->resources) {
		if (spec->resources)
			berth__resources__free_unpacked(spec->resources, NULL);
		spec->resources = take_ptr(u->resources);
	}
	if (u->restart) {
		if (spec->restart)
			berth__restart_policy__free_unpacked(spec->restart, NULL);
		spec->restart = take_ptr(u->restart);
	}
	if (u->annotated) {
		pairs_free(spec->annotations, spec->n_annotations);
		spec->annotations = take_ptr(u->annotations);
		spec->n_annotations = u->n_annotations;
		u->n_annotations = 0;
	}
	if (u->name)
		container_set_name(c, u->name);
	SET(c->obj->meta, generation, c->obj->meta->generation + 1);
	SET(c->obj->meta, observed_generation, c->obj->meta->generation);
	container_publish(c, "update", NULL, NULL);
	container_touch(c);
	if (waiter_add(c, WAIT_STORED, u->parked, -1) < 0)
		reply_error(c->sv, u->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

static void on_limits_written(void *arg, const struct err *e)
{
	struct update *u = arg;
	struct table_node *n = table_find(&u->sv->containers, u->uuid);

	if (!n)
		reply_error(u->sv, u->parked, BERTH__ERROR__CODE__NOT_FOUND, NULL,
			    "the container was removed meanwhile");
	else if (e)
		reply_err(u->sv, u->parked, error_code_of(e), e);
	else
		update_done(container_of(n, struct container, node), u);
	update_free(u);
}

static bool pair_named(Berth__KeyValue *const *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (key && list[i]->key && !strcmp(list[i]->key, key))
			return true;
	return false;
}

static int pair_add(struct update *u, const char *key, const char *value)
{
	Berth__KeyValue *kv = malloc(sizeof *kv);

	if (!kv)
		return -ENOMEM;
	berth__key_value__init(kv);
	kv->key = strdup(key);
	kv->value = strdup(value);
	u->annotations[u->n_annotations++] = kv;
	return kv->key && kv->value ? 0 : -ENOMEM;
}

/* What stays of the old ones, then the new ones; one without a value takes its key away. */
static int update_annotations(struct container *c, const Berth__ContainerUpdate *ask, struct update *u, struct err *e)
{
	const Berth__ContainerSpec *old = c->obj->spec;
	int r = 0;

	u->annotated = true;
	u->annotations = calloc(old->n_annotations + ask->n_annotations + 1, sizeof(*u->annotations));
	if (!u->annotations)
		return err_set(e, ENOMEM, "annotations", "no memory");
	for (size_t i = 0; i < old->n_annotations && r == 0; i++)
		if (!pair_named(ask->annotations, ask->n_annotations, old->annotations[i]->key))
			r = pair_add(u, old->annotations[i]->key, old->annotations[i]->value);
	for (size_t i = 0; i < ask->n_annotations && r == 0; i++)
		if (ask->annotations[i]->value)
			r = pair_add(u, ask->annotations[i]->key ? ask->annotations[i]->key : "",
				     ask->annotations[i]->value);
	if (r < 0)
		return err_set(e, ENOMEM, "annotations", "no memory");
	return field_labels("annotations", u->annotations, &u->n_annotations, e);
}

static int update_begin(struct container *c, const Berth__ContainerUpdate *ask, struct update *u, struct err *e)
{
	int r = 0;

	if (ask->resources) {
		u->resources = resources_merge(c->obj->spec->resources, ask->resources);
		r = u->resources ? check_resources(c->sv, u->resources, e) : err_set(e, ENOMEM, "", "no memory");
	}
	if (!r && ask->restart) {
		AUTO_FREE uint8_t *data = malloc(berth__restart_policy__get_packed_size(ask->restart) + 1);
		size_t len = data ? berth__restart_policy__pack(ask->restart, data) : 0;

		u->restart = data ? berth__restart_policy__unpack(NULL, len, data) : NULL;
		r = u->restart ? check_restart(u->restart, e) : err_set(e, ENOMEM, "", "no memory");
	}
	if (!r && ask->name) {
		r = check_name("name", ask->name, e);
		u->name = r ? NULL : strdup(ask->name);
		if (!r && !u->name)
			r = err_set(e, ENOMEM, "name", "no memory");
	}
	if (!r && ask->n_annotations)
		r = update_annotations(c, ask, u, e);
	if (!r && !ask->restart && !ask->resources && !ask->name && !ask->n_annotations)
		r = err_set(e, EINVAL, "update", "nothing is to be changed");
	if (!r && ask->restart && c->obj->spec->auto_remove && u->restart->kind != BERTH__RESTART_POLICY__KIND__NO)
		r = err_set(e, EINVAL, "restart", "a container that is removed when it ends cannot be restarted");
	return r;
}

void on_container_update(struct request *rq)
{
	const Berth__ContainerUpdate *ask = rq->env->container_update;
	struct event ev = EVENT(EV_UPDATE);
	struct container *c = request_container(rq, ask->ref);
	struct update *u = c ? calloc(1, sizeof *u) : NULL;
	AUTO_FD group_fd = -1;
	struct err e;
	int r;

	if (!c)
		return;
	if (!u) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	r = update_begin(c, ask, u, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		update_free(u);
		return;
	}
	if (!request_event(rq, c, &ev)) {
		update_free(u);
		return;
	}
	u->sv = rq->sv;
	u->parked = rq->parked;
	memcpy(u->uuid, c->node.uuid, sizeof u->uuid);
	if (!u->resources || !container_has_process(c) || container_group_open(c, &group_fd) < 0) {
		on_limits_written(u, NULL);
		return;
	}
	r = limiter_start(rq->sv, u->resources, group_fd, on_limits_written, u, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		update_free(u);
	}
}

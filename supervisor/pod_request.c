/* supervisor/pod_request.c - requests about pods. */
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/check.h"
#include "supervisor/check_member.h"
#include "supervisor/container.h"
#include "supervisor/filter.h"
#include "supervisor/hosts.h"
#include "supervisor/meta.h"
#include "supervisor/network.h"
#include "supervisor/network_default.h"
#include "supervisor/pod.h"
#include "supervisor/publish.h"
#include "supervisor/set.h"
#include "supervisor/shimlink.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *state_word(const struct pod *p)
{
	static const char *const words[] = {
		[POD_EMPTY] = "empty", [POD_STARTING] = "starting", [POD_READY] = "ready", [POD_FAILED] = "failed"};

	return words[p->state];
}

/* The stored object and what is only known now. The array of uuids is the caller's to free. */
static int pod_view(const struct pod *p, Berth__Pod *view, char ***ret_uuids)
{
	struct container *c;
	size_t n = 0;
	char **uuids;

	list_each (c, &p->containers, in_pod)
		n++;
	uuids = calloc(n + 1, sizeof *uuids);
	if (!uuids)
		return -ENOMEM;
	*view = *p->obj;
	view->n_containers = 0;
	view->containers = uuids;
	list_each (c, &p->containers, in_pod)
		uuids[view->n_containers++] = c->node.uuid;
	view->state = (char *)state_word(p);
	view->status_reason = p->failure[0] ? (char *)p->failure : NULL;
	SET(view, holder_pid, p->holder ? shimlink_pid(p->holder) : 0);
	*ret_uuids = uuids;
	return 0;
}

static void answer_pod(struct supervisor *sv, struct pod *p, struct parked parked)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__PodReply body = BERTH__POD_REPLY__INIT;
	AUTO_FREE char **uuids = NULL;
	Berth__Pod view;

	if (pod_view(p, &view, &uuids) < 0) {
		reply_error(sv, parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	body.pod = &view;
	env.body_case = BERTH__ENVELOPE__BODY_POD_REPLY;
	env.pod_reply = &body;
	reply(sv, parked, &env, NULL, 0);
}

static struct pod *request_pod(struct request *rq, const char *ref)
{
	struct err e;
	struct pod *p = pod_find(rq->sv, &rq->who, ref, &e);

	if (!p) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return NULL;
	}
	return request_revision_fits(rq, "pod", p->obj->meta) ? p : NULL;
}

/* ---------------------------------------------------------------- create */

static bool name_is_taken(struct request *rq, const char *name)
{
	struct table_node *n;

	list_each (n, &rq->sv->pods.all, link) {
		struct pod *p = container_of(n, struct pod, node);

		if (!p->obj->implicit && !strcmp(p->obj->meta->name, name) &&
		    !strcmp(p->obj->meta->project, rq->who.project))
			return true;
	}
	return false;
}

static void on_row_stored(void *arg, int result)
{
	struct pod *p = arg;

	if (result < 0) {
		reply_error(p->sv, p->creation, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the pod could not be stored: %s",
			    strerror(-result));
		pod_free(p);
		return;
	}
	p->stored = true;
	answer_pod(p->sv, p, p->creation);
	p->creation = (struct parked){0};
	if (p->removing)
		pod_remove_continue(p);
}

static Berth__Pod *object_of(struct request *rq, const char *name, const Berth__PodSpec *spec)
{
	size_t len = berth__pod_spec__get_packed_size(spec);
	AUTO_FREE uint8_t *data = malloc(len + 1);
	Berth__Pod *obj = data ? malloc(sizeof *obj) : NULL;

	if (!obj)
		return NULL;
	berth__pod__init(obj);
	berth__pod_spec__pack(spec, data);
	obj->spec = berth__pod_spec__unpack(NULL, len, data);
	obj->meta = meta_new(rq->sv, NULL, rq->who.project, rq->who.name, name && name[0] ? name : NULL);
	if (obj->spec && obj->meta)
		return obj;
	berth__pod__free_unpacked(obj, NULL);
	return NULL;
}

/* What may be chosen, completed, and what it gets of its own. */
static int object_complete(struct request *rq, Berth__Pod *obj, struct err *e)
{
	Berth__PodSpec *spec = obj->spec;
	int r = principal_sees_all(&rq->who) ? 0 : check_member_pod(spec, e);

	if (!r)
		r = network_default_pod(rq->sv, &rq->who, spec, e);
	if (!r)
		r = check_pod_spec(rq->sv, spec, e);
	if (!r)
		r = network_lease_all(rq->sv, &rq->who, spec->networks, spec->n_networks,
				      (struct leases){&obj->networks, &obj->n_networks}, e);
	if (!r)
		r = network_publishes(rq->sv, spec->ports, spec->n_ports, obj->n_networks ? obj->networks[0] : NULL, e);
	if (!r)
		r = hosts_check(rq->sv, spec->names, obj->networks, obj->n_networks, e);
	if (!r)
		r = publish_lease(rq->sv, spec->ports, spec->n_ports, obj->meta->uuid, e);
	return r;
}

void on_pod_create(struct request *rq)
{
	static const Berth__PodSpec nothing = BERTH__POD_SPEC__INIT;
	const Berth__PodCreate *ask = rq->env->pod_create;
	Berth__Pod *obj;
	struct pod *p;
	struct err e;
	int r = ask->name && ask->name[0] ? check_name("name", ask->name, &e) : 0;

	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	if (ask->name && name_is_taken(rq, ask->name)) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXISTS, "name", "there is a pod \"%s\" already",
			    ask->name);
		return;
	}
	obj = object_of(rq, ask->name, ask->spec ? ask->spec : &nothing);
	if (!obj) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	r = object_complete(rq, obj, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		berth__pod__free_unpacked(obj, NULL);
		return;
	}
	request_audit(rq, "pod", obj->meta);
	r = pod_create_row(rq->sv, obj, &p, on_row_stored, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	p->creation = rq->parked;
	watch_publish(rq->sv, "pod", "create", p->obj->meta, NULL, NULL);
}

/* ---------------------------------------------------------------- inspect, list, remove */

void on_pod_inspect(struct request *rq)
{
	struct pod *p = request_pod(rq, rq->env->pod_inspect->ref);

	if (p)
		answer_pod(rq->sv, p, rq->parked);
}

static bool filter_name(const void *listing, const void *p, const char *value)
{
	return strstr(((const struct pod *)p)->obj->meta->name, value) != NULL;
}

static bool filter_id(const void *listing, const void *p, const char *value)
{
	return table_uuid_begins(((const struct pod *)p)->node.uuid, value);
}

static bool filter_state(const void *listing, const void *p, const char *value)
{
	return !strcasecmp(state_word(p), value);
}

static bool filter_label(const void *listing, const void *p, const char *value)
{
	const Berth__PodSpec *spec = ((const struct pod *)p)->obj->spec;

	return spec && filter_label_fits(spec->labels, spec->n_labels, value);
}

static const struct filter_row filters[] = {
	{"name", filter_name},
	{"id", filter_id, "digits of a uuid", filter_can_be_id},
	{"state", filter_state, "empty starting ready failed"},
	{"status", filter_state, "empty starting ready failed"},
	{"label", filter_label, .all = true},
};

void on_pod_list(struct request *rq)
{
	const Berth__PodList *ask = rq->env->pod_list;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__PodListReply body = BERTH__POD_LIST_REPLY__INIT;
	size_t max = rq->sv->pods.n, n = 0;
	AUTO_FREE Berth__Pod *views = calloc(max + 1, sizeof *views);
	AUTO_FREE Berth__Pod **list = calloc(max + 1, sizeof *list);
	AUTO_FREE char ***uuids = calloc(max + 1, sizeof *uuids);
	struct table_node *node;

	if (!views || !list || !uuids) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
		return;
	}
	if ((ask->all_projects && !request_sees_all(rq)) ||
	    !filters_check(rq, filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters))
		return;
	list_each (node, &rq->sv->pods.all, link) {
		struct pod *p = container_of(node, struct pod, node);

		if (p->obj->implicit || (!ask->all_projects && strcmp(p->obj->meta->project, rq->who.project) != 0) ||
		    !filters_fit(filters, ARRAY_SIZE(filters), ask->filters, ask->n_filters, NULL, p))
			continue;
		if (pod_view(p, &views[n], &uuids[n]) < 0)
			break;
		list[n] = &views[n];
		n++;
	}
	body.pods = list;
	body.n_pods = n;
	env.body_case = BERTH__ENVELOPE__BODY_POD_LIST_REPLY;
	env.pod_list_reply = &body;
	reply(rq->sv, rq->parked, &env, NULL, 0);
	for (size_t i = 0; i < n; i++)
		free(uuids[i]);
}

void on_pod_remove(struct request *rq)
{
	const Berth__PodRemove *ask = rq->env->pod_remove;
	struct pod *p = request_pod(rq, ask->ref);

	if (!p)
		return;
	request_audit(rq, "pod", p->obj->meta);
	if (p->removing)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "the pod is being removed already");
	else if (!list_empty(&p->containers) && !ask->force)
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "cannot remove: the pod has containers (remove them first, or force the removal)");
	else
		pod_remove(p, rq->parked);
}

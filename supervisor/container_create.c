/* supervisor/container_create.c - from a request to a container: what was asked is checked, completed from the image (or that is
 * begun to be pulled: container_image.c), given a name, a pod and an id range, stored, and (with start) launched while the row is on
 * its way to the disk. */
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/caps.h"
#include "supervisor/check.h"
#include "supervisor/check_member.h"
#include "supervisor/container_act.h"
#include "supervisor/container_request.h"
#include "supervisor/hosts.h"
#include "supervisor/image.h"
#include "supervisor/meta.h"
#include "supervisor/names.h"
#include "supervisor/network.h"
#include "supervisor/network_default.h"
#include "supervisor/pod.h"
#include "supervisor/publish.h"
#include "supervisor/seccomp.h"
#include "supervisor/set.h"
#include "supervisor/spare.h"
#include "supervisor/store.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- what berthd gives it */

/* "busybox-3f9a": the image's last word and a bit of the uuid. */
static void name_make(const struct supervisor *sv, const char *project, const char *image, const char *uuid, char *buf,
		      size_t size)
{
	const char *base = strrchr(image, '/');
	size_t len;
	unsigned n;

	base = base ? base + 1 : image;
	len = strcspn(base, ":@");
	for (int digits = 4; digits <= 8; digits++) {
		snprintf(buf, size, "%.*s-%.*s", len > 40 ? 40 : (int)len, base, digits, uuid);
		if (!isalnum((unsigned char)buf[0]))
			buf[0] = 'c';
		if (!names_find(sv->names, project, buf, &n))
			return;
	}
}

static int userns_lease(struct supervisor *sv, uint32_t *ret, struct err *e)
{
	uint32_t max = sv->cfg.max_containers;
	AUTO_FREE uint8_t *used = calloc(1, max + 1);
	struct table_node *n;

	if (!used)
		return err_set(e, ENOMEM, "userns", "no memory");
	list_each (n, &sv->containers.all, link) {
		uint32_t first = container_of(n, struct container, node)->obj->userns_first_id;

		if (first >= sv->cfg.userns_first && (first - sv->cfg.userns_first) / sv->cfg.userns_per < max)
			used[(first - sv->cfg.userns_first) / sv->cfg.userns_per] = 1;
	}
	for (uint32_t i = 0; i < max; i++) {
		uint64_t first = sv->cfg.userns_first + (uint64_t)i * sv->cfg.userns_per;

		if (first + sv->cfg.userns_per > UINT32_MAX)
			break;
		if (!used[i]) {
			*ret = (uint32_t)first;
			return 0;
		}
	}
	return err_set(e, ENOSPC, "userns", "every range of user ids is leased");
}

struct creation {
	struct request *rq;
	const Berth__ContainerCreate *ask;
	Berth__Container *obj;
	Berth__ImagePull pull; /* as it was asked for; borrowed */
	struct err e;
	Berth__Error__Code code;
	bool slot; /* its first interface is in the spare that it gets */
};

static int creation_fail(struct creation *k, Berth__Error__Code code, int r)
{
	k->code = code;
	return r < 0 ? r : -EINVAL;
}

/* Of what image_want refuses, the field. */
static void creation_pull_field(struct err *e)
{
	static const char *const own[] = {"policy", "platform", "tls_verify"};
	const char *field = "spec.image";
	char below[sizeof e->step];

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (strcmp(e->step, own[i]) != 0)
			continue;
		snprintf(below, sizeof below, "pull.%s", own[i]);
		field = below;
	}
	snprintf(e->step, sizeof e->step, "%s", field);
}

/* The image that is here, or that it is to be pulled. Who says nothing of that wants one that is here. */
static int creation_image(struct creation *k)
{
	Berth__Container *obj = k->obj;
	struct image *image;
	int r;

	k->pull = k->ask->pull ? *k->ask->pull : (Berth__ImagePull)BERTH__IMAGE_PULL__INIT;
	k->pull.name = obj->spec->image;
	if (!k->ask->pull)
		k->pull.policy = BERTH__PULL_POLICY__PULL_POLICY_NEVER;
	else if (!k->pull.has_policy)
		k->pull.policy = BERTH__PULL_POLICY__PULL_POLICY_MISSING;
	k->pull.has_policy = true;
	if (!principal_sees_all(&k->rq->who))
		k->pull.has_as_member = k->pull.as_member = true;
	r = image_want(k->rq->sv, &k->rq->who, &k->pull, &image, &k->e);
	if (r > 0)
		r = container_complete(obj, image->obj, &k->e);
	else if (r == 0)
		r = container_pull_note(obj, &k->pull, &k->e);
	else
		creation_pull_field(&k->e);
	return r < 0 ? creation_fail(k, error_code_of(&k->e), r) : 0;
}

static int creation_spec(struct creation *k)
{
	static const Berth__ContainerSpec nothing = BERTH__CONTAINER_SPEC__INIT;
	Berth__Container *obj = k->obj;
	int r;

	obj->spec = message_copy(k->ask->spec ? &k->ask->spec->base : &nothing.base);
	if (!obj->spec)
		return creation_fail(k, BERTH__ERROR__CODE__EXHAUSTED, err_set(&k->e, ENOMEM, "", "no memory"));
	r = principal_sees_all(&k->rq->who) ? 0 : check_member_container(obj->spec, &k->e);
	if (r == 0)
		r = network_default_container(k->rq->sv, &k->rq->who, obj->spec, &k->e);
	if (r == 0)
		r = check_container_spec(k->rq->sv, obj->spec, &k->e);
	if (r < 0)
		return creation_fail(k, error_code_of(&k->e), r);
	return creation_image(k);
}

static int creation_confinement(struct creation *k)
{
	struct supervisor *sv = k->rq->sv;
	Berth__ContainerSpec *spec = k->obj->spec;
	const void *bpf;
	size_t len;
	int r = seccomp_get(sv->seccomp, spec->security, caps_of(spec->security), &bpf, &len, &k->e);

	if (r < 0)
		return creation_fail(k, BERTH__ERROR__CODE__INVALID, r);
	if (spec->security && spec->security->userns) {
		uint32_t first = 0;

		if (spec->pod)
			return creation_fail(k, BERTH__ERROR__CODE__UNSUPPORTED,
					     err_set(&k->e, ENOTSUP, "spec.security.userns",
						     "a container with a user namespace of its own cannot join a pod"));
		r = userns_lease(sv, &first, &k->e);
		if (r < 0)
			return creation_fail(k, BERTH__ERROR__CODE__EXHAUSTED, r);
		SET(k->obj, userns_first_id, first);
	}
	return 0;
}

static int creation_meta(struct creation *k)
{
	struct supervisor *sv = k->rq->sv;
	const char *project = k->rq->who.project, *name = k->ask->name;
	char uuid[UUID_SIZE], made[96];
	unsigned n = 0;
	int r;

	/* Who starts now gets a shim that is there, and the uuid that it has. */
	if (!k->ask->start || k->obj->pull || !spare_offer(sv, &k->rq->who, k->obj, uuid))
		uuid_make(uuid);
	if (name && name[0]) {
		r = check_name("name", name, &k->e);
		if (r < 0)
			return creation_fail(k, BERTH__ERROR__CODE__INVALID, r);
		struct container *other = names_find(sv->names, project, name, &n);
		if (k->ask->unique_name && n)
			return creation_fail(k, BERTH__ERROR__CODE__EXISTS,
					     err_set(&k->e, 0, "name", "the name \"%s\" is taken by container %.12s",
						     name, other->node.uuid));
	} else {
		name_make(sv, project, k->obj->spec->image, uuid, made, sizeof made);
		name = made;
	}
	k->obj->meta = meta_new(sv, uuid, project, k->rq->who.name, name);
	return k->obj->meta ? 0
			    : creation_fail(k, BERTH__ERROR__CODE__EXHAUSTED, err_set(&k->e, ENOMEM, "", "no memory"));
}

static int creation_pod(struct creation *k)
{
	struct pod *p;

	if (!k->obj->spec->pod || !k->obj->spec->pod[0]) {
		set_text(&k->obj->pod_uuid, "%s", k->obj->meta->uuid);
		return 0;
	}
	p = pod_find(k->rq->sv, &k->rq->who, k->obj->spec->pod, &k->e);
	if (!p)
		return creation_fail(k, error_code_of(&k->e), -ENOENT);
	if (strcmp(p->obj->meta->project, k->rq->who.project) != 0)
		return creation_fail(k, BERTH__ERROR__CODE__INVALID,
				     err_set(&k->e, 0, "spec.pod", "the pod is of project %s", p->obj->meta->project));
	/* An admin's pod may have what its members could not have made. */
	if (!principal_sees_all(&k->rq->who) && check_member_joins(p->obj->spec, &k->e) < 0) {
		snprintf(k->e.step, sizeof k->e.step, "spec.pod");
		return creation_fail(k, BERTH__ERROR__CODE__DENIED, -EACCES);
	}
	if (p->removing)
		return creation_fail(k, BERTH__ERROR__CODE__CONFLICT,
				     err_set(&k->e, 0, "pod", "the pod is being removed"));
	set_text(&k->obj->pod_uuid, "%s", p->node.uuid);
	return 0;
}

/* `accepted`: whoever asked is told before it runs, so that it stays whatever comes of the start, and a berthd that dies now starts it
 * when it is back. */
static Berth__Container *object_new(bool start, bool accepted)
{
	Berth__Container *obj = calloc(1, sizeof *obj);
	Berth__ContainerStatus *status = calloc(1, sizeof *status);

	if (!obj || !status) {
		free(obj);
		free(status);
		return NULL;
	}
	berth__container__init(obj);
	berth__container_status__init(status);
	obj->status = status;
	SET(obj, start_or_remove, start && !accepted);
	SET(status, desired_running, start && accepted);
	SET(status, state, BERTH__CONTAINER_STATE__CONTAINER_STATE_CREATING);
	return obj;
}

static int creation_object(struct creation *k)
{
	int r;

	k->obj = object_new(k->ask->start, k->rq->env->accept);
	if (!k->obj)
		return creation_fail(k, BERTH__ERROR__CODE__EXHAUSTED, err_set(&k->e, ENOMEM, "", "no memory"));
	r = creation_spec(k);
	if (!r)
		r = creation_meta(k);
	if (!r)
		r = creation_pod(k);
	if (!r)
		r = creation_confinement(k);
	if (!r && (network_lease_all(k->rq->sv, &k->rq->who, k->obj->spec->networks, k->obj->spec->n_networks,
				     (struct leases){&k->obj->networks, &k->obj->n_networks}, &k->e) < 0 ||
		   network_publishes(k->rq->sv, k->obj->spec->ports, k->obj->spec->n_ports,
				     k->obj->n_networks ? k->obj->networks[0] : NULL, &k->e) < 0 ||
		   hosts_check(k->rq->sv, k->obj->spec->names, k->obj->networks, k->obj->n_networks, &k->e) < 0 ||
		   publish_lease(k->rq->sv, k->obj->spec->ports, k->obj->spec->n_ports, k->obj->meta->uuid, &k->e) < 0))
		r = creation_fail(k, error_code_of(&k->e), -EINVAL);
	if (!r && k->obj->n_networks)
		k->slot = spare_lend_slot(k->rq->sv, k->obj->meta->uuid, k->obj->networks[0]);
	return r;
}

static void creation_start(struct creation *k, struct container *c)
{
	struct event ev = EVENT(EV_START);
	struct err e;
	int r = k->ask->attach ? event_session(&ev) : 0;

	ev.verb = "start";
	ev.parked = k->rq->parked;
	if (r < 0) {
		/* The row is on its way: what follows undoes it, and the asker hears why. */
		err_set(&c->failure, -r, "session", "a socket for the session");
		waiter_add(c, WAIT_STARTED, k->rq->parked, -1);
		container_post(c, EV_FAILED);
		return;
	}
	if (container_event(c, &ev, &e) < 0)
		reply_err(k->rq->sv, k->rq->parked, BERTH__ERROR__CODE__CONFLICT, &e);
}

/* Who is told when it is done has a row only then; until then whatever happens leaves nothing. */
static int creation_begin(struct creation *k, struct container *c)
{
	struct supervisor *sv = k->rq->sv;
	struct event ev = EVENT(EV_PULL);
	bool accept = k->rq->env->accept;
	int r = !c->obj->pull || accept ? container_create_row(c) : 0;

	if (r < 0)
		return r;
	c->net.ahead = k->slot;
	c->shim = spare_take(sv, c->node.uuid, &container_shim_ops, c, &c->prepared);
	container_publish(c, "create", NULL, (const char *const[]){"image", c->obj->spec->image, NULL});
	if (!c->obj->pull)
		return 0;
	ev.pull = &k->pull;
	if (!accept)
		ev.parked = k->rq->parked; /* hears of the progress; when he leaves it is over */
	return container_event(c, &ev, &k->e);
}

static void creation_owe(struct creation *k, struct container *c, enum waiter_kind kind)
{
	if (waiter_add(c, kind, k->rq->parked, -1) < 0)
		reply_error(k->rq->sv, k->rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "no memory");
}

void on_container_create(struct request *rq)
{
	struct creation k = {.rq = rq, .ask = rq->env->container_create};
	struct container *c;
	int r = creation_object(&k);

	if (r < 0) {
		reply_err(rq->sv, rq->parked, k.code, &k.e);
		if (k.obj)
			berth__container__free_unpacked(k.obj, NULL);
		return;
	}
	r = container_new(rq->sv, k.obj, &c, &k.e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&k.e), &k.e);
		return;
	}
	snprintf(c->request_id, sizeof c->request_id, "%s", rq->who.request_id);
	request_audit(rq, "container", c->obj->meta);
	r = creation_begin(&k, c);
	if (r < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL,
			    "the store takes no more for now: %s", strerror(-r));
		container_free(c);
		return;
	}
	if (rq->env->accept && (k.ask->start || c->obj->pull))
		creation_owe(&k, c, WAIT_ACCEPTED);
	if (k.ask->start)
		creation_start(&k, c);
	else
		creation_owe(&k, c, WAIT_CREATED);
}

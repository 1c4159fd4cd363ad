/* supervisor/network_attach.c - requests for one interface more, or one less. */
#include "base/own.h"
#include "supervisor/check.h"
#include "supervisor/check_member.h"
#include "supervisor/container_request.h"
#include "supervisor/net_change.h"
#include "supervisor/network.h"
#include "supervisor/pod.h"
#include "supervisor/repeat.h"
#include "supervisor/request.h"

#include <errno.h>
#include <string.h>

/* The container or pod that is meant, if its interfaces can change now; else it was answered. repeated: nothing is asked for that was not allowed before. */
static struct net_holder *request_holder(struct request *rq, const char *ref, bool repeated)
{
	struct event ev = EVENT(EV_UPDATE);
	struct err e, of_pod;
	struct container *c = container_find(rq->sv, &rq->who, ref, &e);
	struct pod *p = c || e.code != ENOENT ? NULL : pod_find(rq->sv, &rq->who, ref, &of_pod);

	if (p) {
		request_audit(rq, "pod", p->obj->meta);
		if (repeated)
			return &p->net;
		if (!request_revision_fits(rq, "pod", p->obj->meta))
			return NULL;
		if (!p->removing && p->stored)
			return &p->net;
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ref", "the pod is being %s",
			    p->removing ? "removed" : "created");
		return NULL;
	}
	if (!c) {
		if (e.code == ENOENT && of_pod.code != ENOENT)
			e = of_pod;
		else if (e.code == ENOENT)
			err_set(&e, ENOENT, "ref", "there is no container and no pod \"%s\"", ref);
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return NULL;
	}
	if (!c->pod->obj->implicit) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, "ref",
			    "container %s is in pod %s, and the interfaces are the pod's: name that",
			    c->obj->meta->name, c->pod->obj->meta->name);
		return NULL;
	}
	if (repeated) {
		request_audit(rq, "container", c->obj->meta);
		return &c->net;
	}
	return request_revision_fits(rq, "container", c->obj->meta) && request_event(rq, c, &ev) ? &c->net : NULL;
}

void on_network_connect(struct request *rq)
{
	const Berth__NetworkConnect *ask = rq->env->network_connect;
	static const Berth__NetworkAsk nothing = BERTH__NETWORK_ASK__INIT;
	const Berth__NetworkAsk *spec = ask->spec ? ask->spec : &nothing;
	struct net_holder *h;
	struct err e;

	int r = principal_sees_all(&rq->who) ? 0 : check_member_interface(spec, &e);

	if (r == 0)
		r = check_network_ask("spec", spec, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	h = request_holder(rq, ask->ref ? ask->ref : "", false);
	if (h && net_change_connect(h, &rq->who, spec, rq->parked, &e) < 0)
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
}

void on_network_disconnect(struct request *rq)
{
	const Berth__NetworkDisconnect *ask = rq->env->network_disconnect;
	struct net_holder *h;
	struct err e;

	if (!ask->network || !ask->network[0]) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "network",
			    "which one? A network, or an interface");
		return;
	}
	h = request_holder(rq, ask->ref ? ask->ref : "", false);
	if (h && net_change_disconnect(h, ask->network, rq->parked, &e) < 0)
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
}

/* It has a revision of its own since, of having been done, and perhaps another state. */
bool network_change_repeated(struct request *rq, const char *id)
{
	bool leaves = rq->env->body_case == BERTH__ENVELOPE__BODY_NETWORK_DISCONNECT;
	const char *ref = leaves ? rq->env->network_disconnect->ref : rq->env->network_connect->ref;
	struct net_holder *h = request_holder(rq, ref ? ref : "", true);

	return !h || net_change_repeated(h, id, leaves, rq->parked);
}

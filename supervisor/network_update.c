/* supervisor/network_update.c - what of a network can be changed: whom its containers ask for names. Containers that run notice at once. */
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/audit.h"
#include "supervisor/dnsd.h"
#include "supervisor/files.h"
#include "supervisor/net_holder.h"
#include "supervisor/network_asked.h"
#include "supervisor/set.h"
#include "supervisor/store.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct change {
	struct supervisor *sv;
	struct parked parked;
	Berth__Network *obj; /* owned: as it will be */
	char uuid[UUID_SIZE];
};

static void change_free(struct change *k)
{
	if (k->obj)
		berth__network__free_unpacked(k->obj, NULL);
	free(k);
}

static void tell(struct network *n)
{
	struct net_holder *h;

	dnsd_network(n, true);
	list_each (h, &n->sv->net_holders, link)
		if (h->ready && network_has(n, h))
			files_changed(h);
}

static void on_stored(void *arg, int result)
{
	struct change *k = arg;
	struct table_node *node = table_find(&k->sv->networks, k->uuid);
	struct network *n = node ? container_of(node, struct network, node) : NULL;
	Berth__Network *old;

	if (n)
		n->updating = false;
	if (!n || result < 0) {
		reply_error(k->sv, k->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "the change could not be stored: %s",
			    strerror(n ? -result : ENOENT));
		change_free(k);
		return;
	}
	old = n->obj;
	n->obj = k->obj;
	k->obj = old;
	tell(n);
	watch_publish(k->sv, "network", "update", n->obj->meta, NULL, NULL);
	network_reply(k->sv, k->parked, &n->obj, 1);
	change_free(k);
}

/* "" is none: then it is the host that says whom to ask. */
static int replace(char ***list, size_t *n, char *const *from, size_t n_from)
{
	strings_free(list, n);
	for (size_t i = 0; i < n_from; i++)
		if (from[i][0] && strings_add(list, n, from[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int change_make(const struct network *n, const Berth__NetworkUpdate *ask, struct change **ret, struct err *e)
{
	struct change *k = calloc(1, sizeof *k);
	int r = 0;

	if (k)
		k->obj = message_copy(&n->obj->base);
	if (k && k->obj && ask->set_dns)
		r = replace(&k->obj->dns, &k->obj->n_dns, ask->dns, ask->n_dns);
	if (r == 0 && k && k->obj && ask->set_dns_search)
		r = replace(&k->obj->dns_search, &k->obj->n_dns_search, ask->dns_search, ask->n_dns_search);
	if (!k || !k->obj || r < 0) {
		if (k)
			change_free(k);
		return err_set(e, ENOMEM, "network", "no memory");
	}
	r = network_check_dns(k->obj, e);
	if (r < 0) {
		change_free(k);
		return r;
	}
	k->sv = n->sv;
	memcpy(k->uuid, n->node.uuid, sizeof k->uuid);
	SET(k->obj->meta, revision, supervisor_next_revision(n->sv));
	SET(k->obj->meta, updated_at, wall_ns());
	*ret = k;
	return 0;
}

void on_network_update(struct request *rq)
{
	const Berth__NetworkUpdate *ask = rq->env->network_update;
	struct network *n = request_network(rq, ask->name);
	struct supervisor *sv = rq->sv;
	struct change *k = NULL;
	struct err e;

	if (!n)
		return;
	request_audit(rq, "network", n->obj->meta);
	if (!ask->set_dns && !ask->set_dns_search) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__INVALID, "set_dns", "what is to be changed?");
		return;
	}
	if (!n->stored || n->updating) {
		reply_error(sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    n->stored ? "network %s is being changed already" : "network %s is just being made",
			    n->obj->meta->name);
		return;
	}
	if (change_make(n, ask, &k, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	k->parked = rq->parked;
	if (store_put(sv->store, STORE_NETWORK, k->obj->meta, &k->obj->base, false, on_stored, k) < 0) {
		change_free(k);
		reply_store_full(sv, rq->parked);
		return;
	}
	n->updating = true;
}

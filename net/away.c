/* net/away.c - see net/away.h */
#include "net/away.h"

#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "net/phys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The kernel takes a namespace apart some time after its last process; more than this, and it was no hardware and is gone. */
#define FIRST_MS 50
#define LAST_MS	 30000

struct nic {
	struct list link; /* away.nics */
	uint32_t key;
	Net__Uplink *uplink; /* owned */
	int ns_fd; /* with a pod, in that namespace; -1: it is on its way back, or we do not know where it is */
	int index;
	unsigned wait_ms; /* until it is looked for again; 0: it is not */
	uint64_t due_ns;
};

struct away {
	struct nl *host;
	int home_fd;
	struct away_ops ops;
	struct list nics;
};

int away_open(struct away **ret, struct nl *host, int home_fd, const struct away_ops *ops, struct err *e)
{
	struct away *a = calloc(1, sizeof *a);

	if (!a)
		return err_set(e, ENOMEM, "network", "no memory");
	a->host = host;
	a->home_fd = home_fd;
	a->ops = *ops;
	list_init(&a->nics);
	*ret = a;
	return 0;
}

static void nic_free(struct nic *x)
{
	list_del(&x->link);
	close_fd(&x->ns_fd);
	net__uplink__free_unpacked(x->uplink, NULL);
	free(x);
}

void away_close(struct away *a)
{
	struct nic *x;

	while (a && (x = list_first(&a->nics, struct nic, link)))
		nic_free(x);
	free(a);
}

static struct nic *nic_find(struct away *a, uint32_t key)
{
	struct nic *x;

	list_each (x, &a->nics, link)
		if (x->key == key)
			return x;
	return NULL;
}

static Net__Uplink *uplink_copy(const Net__Uplink *u)
{
	size_t len = net__uplink__get_packed_size(u);
	AUTO_FREE uint8_t *packed = malloc(len ? len : 1);

	return packed ? net__uplink__unpack(NULL, net__uplink__pack(u, packed), packed) : NULL;
}

/* Instead of what was known of it. */
static struct nic *nic_put(struct away *a, uint32_t key, const Net__Uplink *u)
{
	struct nic *old = nic_find(a, key), *x = calloc(1, sizeof *x);

	if (old)
		nic_free(old);
	if (!x)
		return NULL;
	list_init(&x->link);
	x->key = key;
	x->ns_fd = -1;
	x->uplink = uplink_copy(u);
	if (!x->uplink) {
		free(x);
		return NULL;
	}
	list_push(&a->nics, &x->link);
	return x;
}

/* ---------------------------------------------------------------- there */

int away_look(struct away *a, uint32_t key, const Net__Uplink *u, bool goes, struct err *e)
{
	Net__Uplink now = *u;
	struct link l;
	Net__Nic nic;
	int r = u->nic && u->nic->away ? phys_restore(a->host, u, &l, e) : phys_find(a->host, u, &l, e);

	if (r < 0)
		return r;
	nic_of(&nic, &l, goes);
	now.nic = &nic;
	if (goes && !nic_put(a, key, &now))
		return err_set(e, ENOMEM, "network", "no memory");
	r = a->ops.seen(a->ops.arg, key, &nic);
	return r < 0 ? err_set(e, -r, "network", "tell of the NIC %s", u->parent) : 0;
}

int away_hold(struct away *a, uint32_t key, const Net__Uplink *u, int ns_fd, int index, struct err *e)
{
	AUTO_FD fd = ns_fd;
	struct nic *x = nic_find(a, key);
	int r;

	if (!x)
		x = nic_put(a, key, u); /* an earlier berth-net has moved it */
	if (!x)
		return err_set(e, ENOMEM, "network", "no memory");
	close_fd(&x->ns_fd);
	x->ns_fd = take_fd(&fd);
	x->index = index;
	if (!x->uplink->nic)
		return 0;
	x->uplink->nic->has_index = 1;
	x->uplink->nic->index = (uint32_t)index;
	r = a->ops.seen(a->ops.arg, key, x->uplink->nic);
	return r < 0 ? err_set(e, -r, "network", "tell of the NIC %s", u->parent) : 0;
}

/* ---------------------------------------------------------------- and back */

static void nic_wait(struct nic *x, unsigned ms)
{
	x->wait_ms = ms;
	x->due_ns = now_ns() + ms * NS_PER_MS;
}

/* 1: it is back; 0: not yet. */
static int nic_try(struct away *a, struct nic *x, struct err *e)
{
	struct link l;
	Net__Nic nic;
	int r = phys_restore(a->host, x->uplink, &l, e);

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return r;
	nic_of(&nic, &l, false);
	r = a->ops.seen(a->ops.arg, x->key, &nic);
	return r < 0 ? r : 1;
}

static void nic_take_out(struct away *a, struct nic *x)
{
	static struct nl inside;
	struct err e;
	int r = a->ops.enter(a->ops.arg, x->ns_fd, &inside, &e);

	if (r == 0)
		r = phys_return(&inside, x->index, a->home_fd, x->uplink, &e);
	if (r < 0)
		log_err(&e, "give the NIC %s back", x->uplink->parent);
	nl_close(&inside);
	close_fd(&x->ns_fd);
}

int away_return(struct away *a, uint32_t key, const Net__Uplink *u, struct err *e)
{
	struct nic *x = nic_find(a, key);
	int r;

	if (!x)
		x = nic_put(a, key, u);
	if (!x)
		return err_set(e, ENOMEM, "network", "no memory");
	if (x->ns_fd >= 0)
		nic_take_out(a, x);
	r = nic_try(a, x, e);
	if (r == 0)
		nic_wait(x, FIRST_MS);
	else
		nic_free(x);
	return r < 0 ? r : 0;
}

void away_forget(struct away *a, uint32_t key)
{
	struct nic *x = nic_find(a, key);

	if (x && x->ns_fd < 0 && !nic_is_hardware(x->uplink->nic))
		nic_free(x);
}

/* It is at the host, but not as itself: berthd died before it knew that it went. */
static bool is_stray(struct away *a, const Net__Uplink *u)
{
	struct link l;
	struct err e;

	return phys_find(a->host, u, &l, &e) == 0 && strcmp(l.name, u->parent) != 0;
}

static bool has_port(const Net__State *s, uint32_t key)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i]->network_key == key)
			return true;
	return false;
}

void away_begin(struct away *a, const Net__State *s)
{
	for (size_t i = 0; i < s->n_networks; i++) {
		const Net__Network *n = s->networks[i];
		const Net__Uplink *u = n->uplink;
		struct err e;

		if (!u || u->driver != NET__DRIVER__PHYS || !u->nic || has_port(s, n->key))
			continue;
		if ((u->nic->away || is_stray(a, u)) && away_return(a, n->key, u, &e) < 0)
			log_err(&e, "give the NIC %s back", u->parent);
	}
}

uint64_t away_due(const struct away *a)
{
	uint64_t due = 0;
	const struct nic *x;

	list_each (x, &a->nics, link)
		if (x->wait_ms && (!due || x->due_ns < due))
			due = x->due_ns;
	return due;
}

void away_again(struct away *a)
{
	struct nic *x;
	int r;

	list_each (x, &a->nics, link) {
		struct err e;

		if (!x->wait_ms || now_ns() < x->due_ns)
			continue;
		e.code = 0;
		r = nic_try(a, x, &e);
		nic_wait(x, x->wait_ms * 2);
		if (r < 0)
			log_err(&e, "give the NIC %s back", x->uplink->parent);
		else if (r == 0 && x->wait_ms > LAST_MS)
			log_warn("the NIC %s has not come back: if it was no hardware, it ended with its container",
				 x->uplink->parent);
		if (r || x->wait_ms > LAST_MS)
			nic_free(x);
	}
}

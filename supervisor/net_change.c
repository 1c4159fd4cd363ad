/* supervisor/net_change.c - see supervisor/net_change.h
 *
 * A lease that comes is stored first, as `coming`: a berthd that dies then makes its interface when it is back, or that is made with the
 * next start. Only then berth-net is asked; what it cannot do is taken out of the row again. One that goes is stored as `leaving`, then
 * the interface is removed, and then it is no lease any more: until the kernel has forgotten an address nobody else gets it. What cannot
 * be removed is tried again until its holder ends. Where the default route has to move, the next interface is `coming` again: what is
 * there of it is found. */
#include "supervisor/net_change_own.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/arena.h"
#include "supervisor/dnsd.h"
#include "supervisor/duplicate.h"
#include "supervisor/files.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/repeat.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AGAIN_FIRST_NS (500 * NS_PER_MS)
#define AGAIN_MOST_NS  (60 * NS_PER_S)

/* ---------------------------------------------------------------- its lease */

struct net_change *net_change_of(const struct net_holder *h, uint64_t lease)
{
	struct net_change *k;

	list_each (k, &h->changes, link)
		if (k->lease == lease)
			return k;
	return NULL;
}

static void lease_gone(struct net_holder *h, size_t i)
{
	net_row_drop(h, i);
	h->kind->touch(h);
}

/* Its link is in the namespace alone: nothing at the host takes it along. */
static bool lease_is_inside(const struct net_holder *h, size_t i)
{
	struct arena a = ARENA_INIT;
	const Net__Port *p = network_port(h, i, &a);
	bool inside = p && p->uplink &&
		      (p->uplink->driver == NET__DRIVER__MACVLAN || p->uplink->driver == NET__DRIVER__IPVLAN);

	arena_fini(&a);
	return inside;
}

/* ---------------------------------------------------------------- its end */

void net_change_free(struct net_change *k)
{
	netd_forget(k->h->sv, k);
	timer_del(&k->again);
	list_del(&k->link);
	if (k->ask)
		berth__network_ask__free_unpacked(k->ask, NULL);
	free(k);
}

void net_change_reply(const struct net_holder *h, struct parked parked, char *link)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;

	done.uuid = net_stored_of(h).meta->uuid;
	done.text = link;
	env.body_case = BERTH__ENVELOPE__BODY_DONE;
	env.done = &done;
	reply(h->sv, parked, &env, NULL, 0);
}

static void change_answer(struct net_change *k, const struct err *e)
{
	if (e && !k->parked.client)
		log_err(e, "%s %s", k->h->kind->noun, net_stored_of(k->h).meta->name);
	if (e)
		reply_net_err(k->h->sv, k->parked, e);
	else
		net_change_reply(k->h, k->parked, k->text);
	k->parked = (struct parked){0};
}

static void change_end(struct net_change *k, const struct err *e)
{
	change_answer(k, e);
	if (!e && k->h->asked)
		files_changed(k->h);
	if (!e)
		watch_publish(k->h->sv, k->h->kind->noun, k->leaves ? "network_disconnect" : "network_connect",
			      net_stored_of(k->h).meta, NULL, (const char *const[]){"interface", k->text, NULL});
	net_change_free(k);
}

/* ---------------------------------------------------------------- steps */

static void on_stored(void *arg, int result);

int net_change_store(struct net_change *k, struct err *e)
{
	char id[64];
	int r;

	snprintf(id, sizeof id, "%llu %s", (unsigned long long)k->lease, k->text);
	repeat_note(k->h->sv, k->parked, id);
	r = k->h->kind->store(k->h, on_stored, k);
	k->storing = r >= 0;
	return r < 0 ? err_set(e, EBUSY, "store", "the store takes no more for now") : 0;
}

/* berth-net is asked to make it, or to take it away. */
static int change_ask(struct net_change *k, size_t i, bool make, int pidfd, netd_done *done, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__Attach attach = NET__ATTACH__INIT;
	Net__Detach detach = NET__DETACH__INIT;
	struct arena a = ARENA_INIT;
	bool made;
	int r;

	if (make) {
		security_policy_tell(k->h->sv, net_stored_of(k->h).leases[i]);
		duplicates_forget(net_stored_of(k->h).leases[i]);
	}
	SET(&detach, remove, 1);
	m.body_case = make ? NET__NET_MESSAGE__BODY_ATTACH : NET__NET_MESSAGE__BODY_DETACH;
	if (make) {
		made = network_attach(k->h, i, &a, &attach);
		m.attach = &attach;
	} else {
		detach.port = network_port(k->h, i, &a);
		made = detach.port;
		m.detach = &detach;
	}
	r = made ? netd_ask(k->h->sv, &m, pidfd, done, done ? k : NULL, e)
		 : err_set(e, ENOMEM, "network", "no memory for a change of interfaces");
	arena_fini(&a);
	return r;
}

/* Back to what was: out of the kernel, out of the row, and then who asked hears why. */
static void change_undo(struct net_change *k, const struct err *why)
{
	size_t i = net_row_at(k->h, k->lease);
	const struct net_stored s = net_stored_of(k->h);
	struct net_rows rows = k->h->kind->rows(k->h);
	struct err e;

	k->failure = *why;
	k->failed = true;
	if (i < s.n_leases && k->leaves) {
		net_row_ask_put(&rows, net_row_ask_at(&s, i), take_ptr(k->ask));
		SET(s.leases[i], leaving, 0);
	} else if (i < s.n_leases) {
		Berth__NetworkAsk *ask = net_row_ask_take(&rows, net_row_ask_at(&s, i));

		if (k->h->asked && change_ask(k, i, false, -1, NULL, &e) < 0)
			log_err(&e, "take an interface back");
		if (ask)
			berth__network_ask__free_unpacked(ask, NULL);
		net_row_drop(k->h, i);
		dnsd_holder(k->h);
	}
	if (net_change_store(k, &e) < 0) {
		k->h->kind->touch(k->h);
		change_end(k, why);
	}
}

static void on_attached(void *arg, const struct err *e)
{
	struct net_change *k = arg;
	size_t i = net_row_at(k->h, k->lease);

	AUTO_FD pidfd = e ? k->h->kind->open(k->h) : -1;

	if (e && e->code != ESRCH && pidfd >= 0) {
		change_undo(k, e);
		return;
	}
	if (e) /* it has ended: made with the next start */
		k->h->ready = false;
	else if (i < net_stored_of(k->h).n_leases)
		SET(net_stored_of(k->h).leases[i], coming, 0);
	k->h->kind->touch(k->h);
	change_end(k, NULL);
}

/* The interface that is the first now, and was not: with the default route and what is published. */
static void on_first_again(void *arg, const struct err *e)
{
	struct net_change *k = arg;
	const struct net_stored s = net_stored_of(k->h);
	bool ended = e && e->code == ESRCH; /* made with the next start, as on_attached has it */

	if (ended)
		k->h->ready = false;
	if (!e && net_first(&s) < s.n_leases)
		SET(s.leases[net_first(&s)], coming, 0);
	k->h->kind->touch(k->h);
	change_end(k, ended ? NULL : e);
}

static void change_go(struct net_change *k);

static void on_again(struct timer *t)
{
	change_go(container_of(t, struct net_change, again));
}

/* Between two lives of its program: its namespace is kept, and nothing leads there. */
static void detach_wait(struct net_change *k)
{
	if (!k->wait_ns)
		k->wait_ns = AGAIN_FIRST_NS;
	timer_in(&k->h->sv->loop, &k->again, k->wait_ns, on_again);
}

/* The lease stays, so that nobody else gets its addresses while the interface may be there; as long as its holder lives. */
static void detach_again(struct net_change *k, const struct err *why)
{
	struct err told = *why;

	k->wait_ns = !k->wait_ns ? AGAIN_FIRST_NS : k->wait_ns > AGAIN_MOST_NS / 2 ? AGAIN_MOST_NS : k->wait_ns * 2;
	err_wrap(&told, "%s is there still, and will be taken out as soon as that can be done", k->text);
	change_answer(k, &told);
	timer_in(&k->h->sv->loop, &k->again, k->wait_ns, on_again);
}

static void on_detached(void *arg, const struct err *e)
{
	struct net_change *k = arg;
	size_t i = net_row_at(k->h, k->lease), first;
	struct net_stored s;
	AUTO_FD pidfd = -1;
	struct err why;

	if (e && k->h->asked) {
		if (e->code == ESRCH)
			detach_wait(k);
		else
			detach_again(k, e);
		return;
	}
	if (i < net_stored_of(k->h).n_leases)
		lease_gone(k->h, i);
	s = net_stored_of(k->h);
	first = net_first(&s);
	pidfd = first < s.n_leases && (k->moves || s.leases[first]->coming) ? k->h->kind->open(k->h) : -1;
	if (pidfd < 0)
		change_end(k, NULL);
	else if (change_ask(k, first, true, pidfd, on_first_again, &why) < 0)
		change_end(k, &why);
}

static void change_go(struct net_change *k)
{
	size_t i = net_row_at(k->h, k->lease);
	AUTO_FD pidfd = k->h->kind->open(k->h);
	struct err e;
	int r;

	if (k->leaves && k->h->asked && pidfd < 0 && lease_is_inside(k->h, i)) {
		detach_wait(k);
		return;
	}
	if (k->leaves) {
		dnsd_holder(k->h);
		r = k->h->asked ? change_ask(k, i, false, pidfd, on_detached, &e) : 0;
		if (r < 0 || !k->h->asked)
			on_detached(k, r < 0 ? &e : NULL);
		return;
	}
	if (pidfd < 0) { /* made with the next start */
		k->h->ready = false;
		SET(net_stored_of(k->h).leases[i], coming, 0);
		k->h->kind->touch(k->h);
		change_end(k, NULL);
		return;
	}
	k->h->asked = true;
	dnsd_holder(k->h);
	r = change_ask(k, i, true, pidfd, on_attached, &e);
	if (r < 0)
		change_undo(k, &e);
}

static void on_stored(void *arg, int result)
{
	struct net_change *k = arg;
	struct err e;

	k->storing = false;
	if (k->failed && result < 0)
		k->h->kind->touch(k->h);
	if (k->failed)
		change_end(k, &k->failure);
	else if (result >= 0)
		change_go(k);
	else
		change_undo(k, (err_set(&e, -result, "store", "the change could not be stored"), &e));
}

/* ---------------------------------------------------------------- its beginning */

struct net_change *net_change_new(struct net_holder *h, const Berth__Lease *l, struct parked parked, bool leaves)
{
	struct net_change *k = calloc(1, sizeof *k);

	if (!k)
		return NULL;
	k->h = h;
	k->parked = parked;
	k->lease = l->id;
	k->leaves = leaves;
	snprintf(k->text, sizeof k->text, "%s", l->link);
	list_push(&h->changes, &k->link);
	return k;
}

/* ---------------------------------------------------------------- berthd was away; the holder has ended */

void net_changes_resume(struct net_holder *h)
{
	const struct net_stored s = net_stored_of(h);
	AUTO_FREE uint64_t *ids = calloc(s.n_leases + 1, sizeof *ids);
	size_t n = 0;

	for (size_t i = 0; ids && i < s.n_leases; i++)
		if ((s.leases[i]->coming || s.leases[i]->leaving) && !net_change_of(h, s.leases[i]->id))
			ids[n++] = s.leases[i]->id;
	for (size_t i = 0; i < n; i++) {
		const struct net_stored now = net_stored_of(h);
		size_t at = net_row_at(h, ids[i]);
		struct net_change *k = at < now.n_leases ? net_change_new(h, now.leases[at], (struct parked){0},
									  now.leases[at]->leaving)
							 : NULL;

		if (k)
			change_go(k);
	}
}

void net_changes_came(struct net_holder *h)
{
	const struct net_stored s = net_stored_of(h);

	for (size_t i = 0; list_empty(&h->changes) && i < s.n_leases; i++)
		if (s.leases[i]->coming) {
			SET(s.leases[i], coming, 0);
			h->kind->touch(h);
		}
}

/* Each lease that leaves has a change, from the request or from net_changes_resume: it goes with that, and not before. */
void net_changes_settle(struct net_holder *h)
{
	struct net_change *k;

	list_each (k, &h->changes, link) {
		bool goes = k->leaves && net_row_at(h, k->lease) < net_stored_of(h).n_leases;

		h->ready = h->ready && k->leaves;
		/* Those go on by themselves, and find nothing running. What goes is there until berth-net says that it is not. */
		if (!k->storing && !timer_armed(&k->again) && !goes)
			change_end(k, NULL);
	}
}

void net_changes_down(struct net_holder *h)
{
	struct net_change *k;

	list_each (k, &h->changes, link) {
		size_t i = net_row_at(h, k->lease);

		if (!timer_armed(&k->again))
			continue;
		change_end(k, NULL);
		if (i < net_stored_of(h).n_leases)
			lease_gone(h, i);
	}
}

void net_changes_drop(struct net_holder *h)
{
	struct net_change *k;
	struct err e;

	err_set(&e, 0, "ref", "it was removed meanwhile");
	list_each (k, &h->changes, link) {
		change_answer(k, &e);
		net_change_free(k);
	}
}

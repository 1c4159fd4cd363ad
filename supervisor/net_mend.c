/* supervisor/net_mend.c - see supervisor/net_mend.h
 *
 * Whoever removes it again and again, perhaps the container itself, is answered less and less often. */
#include "supervisor/net_mend.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/duplicate.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/set.h"
#include "supervisor/watch.h"

#include <errno.h>
#include <stdlib.h>

#define AT_ONCE	     3u
#define WAIT_NS	     (200 * NS_PER_MS)
#define WAIT_MOST_NS (60 * NS_PER_S)
#define CALM_NS	     (60 * NS_PER_S) /* after that the next one is the first */

struct net_mend {
	struct list link; /* net_holder.mends; kept, to know how often */
	struct net_holder *h;
	uint64_t lease; /* its id */
	struct timer timer;
	bool asked;
	bool again; /* meanwhile it went once more */
	unsigned times;
	uint64_t last_ns;
};

static void mend_free(struct net_mend *k)
{
	netd_forget(k->h->sv, k);
	timer_del(&k->timer);
	list_del(&k->link);
	free(k);
}

static size_t lease_number(const struct net_mend *k)
{
	const struct net_stored s = net_stored_of(k->h);
	size_t i = 0;

	while (i < s.n_leases && (s.leases[i]->id != k->lease || s.leases[i]->leaving))
		i++;
	return i;
}

static void on_time(struct timer *t);

static void wait_on(struct net_mend *k)
{
	unsigned late = k->times > AT_ONCE ? k->times - AT_ONCE : 0;
	uint64_t wait = late > 9 ? WAIT_MOST_NS : late ? WAIT_NS << (late - 1) : 0;

	timer_in(&k->h->sv->loop, &k->timer, wait < WAIT_MOST_NS ? wait : WAIT_MOST_NS, on_time);
}

static void on_made(void *arg, const struct err *e)
{
	struct net_mend *k = arg;
	const struct net_stored s = net_stored_of(k->h);
	size_t i = lease_number(k);

	k->asked = false;
	k->last_ns = now_ns();
	if (e && e->code == ESRCH) { /* it has ended */
		k->h->ready = false;
		return;
	}
	if (i == s.n_leases)
		return;
	if (e) {
		log_err(e, "the interface %s of %s %s was removed, and cannot be made again yet", s.leases[i]->link,
			k->h->kind->noun, s.meta->name);
		k->times++;
		wait_on(k);
		return;
	}
	if (k->again) {
		wait_on(k);
		return;
	}
	log_warn("the interface %s of %s %s was removed by somebody: it is there again", s.leases[i]->link,
		 k->h->kind->noun, s.meta->name);
	watch_publish(k->h->sv, k->h->kind->noun, "network_mend", s.meta, NULL,
		      (const char *const[]){"interface", s.leases[i]->link, NULL});
}

static int mend_ask(struct net_mend *k, size_t i, int pidfd, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__Attach body = NET__ATTACH__INIT;
	struct arena a = ARENA_INIT;
	int r;

	duplicates_forget(net_stored_of(k->h).leases[i]);
	SET(&body, mend, 1);
	m.body_case = NET__NET_MESSAGE__BODY_ATTACH;
	m.attach = &body;
	r = network_attach(k->h, i, &a, &body) ? netd_ask(k->h->sv, &m, pidfd, on_made, k, e)
					       : err_set(e, ENOMEM, "network", "no memory to mend an interface");
	arena_fini(&a);
	return r;
}

static void on_time(struct timer *t)
{
	struct net_mend *k = container_of(t, struct net_mend, timer);
	size_t i = lease_number(k);
	AUTO_FD pidfd = k->h->kind->open(k->h);
	struct err e;

	if (!k->h->ready && k->h->sv->recover) { /* its shim may yet say that it runs */
		timer_in(&k->h->sv->loop, &k->timer, WAIT_NS, on_time);
		return;
	}
	if (i == net_stored_of(k->h).n_leases || !k->h->ready)
		return;
	if (pidfd < 0) {
		k->h->ready = false;
		return;
	}
	k->times++;
	k->asked = true;
	k->again = false;
	if (mend_ask(k, i, pidfd, &e) < 0)
		on_made(k, &e);
}

static struct net_mend *mend_of(struct net_holder *h, uint64_t lease)
{
	struct net_mend *k;

	list_each (k, &h->mends, link)
		if (k->lease == lease)
			return k;
	k = calloc(1, sizeof *k);
	if (!k)
		return NULL;
	k->h = h;
	k->lease = lease;
	list_push(&h->mends, &k->link);
	return k;
}

/* One that is being made, or on its way out, is in other hands. */
void net_mend_lost(struct supervisor *sv, const char *host_link)
{
	struct net_holder *h;
	const Berth__Lease *l = net_lease_at(sv, host_link, &h);
	struct net_mend *k = l && (h->ready || sv->recover) && !l->coming && !l->leaving ? mend_of(h, l->id) : NULL;

	if (k && k->asked) /* berth-net tells what has gone before it answers */
		k->again = true;
	if (!k || k->asked || timer_armed(&k->timer))
		return;
	if (now_ns() - k->last_ns > CALM_NS)
		k->times = 0;
	wait_on(k);
}

void net_mends_settle(struct net_holder *h)
{
	struct net_mend *k;

	list_each (k, &h->mends, link)
		h->ready = h->ready && !k->asked && !timer_armed(&k->timer);
	net_mends_drop(h);
}

void net_mends_drop(struct net_holder *h)
{
	struct net_mend *k;

	while ((k = list_first(&h->mends, struct net_mend, link)))
		mend_free(k);
}

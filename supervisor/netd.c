/* supervisor/netd.c - see supervisor/netd.h
 *
 * Calls are done in order, each is answered, and after the death of berth-net the first that was not is the one it died of. Many are with it at a
 * time: one alone would wait for a turn of the loop each, and a start behind the ends of a thousand others for as many. One that it cannot do yet
 * (net/work.h) waits aside, for a while, and is in nobody's way. */
#include "supervisor/netd.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/arena.h"
#include "supervisor/duplicate.h"
#include "supervisor/net_holder.h"
#include "supervisor/net_mend.h"
#include "supervisor/network.h"
#include "supervisor/set.h"
#include "supervisor/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES	3u
#define WITH_IT 128u /* calls at a time: what a turn of a busy loop may have for it */
/* The kernel's lock may be held by the teardown of thousands; longer means that it hangs. */
#define ANSWER_NS (60 * NS_PER_S)
/* Our table is put back at once; for somebody who does not let it be, after so many times less and less often. */
#define LOST_AT_ONCE  5u
#define LOST_FIRST_NS (100 * NS_PER_MS)
#define LOST_MOST_NS  (5 * NS_PER_S)
#define LOST_QUIET_NS (10 * NS_PER_S)
/* What is about to go takes that long while thousands end. */
#define LATER_NS       (5 * NS_PER_S)
#define LATER_FIRST_NS (10 * NS_PER_MS)
#define LATER_MOST_NS  (200 * NS_PER_MS)

struct call {
	struct netd *d;
	struct list link; /* netd.calls, in order, or netd.later */
	uint64_t id;
	void *data; /* owned; packed */
	size_t len;
	int fd; /* owned */
	bool is_state, again;
	bool sent;	 /* it is with berth-net */
	bool once_more;	 /* … behind one that is made again: whatever the answer, so is this */
	bool told;	 /* with each State anew: never asked once more */
	unsigned deaths; /* … of berth-nets that were doing this */
	struct timer later;
	uint64_t later_until, wait_ns;
	netd_done *done;
	void *arg;
};

struct netd {
	struct supervisor *sv;
	struct worker worker;
	struct list calls, later;
	struct list *holds; /* where calls go while a State is being told; NULL: to the others */
	uint64_t next_id;
	unsigned failures;   /* in a row, that did not take a State */
	bool wanted;	     /* it was asked for something */
	unsigned n_sent;     /* calls that are with it */
	struct timer answer; /* to the first of them */
	struct timer lost;   /* of the table that is put back later */
	uint64_t lost_at;
	unsigned lost_times; /* since there was quiet */
};

/* ---------------------------------------------------------------- calls */

/* Whether it is with berth-net. */
static void call_sent(struct call *k, bool sent)
{
	k->d->n_sent += sent;
	k->d->n_sent -= k->sent;
	k->sent = sent;
}

static void call_free(struct call *k)
{
	call_sent(k, false);
	list_del(&k->link);
	timer_del(&k->later);
	close_fd(&k->fd);
	free(k->data);
	free(k);
}

static void call_end(struct call *k, const struct err *e)
{
	netd_done *done = k->done;
	void *arg = k->arg;

	call_free(k);
	if (done)
		done(arg, e);
	else if (e)
		log_err(e, "berth-net");
}

static bool call_pack(struct call *k, const Net__NetMessage *m)
{
	size_t len = net__net_message__get_packed_size(m);
	void *data = malloc(len);

	if (!data)
		return false;
	free(k->data);
	k->data = data;
	k->len = net__net_message__pack(m, data);
	return true;
}

static struct call *call_new(struct netd *d, const Net__NetMessage *m, int fd)
{
	struct call *k = calloc(1, sizeof *k);
	Net__NetMessage numbered = *m;

	if (!k)
		return NULL;
	list_init(&k->link);
	k->d = d;
	k->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	k->id = ++d->next_id;
	numbered.has_id = 1;
	numbered.id = k->id;
	if (!call_pack(k, &numbered) || (fd >= 0 && k->fd < 0)) {
		call_free(k);
		return NULL;
	}
	return k;
}

static void on_no_answer(struct timer *t)
{
	struct err e;

	err_set(&e, 0, "network", "it does not answer");
	worker_fail(&container_of(t, struct netd, answer)->worker, &e);
}

static struct call *first_sent(const struct netd *d)
{
	struct call *k;

	list_each (k, &d->calls, link)
		if (k->sent)
			return k;
	return NULL;
}

/* 1: not now. */
static int call_send(struct netd *d, struct call *k, struct err *e)
{
	int r;

	/* What comes after a State is for who has taken it. */
	if (d->n_sent == WITH_IT || (d->n_sent && first_sent(d)->is_state))
		return 1;
	r = worker_send(&d->worker, k->data, k->len, k->fd);
	if (r == -ENOBUFS && d->n_sent)
		return 1;
	if (r < 0)
		return err_set(e, -r, "network", "speak to berth-net");
	if (!d->n_sent)
		timer_in(&d->sv->loop, &d->answer, ANSWER_NS, on_no_answer);
	call_sent(k, true);
	return 0;
}

/* The next ones, if berth-net knows what should be. */
static void calls_go_on(struct netd *d)
{
	struct call *k;
	struct err e;
	int r = 0;

	if (!d->worker.told)
		return;
	list_each (k, &d->calls, link)
		if (!k->sent && (r = call_send(d, k, &e)) != 0)
			break;
	if (r < 0)
		worker_fail(&d->worker, &e);
}

/* ---------------------------------------------------------------- what cannot be done yet */

static void on_later(struct timer *t)
{
	struct call *k = container_of(t, struct call, later);
	struct netd *d = k->d;

	list_del(&k->link);
	list_push(&d->calls, &k->link);
	calls_go_on(d);
}

/* Who waited for it may have gone: then it goes too. */
static void call_later(struct netd *d, struct call *k, const struct err *e)
{
	uint64_t now = now_ns();
	Net__NetMessage *m = k->done ? message_unpack(&net__net_message__descriptor, k->data, k->len) : NULL;
	bool packed = false;

	if (!k->later_until)
		k->later_until = now + LATER_NS;
	if (m && m->attach) {
		SET(m->attach, again, 1);
		SET(m->attach, last, now >= k->later_until);
		packed = call_pack(k, m);
	}
	if (m)
		net__net_message__free_unpacked(m, NULL);
	if (!packed) {
		call_end(k, e);
		return;
	}
	k->wait_ns = !k->wait_ns ? LATER_FIRST_NS : k->wait_ns > LATER_MOST_NS / 2 ? LATER_MOST_NS : k->wait_ns * 2;
	call_sent(k, false);
	list_del(&k->link);
	list_push(&d->later, &k->link);
	timer_in(&d->sv->loop, &k->later, k->wait_ns, on_later);
}

/* ---------------------------------------------------------------- its end */

static bool is_wanted(struct worker *w)
{
	return container_of(w, struct netd, worker)->wanted;
}

/* What is told with each State is told to the next one, as things are then. */
static void told_end(struct netd *d, const struct call *died_of, const struct err *e)
{
	struct call *k;

	while ((k = list_first(&d->calls, struct call, link)) && k->told) {
		if (k == died_of && k->done)
			call_end(k, e);
		else
			call_free(k);
	}
}

/* Started again, soon; but the call that it does not survive is not made for ever. Deaths are counted with the call: that the next one takes a State says
 * nothing about what killed the last. */
static void on_failed(struct worker *w, const struct err *e)
{
	struct netd *d = container_of(w, struct netd, worker);
	struct call *k = first_sent(d), *x;
	struct err told = *e;

	err_wrap(&told, "berth-net");
	list_each (x, &d->calls, link) {
		call_sent(x, false);
		x->once_more = false;
	}
	timer_del(&d->answer);
	timer_del(&d->lost);
	if (k && !k->is_state)
		k->deaths++;
	else
		d->failures++;
	bool last_try = k && k->deaths == TRIES && !k->told;
	told_end(d, k, &told);
	if (d->failures == TRIES)
		k = list_first(&d->calls, struct call, link);
	if (k && (last_try || d->failures == TRIES))
		call_end(k, &told);
	if (d->failures < TRIES)
		return;
	d->failures = 0;
	d->wanted = !list_empty(&d->calls) || !list_empty(&d->later);
}

/* ---------------------------------------------------------------- what it says */

static void on_lost_wait(struct timer *t)
{
	struct netd *d = container_of(t, struct netd, lost);

	d->worker.told = false;
	if (!d->n_sent) /* its answers come first */
		worker_go_on(&d->worker);
}

static void table_lost(struct netd *d, const Net__TableLost *lost)
{
	uint64_t now = now_ns(), wait = 0;
	const char *reason = lost->reason ? lost->reason : "changed", *noun = lost->link ? "link " : "nftables table";
	const char *name = lost->link ? lost->link : "";

	if (now > d->lost_at + LOST_QUIET_NS)
		d->lost_times = 0;
	if (++d->lost_times > LOST_AT_ONCE)
		wait = LOST_FIRST_NS << (d->lost_times - LOST_AT_ONCE - 1);
	if (wait > LOST_MOST_NS) {
		wait = LOST_MOST_NS;
		d->lost_times--;
	}
	d->lost_at = now + wait;
	if (wait)
		log_warn("our %s%s was %s, once more: it is put back in %llu ms", noun, name, reason,
			 (unsigned long long)(wait / NS_PER_MS));
	else
		log_warn("our %s%s was %s: it is put back", noun, name, reason);
	timer_in(&d->sv->loop, &d->lost, wait, on_lost_wait);
}

static int on_record(struct worker *w, const void *data, size_t len)
{
	struct netd *d = container_of(w, struct netd, worker);
	Net__NetMessage *m = message_unpack(&net__net_message__descriptor, data, len);
	struct call *first = first_sent(d), *k;
	const Net__Result *x;
	struct err e;

	if (m && m->body_case == NET__NET_MESSAGE__BODY_TABLE_LOST) {
		table_lost(d, m->table_lost);
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (m && m->body_case == NET__NET_MESSAGE__BODY_NIC_SEEN && m->nic_seen->nic) {
		network_nic_seen(d->sv, m->nic_seen->network_key, m->nic_seen->nic);
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (m && m->body_case == NET__NET_MESSAGE__BODY_DUPLICATE_SEEN) {
		duplicate_seen(d->sv, m->duplicate_seen);
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (m && m->body_case == NET__NET_MESSAGE__BODY_WIRE_SEEN) {
		network_wire_seen(d->sv, m->wire_seen);
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (m && m->body_case == NET__NET_MESSAGE__BODY_PORT_LOST) {
		net_mend_lost(d->sv, m->port_lost->host_link ? m->port_lost->host_link : "");
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (!m || m->body_case != NET__NET_MESSAGE__BODY_RESULT || !first || m->id != first->id) {
		if (m)
			net__net_message__free_unpacked(m, NULL);
		return -EPROTO;
	}
	call_sent(first, false);
	timer_del(&d->answer);
	if (d->n_sent)
		timer_in(&d->sv->loop, &d->answer, ANSWER_NS, on_no_answer);
	x = m->result;
	if (x->has_sys_errno)
		err_set(&e, x->sys_errno, x->step ? x->step : "network", "%s", x->text ? x->text : "");
	bool failed = x->has_sys_errno, later = x->later;
	net__net_message__free_unpacked(m, NULL);
	if (failed && first->is_state) {
		worker_fail(w, &e);
		return 0;
	}
	d->failures = 0;
	bool lost = failed && (!strcmp(e.step, "nftables") || timer_armed(&d->lost) || !w->told);
	/* Somebody may have emptied our table, or removed a link that it needs: that is made again, and the call too, once; with those that follow it already, so
	 * that the order stays. */
	if (first->once_more) {
		first->once_more = false;
	} else if (lost && !first->again) {
		first->again = true;
		w->told = false;
		list_each (k, &d->calls, link)
			k->once_more = k->sent;
	} else if (failed && later) {
		call_later(d, first, &e);
	} else {
		call_end(first, failed ? &e : NULL);
	}
	if (!w->runs || w->told)
		calls_go_on(d);
	else if (!d->n_sent)
		worker_go_on(w);
	return 0;
}

/* ---------------------------------------------------------------- what it is told */

/* Everything that should be, and what has to be held of it, before whatever else there is: that may be to let go of it again. */
static int tell_all(struct worker *w, struct err *e)
{
	struct netd *d = container_of(w, struct netd, worker);
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	struct arena a = ARENA_INIT;
	struct call *k = NULL;
	struct list holds;

	m.body_case = NET__NET_MESSAGE__BODY_STATE;
	m.state = networks_state(d->sv, &a);
	if (m.state)
		k = call_new(d, &m, -1);
	arena_fini(&a);
	if (!k)
		return err_set(e, ENOMEM, "network", "no memory to tell berth-net what should be");
	k->is_state = k->told = true;
	list_init(&holds);
	d->holds = &holds;
	net_holders_hold(d->sv);
	d->holds = NULL;
	list_push_front(&holds, &k->link);
	while (!list_empty(&holds)) {
		struct list *last = holds.prev;

		list_del(last);
		list_push_front(&d->calls, last);
	}
	calls_go_on(d);
	return 0;
}

static const struct worker_kind kind = {
	.name = "berth-net",
	.step = "network",
	.group = "net.",
	.queue_bytes = 1u << 20,
	.queue_records = WITH_IT,
	.wanted = is_wanted,
	.tell_all = tell_all,
	.record = on_record,
	.failed = on_failed,
};

int netd_ask(struct supervisor *sv, const Net__NetMessage *m, int fd, netd_done *done, void *arg, struct err *e)
{
	struct netd *d = sv->netd;
	struct call *k = call_new(d, m, fd);
	char path[sizeof sv->cfg.run_dir + 8];

	if (!k)
		return err_set(e, ENOMEM, "network", "no memory for a call of berth-net");
	k->done = done;
	k->arg = arg;
	k->told = d->holds != NULL;
	list_push(d->holds ? d->holds : &d->calls, &k->link);
	if (d->holds)
		return 0;
	if (d->n_sent || d->worker.told) {
		calls_go_on(d);
		return 0;
	}
	d->wanted = true;
	/* So that the next berthd of this boot knows that there may be something. */
	snprintf(path, sizeof path, "%s/net", sv->cfg.run_dir);
	int r = file_write_atomic(AT_FDCWD, path, "", 0, 0600, false);
	if (r < 0)
		log_warn("%s: %s", path, strerror(-r));
	worker_wake(&d->worker);
	return 0;
}

void netd_forget(struct supervisor *sv, const void *arg)
{
	struct call *k;

	if (!sv->netd)
		return;
	list_each (k, &sv->netd->later, link)
		if (k->arg == arg)
			call_free(k);
	list_each (k, &sv->netd->calls, link)
		if (k->arg == arg) {
			k->done = NULL;
			k->arg = NULL;
		}
}

bool netd_runs(const struct supervisor *sv)
{
	const struct netd *d = sv->netd;

	return d &&
	       (d->worker.runs || timer_armed(&d->worker.timer) || !list_empty(&d->calls) || !list_empty(&d->later));
}

int netd_open(struct supervisor *sv, struct err *e)
{
	struct netd *d = sv->netd = calloc(1, sizeof *d);
	char path[sizeof sv->cfg.run_dir + 8];

	if (!d)
		return err_set(e, ENOMEM, "network", "no memory");
	d->sv = sv;
	worker_init(&d->worker, &kind, sv, sv->cfg.net_path);
	list_init(&d->calls);
	list_init(&d->later);
	snprintf(path, sizeof path, "%s/net", sv->cfg.run_dir);
	d->wanted = access(path, F_OK) == 0;
	if (d->wanted)
		worker_wake(&d->worker);
	return 0;
}

void netd_close(struct supervisor *sv)
{
	struct netd *d = sv->netd;
	struct call *k;

	if (!d)
		return;
	worker_end(&d->worker);
	timer_del(&d->answer);
	timer_del(&d->lost);
	while ((k = list_first(&d->calls, struct call, link)) || (k = list_first(&d->later, struct call, link)))
		call_free(k);
	free(d);
	sv->netd = NULL;
}

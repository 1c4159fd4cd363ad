/* supervisor/dnsd.c - see supervisor/dnsd.h
 *
 * Nothing is waited for: a change is written into its socket before anybody hears of it from us, and it reads all of that before it reads a
 * question. One that does not take what it is told, or dies, is replaced, and the next one hears everything. */
#include "supervisor/dnsd.h"

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "supervisor/hosts.h"
#include "supervisor/net_holder.h"
#include "supervisor/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* One of an earlier berthd answers what it was asked, and is then killed. */
#define LEAVE_NS (8 * NS_PER_S)

/* One of an earlier berthd. */
struct elder {
	struct list link; /* dnsd.elders */
	struct dnsd *d;
	struct source exit;
	struct timer timer;
	int pidfd;
	char group[40];
};

struct dnsd {
	struct supervisor *sv;
	struct worker worker;
	struct list elders;
	bool elders_sought;
};

/* ---------------------------------------------------------------- those of earlier berthds */

static void elder_free(struct elder *x)
{
	source_del(&x->exit);
	timer_del(&x->timer);
	close_fd(&x->pidfd);
	list_del(&x->link);
	free(x);
}

static void elder_end(struct elder *x)
{
	worker_bury(x->d->sv, x->group);
	elder_free(x);
}

static void on_elder_exit(struct source *s, uint32_t events)
{
	elder_end(container_of(s, struct elder, exit));
}

static void on_elder_late(struct timer *t)
{
	elder_end(container_of(t, struct elder, timer));
}

static int pid_is(int pid, const char *group, void *arg)
{
	return pid == *(int *)arg;
}

static int pid_take(int pid, const char *group, void *arg)
{
	*(int *)arg = pid;
	return 1;
}

/* Its group says what it is, looked at again once the pidfd holds the process: a pid may have become somebody else's. */
static int elder_open(int group_fd)
{
	int pid = 0, fd;

	if (cg_each_pid(group_fd, false, pid_take, &pid) != 1)
		return -1;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0 && cg_each_pid(group_fd, false, pid_is, &pid) != 1)
		close_fd(&fd);
	return fd;
}

static int elder_look(const char *name, void *arg)
{
	struct dnsd *d = arg;
	AUTO_FD fd = -1;
	struct elder *x;

	if (!str_starts(name, DNSD_GROUP) || !strcmp(name, d->worker.group))
		return 0;
	x = calloc(1, sizeof *x);
	fd = openat(d->sv->cg.jobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!x || fd < 0) {
		free(x);
		return 0;
	}
	*x = (struct elder){.d = d, .pidfd = elder_open(fd)};
	snprintf(x->group, sizeof x->group, "%.39s", name);
	list_push(&d->elders, &x->link);
	if (x->pidfd < 0 || source_add(&d->sv->loop, &x->exit, x->pidfd, EPOLLIN, on_elder_exit) < 0) {
		elder_end(x);
		return 0;
	}
	timer_in(&d->sv->loop, &x->timer, LEAVE_NS, on_elder_late);
	syscall(SYS_pidfd_send_signal, x->pidfd, SIGTERM, NULL, 0);
	return 0;
}

/* Ours answers, or there is nobody to be answered. */
static void elders_end(struct dnsd *d)
{
	if (d->elders_sought)
		return;
	d->elders_sought = true;
	if (cg_each_child(d->sv->cg.jobs_fd, elder_look, d) < 0)
		log_warn("cannot look for a berth-dns of an earlier berthd");
}

/* ---------------------------------------------------------------- its life */

static bool is_wanted(struct worker *w)
{
	struct dnsd *d = container_of(w, struct dnsd, worker);
	const struct net_holder *h;

	list_each (h, &d->sv->net_holders, link)
		if (net_stored_of(h).n_leases)
			return true;
	elders_end(d);
	return false;
}

static int on_record(struct worker *w, const void *data, size_t len)
{
	Dns__DnsMessage *m = message_unpack(&dns__dns_message__descriptor, data, len);
	bool ready = m && m->body_case == DNS__DNS_MESSAGE__BODY_READY;

	if (m)
		dns__dns_message__free_unpacked(m, NULL);
	if (!ready)
		return -EPROTO;
	elders_end(container_of(w, struct dnsd, worker));
	return 0;
}

/* ---------------------------------------------------------------- what it is told */

static int dnsd_send(struct dnsd *d, const Dns__DnsMessage *m)
{
	size_t len = dns__dns_message__get_packed_size(m);
	AUTO_FREE uint8_t *data = malloc(len);

	if (!data)
		return -ENOMEM;
	dns__dns_message__pack(m, data);
	return worker_send(&d->worker, data, len, -1);
}

static int tell_all(struct worker *w, struct err *e)
{
	struct dnsd *d = container_of(w, struct dnsd, worker);
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	struct arena a = ARENA_INIT;
	int r;

	m.body_case = DNS__DNS_MESSAGE__BODY_STATE;
	m.state = dns_state(d->sv, &a);
	r = m.state ? dnsd_send(d, &m) : -ENOMEM;
	arena_fini(&a);
	return r < 0 ? err_set(e, -r, "dns", "tell berth-dns what there is") : 0;
}

static const struct worker_kind kind = {
	.name = "berth-dns",
	.step = "dns",
	.group = DNSD_GROUP,
	.queue_bytes = 4u << 20,
	.queue_records = 16384,
	.wanted = is_wanted,
	.tell_all = tell_all,
	.record = on_record,
};

/* r: what came of it. Without memory or room the next one is told everything. */
static void dnsd_told(struct dnsd *d, int r)
{
	struct err e;

	if (r == 0)
		return;
	err_set(&e, -r, "dns", "tell berth-dns of a change");
	worker_fail(&d->worker, &e);
}

void dnsd_wanted(struct supervisor *sv)
{
	if (sv->dnsd)
		worker_wake(&sv->dnsd->worker);
}

void dnsd_holder(const struct net_holder *h)
{
	struct dnsd *d = h->sv->dnsd;
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	Dns__HolderPut put = DNS__HOLDER_PUT__INIT;
	Dns__HolderDelete gone = DNS__HOLDER_DELETE__INIT;
	struct arena a = ARENA_INIT;

	hosts_changed(h);
	if (!d || !d->worker.told || !net_stored_of(h).n_leases)
		return;
	if (h->asked) {
		put.holder = dns_holder(h, &a);
		m.body_case = DNS__DNS_MESSAGE__BODY_HOLDER_PUT;
		m.holder_put = &put;
	} else {
		gone.has_id = 1;
		gone.id = net_stored_of(h).meta->id;
		m.body_case = DNS__DNS_MESSAGE__BODY_HOLDER_DELETE;
		m.holder_delete = &gone;
	}
	dnsd_told(d, a.failed ? -ENOMEM : dnsd_send(d, &m));
	arena_fini(&a);
}

void dnsd_network(const struct network *n, bool is_there)
{
	struct dnsd *d = n->sv->dnsd;
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	Dns__NetworkPut put = DNS__NETWORK_PUT__INIT;
	Dns__NetworkDelete gone = DNS__NETWORK_DELETE__INIT;
	struct arena a = ARENA_INIT;

	if (!d || !d->worker.told)
		return;
	if (is_there) {
		put.network = dns_network(n, &a);
		m.body_case = DNS__DNS_MESSAGE__BODY_NETWORK_PUT;
		m.network_put = &put;
	} else {
		gone.has_key = 1;
		gone.key = (uint32_t)n->node.id;
		m.body_case = DNS__DNS_MESSAGE__BODY_NETWORK_DELETE;
		m.network_delete = &gone;
	}
	dnsd_told(d, a.failed ? -ENOMEM : dnsd_send(d, &m));
	arena_fini(&a);
}

void dnsd_servers(struct supervisor *sv)
{
	struct dnsd *d = sv->dnsd;
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	struct arena a = ARENA_INIT;

	if (!d || !d->worker.told)
		return;
	m.body_case = DNS__DNS_MESSAGE__BODY_SERVERS;
	m.servers = dns_servers(sv, &a);
	dnsd_told(d, m.servers ? dnsd_send(d, &m) : -ENOMEM);
	arena_fini(&a);
}

/* ---------------------------------------------------------------- with berthd */

int dnsd_open(struct supervisor *sv, struct err *e)
{
	struct dnsd *d = sv->dnsd = calloc(1, sizeof *d);

	if (!d)
		return err_set(e, ENOMEM, "dns", "no memory");
	d->sv = sv;
	worker_init(&d->worker, &kind, sv, sv->cfg.dns_path);
	list_init(&d->elders);
	worker_wake(&d->worker);
	return 0;
}

void dnsd_close(struct supervisor *sv)
{
	struct dnsd *d = sv->dnsd;
	struct elder *x;

	if (!d)
		return;
	list_each (x, &d->elders, link)
		elder_free(x);
	worker_leave(&d->worker);
	free(d);
	sv->dnsd = NULL;
}

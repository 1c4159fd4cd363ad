/* supervisor/dnsd.c - see supervisor/dnsd.h
 *
 * Nothing is waited for: a change is written into its socket before anybody hears of it from us, and it reads all of that before it reads a
 * question. One that does not take what it is told, or dies, is replaced, and the next one hears everything. */
#include "supervisor/dnsd.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "proto/envelope.h"
#include "proto/peer.h"
#include "supervisor/net_holder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define AGAIN_NS    (100 * NS_PER_MS)
#define LIVED_NS    (2 * NS_PER_S)
#define QUEUE_MAX   (4u << 20)
#define RECORDS_MAX 16384u
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
	bool runs, told, elders_sought;
	uint64_t started_at;
	struct peer peer;
	struct source exit;
	struct timer timer; /* of its next start */
	int pidfd, group_fd;
	char group[40];
	struct list elders;
};

static void dnsd_go_on(struct dnsd *d);

static void group_bury(struct dnsd *d, const char *group)
{
	char path[80];

	snprintf(path, sizeof path, "jobs/%s", group);
	cg_bury(&d->sv->graveyard, d->sv->cg.root_fd, path);
}

/* ---------------------------------------------------------------- those of earlier berthds */

static void elder_free(struct elder *x)
{
	source_del(&x->exit);
	timer_del(&x->timer);
	/* A child of ours when the berthd that started it became us. */
	if (x->pidfd >= 0)
		waitid(P_PIDFD, (id_t)x->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	close_fd(&x->pidfd);
	list_del(&x->link);
	free(x);
}

static void elder_end(struct elder *x)
{
	group_bury(x->d, x->group);
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

	if (!str_starts(name, DNSD_GROUP) || !strcmp(name, d->group))
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

static void dnsd_down(struct dnsd *d)
{
	d->runs = d->told = false;
	timer_del(&d->timer);
	peer_fini(&d->peer);
	if (d->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, d->pidfd, SIGKILL, NULL, 0);
	if (d->group_fd >= 0) {
		close_fd(&d->group_fd);
		group_bury(d, d->group);
	}
}

static void on_again(struct timer *t)
{
	dnsd_go_on(container_of(t, struct dnsd, timer));
}

/* At once, when it is not for the second time within a moment. */
static void dnsd_failed(struct dnsd *d, const struct err *e)
{
	bool lived = now_ns() - d->started_at > LIVED_NS;

	log_err(e, "berth-dns");
	dnsd_down(d);
	timer_in(&d->sv->loop, &d->timer, lived ? 0 : AGAIN_NS, on_again);
}

static void dnsd_died(struct dnsd *d, const char *how)
{
	struct err e;

	err_set(&e, 0, "dns", "it %s", how);
	dnsd_failed(d, &e);
}

static void on_exit_of_it(struct source *s, uint32_t events)
{
	struct dnsd *d = container_of(s, struct dnsd, exit);

	source_del(&d->exit);
	waitid(P_PIDFD, (id_t)d->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	close_fd(&d->pidfd);
	if (d->runs)
		dnsd_died(d, "ended");
	else
		dnsd_go_on(d);
}

static int on_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct dnsd *d = container_of(p, struct dnsd, peer);
	Dns__DnsMessage *m = message_unpack(&dns__dns_message__descriptor, data, len);
	bool ready = m && m->body_case == DNS__DNS_MESSAGE__BODY_READY;

	if (m)
		dns__dns_message__free_unpacked(m, NULL);
	if (!ready)
		return -EPROTO;
	elders_end(d);
	return 0;
}

static void on_gone(struct peer *p, int reason)
{
	dnsd_died(container_of(p, struct dnsd, peer), reason == -EPROTO ? "speaks nonsense" : "hung up");
}

static const struct peer_ops ops = {.record = on_record, .gone = on_gone};

static int dnsd_spawn(struct dnsd *d, struct err *e)
{
	struct supervisor *sv = d->sv;
	char *argv[] = {(char *)"berth-dns", NULL};
	int pair[2], fds[4] = {-1, -1, STDERR_FILENO, -1}, r;
	struct spawn how = {.exec_fd = -1, .path = sv->cfg.dns_path, .argv = argv, .fds = fds, .n_fds = 4};
	pid_t pid;

	d->started_at = now_ns();
	snprintf(d->group, sizeof d->group, DNSD_GROUP "%llu", (unsigned long long)wall_ns() / NS_PER_MS);
	r = cg_tree_make(&sv->cg, sv->cg.jobs_fd, d->group, &d->group_fd, e);
	if (r < 0)
		return r;
	r = wire_pair(pair);
	if (r < 0)
		return err_set(e, -r, "dns", "a socket for berth-dns");
	AUTO_FD child_end = pair[1];
	r = peer_init(&d->peer, &sv->loop, pair[0], &ops, QUEUE_MAX, RECORDS_MAX);
	if (r < 0)
		return err_set(e, -r, "dns", "watch the socket of berth-dns");
	fds[3] = child_end;
	how.cgroup_fd = d->group_fd;
	r = spawn(&how, &d->pidfd, &pid, e);
	if (r < 0)
		return r;
	r = source_add(&sv->loop, &d->exit, d->pidfd, EPOLLIN, on_exit_of_it);
	return r < 0 ? err_set(e, -r, "dns", "watch berth-dns") : 0;
}

/* ---------------------------------------------------------------- what it is told */

static int dnsd_send(struct dnsd *d, const Dns__DnsMessage *m)
{
	size_t len = dns__dns_message__get_packed_size(m);
	AUTO_FREE uint8_t *data = malloc(len);
	AUTO_FD big = -1;

	if (!data)
		return -ENOMEM;
	dns__dns_message__pack(m, data);
	if (len <= WIRE_MAX)
		return peer_send(&d->peer, data, len, NULL, 0);
	big = memfd_sealed("berth-dns", data, len);
	return big < 0 ? big : peer_send(&d->peer, "!", 1, &big, 1);
}

static int dnsd_tell_all(struct dnsd *d, struct err *e)
{
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	struct arena a = ARENA_INIT;
	int r;

	m.body_case = DNS__DNS_MESSAGE__BODY_STATE;
	m.state = dns_state(d->sv, &a);
	r = m.state ? dnsd_send(d, &m) : -ENOMEM;
	arena_fini(&a);
	d->told = r == 0;
	return r < 0 ? err_set(e, -r, "dns", "tell berth-dns what there is") : 0;
}

static bool is_wanted(const struct dnsd *d)
{
	const struct net_holder *h;

	list_each (h, &d->sv->net_holders, link)
		if (net_stored_of(h).n_leases)
			return true;
	return false;
}

static void dnsd_go_on(struct dnsd *d)
{
	struct err e;
	int r = 0;

	timer_del(&d->timer);
	if (d->sv->recover) { /* who lives is not all known yet, and the names of the rest would vanish */
		timer_in(&d->sv->loop, &d->timer, 10 * NS_PER_MS, on_again);
		return;
	}
	if (!d->runs && d->pidfd >= 0) /* the last one has not died yet */
		return;
	if (!d->runs && !is_wanted(d)) {
		elders_end(d);
		return;
	}
	if (!d->runs) {
		r = dnsd_spawn(d, &e);
		d->runs = true;
	}
	if (r == 0 && !d->told)
		r = dnsd_tell_all(d, &e);
	if (r < 0)
		dnsd_failed(d, &e);
}

/* r: what came of it. Without memory or room the next one is told everything. */
static void dnsd_told(struct dnsd *d, int r)
{
	struct err e;

	if (r == 0)
		return;
	err_set(&e, -r, "dns", "tell berth-dns of a change");
	dnsd_failed(d, &e);
}

void dnsd_wanted(struct supervisor *sv)
{
	struct dnsd *d = sv->dnsd;

	if (d && !d->runs && !timer_armed(&d->timer))
		timer_in(&sv->loop, &d->timer, 0, on_again);
}

void dnsd_holder(const struct net_holder *h)
{
	struct dnsd *d = h->sv->dnsd;
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	Dns__HolderPut put = DNS__HOLDER_PUT__INIT;
	Dns__HolderDelete gone = DNS__HOLDER_DELETE__INIT;
	struct arena a = ARENA_INIT;

	if (!d || !d->told || !net_stored_of(h).n_leases)
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

	if (!d || !d->told)
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

	if (!d || !d->told)
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
	d->peer = PEER_NULL;
	d->pidfd = d->group_fd = -1;
	list_init(&d->elders);
	timer_in(&sv->loop, &d->timer, 0, on_again);
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
	timer_del(&d->timer);
	source_del(&d->exit);
	peer_fini(&d->peer);
	close_fd(&d->pidfd);
	close_fd(&d->group_fd);
	free(d);
	sv->dnsd = NULL;
}

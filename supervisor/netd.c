/* supervisor/netd.c - see supervisor/netd.h
 *
 * At most one call is with berth-net at a time: the others wait here, so that after its death it is known which one it died of. */
#include "supervisor/netd.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "base/spawn.h"
#include "proto/envelope.h"
#include "proto/peer.h"
#include "supervisor/arena.h"
#include "supervisor/net_holder.h"
#include "supervisor/network.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TRIES	 3u
#define AGAIN_NS (100 * NS_PER_MS)
/* The kernel's lock may be held by the teardown of thousands; longer means that it hangs. */
#define ANSWER_NS (60 * NS_PER_S)
/* Our table is put back at once; for somebody who does not let it be, after so many times less and less often. */
#define LOST_AT_ONCE  5u
#define LOST_FIRST_NS (100 * NS_PER_MS)
#define LOST_MOST_NS  (5 * NS_PER_S)
#define LOST_QUIET_NS (10 * NS_PER_S)

struct call {
	struct list link; /* netd.calls, in order */
	uint64_t id;
	void *data; /* owned; packed */
	size_t len;
	int fd; /* owned */
	bool is_state, again;
	netd_done *done;
	void *arg;
};

struct netd {
	struct supervisor *sv;
	struct list calls;
	uint64_t next_id;
	unsigned failures;     /* in a row */
	bool runs, sent, told; /* … the first call; everything that should be */
	struct peer peer;
	struct source exit;
	struct timer timer; /* of its answer; of the next start */
	struct timer lost;  /* of the table that is put back later */
	uint64_t lost_at;
	unsigned lost_times; /* since there was quiet */
	int pidfd, group_fd;
	char group[40];
};

static void netd_go_on(struct netd *d);

/* ---------------------------------------------------------------- calls */

static void call_free(struct call *k)
{
	list_del(&k->link);
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

static struct call *call_new(struct netd *d, const Net__NetMessage *m, int fd)
{
	struct call *k = calloc(1, sizeof *k);
	Net__NetMessage numbered = *m;

	if (!k)
		return NULL;
	list_init(&k->link);
	k->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	k->id = ++d->next_id;
	numbered.has_id = 1;
	numbered.id = k->id;
	k->len = net__net_message__get_packed_size(&numbered);
	k->data = malloc(k->len);
	if (!k->data || (fd >= 0 && k->fd < 0)) {
		call_free(k);
		return NULL;
	}
	net__net_message__pack(&numbered, k->data);
	return k;
}

/* ---------------------------------------------------------------- its end */

static void netd_down(struct netd *d)
{
	struct call *first = list_first(&d->calls, struct call, link);
	char path[80];

	if (first && first->is_state) /* the next one hears what will be so then */
		call_free(first);
	d->runs = d->sent = d->told = false;
	timer_del(&d->timer);
	timer_del(&d->lost);
	peer_fini(&d->peer);
	if (d->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, d->pidfd, SIGKILL, NULL, 0);
	if (d->group_fd >= 0) {
		close_fd(&d->group_fd);
		snprintf(path, sizeof path, "jobs/%s", d->group);
		cg_bury(&d->sv->graveyard, d->sv->cg.root_fd, path);
	}
}

static void on_again(struct timer *t)
{
	netd_go_on(container_of(t, struct netd, timer));
}

/* Started again, soon; but the call that it does not survive is not made for ever. */
static void netd_failed(struct netd *d, const struct err *e)
{
	struct call *first;

	log_err(e, "berth-net");
	netd_down(d);
	first = list_first(&d->calls, struct call, link);
	if (++d->failures >= TRIES) {
		d->failures = 0;
		if (first) {
			struct err told = *e;

			err_wrap(&told, "berth-net");
			call_end(first, &told);
		}
		if (list_empty(&d->calls))
			return;
	}
	timer_in(&d->sv->loop, &d->timer, AGAIN_NS, on_again);
}

static void netd_died(struct netd *d, const char *how)
{
	struct err e;

	err_set(&e, 0, "network", "it %s", how);
	netd_failed(d, &e);
}

static void on_exit_of_it(struct source *s, uint32_t events)
{
	struct netd *d = container_of(s, struct netd, exit);

	source_del(&d->exit);
	waitid(P_PIDFD, (id_t)d->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	close_fd(&d->pidfd);
	if (d->runs)
		netd_died(d, "ended");
	else if (!list_empty(&d->calls) && !timer_armed(&d->timer))
		netd_go_on(d);
}

static void on_no_answer(struct timer *t)
{
	netd_died(container_of(t, struct netd, timer), "does not answer");
}

/* ---------------------------------------------------------------- what it says */

static void on_lost_wait(struct timer *t)
{
	struct netd *d = container_of(t, struct netd, lost);

	d->told = false;
	netd_go_on(d);
}

static void table_lost(struct netd *d, const char *reason)
{
	uint64_t now = now_ns(), wait = 0;

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
		log_warn("our nftables table was %s, once more: it is put back in %llu ms", reason,
			 (unsigned long long)(wait / NS_PER_MS));
	else
		log_warn("our nftables table was %s: it is put back", reason);
	timer_in(&d->sv->loop, &d->lost, wait, on_lost_wait);
}

static int on_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct netd *d = container_of(p, struct netd, peer);
	Net__NetMessage *m = message_unpack(&net__net_message__descriptor, data, len);
	struct call *first = list_first(&d->calls, struct call, link);
	const Net__Result *x;
	struct err e;

	if (m && m->body_case == NET__NET_MESSAGE__BODY_TABLE_LOST) {
		table_lost(d, m->table_lost->reason ? m->table_lost->reason : "changed");
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (m && m->body_case == NET__NET_MESSAGE__BODY_NIC_SEEN && m->nic_seen->nic) {
		network_nic_seen(d->sv, m->nic_seen->network_key, m->nic_seen->nic);
		net__net_message__free_unpacked(m, NULL);
		return 0;
	}
	if (!m || m->body_case != NET__NET_MESSAGE__BODY_RESULT || !first || !d->sent || m->id != first->id) {
		if (m)
			net__net_message__free_unpacked(m, NULL);
		return -EPROTO;
	}
	timer_del(&d->timer);
	d->sent = false;
	x = m->result;
	if (x->has_sys_errno)
		err_set(&e, x->sys_errno, x->step ? x->step : "network", "%s", x->text ? x->text : "");
	bool failed = x->has_sys_errno;
	net__net_message__free_unpacked(m, NULL);
	if (failed && first->is_state) {
		netd_failed(d, &e);
		return 0;
	}
	d->failures = 0;
	/* Somebody may have emptied our table: it is made again, and the call too, once. */
	if (failed && !strcmp(e.step, "nftables") && !first->again) {
		first->again = true;
		d->told = false;
	} else {
		call_end(first, failed ? &e : NULL);
	}
	if (d->runs)
		netd_go_on(d);
	return 0;
}

static void on_gone(struct peer *p, int reason)
{
	netd_died(container_of(p, struct netd, peer), reason == -EPROTO ? "speaks nonsense" : "hung up");
}

static const struct peer_ops ops = {.record = on_record, .gone = on_gone};

/* ---------------------------------------------------------------- what it is told */

static int netd_spawn(struct netd *d, struct err *e)
{
	struct supervisor *sv = d->sv;
	char *argv[] = {(char *)"berth-net", NULL};
	int pair[2], fds[4] = {-1, -1, STDERR_FILENO, -1}, r;
	struct spawn how = {.exec_fd = -1, .path = sv->cfg.net_path, .argv = argv, .fds = fds, .n_fds = 4};
	pid_t pid;

	snprintf(d->group, sizeof d->group, "net.%llu", (unsigned long long)wall_ns() / NS_PER_MS);
	r = cg_tree_make(&sv->cg, sv->cg.jobs_fd, d->group, &d->group_fd, e);
	if (r < 0)
		return r;
	r = wire_pair(pair);
	if (r < 0)
		return err_set(e, -r, "network", "a socket for berth-net");
	AUTO_FD child_end = pair[1];
	r = peer_init(&d->peer, &sv->loop, pair[0], &ops, 1u << 20, 4);
	if (r < 0)
		return err_set(e, -r, "network", "watch the socket of berth-net");
	fds[3] = child_end;
	how.cgroup_fd = d->group_fd;
	r = spawn(&how, &d->pidfd, &pid, e);
	if (r < 0)
		return r;
	r = source_add(&sv->loop, &d->exit, d->pidfd, EPOLLIN, on_exit_of_it);
	return r < 0 ? err_set(e, -r, "network", "watch berth-net") : 0;
}

/* Everything that should be, before whatever else there is. */
static int netd_tell_all(struct netd *d, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	struct arena a = ARENA_INIT;
	struct call *k = NULL;

	m.body_case = NET__NET_MESSAGE__BODY_STATE;
	m.state = networks_state(d->sv, &a);
	if (m.state)
		k = call_new(d, &m, -1);
	arena_fini(&a);
	if (!k)
		return err_set(e, ENOMEM, "network", "no memory to tell berth-net what should be");
	k->is_state = true;
	list_push_front(&d->calls, &k->link);
	net_holders_hold(d->sv);
	d->told = true; /* from here on what is asked is sent at once */
	return 0;
}

static int call_send(struct netd *d, struct call *k)
{
	AUTO_FD big = k->len > WIRE_MAX ? memfd_sealed("berth-net", k->data, k->len) : -1;

	if (k->len <= WIRE_MAX)
		return peer_send(&d->peer, k->data, k->len, &k->fd, k->fd >= 0);
	return big < 0 ? big : peer_send(&d->peer, "!", 1, &big, 1);
}

static void netd_go_on(struct netd *d)
{
	struct call *k;
	struct err e;
	int r = 0;

	if (d->sent) /* its answer comes first */
		return;
	timer_del(&d->timer);
	if (d->sv->recover) { /* what lives is not all known yet, and the rest would be removed */
		timer_in(&d->sv->loop, &d->timer, 10 * NS_PER_MS, on_again);
		return;
	}
	if (!d->runs && d->pidfd >= 0) /* the last one has not died yet: the kernel has hold of it */
		return;
	if (!d->runs) {
		r = netd_spawn(d, &e);
		d->runs = true;
	}
	if (r == 0 && !d->told)
		r = netd_tell_all(d, &e);
	k = list_first(&d->calls, struct call, link);
	if (r == 0 && k) {
		r = call_send(d, k);
		d->sent = r == 0;
		timer_in(&d->sv->loop, &d->timer, ANSWER_NS, on_no_answer);
		if (r < 0)
			err_set(&e, -r, "network", "speak to berth-net");
	}
	if (r < 0)
		netd_failed(d, &e);
}

int netd_ask(struct supervisor *sv, const Net__NetMessage *m, int fd, netd_done *done, void *arg, struct err *e)
{
	struct netd *d = sv->netd;
	struct call *k = call_new(d, m, fd);
	char path[sizeof sv->cfg.run_dir + 8];

	if (!k)
		return err_set(e, ENOMEM, "network", "no memory for a call of berth-net");
	k->done = done;
	k->arg = arg;
	list_push(&d->calls, &k->link);
	if (d->runs && d->told) {
		netd_go_on(d);
		return 0;
	}
	/* So that the next berthd of this boot knows that there may be something. */
	snprintf(path, sizeof path, "%s/net", sv->cfg.run_dir);
	int r = file_write_atomic(AT_FDCWD, path, "", 0, 0600, false);
	if (r < 0)
		log_warn("%s: %s", path, strerror(-r));
	if (!timer_armed(&d->timer))
		timer_in(&sv->loop, &d->timer, 0, on_again);
	return 0;
}

void netd_forget(struct supervisor *sv, const void *arg)
{
	struct call *k;

	if (!sv->netd)
		return;
	list_each (k, &sv->netd->calls, link)
		if (k->arg == arg) {
			k->done = NULL;
			k->arg = NULL;
		}
}

bool netd_runs(const struct supervisor *sv)
{
	const struct netd *d = sv->netd;

	return d && (d->runs || timer_armed(&d->timer) || !list_empty(&d->calls));
}

int netd_open(struct supervisor *sv, struct err *e)
{
	struct netd *d = sv->netd = calloc(1, sizeof *d);
	char path[sizeof sv->cfg.run_dir + 8];

	if (!d)
		return err_set(e, ENOMEM, "network", "no memory");
	d->sv = sv;
	d->peer = PEER_NULL;
	d->pidfd = d->group_fd = -1;
	list_init(&d->calls);
	snprintf(path, sizeof path, "%s/net", sv->cfg.run_dir);
	if (access(path, F_OK) == 0)
		timer_in(&sv->loop, &d->timer, 0, on_again);
	return 0;
}

void netd_close(struct supervisor *sv)
{
	struct netd *d = sv->netd;
	struct call *k;

	if (!d)
		return;
	netd_down(d);
	source_del(&d->exit);
	/* An upgrade in place keeps our children, so none may be left as a zombie; one that hangs in the kernel is. */
	if (d->pidfd >= 0 && poll(&(struct pollfd){.fd = d->pidfd, .events = POLLIN}, 1, 1000) == 1)
		waitid(P_PIDFD, (id_t)d->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	close_fd(&d->pidfd);
	while ((k = list_first(&d->calls, struct call, link)))
		call_free(k);
	free(d);
	sv->netd = NULL;
}

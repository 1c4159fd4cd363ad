/* supervisor/net_holder.c - see supervisor/net_holder.h */
#include "supervisor/net_holder.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "supervisor/arena.h"
#include "supervisor/dnsd.h"
#include "supervisor/duplicate.h"
#include "supervisor/net_change.h"
#include "supervisor/net_mend.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/security_group.h"
#include "supervisor/set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A hold that kills berth-net does not take all networks along. */
#define HOLD_TRIES 3u

const Berth__NameOptions *net_names(const Berth__NameOptions *of_spec)
{
	static const Berth__NameOptions nothing = BERTH__NAME_OPTIONS__INIT;

	return of_spec ? of_spec : &nothing;
}

void net_holder_init(struct net_holder *h, struct supervisor *sv, const struct net_holder_kind *kind)
{
	h->sv = sv;
	h->kind = kind;
	list_init(&h->changes);
	list_init(&h->mends);
	list_push(&sv->net_holders, &h->link);
}

void net_holder_fini(struct net_holder *h)
{
	if (!h->kind)
		return;
	netd_forget(h->sv, h);
	net_changes_drop(h);
	net_mends_drop(h);
	list_del(&h->link);
	security_policies_tidy(h->sv, false);
}

Berth__Lease *net_lease_at(struct supervisor *sv, const char *host_link, struct net_holder **ret)
{
	list_each (*ret, &sv->net_holders, link) {
		const struct net_stored s = net_stored_of(*ret);

		for (size_t i = 0; i < s.n_leases; i++)
			if (s.leases[i]->host_link && !strcmp(s.leases[i]->host_link, host_link))
				return s.leases[i];
	}
	return NULL;
}

bool net_holder_wants(const struct net_holder *h)
{
	const struct net_stored stored = net_stored_of(h);

	return !h->ready && net_first(&stored) < stored.n_leases;
}

static void on_attached(void *arg, const struct err *e)
{
	struct net_holder *h = arg;

	/* One interface after the other: the last answer counts, and the first failure. */
	if (h->left && --h->left && !e)
		return;
	if (e) {
		net_holder_forget(h);
	} else {
		h->ready = true;
		h->not_held = 0; /* those were held, or not, as they were before */
		net_changes_came(h);
	}
	h->kind->attached(h, e);
}

static int attach(struct net_holder *h, size_t i, int pidfd, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__Attach body = NET__ATTACH__INIT;
	struct arena a = ARENA_INIT;
	bool made;
	int r;

	security_policy_tell(h->sv, net_stored_of(h).leases[i]);
	duplicates_forget(net_stored_of(h).leases[i]);
	made = network_attach(h, i, &a, &body);
	if (made && h->ahead && !i)
		SET(body.port, ahead, true);
	m.body_case = NET__NET_MESSAGE__BODY_ATTACH;
	m.attach = &body;
	r = made ? netd_ask(h->sv, &m, pidfd, on_attached, h, e)
		 : err_set(e, ENOENT, "network", "network %s is gone", net_stored_of(h).leases[i]->network);
	arena_fini(&a);
	return r;
}

int net_holder_attach(struct net_holder *h, int pidfd, struct err *e)
{
	const struct net_stored stored = net_stored_of(h);
	int r = 0;

	if (pidfd < 0)
		return err_set(e, 0, "shim", "its process is not known");
	h->asked = true;
	dnsd_holder(h);
	for (size_t i = 0; i < stored.n_leases && r == 0; i++) {
		if (stored.leases[i]->leaving)
			continue;
		r = attach(h, i, pidfd, e);
		h->left += r == 0;
	}
	h->ahead = false; /* whatever begins there now may change them */
	if (r < 0)
		net_holder_forget(h);
	return r;
}

/* The namespace itself: it is held by that, whenever the process ends. -1: it has. */
static int namespace_of_process(int pidfd)
{
	char path[64], text[512];
	AUTO_FD fd = -1;
	const char *at;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	n = file_read(AT_FDCWD, path, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = 0;
	at = strstr(text, "\nPid:\t");
	if (!at)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/net", atoi(at + strlen("\nPid:\t")));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* A number may have been used again. */
	return fd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 ? take_fd(&fd) : -1;
}

static bool link_read(int at, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(at, name, buf, size - 1);

	buf[n < 0 ? 0 : n] = 0;
	return n > 0;
}

/* Of those that its shim has open, the one that is not the host's. */
static int namespace_of_shim(int pid)
{
	char path[64], link[64], host[64];
	AUTO_FD fd = -1;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir || !link_read(AT_FDCWD, "/proc/self/ns/net", host, sizeof host)) {
		if (dir)
			closedir(dir);
		return -1;
	}
	while (fd < 0 && (entry = readdir(dir)))
		if (link_read(dirfd(dir), entry->d_name, link, sizeof link) && !strncmp(link, "net:", 4) &&
		    strcmp(link, host) != 0)
			fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
	closedir(dir);
	return take_fd(&fd);
}

static int namespace_open(struct net_holder *h)
{
	AUTO_FD pidfd = h->kind->open(h);
	int fd = pidfd >= 0 ? namespace_of_process(pidfd) : -1, shim = h->kind->shim(h);

	return fd < 0 && shim > 0 ? namespace_of_shim(shim) : fd;
}

static void on_held(void *arg, const struct err *e)
{
	struct net_holder *h = arg;

	h->not_held = e ? h->not_held + 1 : 0;
	if (e)
		log_err(e, "hold the namespace of %s %s, so that its NIC comes back", h->kind->noun,
			net_stored_of(h).meta->name);
}

static bool is_in(const struct net_holder *h, const Net__Uplink *u)
{
	return u && u->driver == NET__DRIVER__PHYS && (h->ready || (u->nic && u->nic->away));
}

/* Made already, but berth-net does not know: a NIC that ends with its namespace is taken out first (net/away.h). */
static void holder_hold(struct net_holder *h)
{
	const struct net_stored stored = net_stored_of(h);

	for (size_t i = 0; i < stored.n_leases; i++) {
		Net__NetMessage m = NET__NET_MESSAGE__INIT;
		Net__Attach body = NET__ATTACH__INIT;
		struct arena a = ARENA_INIT;
		struct err e;
		AUTO_FD ns_fd = -1;

		body.port = network_port(h, i, &a);
		m.body_case = NET__NET_MESSAGE__BODY_ATTACH;
		m.attach = &body;
		if (body.port && is_in(h, body.port->uplink))
			ns_fd = namespace_open(h);
		if (ns_fd >= 0 && netd_ask(h->sv, &m, ns_fd, on_held, h, &e) < 0)
			log_err(&e, "%s %s", h->kind->noun, stored.meta->uuid);
		arena_fini(&a);
	}
}

void net_holder_recover(struct net_holder *h, bool kept)
{
	if (kept) {
		h->asked = net_stored_of(h).n_leases > 0;
		dnsd_holder(h);
		/* Now: its shim may go before berth-net is there, and the call has the namespace until then. */
		holder_hold(h);
	}
	net_changes_resume(h);
}

void net_holder_runs(struct net_holder *h)
{
	h->asked = h->ready = net_stored_of(h).n_leases > 0;
	dnsd_holder(h);
	if (h->sv->recover)
		holder_hold(h);
	net_changes_resume(h);
}

void net_holder_forget(struct net_holder *h)
{
	netd_forget(h->sv, h);
	h->left = 0;
	net_mends_settle(h);
	net_changes_settle(h);
}

void net_holder_down(struct net_holder *h)
{
	net_holder_forget(h);
	for (size_t i = 0, n = h->asked ? net_stored_of(h).n_leases : 0; i < n; i++) {
		Net__NetMessage m = NET__NET_MESSAGE__INIT;
		Net__Detach body = NET__DETACH__INIT;
		struct arena a = ARENA_INIT;
		struct err e;

		body.port = network_port(h, i, &a);
		m.body_case = NET__NET_MESSAGE__BODY_DETACH;
		m.detach = &body;
		if (body.port && netd_ask(h->sv, &m, -1, NULL, NULL, &e) < 0)
			log_err(&e, "%s %s", h->kind->noun, net_stored_of(h).meta->uuid);
		arena_fini(&a);
	}
	net_mends_drop(h);
	net_changes_down(h);
	h->asked = h->ready = h->ahead = false;
	h->not_held = 0;
	dnsd_holder(h);
}

void net_holders_hold(struct supervisor *sv)
{
	struct net_holder *h;

	list_each (h, &sv->net_holders, link)
		if (h->asked && h->not_held < HOLD_TRIES)
			holder_hold(h);
}

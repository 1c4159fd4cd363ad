/* net/main.c - berth-net: the one process that speaks to the kernel about networks. Started by berthd, with a socket as descriptor 3; ends with it.
 *
 * One thing at a time, in order: the kernel has one lock for all of this, and who waits for it here is not berthd's loop. */
#include "base/confine.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "net/announce.h"
#include "net/closer.h"
#include "net/probe.h"
#include "net/remover.h"
#include "net/work.h"
#include "proto/envelope.h"
#include "proto/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SOCKET_FD	   3
#define STATE_MAX	   (64u << 20)
#define CAP_NET_ADMIN_BIT  CAP_BIT(12)
#define CAP_NET_RAW_BIT	   CAP_BIT(13) /* packet sockets, of namespaces in which others are told of addresses */
#define CAP_SYS_ADMIN_BIT  CAP_BIT(21) /* setns */
#define CAP_SYS_PTRACE_BIT CAP_BIT(19) /* … by the pidfd of a process that is more than we are */

static int say(const Net__NetMessage *m)
{
	uint8_t out[2048];
	struct pollfd p = {.fd = SOCKET_FD, .events = POLLOUT};
	int r;

	while ((r = wire_send(SOCKET_FD, out, net__net_message__pack(m, out), NULL, 0)) == WIRE_AGAIN)
		poll(&p, 1, -1);
	return r;
}

static int answer(uint64_t id, int r, const struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__Result result = NET__RESULT__INIT;
	char step[sizeof e->step], text[sizeof e->text];

	m.has_id = 1;
	m.id = id;
	m.body_case = NET__NET_MESSAGE__BODY_RESULT;
	m.result = &result;
	if (r) {
		snprintf(step, sizeof step, "%s", e->step);
		snprintf(text, sizeof text, "%s", e->text);
		result.has_sys_errno = 1;
		result.sys_errno = e->code;
		result.step = step;
		result.text = text;
		result.has_later = result.later = r == WORK_LATER;
	}
	return say(&m);
}

/* Once until there is a State again. */
static int table_look(struct worker *w)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__TableLost body = NET__TABLE_LOST__INIT;
	const char *why = table_touched(w->table);

	if (!why || w->lost)
		return 0;
	w->lost = true;
	body.reason = (char *)why;
	m.body_case = NET__NET_MESSAGE__BODY_TABLE_LOST;
	m.table_lost = &body;
	return say(&m);
}

/* What several ports hang on comes back with everything, as the table does; a port by itself, with its holder's namespace. */
static int link_lost(void *arg, const char *name, bool shared)
{
	struct worker *w = arg;
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__TableLost table = NET__TABLE_LOST__INIT;
	Net__PortLost port = NET__PORT_LOST__INIT;

	if (shared && w->lost)
		return 0;
	w->lost |= shared;
	table.link = port.host_link = (char *)(uintptr_t)name;
	table.reason = (char *)(uintptr_t) "removed";
	m.body_case = shared ? NET__NET_MESSAGE__BODY_TABLE_LOST : NET__NET_MESSAGE__BODY_PORT_LOST;
	if (shared)
		m.table_lost = &table;
	else
		m.port_lost = &port;
	return say(&m);
}

static int nic_seen(void *arg, uint32_t key, const Net__Nic *nic)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__NicSeen body = NET__NIC_SEEN__INIT;

	body.has_network_key = 1;
	body.network_key = key;
	body.nic = (Net__Nic *)(uintptr_t)nic;
	m.body_case = NET__NET_MESSAGE__BODY_NIC_SEEN;
	m.nic_seen = &body;
	return say(&m);
}

static int duplicate_seen(void *arg, const char *host_link, const struct ip *ip, const uint8_t mac[6])
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__DuplicateSeen body = NET__DUPLICATE_SEEN__INIT;

	body.host_link = (char *)(uintptr_t)host_link;
	body.has_address = body.has_mac = 1;
	body.address = (ProtobufCBinaryData){ip->len, (uint8_t *)(uintptr_t)ip->byte};
	body.mac = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t)mac};
	m.body_case = NET__NET_MESSAGE__BODY_DUPLICATE_SEEN;
	m.duplicate_seen = &body;
	return say(&m);
}

static int wire_seen(void *arg, uint32_t key, const struct ip *ips, size_t n, const uint8_t mac[6])
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__WireSeen body = NET__WIRE_SEEN__INIT;
	ProtobufCBinaryData addresses[WIRE_ADDRESSES];

	for (size_t i = 0; i < n; i++)
		addresses[i] = (ProtobufCBinaryData){ips[i].len, (uint8_t *)(uintptr_t)ips[i].byte};
	body.has_network_key = body.has_mac = 1;
	body.network_key = key;
	body.mac = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t)mac};
	body.addresses = addresses;
	body.n_addresses = n;
	m.body_case = NET__NET_MESSAGE__BODY_WIRE_SEEN;
	m.wire_seen = &body;
	return say(&m);
}

static int enter(void *arg, int ns_fd, struct nl *inside, struct err *e)
{
	AUTO_FD same = -1;

	return work_visit(arg, ns_fd, inside, &same, NULL, e);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* Milliseconds until the moment, -1: there is none. */
static int wait_ms(uint64_t due)
{
	uint64_t now = now_ns();

	return !due ? -1 : due <= now ? 0 : (int)((due - now + NS_PER_MS - 1) / NS_PER_MS);
}

static bool wait_for(struct worker *w)
{
	struct pollfd p[] = {{.fd = SOCKET_FD, .events = POLLIN},
			     {.fd = table_fd(w->table), .events = POLLIN},
			     {.fd = claims_fd(w->claims), .events = POLLIN},
			     {.fd = watches_fd(w->watches), .events = POLLIN},
			     {.fd = pools_fd(w->pools), .events = POLLIN},
			     {.fd = table_refused_fd(w->table), .events = POLLIN},
			     {.fd = lost_fd(w->links), .events = POLLIN},
			     {.fd = wires_fd(w->wires), .events = POLLIN}};
	uint64_t due = earlier(gone_due(w->gone), away_due(w->away));
	int n = poll(p, ARRAY_SIZE(p), wait_ms(earlier(due, earlier(claims_due(w->claims), watches_due(w->watches)))));

	if (n < 0)
		return errno == EINTR;
	away_again(w->away);
	gone_go_on(w->gone);
	if (p[4].revents)
		pools_go_on(w->pools);
	if (p[5].revents)
		table_refused(w->table);
	if (p[6].revents && lost_each(w->links, link_lost, w) < 0)
		return false;
	if (p[7].revents && wires_go_on(w->wires) < 0)
		return false;
	return claims_go_on(w->claims) == 0 && watches_go_on(w->watches) == 0 && (!p[1].revents || table_look(w) == 0);
}

/* False: berthd is gone, or does not speak our language. */
static bool serve(struct worker *w)
{
	static uint8_t in[WIRE_MAX];
	struct wire_fds fds = {0};
	const void *packed = in;
	struct err e = {0};
	Net__NetMessage *m;
	size_t len;
	int r = wire_recv(SOCKET_FD, in, sizeof in, &len, &fds);

	if (r == WIRE_AGAIN)
		return true;
	if (r)
		return false;
	/* A State may be longer than a record: then the record is a mark, and it is in the memfd. */
	AUTO_FD fd = wire_fds_take(&fds, 0);
	wire_fds_close(&fds);
	void *map = NULL;
	if (len == 1 && fd >= 0) {
		r = memfd_map(fd, STATE_MAX, &packed, &len);
		map = r < 0 ? NULL : (void *)(uintptr_t)packed;
		if (r < 0)
			return false;
	}
	m = message_unpack(&net__net_message__descriptor, packed, len);
	if (map)
		munmap(map, len);
	if (!m)
		return false;
	r = work_do(w, m, fd, &e);
	/* First what has gone: that may be why this cannot be done. */
	if (lost_each(w->links, link_lost, w) == 0)
		r = answer(m->id, r, &e);
	else
		r = -EPIPE;
	net__net_message__free_unpacked(m, NULL);
	return r == 0 && table_look(w) == 0;
}

static int open_all(struct worker *w, struct err *e)
{
	static const struct confine how = {.caps = CAP_NET_ADMIN_BIT | CAP_SYS_ADMIN_BIT | CAP_SYS_PTRACE_BIT |
						   CAP_NET_RAW_BIT,
					   .all_files = true,
					   .networks = true};
	static const struct claim_ops duplicates = {.duplicate = duplicate_seen};
	int r, closer;

	w->home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (w->home_fd < 0)
		return err_set(e, errno, "network", "our own network namespace");
	w->announce_fd = announce_open();
	r = nl_open(&w->host, e);
	if (r == 0)
		r = table_open(&w->table, e);
	if (r == 0)
		r = gone_open(&w->gone, &w->host, e);
	if (r == 0)
		r = lost_open(&w->links, &w->host, e);
	if (r == 0)
		r = wires_open(&w->wires, &w->host, &(struct wires_ops){.seen = wire_seen}, e);
	if (r == 0)
		r = pools_open(&w->pools, &w->host, e);
	if (r == 0)
		r = away_open(&w->away, &w->host, w->home_fd,
			      &(struct away_ops){.seen = nic_seen, .enter = enter, .arg = w}, e);
	if (r == 0)
		r = confine_enter(&how, e);
	if (r == 0) /* what threads begin with is what we have now */
		r = remover_open(&w->host.remover, e);
	if (r == 0)
		r = closer_open(&closer, e);
	if (r == 0)
		r = claims_open(&w->claims, closer, &duplicates, e);
	return r < 0 ? r : watches_open(&w->watches, closer, &duplicates, e);
}

int main(int argc, char **argv)
{
	struct worker *w = calloc(1, sizeof *w);
	struct err e = {0};
	int type;
	socklen_t size = sizeof type;

	log_init("berth-net", LOG_LEVEL_INFO);
	if (argc == 2 && !strcmp(argv[1], "probe"))
		return probe_run();
	if (argc != 1 || getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "usage: %s probe; or with a socket as descriptor 3, started by berthd\n", argv[0]);
		return 2;
	}
	if (!w || open_all(w, &e) < 0) {
		log_err(&e, "cannot start");
		return 1;
	}
	/* Behind each call comes whatever else there is, also if there are more of them. */
	while (serve(w) && wait_for(w))
		;
	return 0;
}

/* dns/main.c - berth-dns: answers containers that ask for names. Started by berthd, with a socket as descriptor 3, of which proto/dns.proto
 * tells; outlives it, so that names do not vanish while berthd is replaced.
 *
 * A user that owns nothing, no file, no capability but the one for port 53. Nothing of a container's traffic passes here but its questions. */
#include "base/confine.h"
#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "dns/server.h"
#include "proto/envelope.h"
#include "proto/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define SOCKET_FD 3
#define STATE_MAX (64u << 20)
#define USER	  "berth-dns"
#define NOBODY	  65534
#define CAP_BIND  CAP_BIT(10) /* CAP_NET_BIND_SERVICE */
#define FINISH_NS (5 * NS_PER_S)
#define LOOK_NS	  (10 * NS_PER_MS)

struct program {
	struct loop loop;
	struct server server;
	struct source control, signals;
	struct timer finish;
	uint64_t finish_at;
	bool alone; /* berthd has hung up */
};

/* ---------------------------------------------------------------- what it is told */

static void network_del(struct program *p, uint32_t key)
{
	struct zone_network *n = zone_network(p->server.zone, key);

	if (n)
		server_unlisten(&p->server, n);
	zone_network_del(p->server.zone, key);
}

static void ready_say(void)
{
	Dns__DnsMessage m = DNS__DNS_MESSAGE__INIT;
	Dns__Ready ready = DNS__READY__INIT;
	uint8_t out[64];

	m.body_case = DNS__DNS_MESSAGE__BODY_READY;
	m.ready = &ready;
	/* Full: berthd has not read for long, and will ask nothing of us then. */
	(void)wire_send(SOCKET_FD, out, dns__dns_message__pack(&m, out), NULL, 0);
}

static void servers_take(struct program *p, Dns__Servers *said)
{
	if (p->server.host)
		dns__servers__free_unpacked(p->server.host, NULL);
	p->server.host = said;
	for (size_t i = 0; said && i < said->n_servers; i++)
		if (said->servers[i].len != 4 && said->servers[i].len != 16)
			said->n_servers = i;
}

/* Everything that there is from now on; what is the same in both goes on undisturbed. */
static int do_state(struct program *p, Dns__State *s)
{
	struct zone *z = p->server.zone;
	struct zone_network *n;
	Dns__Servers *servers = calloc(1, sizeof *servers);
	int r = servers ? 0 : -ENOMEM;

	list_each (n, zone_networks(z), link)
		n->marked = false;
	for (size_t i = 0; i < s->n_networks && r == 0; i++)
		r = zone_network_put(z, take_ptr(s->networks[i]));
	if (r < 0)
		return r;
	list_each (n, zone_networks(z), link)
		if (!n->marked)
			network_del(p, n->said->key);
	zone_holders_clear(z);
	for (size_t i = 0; i < s->n_holders && r == 0; i++)
		r = zone_holder_put(z, take_ptr(s->holders[i]));
	if (r < 0)
		return r;
	dns__servers__init(servers);
	servers->servers = take_ptr(s->servers);
	servers->n_servers = s->n_servers;
	s->n_servers = 0;
	servers_take(p, servers);
	server_listen(&p->server);
	ready_say();
	return 0;
}

static int do_message(struct program *p, Dns__DnsMessage *m)
{
	struct zone *z = p->server.zone;
	int r;

	switch (m->body_case) {
	case DNS__DNS_MESSAGE__BODY_STATE:
		return do_state(p, m->state);
	case DNS__DNS_MESSAGE__BODY_NETWORK_PUT:
		r = m->network_put->network ? zone_network_put(z, take_ptr(m->network_put->network)) : -EINVAL;
		server_listen(&p->server);
		return r;
	case DNS__DNS_MESSAGE__BODY_NETWORK_DELETE:
		network_del(p, m->network_delete->key);
		return 0;
	case DNS__DNS_MESSAGE__BODY_HOLDER_PUT:
		return m->holder_put->holder ? zone_holder_put(z, take_ptr(m->holder_put->holder)) : -EINVAL;
	case DNS__DNS_MESSAGE__BODY_HOLDER_DELETE:
		zone_holder_del(z, m->holder_delete->id);
		return 0;
	case DNS__DNS_MESSAGE__BODY_SERVERS:
		servers_take(p, take_ptr(m->servers));
		m->body_case = DNS__DNS_MESSAGE__BODY__NOT_SET;
		return 0;
	default:
		return -EPROTO;
	}
}

/* One record; WIRE_AGAIN: there is none; anything else but 0: berthd is gone, or does not speak our language. */
static int control_take(struct program *p)
{
	static uint8_t in[WIRE_MAX];
	struct wire_fds fds = {0};
	const void *packed = in;
	void *map = NULL;
	Dns__DnsMessage *m;
	size_t len;
	int r = wire_recv(SOCKET_FD, in, sizeof in, &len, &fds);

	if (r)
		return r;
	AUTO_FD fd = wire_fds_take(&fds, 0);
	wire_fds_close(&fds);
	if (len == 1 && fd >= 0) {
		r = memfd_map(fd, STATE_MAX, &packed, &len);
		if (r < 0)
			return r;
		map = (void *)(uintptr_t)packed;
	}
	m = message_unpack(&dns__dns_message__descriptor, packed, len);
	if (map)
		munmap(map, len);
	if (!m)
		return -EPROTO;
	r = do_message(p, m);
	dns__dns_message__free_unpacked(m, NULL);
	if (r < 0)
		log_warn("berthd says what cannot be: %s", strerror(-r));
	return r;
}

static void alone(struct program *p)
{
	p->alone = true;
	source_del(&p->control);
	close(SOCKET_FD);
	if (!zone_holders(p->server.zone))
		loop_stop(&p->loop, 0);
}

static void control_read(struct server *s)
{
	struct program *p = container_of(s, struct program, server);
	int r = 0;

	while (!p->alone && r == 0)
		r = control_take(p);
	if (!p->alone && r != WIRE_AGAIN)
		alone(p);
}

static void on_control(struct source *s, uint32_t events)
{
	control_read(&container_of(s, struct program, control)->server);
}

/* ---------------------------------------------------------------- its end */

static void on_finish(struct timer *t)
{
	struct program *p = container_of(t, struct program, finish);

	if (server_finish(&p->server) || now_ns() >= p->finish_at)
		loop_stop(&p->loop, 0);
	else
		timer_in(&p->loop, &p->finish, LOOK_NS, on_finish);
}

/* The next one listens: what we were asked is answered yet. */
static void on_signal(struct source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, signals);
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof info) != sizeof info || p->finish_at)
		return;
	control_read(&p->server);
	p->finish_at = now_ns() + FINISH_NS;
	timer_in(&p->loop, &p->finish, 0, on_finish);
}

/* ---------------------------------------------------------------- its beginning */

static int confine(struct err *e)
{
	struct confine c = {.network = true, .serves = true, .caps = CAP_BIND, .uid = NOBODY, .gid = NOBODY};
	const struct passwd *user = getpwnam(USER);

	if (user && user->pw_uid) {
		c.uid = user->pw_uid;
		c.gid = user->pw_gid;
	}
	return confine_enter(&c, e);
}

static int open_all(struct program *p, struct err *e)
{
	struct zone *z = zone_new();
	sigset_t set;
	int r = z ? loop_init(&p->loop) : -ENOMEM, fd;

	if (r < 0)
		return err_set(e, -r, "loop", "make the event loop");
	server_init(&p->server, &p->loop, z, control_read);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	r = fd < 0 ? -errno : source_add(&p->loop, &p->signals, fd, EPOLLIN, on_signal);
	if (r == 0)
		r = source_add(&p->loop, &p->control, SOCKET_FD, EPOLLIN, on_control);
	return r < 0 ? err_set(e, -r, "loop", "watch its sources") : confine(e);
}

int main(int argc, char **argv)
{
	struct program *p = calloc(1, sizeof *p);
	struct err e = {0};
	int type, r;
	socklen_t size = sizeof type;

	log_init("berth-dns", LOG_LEVEL_INFO);
	if (argc != 1 || getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "usage: %s, with a socket as descriptor 3; started by berthd\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!p || open_all(p, &e) < 0) {
		log_err(&e, "cannot start");
		return 1;
	}
	(void)fd_set_nonblock(SOCKET_FD);
	r = loop_run(&p->loop);
	return r < 0 ? 1 : 0;
}

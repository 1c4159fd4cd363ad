/* dns/server.c - see dns/server.h
 *
 * Sockets are bound to a gateway's address, which need not be there yet (IP_FREEBIND): berth-net makes it in its own time. SO_REUSEPORT lets
 * the berth-dns of the next berthd listen beside this one, before this one goes. */
#include "dns/server.h"

#include "base/log.h"
#include "base/own.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORT	  53
#define BATCH	  64u /* questions of one socket, then the others have their turn */
#define IDLE_NS	  (10 * NS_PER_S)
#define AGAIN_NS  (1 * NS_PER_S)
#define RECV_SIZE (256 << 10)

struct listener {
	struct list link; /* zone_network.listeners */
	struct server *server;
	struct source udp, tcp;
	int udp_fd, tcp_fd; /* owned */
	uint8_t ip[16];
	unsigned len;
	bool told;	     /* that it cannot listen */
	bool done;	     /* the UDP socket hears nobody any more */
	struct list packets; /* of struct udp_question.link */
};

/* One that others have to answer. */
struct udp_question {
	struct list link;
	struct listener *listener;
	struct sockaddr_storage from;
	socklen_t from_size;
	uint16_t id;
	uint8_t refusal[PACKET_HEADER + NS_MAXCDNAME + 4 + 11];
	size_t refusal_len;
};

struct connection {
	struct list link; /* server.connections */
	struct server *server;
	struct listener *listener;
	struct source source;
	struct timer idle;
	int fd; /* owned */
	uint64_t holder;
	bool waits; /* its question is with others */
	uint8_t ip[16];
	unsigned ip_len;
	size_t in_len, out_len, sent;
	uint8_t *out; /* owned; NULL: it reads */
	uint8_t in[2 + PACKET_MAX];
};

/* ---------------------------------------------------------------- an answer */

static unsigned ip_of(const struct sockaddr_storage *a, uint8_t ret[16])
{
	if (a->ss_family == AF_INET) {
		memcpy(ret, &((const struct sockaddr_in *)a)->sin_addr, 4);
		return 4;
	}
	memcpy(ret, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
	return 16;
}

enum verdict { SILENT, ANSWERED, FORWARD };

/* What we can say ourselves, to this holder: into out. FORWARD: *ret_out is filled with a refusal for the case that nobody else can. */
static enum verdict say(struct server *s, const struct zone_holder *asker, const uint8_t *packet, size_t len,
			struct question *q, uint8_t *out, size_t max, size_t *ret_len)
{
	struct answer a;
	int r = question_parse(packet, len, q);

	if (r == PACKET_IGNORE)
		return SILENT;
	answer_begin(&a, packet, q, r == 0, out, max);
	if (r) {
		*ret_len = answer_end(&a, r == PACKET_MALFORMED ? ns_r_formerr : ns_r_notimpl, false);
		return ANSWERED;
	}
	switch (zone_look(s->zone, asker, q, &a)) {
	case ZONE_FOUND:
		*ret_len = answer_end(&a, ns_r_noerror, true);
		return ANSWERED;
	case ZONE_NOBODY:
		*ret_len = answer_end(&a, ns_r_nxdomain, true);
		return ANSWERED;
	default:
		/* In a network that leads nowhere outside there is nothing outside. */
		if (!zone_way_out(s->zone, asker)) {
			*ret_len = answer_end(&a, ns_r_nxdomain, false);
			return ANSWERED;
		}
		*ret_len = answer_end(&a, ns_r_servfail, false);
		return FORWARD;
	}
}

static int forward(struct server *s, const struct zone_holder *asker, const uint8_t *packet, size_t len,
		   const struct question *q, bool tcp, relay_done *done, void *arg)
{
	const struct zone_network *n = zone_way_out(s->zone, asker);
	const ProtobufCBinaryData *servers = n->said->servers;
	size_t n_servers = n->said->n_servers;

	if (!n_servers && s->host) {
		servers = s->host->servers;
		n_servers = s->host->n_servers;
	}
	return n_servers
		       ? relay_ask(&s->relay, servers, n_servers, packet, len, q, tcp, zone_holder_id(asker), done, arg)
		       : -ENOENT;
}

/* ---------------------------------------------------------------- UDP */

static void udp_send(const struct listener *l, const struct sockaddr_storage *to, socklen_t size, const uint8_t *data,
		     size_t len)
{
	/* What finds no room is lost, as by any packet, and asked again. */
	(void)sendto(l->udp_fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to, size);
}

static void question_free(struct udp_question *u)
{
	list_del(&u->link);
	free(u);
}

static void udp_done(void *arg, uint8_t *data, size_t len)
{
	struct udp_question *u = arg;

	if (data)
		udp_send(u->listener, &u->from, u->from_size, data, len);
	else
		udp_send(u->listener, &u->from, u->from_size, u->refusal, u->refusal_len);
	question_free(u);
}

/* Who asks again has not been answered yet: one answer will do. */
static bool is_asked_already(const struct listener *l, const struct sockaddr_storage *from, socklen_t size, uint16_t id)
{
	const struct udp_question *u;

	list_each (u, &l->packets, link)
		if (u->id == id && u->from_size == size && !memcmp(&u->from, from, size))
			return true;
	return false;
}

static void udp_forward(struct listener *l, const struct zone_holder *asker, const struct sockaddr_storage *from,
			socklen_t size, const uint8_t *packet, size_t len, const struct question *q,
			const uint8_t *refusal, size_t refusal_len)
{
	struct udp_question *u;

	if (is_asked_already(l, from, size, q->id))
		return;
	u = refusal_len <= sizeof u->refusal ? calloc(1, sizeof *u) : NULL;
	if (!u) {
		udp_send(l, from, size, refusal, refusal_len);
		return;
	}
	u->listener = l;
	u->from = *from;
	u->from_size = size;
	u->id = q->id;
	u->refusal_len = refusal_len;
	memcpy(u->refusal, refusal, refusal_len);
	list_push(&l->packets, &u->link);
	if (forward(l->server, asker, packet, len, q, false, udp_done, u) < 0) {
		udp_send(l, from, size, refusal, refusal_len);
		question_free(u);
	}
}

/* False: something has ended by what berthd has said, perhaps who asks. What waits in a socket calls again. */
static bool news_taken(struct server *s)
{
	unsigned ended = s->ended;

	s->before(s);
	return s->ended == ended;
}

/* False: there is no more. */
static bool udp_take(struct listener *l)
{
	static uint8_t in[PACKET_MAX + 1], out[PACKET_MAX];
	struct sockaddr_storage from = {0};
	socklen_t size = sizeof from;
	ssize_t n = recvfrom(l->udp_fd, in, sizeof in, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
	const struct zone_holder *asker;
	struct question q;
	size_t max, len = 0;
	uint8_t ip[16];

	if (n < 0)
		return errno == EINTR;
	asker = zone_asker(l->server->zone, ip, ip_of(&from, ip));
	if (!asker) /* no container's: the host, the outside, or one whose network has gone */
		return true;
	/* As much as he takes, and as goes through any path; a question that cannot be read takes little. */
	max = question_parse(in, (size_t)n, &q) == 0 && q.udp_max < PACKET_EDNS ? q.udp_max : PACKET_EDNS;
	switch (say(l->server, asker, in, (size_t)n, &q, out, max, &len)) {
	case ANSWERED:
		udp_send(l, &from, size, out, len);
		break;
	case FORWARD:
		udp_forward(l, asker, &from, size, in, (size_t)n, &q, out, len);
		break;
	case SILENT:
		break;
	}
	return true;
}

static void on_udp(struct source *s, uint32_t events)
{
	struct listener *l = container_of(s, struct listener, udp);

	if (news_taken(l->server))
		for (unsigned i = 0; i < BATCH && udp_take(l); i++)
			;
}

/* ---------------------------------------------------------------- TCP */

static void on_connection(struct source *s, uint32_t events);

static void connection_free(struct connection *c)
{
	if (c->waits)
		relay_forget(&c->server->relay, c);
	source_del(&c->source);
	timer_del(&c->idle);
	close_fd(&c->fd);
	list_del(&c->link);
	c->server->n_connections--;
	c->server->ended++;
	free(c->out);
	free(c);
}

static void on_idle(struct timer *t)
{
	connection_free(container_of(t, struct connection, idle));
}

/* Takes out. */
static void connection_answer(struct connection *c, uint8_t *out, size_t len)
{
	c->waits = false;
	c->out = out;
	c->out_len = len + 2;
	c->sent = 0;
	packet_set_id(out, (uint16_t)len);
	timer_in(c->server->loop, &c->idle, IDLE_NS, on_idle);
	if (source_add(c->server->loop, &c->source, c->fd, EPOLLOUT, on_connection) < 0)
		connection_free(c);
}

static void tcp_done(void *arg, uint8_t *data, size_t len)
{
	struct connection *c = arg;
	uint8_t *out = malloc(2 + len);

	c->waits = false;
	if (!data || !out) { /* it hears that nobody knows by the end of it, and asks another, or again */
		free(out);
		connection_free(c);
		return;
	}
	memcpy(out + 2, data, len);
	connection_answer(c, out, len);
}

/* A whole question is there. It has the connection for itself until it is answered. */
static void connection_question(struct connection *c)
{
	const struct zone_holder *asker = zone_asker(c->server->zone, c->ip, c->ip_len);
	size_t len = packet_id(c->in), out_len = 0;
	uint8_t *out = asker ? malloc(2 + PACKET_MAX) : NULL;
	enum verdict v = SILENT;
	struct question q;

	if (out)
		v = say(c->server, asker, c->in + 2, len, &q, out + 2, PACKET_MAX, &out_len);
	if (v == SILENT) {
		free(out);
		connection_free(c);
		return;
	}
	source_del(&c->source);
	if (v == FORWARD) {
		timer_del(&c->idle);
		c->waits = true;
		if (forward(c->server, asker, c->in + 2, len, &q, true, tcp_done, c) == 0) {
			free(out);
			return;
		}
	}
	connection_answer(c, out, out_len);
}

static void connection_read(struct connection *c)
{
	size_t want = c->in_len < 2 ? 2 : 2u + packet_id(c->in);
	ssize_t n = recv(c->fd, c->in + c->in_len, want - c->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		connection_free(c);
		return;
	}
	c->in_len += (size_t)n;
	if (c->in_len >= 2 && packet_id(c->in) < PACKET_HEADER)
		connection_free(c);
	else if (c->in_len >= 2 && c->in_len == 2u + packet_id(c->in))
		connection_question(c);
}

static void on_connection(struct source *s, uint32_t events)
{
	struct connection *c = container_of(s, struct connection, source);
	ssize_t n;

	if (!c->out) {
		if (news_taken(c->server))
			connection_read(c);
		return;
	}
	n = send(c->fd, c->out + c->sent, c->out_len - c->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		connection_free(c);
		return;
	}
	c->sent += (size_t)n;
	if (c->sent < c->out_len)
		return;
	free(take_ptr(c->out));
	c->in_len = 0;
	source_set(s, EPOLLIN);
}

static unsigned connections_of(const struct server *s, uint64_t holder)
{
	const struct connection *c;
	unsigned n = 0;

	list_each (c, &s->connections, link)
		n += c->holder == holder;
	return n;
}

static void on_tcp(struct source *s, uint32_t events)
{
	struct listener *l = container_of(s, struct listener, tcp);
	struct server *server = l->server;
	struct sockaddr_storage from = {0};
	socklen_t size = sizeof from;
	const struct zone_holder *asker;
	struct connection *c;
	uint8_t ip[16];
	unsigned len;

	if (!news_taken(server))
		return;
	AUTO_FD fd = accept4(l->tcp_fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	len = ip_of(&from, ip);
	asker = zone_asker(server->zone, ip, len);
	if (!asker || server->n_connections >= CONNECTIONS_MAX ||
	    connections_of(server, zone_holder_id(asker)) >= CONNECTIONS_HOLDER)
		return;
	c = malloc(sizeof *c); /* its buffer is not touched before something comes */
	if (!c)
		return;
	memset(c, 0, offsetof(struct connection, in));
	c->server = server;
	c->listener = l;
	c->fd = take_fd(&fd);
	c->holder = zone_holder_id(asker);
	c->ip_len = len;
	memcpy(c->ip, ip, len);
	list_push(&server->connections, &c->link);
	server->n_connections++;
	timer_in(server->loop, &c->idle, IDLE_NS, on_idle);
	if (source_add(server->loop, &c->source, c->fd, EPOLLIN, on_connection) < 0)
		connection_free(c);
}

/* ---------------------------------------------------------------- sockets */

static int socket_open(const struct listener *l, int type)
{
	int family = l->len == 4 ? AF_INET : AF_INET6, on = 1, size = RECV_SIZE;
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	AUTO_FD fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(&four.sin_addr, l->ip, sizeof four.sin_addr);
	memcpy(&six.sin6_addr, l->ip, sizeof six.sin6_addr);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    setsockopt(fd, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, &on,
		       sizeof on) < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (bind(fd, family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six,
		 family == AF_INET ? sizeof four : sizeof six) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 64) < 0))
		return -errno;
	return take_fd(&fd);
}

static void listener_say(struct listener *l, const struct zone_network *n, int r)
{
	char text[INET6_ADDRSTRLEN];

	if (l->told)
		return;
	l->told = true;
	inet_ntop(l->len == 4 ? AF_INET : AF_INET6, l->ip, text, sizeof text);
	log_warn("network %s: nobody hears its containers' questions at %s, port %d: %s%s", n->said->name, text, PORT,
		 strerror(-r), r == -EADDRINUSE ? " (a name server of the host listens on all addresses?)" : "");
}

/* Both, or it is tried again. */
static int listener_open(struct listener *l)
{
	AUTO_FD udp = socket_open(l, SOCK_DGRAM);
	AUTO_FD tcp = udp < 0 ? -1 : socket_open(l, SOCK_STREAM);
	int r = udp < 0 ? udp : tcp;

	if (r < 0)
		return r;
	r = source_add(l->server->loop, &l->udp, udp, EPOLLIN, on_udp);
	if (r == 0)
		r = source_add(l->server->loop, &l->tcp, tcp, EPOLLIN, on_tcp);
	if (r < 0) {
		source_del(&l->udp);
		return r;
	}
	l->udp_fd = take_fd(&udp);
	l->tcp_fd = take_fd(&tcp);
	return 0;
}

static void listener_free(struct listener *l)
{
	struct server *s = l->server;
	struct udp_question *u;
	struct connection *c;

	list_each (c, &s->connections, link)
		if (c->listener == l)
			connection_free(c);
	list_each (u, &l->packets, link) {
		relay_forget(&s->relay, u);
		question_free(u);
	}
	source_del(&l->udp);
	source_del(&l->tcp);
	close_fd(&l->udp_fd);
	close_fd(&l->tcp_fd);
	list_del(&l->link);
	s->ended++;
	free(l);
}

static bool listener_is(const struct listener *l, const ProtobufCBinaryData *ip)
{
	return l->len == ip->len && !memcmp(l->ip, ip->data, l->len);
}

static struct listener *listener_of(struct zone_network *n, const ProtobufCBinaryData *ip)
{
	struct listener *l;

	list_each (l, &n->listeners, link)
		if (listener_is(l, ip))
			return l;
	return NULL;
}

static struct listener *listener_new(struct server *s, struct zone_network *n, const ProtobufCBinaryData *ip)
{
	struct listener *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->server = s;
	l->udp_fd = l->tcp_fd = -1;
	l->len = (unsigned)ip->len;
	memcpy(l->ip, ip->data, ip->len);
	list_init(&l->packets);
	list_push(&n->listeners, &l->link);
	return l;
}

static void on_again(struct timer *t)
{
	server_listen(container_of(t, struct server, again));
}

static void network_listen(struct server *s, struct zone_network *n)
{
	struct listener *l;

	list_each (l, &n->listeners, link) {
		bool wanted = false;

		for (size_t i = 0; i < n->said->n_gateways; i++)
			wanted |= listener_is(l, &n->said->gateways[i]);
		if (!wanted)
			listener_free(l);
	}
	for (size_t i = 0; i < n->said->n_gateways; i++) {
		int r = 0;

		l = listener_of(n, &n->said->gateways[i]);
		if (!l)
			l = listener_new(s, n, &n->said->gateways[i]);
		if (l && l->udp_fd < 0)
			r = listener_open(l);
		if (r == -EAFNOSUPPORT) /* a host without IPv6: nobody asks there either */
			continue;
		if (l && r < 0)
			listener_say(l, n, r);
		if (!l || r < 0)
			timer_in(s->loop, &s->again, AGAIN_NS, on_again);
	}
}

void server_listen(struct server *s)
{
	struct zone_network *n;

	list_each (n, zone_networks(s->zone), link)
		network_listen(s, n);
}

void server_unlisten(struct server *s, struct zone_network *n)
{
	struct listener *l;

	list_each (l, &n->listeners, link)
		listener_free(l);
}

/* What has come is still read; a connected socket takes what comes from there only, so that the rest goes to who listens beside us. */
static bool listener_finish(struct listener *l)
{
	static const struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = 1, .sin_addr.s_addr = 0x0100007f};
	static const struct sockaddr_in6 nobody6 = {
		.sin6_family = AF_INET6, .sin6_port = 1, .sin6_addr = {{{[15] = 1}}}};

	if (!l->done && l->udp_fd >= 0) {
		if (l->len == 4)
			(void)connect(l->udp_fd, (const struct sockaddr *)&nobody, sizeof nobody);
		else
			(void)connect(l->udp_fd, (const struct sockaddr *)&nobody6, sizeof nobody6);
		source_del(&l->udp);
		for (unsigned i = 0; i < 4096 && udp_take(l); i++)
			;
	}
	source_del(&l->tcp);
	close_fd(&l->tcp_fd);
	l->done = true;
	return list_empty(&l->packets);
}

static bool network_finish(struct zone_network *n)
{
	struct listener *l;
	bool done = true;

	list_each (l, &n->listeners, link)
		done &= listener_finish(l);
	return done;
}

bool server_finish(struct server *s)
{
	struct zone_network *n;
	struct connection *c;
	bool done = true;

	timer_del(&s->again);
	list_each (n, zone_networks(s->zone), link)
		done &= network_finish(n);
	list_each (c, &s->connections, link)
		if (!c->waits && !c->out && !c->in_len)
			connection_free(c);
	return done && list_empty(&s->connections);
}

void server_init(struct server *s, struct loop *l, struct zone *z, void (*before)(struct server *s))
{
	*s = (struct server){.loop = l, .zone = z, .before = before};
	list_init(&s->connections);
	relay_init(&s->relay, l);
}

/* dns/tcp.c - questions that come by a connection: one after the other, each has it for itself until it is answered. */
#include "dns/listener.h"

#include "base/own.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (10 * NS_PER_S)

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
		v = server_say(c->server, asker, c->in + 2, len, &q, out + 2, PACKET_MAX, &out_len);
	if (v == SILENT) {
		free(out);
		connection_free(c);
		return;
	}
	source_del(&c->source);
	if (v == FORWARD) {
		timer_del(&c->idle);
		c->waits = true;
		if (server_forward(c->server, asker, c->in + 2, len, &q, true, tcp_done, c) == 0) {
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
		if (server_news_taken(c->server))
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

void tcp_ready(struct source *s, uint32_t events)
{
	struct listener *l = container_of(s, struct listener, tcp);
	struct server *server = l->server;
	struct sockaddr_storage from = {0};
	socklen_t size = sizeof from;
	const struct zone_holder *asker;
	struct connection *c;
	uint8_t ip[16];
	unsigned len;

	if (!server_news_taken(server))
		return;
	AUTO_FD fd = accept4(l->tcp_fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	len = server_ip_of(&from, ip);
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

void tcp_end(const struct listener *l)
{
	struct connection *c;

	list_each (c, &l->server->connections, link)
		if (c->listener == l)
			connection_free(c);
}

bool tcp_finish(struct server *s)
{
	struct connection *c;

	list_each (c, &s->connections, link)
		if (!c->waits && !c->out && !c->in_len)
			connection_free(c);
	return list_empty(&s->connections);
}

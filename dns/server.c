/* dns/server.c - see dns/server.h
 *
 * Sockets are bound to a gateway's address, which need not be there yet (IP_FREEBIND): berth-net makes it in its own time. SO_REUSEPORT lets
 * the berth-dns of the next berthd listen beside this one, before this one goes. */
#include "dns/listener.h"

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
#define AGAIN_NS  (1 * NS_PER_S)
#define RECV_SIZE (256 << 10)

/* ---------------------------------------------------------------- an answer */

unsigned server_ip_of(const struct sockaddr_storage *a, uint8_t ret[16])
{
	if (a->ss_family == AF_INET) {
		memcpy(ret, &((const struct sockaddr_in *)a)->sin_addr, 4);
		return 4;
	}
	memcpy(ret, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
	return 16;
}

enum verdict server_say(struct server *s, const struct zone_holder *asker, const uint8_t *packet, size_t len,
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

int server_forward(struct server *s, const struct zone_holder *asker, const uint8_t *packet, size_t len,
		   const struct question *q, bool tcp, relay_done *done, void *arg)
{
	struct zone_servers servers = zone_servers(s->zone, asker);

	if (!servers.n && s->host)
		servers = (struct zone_servers){s->host->servers, s->host->n_servers};
	return servers.n ? relay_ask(&s->relay, servers.list, servers.n, packet, len, q, tcp, zone_holder_id(asker),
				     done, arg)
			 : -ENOENT;
}

bool server_news_taken(struct server *s)
{
	unsigned ended = s->ended;

	s->before(s);
	return s->ended == ended;
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
	r = source_add(l->server->loop, &l->udp, udp, EPOLLIN, udp_ready);
	if (r == 0)
		r = source_add(l->server->loop, &l->tcp, tcp, EPOLLIN, tcp_ready);
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

	tcp_end(l);
	udp_end(l);
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
	bool done = true;

	timer_del(&s->again);
	list_each (n, zone_networks(s->zone), link)
		done &= network_finish(n);
	return tcp_finish(s) && done;
}

void server_init(struct server *s, struct loop *l, struct zone *z, void (*before)(struct server *s))
{
	*s = (struct server){.loop = l, .zone = z, .before = before};
	list_init(&s->connections);
	relay_init(&s->relay, l);
}

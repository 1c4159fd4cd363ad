/* dns/relay.c - see dns/relay.h */
#include "dns/relay.h"

#include "base/own.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* A server has so long, then the next one is asked; all of them twice. Who asked us asks again meanwhile, and is found waiting. */
#define ANSWER_NS (2 * NS_PER_S)
#define TRIES	  2u

struct ask {
	struct list link; /* relay.asks */
	struct relay *relay;
	struct source source;
	struct timer timer;
	int fd; /* owned */
	struct sockaddr_storage server[RELAY_SERVERS];
	unsigned n_servers, attempt;
	uint64_t holder;
	bool tcp;
	uint16_t id; /* the asker's */
	size_t question_len;
	relay_done *done;
	void *arg;
	uint8_t *in; /* owned: of TCP, what has come; lengths are before both */
	size_t in_len, sent, len;
	uint8_t packet[]; /* two bytes of length, then the question with our number */
};

static void ask_try(struct ask *k);

static void ask_hang_up(struct ask *k)
{
	source_del(&k->source);
	close_fd(&k->fd);
	free(k->in);
	k->in = NULL;
	k->in_len = k->sent = 0;
}

static void ask_free(struct ask *k)
{
	ask_hang_up(k);
	timer_del(&k->timer);
	list_del(&k->link);
	k->relay->n--;
	free(k);
}

static void ask_end(struct ask *k, uint8_t *data, size_t len)
{
	relay_done *done = k->done;
	void *arg = k->arg;
	uint16_t id = k->id;
	uint8_t *in = take_ptr(k->in);

	ask_free(k);
	if (data)
		packet_set_id(data, id);
	done(arg, data, len);
	free(in);
}

static void on_late(struct timer *t)
{
	ask_try(container_of(t, struct ask, timer));
}

/* By the timer, not at once: nobody is called before relay_ask has returned. */
static void ask_next(struct ask *k)
{
	ask_hang_up(k);
	timer_in(k->relay->loop, &k->timer, 0, on_late);
}

static bool fits(const struct ask *k, const uint8_t *data, size_t len)
{
	return reply_fits(data, len, packet_id(k->packet + 2), k->packet + 2 + PACKET_HEADER, k->question_len);
}

/* ---------------------------------------------------------------- UDP */

static void on_packet(struct source *s, uint32_t events)
{
	static uint8_t in[PACKET_MAX + 1];
	struct ask *k = container_of(s, struct ask, source);

	/* What does not fit is somebody else's try: the right one may still come. */
	for (unsigned i = 0; i < 16; i++) {
		ssize_t n = recv(k->fd, in, sizeof in, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) { /* nobody is there */
			ask_next(k);
			return;
		}
		if (fits(k, in, (size_t)n)) {
			ask_end(k, in, (size_t)n);
			return;
		}
	}
}

/* ---------------------------------------------------------------- TCP */

static void tcp_read(struct ask *k)
{
	size_t want = k->in_len < 2 ? 2 : 2u + packet_id(k->in);
	ssize_t n = recv(k->fd, k->in + k->in_len, want - k->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ask_next(k);
		return;
	}
	k->in_len += (size_t)n;
	if (k->in_len < 2 || k->in_len < 2u + packet_id(k->in))
		return;
	if (fits(k, k->in + 2, k->in_len - 2))
		ask_end(k, k->in + 2, k->in_len - 2);
	else
		ask_next(k);
}

static void on_stream(struct source *s, uint32_t events)
{
	struct ask *k = container_of(s, struct ask, source);
	ssize_t n;

	if (k->sent == k->len + 2) {
		tcp_read(k);
		return;
	}
	n = send(k->fd, k->packet + k->sent, k->len + 2 - k->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		ask_next(k);
		return;
	}
	k->sent += (size_t)n;
	if (k->sent == k->len + 2)
		source_set(&k->source, EPOLLIN);
}

/* ---------------------------------------------------------------- either */

static int ask_connect(struct ask *k, const struct sockaddr_storage *server)
{
	socklen_t size = server->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	uint16_t id;

	if (getrandom(&id, sizeof id, 0) != sizeof id)
		return -EIO;
	packet_set_id(k->packet + 2, id);
	k->fd = socket(server->ss_family, (k->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0)
		return -errno;
	/* Connected, it hears nobody else; the kernel gives it a random port. */
	if (connect(k->fd, (const struct sockaddr *)server, size) < 0 && errno != EINPROGRESS)
		return -errno;
	if (k->tcp) {
		k->in = malloc(2 + PACKET_MAX);
		return k->in ? source_add(k->relay->loop, &k->source, k->fd, EPOLLOUT, on_stream) : -ENOMEM;
	}
	if (send(k->fd, k->packet + 2, k->len, MSG_NOSIGNAL) < 0)
		return -errno;
	return source_add(k->relay->loop, &k->source, k->fd, EPOLLIN, on_packet);
}

static void ask_try(struct ask *k)
{
	ask_hang_up(k);
	while (k->attempt < k->n_servers * TRIES) {
		if (ask_connect(k, &k->server[k->attempt++ % k->n_servers]) == 0) {
			timer_in(k->relay->loop, &k->timer, ANSWER_NS, on_late);
			return;
		}
		ask_hang_up(k);
	}
	ask_end(k, NULL, 0);
}

static void server_set(struct sockaddr_storage *to, const ProtobufCBinaryData *ip)
{
	struct sockaddr_in *four = (struct sockaddr_in *)to;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof *to);
	if (ip->len == 4) {
		four->sin_family = AF_INET;
		four->sin_port = htons(53);
		memcpy(&four->sin_addr, ip->data, 4);
	} else {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(53);
		memcpy(&six->sin6_addr, ip->data, 16);
	}
}

int relay_ask(struct relay *r, const ProtobufCBinaryData *servers, size_t n_servers, const uint8_t *packet, size_t len,
	      const struct question *q, bool tcp, uint64_t holder, relay_done *done, void *arg)
{
	unsigned of_holder = 0;
	struct ask *k;

	list_each (k, &r->asks, link)
		of_holder += k->holder == holder;
	if (r->n >= RELAY_MAX || of_holder >= RELAY_HOLDER_MAX)
		return -EBUSY;
	k = calloc(1, sizeof *k + 2 + len);
	if (!k)
		return -ENOMEM;
	k->relay = r;
	k->fd = -1;
	for (size_t i = 0; i < n_servers && i < RELAY_SERVERS; i++)
		server_set(&k->server[k->n_servers++], &servers[i]);
	k->tcp = tcp;
	k->holder = holder;
	k->id = q->id;
	k->question_len = q->len;
	k->len = len;
	packet_set_id(k->packet, (uint16_t)len);
	memcpy(k->packet + 2, packet, len);
	k->done = done;
	k->arg = arg;
	list_push(&r->asks, &k->link);
	r->n++;
	ask_next(k);
	return 0;
}

void relay_forget(struct relay *r, const void *arg)
{
	struct ask *k;

	list_each (k, &r->asks, link)
		if (k->arg == arg)
			ask_free(k);
}

void relay_init(struct relay *r, struct loop *l)
{
	*r = (struct relay){.loop = l};
	list_init(&r->asks);
}

void relay_fini(struct relay *r)
{
	struct ask *k;

	list_each (k, &r->asks, link)
		ask_free(k);
}

/* dns/udp.c - questions that come as packets. */
#include "dns/listener.h"

#include "base/own.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u /* questions of one socket, then the others have their turn */

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
	if (server_forward(l->server, asker, packet, len, q, false, udp_done, u) < 0) {
		udp_send(l, from, size, refusal, refusal_len);
		question_free(u);
	}
}

bool udp_take(struct listener *l)
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
	asker = zone_asker(l->server->zone, ip, server_ip_of(&from, ip));
	if (!asker) /* no container's: the host, the outside, or one whose network has gone */
		return true;
	/* As much as he takes, and as goes through any path; a question that cannot be read takes little. */
	max = question_parse(in, (size_t)n, &q) == 0 && q.udp_max < PACKET_EDNS ? q.udp_max : PACKET_EDNS;
	switch (server_say(l->server, asker, in, (size_t)n, &q, out, max, &len)) {
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

void udp_ready(struct source *s, uint32_t events)
{
	struct listener *l = container_of(s, struct listener, udp);

	if (server_news_taken(l->server))
		for (unsigned i = 0; i < BATCH && udp_take(l); i++)
			;
}

void udp_end(struct listener *l)
{
	struct udp_question *u;

	list_each (u, &l->packets, link) {
		relay_forget(&l->server->relay, u);
		question_free(u);
	}
}

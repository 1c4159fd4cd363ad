/* dns/listener.h - inside of the server: one address of a gateway, and who is answered there how. */
#pragma once

#include "dns/server.h"

#include <netinet/in.h>
#include <sys/socket.h>

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

enum verdict { SILENT, ANSWERED, FORWARD };

/* What we can say ourselves, to this holder: into out. FORWARD: out is a refusal, for the case that nobody else can. */
enum verdict server_say(struct server *s, const struct zone_holder *asker, const uint8_t *packet, size_t len,
			struct question *q, uint8_t *out, size_t max, size_t *ret_len);
int server_forward(struct server *s, const struct zone_holder *asker, const uint8_t *packet, size_t len,
		   const struct question *q, bool tcp, relay_done *done, void *arg);
unsigned server_ip_of(const struct sockaddr_storage *a, uint8_t ret[16]);
/* False: something has ended by what berthd has said, perhaps who asks. What waits in a socket calls again. */
bool server_news_taken(struct server *s);

void udp_ready(struct source *s, uint32_t events); /* of listener.udp */
bool udp_take(struct listener *l);		   /* one question; false: there is no more */
void udp_end(struct listener *l);		   /* what it waits for is not answered */

void tcp_ready(struct source *s, uint32_t events); /* of listener.tcp */
void tcp_end(const struct listener *l);
bool tcp_finish(struct server *s); /* those that ask nothing go; true: there are no others */

/* gateway/peers.h - how many connections each peer has: an IPv4 address, an IPv6 /64 (what one household is given), a local user. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

struct peer_key {
	uint64_t id;
	uint8_t family;
};

struct peers {
	struct {
		struct peer_key key;
		uint32_t n; /* 0: a free slot */
	} * slot;
	uint32_t size; /* a power of two, more than twice the connections that there can be */
};

int peers_init(struct peers *p, uint32_t connections); /* -ENOMEM */
void peers_fini(struct peers *p);
/* For a unix socket the peer's uid is asked of fd. */
struct peer_key peer_key_of(int fd, const struct sockaddr *from);
uint32_t peers_count(const struct peers *p, struct peer_key key);
void peers_add(struct peers *p, struct peer_key key);
void peers_del(struct peers *p, struct peer_key key);

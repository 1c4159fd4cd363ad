/* gateway/peers.c - see gateway/peers.h. Open addressing; a slot that becomes free pulls those behind it forward, so that no search
 * ends too early. */
#include "gateway/peers.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int peers_init(struct peers *p, uint32_t connections)
{
	*p = (struct peers){.size = 16};
	while (p->size < 2 * connections + 2)
		p->size *= 2;
	p->slot = calloc(p->size, sizeof *p->slot);
	return p->slot ? 0 : -ENOMEM;
}

void peers_fini(struct peers *p)
{
	free(p->slot);
	*p = (struct peers){0};
}

struct peer_key peer_key_of(int fd, const struct sockaddr *from)
{
	const struct sockaddr_in6 *six = (const void *)from;
	struct peer_key key = {.family = AF_UNIX};
	struct ucred who;
	socklen_t len = sizeof who;
	uint32_t four;

	if (from->sa_family == AF_INET) {
		key.family = AF_INET;
		key.id = ((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr;
	} else if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		memcpy(&four, six->sin6_addr.s6_addr + 12, sizeof four);
		key.family = AF_INET;
		key.id = four;
	} else if (from->sa_family == AF_INET6) {
		key.family = AF_INET6;
		memcpy(&key.id, six->sin6_addr.s6_addr, sizeof key.id);
	} else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
		key.id = who.uid;
	}
	return key;
}

static bool key_is(struct peer_key a, struct peer_key b)
{
	return a.id == b.id && a.family == b.family;
}

static uint32_t home(const struct peers *p, struct peer_key key)
{
	return (uint32_t)((key.id + key.family) * 0x9e3779b97f4a7c15ull >> 32) & (p->size - 1);
}

/* Its slot, or the free one where it would be. */
static uint32_t find(const struct peers *p, struct peer_key key)
{
	uint32_t i = home(p, key);

	while (p->slot[i].n && !key_is(p->slot[i].key, key))
		i = (i + 1) & (p->size - 1);
	return i;
}

uint32_t peers_count(const struct peers *p, struct peer_key key)
{
	return p->slot[find(p, key)].n;
}

void peers_add(struct peers *p, struct peer_key key)
{
	uint32_t i = find(p, key);

	p->slot[i].key = key;
	p->slot[i].n++;
}

void peers_del(struct peers *p, struct peer_key key)
{
	uint32_t hole = find(p, key), i;

	if (!p->slot[hole].n || --p->slot[hole].n)
		return;
	for (i = (hole + 1) & (p->size - 1); p->slot[i].n; i = (i + 1) & (p->size - 1)) {
		/* One that may stand at the hole: its home is not between the hole and it. */
		if (((i - home(p, p->slot[i].key)) & (p->size - 1)) < ((i - hole) & (p->size - 1)))
			continue;
		p->slot[hole] = p->slot[i];
		p->slot[i].n = 0;
		hole = i;
	}
}

/* net/claim.c - see net/claim.h
 *
 * As RFC 5227 has it, but quicker, as the address is in use meanwhile: three questions within 300 ms, in which whoever is on a wire answers;
 * what nobody did answer for is announced, and once more later, for bridges and switches that took no packets yet. What is somebody else's is never announced: his neighbours
 * would believe it. Until the end it is heard who else says so. A link without a carrier asks nobody: its time begins when it has one. */
#include "net/claim.h"

#include "base/file.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/own.h"
#include "net/announce.h"
#include "net/closer.h"
#include "net/port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define ADDRESSES     4u
#define EVENTS	      16
#define HEARD_AT_ONCE 64u /* frames of a claim */
#define CARRIER_MS    200u
#define CARRIER_TRIES 150u /* 30 s */

static const struct step {
	unsigned wait_ms; /* until the next */
	enum { ASK, TELL, END } what;
} steps[] = {{100, ASK}, {200, ASK}, {200, ASK}, {1500, TELL}, {500, TELL}, {0, END}};

struct claimed {
	struct ip ip;
	bool duplicate;
};

struct claim {
	struct list link; /* claims.all */
	char host_link[IF_NAMESIZE];
	int fd, index;
	uint8_t mac[6];
	struct claimed address[ADDRESSES];
	size_t n;
	unsigned step, tries; /* … without a carrier */
	uint64_t due_ns;
};

struct claims {
	struct claim_ops ops;
	struct list all;
	int epoll_fd, closer;
};

int claims_open(struct claims **ret, int closer, const struct claim_ops *ops, struct err *e)
{
	struct claims *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, ENOMEM, "network", "no memory");
	c->ops = *ops;
	c->closer = closer;
	list_init(&c->all);
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	*ret = c;
	return c->epoll_fd < 0 ? err_set(e, errno, "network", "watch sockets") : 0;
}

static void claim_free(struct claims *c, struct claim *x)
{
	(void)epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, x->fd, NULL);
	closer_close(c->closer, &x->fd);
	list_del(&x->link);
	free(x);
}

void claim_end(struct claims *c, const char *host_link)
{
	struct claim *x;

	list_each (x, &c->all, link)
		if (!strcmp(x->host_link, host_link))
			claim_free(c, x);
}

/* ---------------------------------------------------------------- a step */

/* 1, 0, or -1: the link has gone. */
static int carrier(const struct claim *x)
{
	struct ifreq q = {.ifr_ifindex = x->index};

	if (ioctl(x->fd, SIOCGIFNAME, &q) < 0 || ioctl(x->fd, SIOCGIFFLAGS, &q) < 0)
		return -1;
	return (q.ifr_flags & IFF_RUNNING) != 0;
}

static void step_do(const struct claim *x, bool ask)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct claimed *a = &x->address[i];

		if (ask)
			announce_ask(x->fd, x->index, x->mac, &a->ip);
		else if (!a->duplicate)
			announce(x->fd, x->index, x->mac, &a->ip, false);
	}
}

static void claim_step(struct claims *c, struct claim *x)
{
	const struct step *s = &steps[x->step];
	int up = x->step ? 1 : carrier(x);

	if (s->what == END || x->tries == CARRIER_TRIES || up < 0) {
		claim_free(c, x);
		return;
	}
	if (!up) {
		x->tries++;
		x->due_ns = now_ns() + CARRIER_MS * NS_PER_MS;
		return;
	}
	step_do(x, s->what == ASK);
	x->due_ns = now_ns() + s->wait_ms * NS_PER_MS;
	x->step++;
}

int claim_begin(struct claims *c, const Net__Port *p, int fd, int index, const uint8_t mac[6], struct err *e)
{
	struct claim *x = calloc(1, sizeof *x);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = x};
	int r;

	claim_end(c, p->host_link);
	if (!x) {
		closer_close(c->closer, &fd);
		return err_set(e, ENOMEM, "network", "no memory");
	}
	x->fd = fd;
	x->index = index;
	memcpy(x->mac, mac, sizeof x->mac);
	snprintf(x->host_link, sizeof x->host_link, "%s", p->host_link);
	for (size_t i = 0; i < p->n_addresses && x->n < ADDRESSES; i++)
		x->address[x->n++].ip = ip_of(&p->addresses[i]);
	list_init(&x->link);
	list_push(&c->all, &x->link);
	r = announce_hear(fd, index);
	if (r == 0 && epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		r = -errno;
	if (r == 0)
		claim_step(c, x);
	else
		claim_free(c, x);
	return r < 0 ? err_set(e, -r, "network", "hear who else has the addresses of %s", p->host_link) : 0;
}

/* ---------------------------------------------------------------- what is heard */

static struct claimed *claimed_of(struct claim *x, const struct ip *ip)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->address[i].ip.len == ip->len && !memcmp(x->address[i].ip.byte, ip->byte, ip->len))
			return &x->address[i];
	return NULL;
}

static int claim_found(struct claims *c, const struct claim *x, struct claimed *a, const uint8_t mac[6])
{
	if (!a || a->duplicate)
		return 0;
	a->duplicate = true;
	return c->ops.duplicate(c->ops.arg, x->host_link, &a->ip, mac);
}

int claim_taken(struct claims *c, const char *host_link, const struct ip *ip, const uint8_t mac[6])
{
	struct claim *x;

	list_each (x, &c->all, link)
		if (!strcmp(x->host_link, host_link))
			return claim_found(c, x, claimed_of(x, ip), mac);
	return 0;
}

/* Whoever is on the wire can send more than is heard: some, and then others have their turn. */
static int claim_hear(struct claims *c, struct claim *x)
{
	unsigned left = HEARD_AT_ONCE;
	uint8_t mac[6];
	struct ip ip;
	int r = 0;

	while (r == 0 && announce_next(x->fd, &ip, mac, &left))
		if (memcmp(mac, x->mac, sizeof mac) != 0)
			r = claim_found(c, x, claimed_of(x, &ip), mac);
	return r;
}

int claims_fd(const struct claims *c)
{
	return c->epoll_fd;
}

uint64_t claims_due(const struct claims *c)
{
	uint64_t due = 0;
	const struct claim *x;

	list_each (x, &c->all, link)
		if (!due || x->due_ns < due)
			due = x->due_ns;
	return due;
}

int claims_go_on(struct claims *c)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(c->epoll_fd, ev, EVENTS, 0), r = 0;
	struct claim *x;

	for (int i = 0; i < n && r == 0; i++)
		r = claim_hear(c, ev[i].data.ptr);
	list_each (x, &c->all, link)
		if (now_ns() >= x->due_ns)
			claim_step(c, x);
	return r;
}

/* net/wires.c - see net/wires.h */
#include "net/wires.h"

#include "base/list.h"
#include "base/own.h"
#include "net/address.h"
#include "net/port.h"
#include "net/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct seen {
	struct ip ips[WIRE_ADDRESSES];
	size_t n;
	uint8_t mac[6];
};

struct wire {
	struct list link; /* wires.all */
	Net__Network *network;
	bool told;
	struct seen last;
};

struct wires {
	struct wires_ops ops;
	struct nl *host;
	struct mnl_socket *news;
	struct list all;
};

int wires_open(struct wires **ret, struct nl *host, const struct wires_ops *ops, struct err *e)
{
	struct wires *ws = calloc(1, sizeof *ws);

	if (!ws)
		return err_set(e, ENOMEM, "network", "no memory");
	ws->ops = *ops;
	ws->host = host;
	list_init(&ws->all);
	*ret = ws;
	return address_news_open(&ws->news, e);
}

struct look {
	const Net__Network *network;
	int index;
	struct seen now;
};

static void note(void *arg, const struct ip *ip, unsigned prefix, int index)
{
	struct look *l = arg;

	for (size_t i = 0; index == l->index && i < l->network->n_subnets && l->now.n < WIRE_ADDRESSES; i++) {
		struct ip network = ip_of(&l->network->subnets[i]->network);

		if (ip->len == network.len && ip_bits_equal(ip, &network, l->network->subnets[i]->prefix))
			l->now.ips[l->now.n++] = *ip;
	}
}

/* A link that is not there has none; one that has become too small for the network has what it has. */
static int wire_look(struct wires *ws, struct wire *w)
{
	struct look l = {.network = w->network};
	struct link parent;
	struct err e;

	(void)uplink_parent(ws->host, w->network->uplink, &parent, &e);
	if (parent.index > 0) {
		l.index = parent.index;
		memcpy(l.now.mac, parent.mac, sizeof l.now.mac);
		if (address_each(ws->host, note, &l, &e) < 0)
			return 0; /* as it was */
	}
	if (w->told && !memcmp(&w->last, &l.now, sizeof l.now))
		return 0;
	w->last = l.now;
	w->told = true;
	return ws->ops.seen(ws->ops.arg, w->network->key, l.now.ips, l.now.n, l.now.mac);
}

static bool leads_to_wire(const Net__Uplink *u)
{
	return u && u->parent && u->driver != NET__DRIVER__PHYS;
}

static Net__Network *network_copy(const Net__Network *n)
{
	AUTO_FREE uint8_t *packed = malloc(net__network__get_packed_size(n) + 1);

	return packed ? net__network__unpack(NULL, net__network__pack(n, packed), packed) : NULL;
}

static void wire_free(struct wire *w)
{
	if (w->network)
		net__network__free_unpacked(w->network, NULL);
	list_del(&w->link);
	free(w);
}

int wires_put(struct wires *ws, const Net__Network *n, struct err *e)
{
	struct wire *w;

	wires_forget(ws, n->key);
	if (!leads_to_wire(n->uplink))
		return 0;
	w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, ENOMEM, "network", "no memory");
	list_init(&w->link);
	list_push(&ws->all, &w->link);
	w->network = network_copy(n);
	if (!w->network) {
		wire_free(w);
		return err_set(e, ENOMEM, "network", "no memory");
	}
	return wire_look(ws, w) < 0 ? err_set(e, EPIPE, "network", "berthd is gone") : 0;
}

void wires_forget(struct wires *ws, uint32_t key)
{
	struct wire *w;

	list_each (w, &ws->all, link)
		if (w->network->key == key)
			wire_free(w);
}

void wires_forget_all(struct wires *ws)
{
	struct wire *w;

	while ((w = list_first(&ws->all, struct wire, link)))
		wire_free(w);
}

int wires_fd(const struct wires *ws)
{
	return mnl_socket_get_fd(ws->news);
}

int wires_go_on(struct wires *ws)
{
	struct wire *w;
	int r = 0;

	if (!address_news_heard(ws->news))
		return 0;
	list_each (w, &ws->all, link)
		if (r == 0)
			r = wire_look(ws, w);
	return r;
}

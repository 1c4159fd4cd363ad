/* supervisor/slot.c - see supervisor/slot.h */
#include "supervisor/slot.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/driver.h"
#include "supervisor/mac.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/set.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define LINK	    "eth0" /* what the first interface is called, unless somebody wants another name */
#define MTU_DEFAULT 1500u  /* the kernel's, of such links */

struct slot {
	struct list link; /* supervisor.slots */
	struct supervisor *sv;
	uint64_t id;
	uint32_t mtu;
	uint8_t mac[6];
	bool there;
	char host_link[IF_NAMESIZE];
	slot_settled *settled;
	void *arg;
};

static bool is_said(const char *text)
{
	return text && text[0];
}

static bool wants_link(const Berth__NetworkAsk *ask)
{
	return is_said(ask->link) && !strcmp(ask->link, LINK);
}

uint32_t slot_wanted(struct supervisor *sv, const struct principal *who, const Berth__ContainerSpec *spec)
{
	const Berth__NetworkAsk *first = spec->n_networks ? spec->networks[0] : NULL;
	const struct network *n;
	struct err ignored;

	/* What is set for interfaces to come (net.ipv4.conf.default) would find it there already. */
	if (!first || spec->n_sysctls || is_said(first->mac) || (is_said(first->link) && !wants_link(first)))
		return 0;
	for (size_t i = 1; i < spec->n_networks; i++)
		if (wants_link(spec->networks[i]))
			return 0;
	n = network_find(sv, who, first->network ? first->network : "", &ignored);
	if (!n || !driver_of(n->obj)->ahead)
		return 0;
	return n->obj->mtu ? n->obj->mtu : MTU_DEFAULT;
}

static void on_put(void *arg, const struct err *e)
{
	struct slot *s = arg;

	s->there = !e;
	s->settled(s->arg, e);
}

struct slot *slot_new(struct supervisor *sv, uint32_t mtu, int ns_fd, slot_settled *settled, void *arg, struct err *e)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__SlotPut body = NET__SLOT_PUT__INIT;
	Net__Port p = NET__PORT__INIT;
	struct slot *s = calloc(1, sizeof *s);

	if (!s || mac_make(s->mac) < 0) {
		free(s);
		err_set(e, ENOMEM, "network", "no memory, or no random numbers, for an interface made ahead");
		return NULL;
	}
	s->sv = sv;
	s->mtu = mtu;
	s->settled = settled;
	s->arg = arg;
	s->id = supervisor_next_id(sv);
	p.host_link = host_link_name(s->id, s->host_link);
	p.link = (char *)LINK;
	SET(&p, mac, ((ProtobufCBinaryData){sizeof s->mac, s->mac}));
	SET(&p, mtu, mtu);
	body.port = &p;
	m.body_case = NET__NET_MESSAGE__BODY_SLOT_PUT;
	m.slot_put = &body;
	list_push(&sv->slots, &s->link);
	if (netd_ask(sv, &m, ns_fd, on_put, s, e) == 0)
		return s;
	list_del(&s->link);
	free(s);
	return NULL;
}

void slot_lend(const struct slot *s, Berth__Lease *l)
{
	char mac[MAC_TEXT];

	SET(l, id, s->id);
	set_text(&l->host_link, "%s", s->host_link);
	set_text(&l->mac, "%s", mac_text(s->mac, mac));
}

void slot_give(struct slot *s)
{
	netd_forget(s->sv, s);
	list_del(&s->link);
	free(s);
}

void slot_free(struct slot *s)
{
	Net__NetMessage m = NET__NET_MESSAGE__INIT;
	Net__SlotDelete body = NET__SLOT_DELETE__INIT;
	struct err e;

	if (!s)
		return;
	body.host_link = s->host_link;
	m.body_case = NET__NET_MESSAGE__BODY_SLOT_DELETE;
	m.slot_delete = &body;
	/* Behind what is to make it. When berthd ends the next one's State sweeps it, if it has not gone with its namespace. */
	if (!s->sv->stopping && netd_ask(s->sv, &m, -1, NULL, NULL, &e) < 0)
		log_err(&e, "an interface made ahead");
	slot_give(s);
}

void slots_state(const struct supervisor *sv, Net__State *state, struct arena *a)
{
	struct slot *s;
	size_t n = 0;

	list_each (s, &sv->slots, link)
		n++;
	state->slots = arena_alloc(a, (n + 1) * sizeof *state->slots);
	if (state->slots)
		list_each (s, &sv->slots, link)
			state->slots[state->n_slots++] = s->host_link;
}

size_t slots_links(const struct supervisor *sv, char **links, size_t max)
{
	struct slot *s;
	size_t n = 0;

	list_each (s, &sv->slots, link)
		if (s->there && n < max)
			links[n++] = s->host_link;
	return n;
}

/* dns/server.h - where containers ask: port 53 of their networks' gateways, UDP and TCP. */
#pragma once

#include "dns/relay.h"
#include "dns/zone.h"

#define CONNECTIONS_MAX	   512u
#define CONNECTIONS_HOLDER 32u

struct server {
	struct loop *loop;
	struct zone *zone;
	struct relay relay;
	struct list connections;
	unsigned n_connections;
	Dns__Servers *host; /* owned; whom the host asks */
	/* What berthd has said is read before a question is: called before each look into a socket, of which it may be the end. */
	void (*before)(struct server *s);
	unsigned ended;	    /* listeners and connections, ever */
	struct timer again; /* sockets that could not be had are tried again */
};

void server_init(struct server *s, struct loop *l, struct zone *z, void (*before)(struct server *s));
/* Listens for every network of the zone where it does not yet, and for no other gateway. */
void server_listen(struct server *s);
void server_unlisten(struct server *s, struct zone_network *n); /* before it is taken out of the zone */
/* Takes no more questions but those that have come; true when none of them is left unanswered. */
bool server_finish(struct server *s);

/* supervisor/publish.c - see supervisor/publish.h */
#include "supervisor/publish.h"

#include "base/own.h"
#include "base/str.h"
#include "supervisor/address.h"
#include "supervisor/check_field.h"
#include "supervisor/listener.h"
#include "supervisor/net_holder.h"
#include "supervisor/network.h"
#include "supervisor/set.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* Behind what the kernel gives to connections of its own (ip_local_port_range). */
#define FOUND_FIRST 61000u
#define FOUND_LAST  65535u
#define DNS_PORT    53u

static const struct {
	const char *name;
	int number, type;
} protocols[] = {{"tcp", IPPROTO_TCP, SOCK_STREAM}, {"udp", IPPROTO_UDP, SOCK_DGRAM}, {"sctp", IPPROTO_SCTP, 0}};

static size_t protocol_of(const Berth__PortMap *p)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(protocols) && strcmp(p->protocol, protocols[i].name) != 0)
		i++;
	return i;
}

static bool is_any(const char *ip)
{
	return !strcmp(ip, "0.0.0.0") || !strcmp(ip, "::");
}

/* Without an address it is all of them, of both families; 0.0.0.0 and :: are all of theirs. */
static bool addresses_meet(const char *a, const char *b)
{
	return !a || !b || !strcmp(a, b) || (!strchr(a, ':') == !strchr(b, ':') && (is_any(a) || is_any(b)));
}

static bool same_door(const Berth__PortMap *a, const Berth__PortMap *b)
{
	return a->host_port && a->host_port == b->host_port && !strcmp(a->protocol, b->protocol) &&
	       addresses_meet(a->host_ip, b->host_ip);
}

/* ---------------------------------------------------------------- what is exposed */

/* "80", "80/udp", "8000-8010/tcp"; 0, and the protocol's index. */
static int exposed_parse(const char *text, uint32_t *first, uint32_t *last, size_t *protocol)
{
	const char *slash = strchr(text, '/'), *dash = strchr(text, '-');
	size_t len = slash ? (size_t)(slash - text) : strlen(text),
	       n = dash && dash < text + len ? (size_t)(dash - text) : len;
	char a[8], b[8];

	snprintf(a, sizeof a, "%.*s", (int)n, text);
	snprintf(b, sizeof b, "%.*s", n < len ? (int)(len - n - 1) : (int)n, n < len ? dash + 1 : text);
	for (*protocol = 0; slash && *protocol < ARRAY_SIZE(protocols); ++*protocol)
		if (!strcasecmp(slash + 1, protocols[*protocol].name))
			break;
	return len < 12 && str_to_u32(a, first) == 0 && str_to_u32(b, last) == 0 && *first && *first <= *last &&
			       *last <= 65535 && *protocol < ARRAY_SIZE(protocols)
		       ? 0
		       : -EINVAL;
}

static bool is_mapped(const Berth__ContainerSpec *spec, uint32_t port, const char *protocol)
{
	for (size_t i = 0; i < spec->n_ports; i++)
		if (spec->ports[i]->container_port == port && !strcmp(spec->ports[i]->protocol, protocol))
			return true;
	return false;
}

static int map_add(Berth__ContainerSpec *spec, uint32_t port, const char *protocol, struct err *e)
{
	Berth__PortMap **grown = realloc(spec->ports, (spec->n_ports + 1) * sizeof *grown), *p = malloc(sizeof *p);

	if (grown)
		spec->ports = grown;
	if (!grown || !p || spec->n_ports == PORTS_MAX) {
		free(p);
		return grown && p ? field_bad(e, "spec.ports", "at most %u ports are published", PORTS_MAX)
				  : err_set(e, ENOMEM, "spec.ports", "no memory");
	}
	berth__port_map__init(p);
	grown[spec->n_ports++] = p;
	SET(p, container_port, port);
	return field_set(&p->protocol, protocol) < 0 ? err_set(e, ENOMEM, "spec.ports", "no memory") : 0;
}

static int exposed_add(Berth__ContainerSpec *spec, const char *text, const char *field, const char *whose,
		       struct err *e)
{
	uint32_t first, last;
	size_t k;
	int r = 0;

	if (exposed_parse(text, &first, &last, &k) < 0)
		return field_bad(e, field, "%s '%.40s' is not PORT[-PORT][/tcp|udp|sctp]", whose, text);
	for (uint32_t port = first; port <= last && r == 0; port++)
		if (!is_mapped(spec, port, protocols[k].name))
			r = map_add(spec, port, protocols[k].name, e);
	return r;
}

int publish_exposed(Berth__ContainerSpec *spec, const Berth__ImageConfig *img, struct err *e)
{
	char at[FIELD_SIZE];
	int r = 0;

	if (!spec->publish_all)
		return 0;
	for (size_t i = 0; i < spec->n_expose && r == 0; i++)
		r = exposed_add(spec, spec->expose[i], field_at(at, "spec.expose[%zu]", i), "", e);
	for (size_t i = 0; img && i < img->n_exposed_ports && r == 0; i++)
		r = exposed_add(spec, img->exposed_ports[i], "spec.publish_all", "the image's EXPOSE", e);
	return r;
}

/* ---------------------------------------------------------------- what is asked for */

/* network: NULL, or "none" or "host" in place of networks. */
static int ports_of_none(const char *field, const char *network, struct err *e)
{
	return field_bad(
		e, field,
		!strcmp(network, "host")
			? "with the host's network its ports are the host's as they are: nothing is to be published"
			: "without a network it has no ports: give it one (--network default)");
}

int publish_check_exposed(const Berth__ContainerSpec *spec, struct err *e)
{
	char at[FIELD_SIZE];
	uint32_t first, last;
	size_t protocol;

	for (size_t i = 0; i < spec->n_expose; i++)
		if (exposed_parse(spec->expose[i], &first, &last, &protocol) < 0)
			return field_bad(e, field_at(at, "spec.expose[%zu]", i),
					 "'%.40s' is not PORT[-PORT][/tcp|udp|sctp]", spec->expose[i]);
	return spec->publish_all && spec->network ? ports_of_none("spec.publish_all", spec->network, e) : 0;
}

int publish_check(Berth__PortMap **ports, size_t n, const char *network, struct err *e)
{
	char at[FIELD_SIZE];

	if (n && network)
		return ports_of_none("spec.ports", network, e);
	if (n > PORTS_MAX)
		return field_bad(e, "spec.ports", "at most %u ports are published", PORTS_MAX);
	for (size_t i = 0; i < n; i++) {
		Berth__PortMap *p = ports[i];
		struct address a;
		char text[ADDRESS_TEXT];

		field_empty_is_absent(&p->host_ip);
		field_empty_is_absent(&p->protocol);
		if (!p->protocol && field_set(&p->protocol, "tcp") < 0)
			return err_set(e, ENOMEM, "spec.ports", "keep the spec");
		for (char *c = p->protocol; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (protocol_of(p) == ARRAY_SIZE(protocols))
			return field_bad(e, field_at(at, "spec.ports[%zu].protocol", i),
					 "'%.40s': there are tcp, udp and sctp", p->protocol);
		if (!p->container_port || p->container_port > 65535)
			return field_bad(e, field_at(at, "spec.ports[%zu].container_port", i), "must be 1 to 65535");
		if (p->host_port > 65535)
			return field_bad(e, field_at(at, "spec.ports[%zu].host_port", i), "must be 1 to 65535");
		field_at(at, "spec.ports[%zu].host_ip", i);
		if (p->host_ip && address_parse(p->host_ip, &a) < 0)
			return field_bad(e, at, "'%.60s' is not an IP address", p->host_ip);
		if (p->host_ip && a.len == 16 && address_is_loopback(&a))
			return field_bad(
				e, at,
				"the kernel cannot lead packets from ::1 anywhere else; 127.0.0.1 can be published");
		if (p->host_ip && !address_is_of_one(&a))
			return field_bad(e, at, "%s is no address of one host", p->host_ip);
		if (p->host_ip)
			set_text(&p->host_ip, "%s", address_text(&a, text));
		for (size_t k = 0; k < i; k++)
			if (same_door(p, ports[k]))
				return field_bad(e, field_at(at, "spec.ports[%zu].host_port", i),
						 "%u/%s is published twice", p->host_port, p->protocol);
	}
	return 0;
}

static const struct net_holder *taken_by(struct supervisor *sv, const Berth__PortMap *p, const char *but)
{
	struct net_holder *h;

	list_each (h, &sv->net_holders, link) {
		struct net_stored stored = net_stored_of(h);

		for (size_t i = 0; i < stored.n_ports && strcmp(stored.meta->uuid, but) != 0; i++)
			if (same_door(stored.ports[i], p))
				return h;
	}
	return NULL;
}

static int bind_try(int family, int type, const void *ip, uint32_t port)
{
	AUTO_FD fd = socket(family, type | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	/* Connections of the past in TIME_WAIT are nobody's. (Of UDP it would mean to share.) */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
		if (ip)
			memcpy(&six.sin6_addr, ip, 16);
		return bind(fd, (struct sockaddr *)&six, sizeof six) < 0 ? -errno : 0;
	}
	if (ip)
		memcpy(&four.sin_addr, ip, 4);
	return bind(fd, (struct sockaddr *)&four, sizeof four) < 0 ? -errno : 0;
}

/* Where berth-dns answers: no port that is published at all addresses leads away from there (net/table.c). */
static bool is_gateway(const struct address *a, void *arg)
{
	struct supervisor *sv = arg;
	struct table_node *node;

	list_each (node, &sv->networks.all, link) {
		const struct network *n = container_of(node, struct network, node);

		for (unsigned i = 0; i < n->n_subnets && network_has_dns(n); i++)
			if (address_is(&n->gateway[i], a))
				return true;
	}
	return false;
}

/* Does a program of the host have it? Asked the way in which one would take it. -EADDRINUSE, -EADDRNOTAVAIL. */
static int listened_on(struct supervisor *sv, const Berth__PortMap *p)
{
	const char *protocol = protocols[protocol_of(p)].name;
	int type = protocols[protocol_of(p)].type, r;
	struct address a;

	if (!type)
		return 0;
	if (!p->host_ip) {
		r = bind_try(AF_INET, type, NULL, p->host_port);
		r = r < 0 ? r : bind_try(AF_INET6, type, NULL, p->host_port);
	} else {
		(void)address_parse(p->host_ip, &a); /* checked */
		r = bind_try(a.len == 16 ? AF_INET6 : AF_INET, type, a.byte, p->host_port);
	}
	if (r == -EADDRINUSE && p->host_port == DNS_PORT && (!p->host_ip || is_any(p->host_ip)) &&
	    listener_only_at(protocol, p->host_port, is_gateway, sv))
		return 0;
	return r;
}

static int find_port(struct supervisor *sv, Berth__PortMap *p, const char *but)
{
	uint32_t n = FOUND_LAST - FOUND_FIRST + 1, start = 0;

	getrandom(&start, sizeof start, GRND_NONBLOCK);
	for (uint32_t i = 0; i < n; i++) {
		SET(p, host_port, FOUND_FIRST + (start % n + i) % n);
		if (!taken_by(sv, p, but) && listened_on(sv, p) == 0)
			return 0;
	}
	return -EADDRINUSE;
}

int publish_lease(struct supervisor *sv, Berth__PortMap **ports, size_t n, const char *of, struct err *e)
{
	char at[FIELD_SIZE], who[LISTENER_TEXT];

	for (size_t i = 0; i < n; i++) {
		Berth__PortMap *p = ports[i];
		const struct net_holder *other;
		int r;

		field_at(at, "spec.ports[%zu].host_port", i);
		if (!p->host_port) {
			if (find_port(sv, p, of) < 0)
				return err_set(e, EBUSY, at, "no port from %u to %u is free", FOUND_FIRST, FOUND_LAST);
			continue;
		}
		other = taken_by(sv, p, of);
		if (other)
			return err_set(e, EBUSY, at, "port %u/%s of the host is %s %s's", p->host_port, p->protocol,
				       other->kind->noun, net_stored_of(other).meta->name);
		r = listened_on(sv, p);
		if (r == -EADDRNOTAVAIL)
			return field_bad(e, field_at(at, "spec.ports[%zu].host_ip", i), "%s is no address of this host",
					 p->host_ip);
		if (r == -EADDRINUSE)
			return err_set(e, EBUSY, at, "port %u/%s of the host is taken: %s listens there", p->host_port,
				       p->protocol, listener_name(p->protocol, p->host_port, who));
	}
	return 0;
}

void publish_messages(Berth__PortMap *const *ports, size_t n, Net__Port *port, struct arena *a)
{
	port->published = arena_alloc(a, (n + 1) * sizeof *port->published);
	for (size_t i = 0; port->published && i < n; i++) {
		const Berth__PortMap *p = ports[i];
		Net__Published *m = arena_alloc(a, sizeof *m);
		struct address ip;

		if (!m)
			return;
		net__published__init(m);
		SET(m, protocol, (uint32_t)protocols[protocol_of(p)].number);
		SET(m, host_port, p->host_port);
		SET(m, port, p->container_port);
		if (p->host_ip && address_parse(p->host_ip, &ip) == 0) {
			SET(m, host_ip, ((ProtobufCBinaryData){ip.len, arena_alloc(a, sizeof ip.byte)}));
			if (m->host_ip.data)
				memcpy(m->host_ip.data, ip.byte, ip.len);
		}
		port->published[port->n_published++] = m;
	}
}

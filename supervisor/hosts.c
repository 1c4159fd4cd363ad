/* supervisor/hosts.c - see supervisor/hosts.h
 *
 * Each change of one is a job for each of the others: what comes within a time is one, and the time is longer where there are more of them. */
#include "supervisor/hosts.h"

#include "base/buf.h"
#include "base/own.h"
#include "proto/dns.h"
#include "supervisor/check_field.h"
#include "supervisor/check_names.h"
#include "supervisor/driver.h"
#include "supervisor/files.h"
#include "supervisor/network.h"
#include "supervisor/resolv.h"

#include <stdlib.h>
#include <string.h>

#define OTHERS_MAX 32768u /* bytes: the file is read for each name that is looked up */
#define SETTLE_NS  (100 * NS_PER_MS)
#define EACH_NS	   (10 * NS_PER_MS)
#define MOST_NS	   (10 * NS_PER_S)

static struct network *network_of(const struct net_holder *h, const Berth__Lease *l)
{
	struct table_node *node = table_find(&h->sv->networks, l->network_uuid ? l->network_uuid : "");

	return node ? container_of(node, struct network, node) : NULL;
}

/* ---------------------------------------------------------------- the lines */

static bool is_seen(const struct net_holder *h, const struct net_holder *other)
{
	return other != h && other->asked &&
	       !strcmp(net_stored_of(h).meta->project, net_stored_of(other).meta->project);
}

static bool is_among(char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

/* As berth-dns has it: what an address is called comes first. */
static void lease_lines(struct buf *b, const struct network *n, const Berth__Lease *l, char *const *names,
			size_t n_names)
{
	for (size_t i = 0; i < l->n_addresses; i++) {
		buf_printf(b, "%s\t%s.%s." DNS_DOMAIN, l->addresses[i], names[0], n->obj->meta->name);
		for (size_t k = 0; k < n_names; k++)
			if (!is_among(names, k, names[k]))
				buf_printf(b, " %s", names[k]);
		for (size_t k = 0; k < l->n_aliases; k++)
			buf_printf(b, " %s", l->aliases[k]);
		buf_addc(b, '\n');
	}
}

static void holder_lines(struct buf *b, const struct net_holder *h, const struct net_holder *other, struct arena *a)
{
	const struct net_stored s = net_stored_of(other);
	char **names = NULL;
	size_t n_names = 0;

	for (size_t i = 0; i < s.n_leases; i++) {
		const struct network *n = s.leases[i]->leaving ? NULL : network_of(other, s.leases[i]);

		if (!n || !network_has(n, h))
			continue;
		if (!names)
			names = other->kind->names(other, a, &n_names);
		if (names && n_names)
			lease_lines(b, n, s.leases[i], names, n_names);
	}
}

static void others_lines(struct buf *b, const struct net_holder *h, struct arena *a)
{
	struct net_holder *other;
	size_t begun = b->len;

	if (!net_stored_of(h).n_leases || resolv_asks_us(h))
		return;
	list_each (other, &h->sv->net_holders, link) {
		if (!is_seen(h, other))
			continue;
		if (b->len - begun > OTHERS_MAX) {
			buf_adds(b, "# and more than fit in here\n");
			break;
		}
		holder_lines(b, h, other, a);
	}
}

/* The first network by which the host is reached. */
static const struct network *host_network(struct supervisor *sv, Berth__Lease *const *leases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct table_node *node =
			leases[i]->leaving ? NULL : table_find(&sv->networks, leases[i]->network_uuid);
		const struct network *x = node ? container_of(node, struct network, node) : NULL;

		if (x && driver_can(x->obj, FEATURE_GATEWAY))
			return x;
	}
	return NULL;
}

static void asked_lines(struct buf *b, const struct net_holder *h)
{
	const struct net_stored s = net_stored_of(h);
	const struct network *host = host_network(h->sv, s.leases, s.n_leases);
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < s.names->n_hosts; i++) {
		const Berth__HostName *x = s.names->hosts[i];

		if (strcmp(x->address, HOST_GATEWAY) != 0) {
			buf_printf(b, "%s\t%s\n", x->address, x->name);
			continue;
		}
		for (unsigned k = 0; host && k < host->n_subnets; k++)
			buf_printf(b, "%s\t%s\n", address_text(&host->gateway[k], text), x->name);
		if (!host) /* disconnected since */
			buf_printf(b, "# %s: in none of its networks is the host\n", x->name);
	}
}

int hosts_check(struct supervisor *sv, const Berth__NameOptions *names, Berth__Lease *const *leases, size_t n,
		struct err *e)
{
	char at[FIELD_SIZE];

	for (size_t i = 0; names && i < names->n_hosts; i++)
		if (!strcmp(names->hosts[i]->address, HOST_GATEWAY) && !host_network(sv, leases, n))
			return field_bad(e, field_at(at, "spec.names.hosts[%zu].address", i),
					 n ? "in none of its networks is the host the gateway: give an address"
					   : "without a network nothing of the host is reached");
	return 0;
}

const char *hosts_further(const struct net_holder *h, struct arena *a)
{
	const char *text;
	struct buf b;

	buf_init(&b, 0);
	asked_lines(&b, h);
	others_lines(&b, h, a);
	text = b.failed ? NULL : arena_strdup(a, b.len ? b.data : "");
	buf_fini(&b);
	return text;
}

/* ---------------------------------------------------------------- that they follow */

/* Has one of these, and nobody to ask. */
static bool is_stale(const struct net_holder *h)
{
	const struct net_stored s = net_stored_of(h);

	for (size_t i = 0; h->asked && i < s.n_leases; i++) {
		const struct network *n = network_of(h, s.leases[i]);

		if (n && n->names_changed)
			return !resolv_asks_us(h);
	}
	return false;
}

static void on_settled(struct timer *t)
{
	struct supervisor *sv = container_of(t, struct supervisor, hosts_settle);
	struct table_node *node;
	struct net_holder *h;

	list_each (h, &sv->net_holders, link)
		if (is_stale(h))
			files_changed(h);
	list_each (node, &sv->networks.all, link)
		container_of(node, struct network, node)->names_changed = false;
}

static uint64_t settle_ns(const struct supervisor *sv)
{
	uint64_t ns = SETTLE_NS;
	struct net_holder *h;

	list_each (h, &sv->net_holders, link)
		ns += is_stale(h) ? EACH_NS : 0;
	return ns < MOST_NS ? ns : MOST_NS;
}

void hosts_changed(const struct net_holder *h)
{
	const struct net_stored s = net_stored_of(h);
	struct supervisor *sv = h->sv;
	bool any = false;

	for (size_t i = 0; i < s.n_leases; i++) {
		struct network *n = network_of(h, s.leases[i]);

		if (!n || network_has_dns(n))
			continue;
		n->names_changed = any = true;
	}
	if (any && !timer_armed(&sv->hosts_settle))
		timer_in(&sv->loop, &sv->hosts_settle, settle_ns(sv), on_settled);
}

/* dns/zone.c - see dns/zone.h
 *
 * One hash table has both kinds of entries: (network, project, name) and (address) lead to an interface. An answer costs a look in it for
 * each network of the asker, however many containers there are. */
#include "dns/zone.h"

#include "base/own.h"
#include "base/str.h"

#include <arpa/nameser.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACES_MAX 64u
#define NAMES_MAX      256u /* of a holder, or of an interface of it */

struct entry {
	struct entry *next; /* same bucket */
	struct entry *more; /* of the same holder */
	uint64_t hash;
	struct zone_holder *holder;
	const Dns__Interface *interface;
	char *name; /* owned; NULL: it is by address */
	const ProtobufCBinaryData *address;
};

struct zone_holder {
	struct list link;	  /* zone.holders */
	struct zone_holder *next; /* same bucket of zone.by_id */
	Dns__Holder *said;	  /* owned */
	struct entry *entries;	  /* owned */
};

#define ID_BUCKETS 4096u

struct zone {
	struct list networks, holders;
	struct entry **bucket;
	struct zone_holder *by_id[ID_BUCKETS];
	size_t n_entries, n_buckets;
	unsigned n_holders, turn;
};

/* ---------------------------------------------------------------- the table */

#define FNV_START 0xcbf29ce484222325ull

static uint64_t hash_add(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static uint64_t hash_name(uint32_t network, const char *project, const char *name)
{
	uint64_t h = hash_add(FNV_START, &network, sizeof network);

	return hash_add(hash_add(h, project, strlen(project) + 1), name, strlen(name));
}

static uint64_t hash_address(const uint8_t *ip, size_t len)
{
	return hash_add(FNV_START, ip, len);
}

/* Chains grow when there is no memory for more buckets: slower, and right. */
static void table_grow(struct zone *z)
{
	size_t n = z->n_buckets ? z->n_buckets * 2 : 256;
	struct entry **bucket = calloc(n, sizeof *bucket);

	if (!bucket)
		return;
	for (size_t i = 0; i < z->n_buckets; i++)
		for (struct entry *e = z->bucket[i], *next; e; e = next) {
			next = e->next;
			e->next = bucket[e->hash % n];
			bucket[e->hash % n] = e;
		}
	free(z->bucket);
	z->bucket = bucket;
	z->n_buckets = n;
}

static int entry_add(struct zone *z, struct zone_holder *h, const Dns__Interface *i, const char *name,
		     const ProtobufCBinaryData *address)
{
	struct entry *e;

	if (z->n_entries >= z->n_buckets)
		table_grow(z);
	e = z->n_buckets ? calloc(1, sizeof *e) : NULL;
	if (e && name)
		e->name = strdup(name);
	if (!e || (name && !e->name)) {
		free(e);
		return -ENOMEM;
	}
	for (char *p = e->name; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	e->hash =
		name ? hash_name(i->network_key, h->said->project, e->name) : hash_address(address->data, address->len);
	e->holder = h;
	e->interface = i;
	e->address = address;
	e->next = z->bucket[e->hash % z->n_buckets];
	z->bucket[e->hash % z->n_buckets] = e;
	e->more = h->entries;
	h->entries = e;
	z->n_entries++;
	return 0;
}

static void entry_free(struct zone *z, struct entry *e)
{
	struct entry **at = &z->bucket[e->hash % z->n_buckets];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	z->n_entries--;
	free(e->name);
	free(e);
}

static struct entry *first_of(const struct zone *z, uint64_t hash)
{
	return z->n_buckets ? z->bucket[hash % z->n_buckets] : NULL;
}

/* ---------------------------------------------------------------- networks */

struct zone *zone_new(void)
{
	struct zone *z = calloc(1, sizeof *z);

	if (z) {
		list_init(&z->networks);
		list_init(&z->holders);
	}
	return z;
}

static bool is_address(const ProtobufCBinaryData *b)
{
	return b->len == 4 || b->len == 16;
}

static bool are_addresses(const ProtobufCBinaryData *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_address(&b[i]))
			return false;
	return true;
}

struct list *zone_networks(struct zone *z)
{
	return &z->networks;
}

struct zone_network *zone_network(struct zone *z, uint32_t key)
{
	struct zone_network *n;

	list_each (n, &z->networks, link)
		if (n->said->key == key)
			return n;
	return NULL;
}

int zone_network_put(struct zone *z, Dns__Network *said)
{
	struct zone_network *n = said->key ? zone_network(z, said->key) : NULL;

	if (!said->key || !said->name || !are_addresses(said->gateways, said->n_gateways) ||
	    !are_addresses(said->servers, said->n_servers)) {
		dns__network__free_unpacked(said, NULL);
		return -EINVAL;
	}
	for (char *p = said->name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (!n) {
		n = calloc(1, sizeof *n);
		if (!n) {
			dns__network__free_unpacked(said, NULL);
			return -ENOMEM;
		}
		list_init(&n->listeners);
		list_push(&z->networks, &n->link);
	} else {
		dns__network__free_unpacked(n->said, NULL);
	}
	n->said = said;
	n->marked = true;
	return 0;
}

/* Nothing listens for it any more. */
void zone_network_del(struct zone *z, uint32_t key)
{
	struct zone_network *n = zone_network(z, key);

	if (!n)
		return;
	list_del(&n->link);
	dns__network__free_unpacked(n->said, NULL);
	free(n);
}

/* ---------------------------------------------------------------- holders */

static void holder_free(struct zone *z, struct zone_holder *h)
{
	struct entry *e;

	while ((e = h->entries)) {
		h->entries = e->more;
		entry_free(z, e);
	}
	for (struct zone_holder **at = &z->by_id[h->said->id % ID_BUCKETS]; *at; at = &(*at)->next)
		if (*at == h) {
			*at = h->next;
			break;
		}
	list_del(&h->link);
	z->n_holders--;
	dns__holder__free_unpacked(h->said, NULL);
	free(h);
}

static struct zone_holder *holder_of(struct zone *z, uint64_t id)
{
	struct zone_holder *h = z->by_id[id % ID_BUCKETS];

	while (h && h->said->id != id)
		h = h->next;
	return h;
}

void zone_holder_del(struct zone *z, uint64_t id)
{
	struct zone_holder *h = holder_of(z, id);

	if (h)
		holder_free(z, h);
}

void zone_holders_clear(struct zone *z)
{
	struct zone_holder *h;

	list_each (h, &z->holders, link)
		holder_free(z, h);
}

unsigned zone_holders(const struct zone *z)
{
	return z->n_holders;
}

static bool holder_is_sound(const Dns__Holder *h)
{
	bool sound = h->id && h->project && h->n_names && h->n_names <= NAMES_MAX &&
		     h->n_interfaces <= INTERFACES_MAX && are_addresses(h->servers, h->n_servers);

	for (size_t i = 0; sound && i < h->n_interfaces; i++) {
		const Dns__Interface *x = h->interfaces[i];

		sound = x->network_key && x->n_aliases <= NAMES_MAX && are_addresses(x->addresses, x->n_addresses);
	}
	return sound;
}

static int interface_add(struct zone *z, struct zone_holder *h, const Dns__Interface *x)
{
	int r = 0;

	for (size_t i = 0; i < h->said->n_names && r == 0; i++)
		r = entry_add(z, h, x, h->said->names[i], NULL);
	for (size_t i = 0; i < x->n_aliases && r == 0; i++)
		r = entry_add(z, h, x, x->aliases[i], NULL);
	for (size_t i = 0; i < x->n_addresses && r == 0; i++)
		r = entry_add(z, h, x, NULL, &x->addresses[i]);
	return r;
}

int zone_holder_put(struct zone *z, Dns__Holder *said)
{
	struct zone_holder *h = holder_is_sound(said) ? calloc(1, sizeof *h) : NULL;
	int r = 0;

	if (!h) {
		r = holder_is_sound(said) ? -ENOMEM : -EINVAL;
		dns__holder__free_unpacked(said, NULL);
		return r;
	}
	zone_holder_del(z, said->id);
	h->said = said;
	list_push(&z->holders, &h->link);
	h->next = z->by_id[said->id % ID_BUCKETS];
	z->by_id[said->id % ID_BUCKETS] = h;
	z->n_holders++;
	for (size_t i = 0; i < said->n_interfaces && r == 0; i++)
		r = interface_add(z, h, said->interfaces[i]);
	if (r < 0)
		holder_free(z, h);
	return r;
}

void zone_free(struct zone *z)
{
	struct zone_network *n;

	if (!z)
		return;
	zone_holders_clear(z);
	list_each (n, &z->networks, link)
		zone_network_del(z, n->said->key);
	free(z->bucket);
	free(z);
}

/* ---------------------------------------------------------------- questions */

static struct entry *address_entry(const struct zone *z, const uint8_t *ip, unsigned len)
{
	uint64_t hash = hash_address(ip, len);

	for (struct entry *e = first_of(z, hash); e; e = e->next)
		if (e->hash == hash && !e->name && e->address->len == len && !memcmp(e->address->data, ip, len))
			return e;
	return NULL;
}

struct zone_holder *zone_asker(struct zone *z, const uint8_t *ip, unsigned len)
{
	struct entry *e = address_entry(z, ip, len);

	return e ? e->holder : NULL;
}

uint64_t zone_holder_id(const struct zone_holder *h)
{
	return h->said->id;
}

struct zone_servers zone_servers(struct zone *z, const struct zone_holder *h)
{
	const struct zone_network *n = zone_way_out(z, h);

	if (!n || h->said->n_servers)
		return n ? (struct zone_servers){h->said->servers, h->said->n_servers} : (struct zone_servers){0};
	return (struct zone_servers){n->said->servers, n->said->n_servers};
}

struct zone_network *zone_way_out(struct zone *z, const struct zone_holder *h)
{
	for (size_t i = 0; i < h->said->n_interfaces; i++) {
		struct zone_network *n = zone_network(z, h->said->interfaces[i]->network_key);

		if (n && !n->said->internal)
			return n;
	}
	return NULL;
}

/* Each once, begun at another one each time: who takes the first does not always take the same. */
#define FOUND_MAX 64u

static bool found_has(const ProtobufCBinaryData **found, size_t n, const ProtobufCBinaryData *b)
{
	for (size_t i = 0; i < n; i++)
		if (found[i]->len == b->len && !memcmp(found[i]->data, b->data, b->len))
			return true;
	return false;
}

static bool name_look(struct zone *z, const struct zone_holder *asker, uint32_t network, const char *name,
		      unsigned type, struct answer *a)
{
	uint64_t hash = hash_name(network, asker->said->project, name);
	const ProtobufCBinaryData *found[FOUND_MAX];
	bool there = false;
	size_t n = 0;

	for (struct entry *e = first_of(z, hash); e; e = e->next) {
		const Dns__Interface *x = e->interface;

		if (e->hash != hash || !e->name || x->network_key != network || strcmp(e->name, name) != 0 ||
		    strcmp(e->holder->said->project, asker->said->project) != 0)
			continue;
		there = true;
		for (size_t i = 0; i < x->n_addresses && n < FOUND_MAX; i++) {
			bool wanted = type == ns_t_any || type == (x->addresses[i].len == 4 ? ns_t_a : ns_t_aaaa);

			if (wanted && !found_has(found, n, &x->addresses[i]))
				found[n++] = &x->addresses[i];
		}
	}
	if (n)
		z->turn++;
	for (size_t i = 0; i < n; i++) {
		const ProtobufCBinaryData *b = found[(i + z->turn) % n];

		answer_address(a, b->data, (unsigned)b->len);
	}
	return there;
}

/* Takes ".end" off name; false: it does not end so, or is nothing else. */
static bool cut_end(const char *name, const char *end, char *ret)
{
	size_t len = strlen(name), n = strlen(end);

	if (len <= n + 1 || name[len - n - 1] != '.' || strcmp(name + len - n, end) != 0)
		return false;
	memcpy(ret, name, len - n - 1);
	ret[len - n - 1] = 0;
	return true;
}

/* "name" in any network that he is in, else "name.network". */
static bool name_of_ours(struct zone *z, const struct zone_holder *asker, const char *name, unsigned type,
			 struct answer *a)
{
	char first[PACKET_NAME_MAX];

	for (size_t i = 0; i < asker->said->n_interfaces; i++)
		if (name_look(z, asker, asker->said->interfaces[i]->network_key, name, type, a))
			return true;
	for (size_t i = 0; i < asker->said->n_interfaces; i++) {
		const struct zone_network *n = zone_network(z, asker->said->interfaces[i]->network_key);

		if (n && cut_end(name, n->said->name, first) && name_look(z, asker, n->said->key, first, type, a))
			return true;
	}
	return false;
}

static bool is_in(const struct zone_holder *h, uint32_t network)
{
	for (size_t i = 0; i < h->said->n_interfaces; i++)
		if (h->said->interfaces[i]->network_key == network)
			return true;
	return false;
}

static enum zone_result reverse_look(struct zone *z, const struct zone_holder *asker, const uint8_t *ip, unsigned len,
				     unsigned type, struct answer *a)
{
	struct entry *e = address_entry(z, ip, len);
	struct zone_network *n = e ? zone_network(z, e->interface->network_key) : NULL;
	char name[PACKET_NAME_MAX];

	if (!e)
		return ZONE_OTHERS;
	/* Somebody's whom he may not see: he hears no more of it from others. */
	if (!n || !is_in(asker, n->said->key) || strcmp(asker->said->project, e->holder->said->project) != 0)
		return ZONE_NOBODY;
	snprintf(name, sizeof name, "%.253s.%.253s." DNS_DOMAIN, e->holder->said->names[0], n->said->name);
	if (type == ns_t_ptr || type == ns_t_any)
		answer_name(a, name);
	return ZONE_FOUND;
}

enum zone_result zone_look(struct zone *z, const struct zone_holder *asker, const struct question *q, struct answer *a)
{
	char first[PACKET_NAME_MAX];
	uint8_t ip[16];
	unsigned len;

	if (q->class != ns_c_in && q->class != ns_c_any)
		return ZONE_OTHERS;
	if (!strcmp(q->name, DNS_DOMAIN))
		return ZONE_FOUND;
	if (cut_end(q->name, DNS_DOMAIN, first))
		return name_of_ours(z, asker, first, q->type, a) ? ZONE_FOUND : ZONE_NOBODY;
	len = reverse_parse(q->name, ip);
	if (len)
		return reverse_look(z, asker, ip, len, q->type, a);
	return name_of_ours(z, asker, q->name, q->type, a) ? ZONE_FOUND : ZONE_OTHERS;
}

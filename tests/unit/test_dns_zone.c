/* tests/unit/test_dns_zone.c - who finds whom: names by network and project, and nobody else's. */
#include "base/own.h"
#include "dns/zone.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ProtobufCBinaryData ip(const char *text)
{
	ProtobufCBinaryData b = {.len = strchr(text, ':') ? 16 : 4, .data = malloc(16)};

	assert_int_equal(inet_pton(b.len == 16 ? AF_INET6 : AF_INET, text, b.data), 1);
	return b;
}

static void network(struct zone *z, uint32_t key, const char *name, bool internal)
{
	Dns__Network *n = malloc(sizeof *n);

	dns__network__init(n);
	n->key = key;
	n->name = strdup(name);
	n->internal = internal;
	assert_int_equal(zone_network_put(z, n), 0);
}

/* interfaces: "KEY=ADDRESS,ADDRESS/ALIAS", or "dns=ADDRESS". */
static void holder(struct zone *z, uint64_t id, const char *project, const char *names, const char *const *interfaces)
{
	Dns__Holder *h = malloc(sizeof *h);
	AUTO_FREE char *copy = strdup(names);
	char *rest = copy, *word;

	dns__holder__init(h);
	h->id = id;
	h->project = strdup(project);
	h->names = calloc(8, sizeof *h->names);
	while ((word = strsep(&rest, " ")))
		h->names[h->n_names++] = strdup(word);
	h->interfaces = calloc(8, sizeof *h->interfaces);
	h->servers = calloc(8, sizeof *h->servers);
	for (; *interfaces; interfaces++) {
		if (!strncmp(*interfaces, "dns=", 4)) {
			h->servers[h->n_servers++] = ip(*interfaces + 4);
			continue;
		}
		Dns__Interface *x = malloc(sizeof *x);
		AUTO_FREE char *text = strdup(*interfaces);
		char *at = text, *alias;

		dns__interface__init(x);
		x->network_key = (uint32_t)atoi(strsep(&at, "="));
		alias = strchr(at, '/');
		if (alias) {
			*alias++ = 0;
			x->aliases = calloc(1, sizeof *x->aliases);
			x->aliases[x->n_aliases++] = strdup(alias);
		}
		x->addresses = calloc(4, sizeof *x->addresses);
		while ((word = strsep(&at, ",")))
			x->addresses[x->n_addresses++] = ip(word);
		h->interfaces[h->n_interfaces++] = x;
	}
	assert_int_equal(zone_holder_put(z, h), 0);
}

#define HOLDER(z, id, project, names, ...) holder(z, id, project, names, (const char *const[]){__VA_ARGS__, NULL})

static struct zone_holder *asker(struct zone *z, const char *address)
{
	ProtobufCBinaryData b = ip(address);
	struct zone_holder *h = zone_asker(z, b.data, (unsigned)b.len);

	free(b.data);
	return h;
}

/* What this one is answered, as text: "10.0.0.1 fd00::1", "" (it is there), "nobody", "others". */
static const char *asks(struct zone *z, const char *from, const char *name, unsigned type)
{
	static char text[1024];
	struct question q = {.type = (uint16_t)type, .class = ns_c_in};
	uint8_t packet[PACKET_HEADER] = {0}, out[PACKET_EDNS];
	struct answer a;
	enum zone_result r;
	ns_msg m;
	ns_rr rr;

	snprintf(q.name, sizeof q.name, "%s", name);
	answer_begin(&a, packet, &q, false, out, sizeof out);
	/* The records point to a name that is not there: a root stands for it. */
	out[a.len++] = 0;
	r = zone_look(z, asker(z, from), &q, &a);
	if (r != ZONE_FOUND)
		return r == ZONE_NOBODY ? "nobody" : "others";
	text[0] = 0;
	memmove(out + PACKET_HEADER + 5, out + PACKET_HEADER + 1, a.len - PACKET_HEADER - 1);
	memcpy(out + PACKET_HEADER + 1, "\0\1\0\1", 4);
	out[5] = 1;
	a.len += 4;
	assert_int_equal(ns_initparse(out, (int)answer_end(&a, 0, true), &m), 0);
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		char word[NS_MAXDNAME];

		assert_int_equal(ns_parserr(&m, ns_s_an, i, &rr), 0);
		if (ns_rr_type(rr) == ns_t_ptr)
			ns_name_uncompress(out, out + a.len, ns_rr_rdata(rr), word, sizeof word);
		else
			inet_ntop(ns_rr_type(rr) == ns_t_a ? AF_INET : AF_INET6, ns_rr_rdata(rr), word, sizeof word);
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", text[0] ? " " : "", word);
	}
	return text;
}

static struct zone *two_networks(void)
{
	struct zone *z = zone_new();

	network(z, 1, "Default", false);
	network(z, 2, "back", true);
	HOLDER(z, 11, "shop", "web 0123456789ab Front", "1=10.0.0.2,fd00::2/www");
	HOLDER(z, 12, "shop", "db", "1=10.0.0.3", "2=10.1.0.3/store");
	HOLDER(z, 13, "shop", "batch", "2=10.1.0.4");
	HOLDER(z, 14, "bank", "web", "1=10.0.0.9");
	return z;
}

static void names_are_found_in_ones_own_networks_and_project(void **state)
{
	struct zone *z = two_networks();

	for (const char *const *name = (const char *const[]){"web", "front", "0123456789ab", "www", "web.default",
							     "web.berth.internal", "www.default.berth.internal", NULL};
	     *name; name++) {
		assert_string_equal(asks(z, "10.0.0.3", *name, ns_t_a), "10.0.0.2");
		assert_string_equal(asks(z, "10.0.0.3", *name, ns_t_aaaa), "fd00::2");
		assert_string_equal(asks(z, "10.0.0.3", *name, ns_t_mx), "");
	}
	assert_string_equal(asks(z, "fd00::2", "db", ns_t_a), "10.0.0.3");
	assert_string_equal(asks(z, "10.0.0.2", "db", ns_t_aaaa), "");
	assert_string_equal(asks(z, "10.1.0.4", "db", ns_t_a), "10.1.0.3"); /* there, by the network that they share */
	assert_string_equal(asks(z, "10.0.0.3", "store", ns_t_a), "10.1.0.3");
	zone_free(z);
}

static void names_of_other_networks_and_projects_are_not_found(void **state)
{
	struct zone *z = two_networks();

	assert_string_equal(asks(z, "10.0.0.2", "batch", ns_t_a), "others");
	assert_string_equal(asks(z, "10.0.0.2", "batch.back.berth.internal", ns_t_a), "nobody");
	assert_string_equal(asks(z, "10.0.0.2", "store", ns_t_a), "others"); /* an alias is of its network alone */
	assert_string_equal(asks(z, "10.0.0.2", "store.back", ns_t_a), "others");
	assert_string_equal(asks(z, "10.1.0.4", "web", ns_t_a), "others");
	assert_string_equal(asks(z, "10.0.0.9", "db", ns_t_a), "others");
	assert_string_equal(asks(z, "10.0.0.9", "web", ns_t_a), "10.0.0.9"); /* the bank's */
	assert_string_equal(asks(z, "10.0.0.3", "web", ns_t_a), "10.0.0.2");
	assert_string_equal(asks(z, "10.0.0.2", "www.example.org", ns_t_a), "others");
	assert_string_equal(asks(z, "10.0.0.2", "xberth.internal", ns_t_a), "others");
	assert_null(asker(z, "10.0.0.1"));
	assert_null(asker(z, "fd00::3"));
	zone_free(z);
}

static void addresses_have_names_for_who_may_know(void **state)
{
	struct zone *z = two_networks();

	assert_string_equal(asks(z, "10.0.0.3", "2.0.0.10.in-addr.arpa", ns_t_ptr), "web.default.berth.internal");
	assert_string_equal(asks(z, "10.1.0.4", "3.0.1.10.in-addr.arpa", ns_t_ptr), "db.back.berth.internal");
	assert_string_equal(asks(z, "10.1.0.4", "3.0.0.10.in-addr.arpa", ns_t_ptr), "nobody");
	assert_string_equal(asks(z, "10.0.0.9", "2.0.0.10.in-addr.arpa", ns_t_ptr), "nobody");
	assert_string_equal(asks(z, "10.0.0.9", "8.8.8.8.in-addr.arpa", ns_t_ptr), "others");
	zone_free(z);
}

static void a_change_takes_the_place_of_what_there_was(void **state)
{
	struct zone *z = two_networks();

	HOLDER(z, 11, "shop", "shop-web", "1=10.0.0.22");
	assert_string_equal(asks(z, "10.0.0.3", "web", ns_t_a), "others");
	assert_string_equal(asks(z, "10.0.0.3", "shop-web", ns_t_a), "10.0.0.22");
	assert_null(asker(z, "10.0.0.2"));
	zone_holder_del(z, 11);
	zone_holder_del(z, 11);
	assert_string_equal(asks(z, "10.0.0.3", "shop-web", ns_t_a), "others");
	assert_int_equal(zone_holders(z), 3);
	network(z, 1, "renamed", false);
	assert_string_equal(asks(z, "10.0.0.3", "db.renamed", ns_t_a), "10.0.0.3");
	zone_free(z);
}

static void several_of_one_name_take_turns_at_being_first(void **state)
{
	struct zone *z = two_networks();
	char one[64];
	bool other = false;

	HOLDER(z, 15, "shop", "x", "1=10.0.0.5/www");
	snprintf(one, sizeof one, "%s", asks(z, "10.0.0.3", "www", ns_t_a));
	assert_int_equal(strlen(one), strlen("10.0.0.2 10.0.0.5"));
	for (int i = 0; i < 4; i++)
		other |= strcmp(one, asks(z, "10.0.0.3", "www", ns_t_a)) != 0;
	assert_true(other);
	zone_free(z);
}

static void the_way_out_is_by_a_network_that_leads_there(void **state)
{
	struct zone *z = two_networks();

	assert_int_equal(zone_way_out(z, asker(z, "10.0.0.3"))->said->key, 1);
	assert_null(zone_way_out(z, asker(z, "10.1.0.4")));
	zone_free(z);
}

static void whom_one_wants_to_be_asked_is_asked_for_it_alone_and_from_an_internal_network_nobody(void **state)
{
	struct zone *z = two_networks();
	struct zone_servers s;

	HOLDER(z, 21, "shop", "own", "1=10.0.0.21", "dns=192.0.2.1", "dns=fd00::1");
	HOLDER(z, 22, "shop", "shut", "2=10.1.0.22", "dns=192.0.2.1");
	s = zone_servers(z, asker(z, "10.0.0.21"));
	assert_int_equal(s.n, 2);
	assert_int_equal(s.list[0].len, 4);
	assert_int_equal(s.list[1].len, 16);
	assert_int_equal(zone_servers(z, asker(z, "10.0.0.3")).n, 0); /* its network's, of which there are none */
	assert_int_equal(zone_servers(z, asker(z, "10.1.0.22")).n, 0);
	zone_free(z);
}

static void thousands_are_found_and_gone_again(void **state)
{
	struct zone *z = zone_new();
	char name[32], address[64], one[64];

	network(z, 1, "n", false);
	for (unsigned i = 1; i <= 6000; i++) {
		snprintf(name, sizeof name, "c%u", i);
		snprintf(address, sizeof address, "1=10.2.%u.%u", i / 250, i % 250);
		HOLDER(z, i, "p", name, address);
	}
	for (unsigned i = 1; i <= 6000; i += 7) {
		snprintf(name, sizeof name, "c%u", i);
		snprintf(one, sizeof one, "10.2.%u.%u", i / 250, i % 250);
		assert_string_equal(asks(z, "10.2.0.1", name, ns_t_a), one);
	}
	zone_holders_clear(z);
	assert_int_equal(zone_holders(z), 0);
	assert_null(asker(z, "10.2.0.1"));
	zone_free(z);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct zone *z = zone_new();
	Dns__Network *n = malloc(sizeof *n);
	Dns__Holder *h = malloc(sizeof *h);

	dns__network__init(n);
	n->name = strdup("x"); /* no key */
	assert_int_equal(zone_network_put(z, n), -EINVAL);
	dns__holder__init(h);
	h->id = 1;
	h->project = strdup("p"); /* no name */
	assert_int_equal(zone_holder_put(z, h), -EINVAL);
	zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_in_ones_own_networks_and_project),
		cmocka_unit_test(names_of_other_networks_and_projects_are_not_found),
		cmocka_unit_test(addresses_have_names_for_who_may_know),
		cmocka_unit_test(a_change_takes_the_place_of_what_there_was),
		cmocka_unit_test(several_of_one_name_take_turns_at_being_first),
		cmocka_unit_test(the_way_out_is_by_a_network_that_leads_there),
		cmocka_unit_test(whom_one_wants_to_be_asked_is_asked_for_it_alone_and_from_an_internal_network_nobody),
		cmocka_unit_test(thousands_are_found_and_gone_again),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

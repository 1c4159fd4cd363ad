/* tests/fuzz/fuzz_dns_packet.c - any packet as a question: refused, or read, and then what is answered to it is a packet that the libc can
 * read; as a reply: looked at, never past its end. */
#include "dns/packet.h"
#include "dns/zone.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct zone *zone_make(void)
{
	static const char *const names[] = {"web", "a.b", "0123456789ab"};
	struct zone *z = zone_new();
	Dns__Network *n = malloc(sizeof *n);
	Dns__Holder *h = malloc(sizeof *h);
	Dns__Interface *x = malloc(sizeof *x);

	dns__network__init(n);
	n->key = 1;
	n->name = strdup("net");
	dns__holder__init(h);
	dns__interface__init(x);
	h->id = 1;
	h->project = strdup("p");
	h->names = calloc(3, sizeof *h->names);
	for (h->n_names = 0; h->n_names < 3; h->n_names++)
		h->names[h->n_names] = strdup(names[h->n_names]);
	h->interfaces = malloc(sizeof *h->interfaces);
	h->interfaces[0] = x;
	h->n_interfaces = 1;
	x->network_key = 1;
	x->addresses = calloc(1, sizeof *x->addresses);
	x->addresses[0].data = calloc(1, 4);
	x->addresses[0].len = 4;
	x->n_addresses = 1;
	if (zone_network_put(z, n) < 0 || zone_holder_put(z, h) < 0)
		abort();
	return z;
}

static void answer_check(const uint8_t *out, size_t len, size_t max)
{
	ns_msg m;
	ns_rr rr;

	if (len > max || ns_initparse(out, (int)len, &m) < 0)
		abort();
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++)
		if (ns_parserr(&m, ns_s_an, i, &rr) < 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t nobody[4];
	static struct zone *z;
	/* Exactly as long as it is, so that one byte more would be seen. */
	uint8_t *packet = malloc(len), *out = malloc(PACKET_PLAIN);
	struct question q;
	struct answer a;
	int r;

	if (!z)
		z = zone_make();
	memcpy(packet, data, len);
	r = question_parse(packet, len, &q);
	if (r == 0 || r == PACKET_MALFORMED || r == PACKET_UNSUPPORTED) {
		answer_begin(&a, packet, &q, r == 0, out, PACKET_PLAIN);
		if (r == 0 && zone_look(z, zone_asker(z, nobody, 4), &q, &a) == ZONE_FOUND)
			answer_name(&a, "web.net.berth.internal");
		answer_check(out, answer_end(&a, 0, true), PACKET_PLAIN);
	}
	if (r == 0 && PACKET_HEADER + q.len > len)
		abort();
	if (r == 0)
		(void)reply_fits(packet, len, q.id, packet + PACKET_HEADER, q.len);
	(void)reply_fits(packet, len, len > 1 ? packet_id(packet) : 0, data, len);
	(void)reply_is_cut(packet, len);
	free(packet);
	free(out);
	return 0;
}

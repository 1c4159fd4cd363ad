/* tests/unit/test_dns_packet.c - questions as bytes, and what is answered to them. */
#include "base/own.h"
#include "dns/packet.h"
#include "tests/unit/unit.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <string.h>

/* One for this name, as the libc makes it. */
static size_t question(const char *name, int type, uint8_t *out)
{
	struct __res_state state = {.options = RES_INIT | RES_RECURSE};
	int n = res_nmkquery(&state, ns_o_query, name, ns_c_in, type, NULL, 0, NULL, out, 512);

	assert_true(n > 12);
	return (size_t)n;
}

static size_t with_edns(uint8_t *p, size_t len, unsigned size)
{
	memset(p + len, 0, 11);
	p[len + 2] = ns_t_opt;
	p[len + 3] = (uint8_t)(size >> 8);
	p[len + 4] = (uint8_t)size;
	p[11] = 1;
	return len + 11;
}

static void a_question_is_read_in_lower_case_with_its_size(void **state)
{
	uint8_t p[600];
	size_t len = question("Web.Default", ns_t_aaaa, p);
	struct question q;

	assert_int_equal(question_parse(p, len, &q), 0);
	assert_string_equal(q.name, "web.default");
	assert_int_equal(q.type, ns_t_aaaa);
	assert_int_equal(q.class, ns_c_in);
	assert_int_equal(q.len, len - 12);
	assert_false(q.edns);
	assert_int_equal(q.udp_max, 512);
	len = with_edns(p, len, 4096);
	assert_int_equal(question_parse(p, len, &q), 0);
	assert_true(q.edns);
	assert_int_equal(q.udp_max, 4096);
	with_edns(p, len - 11, 100);
	assert_int_equal(question_parse(p, len, &q), 0);
	assert_int_equal(q.udp_max, 512); /* less is not allowed */
	len = question(".", ns_t_ns, p);
	assert_int_equal(question_parse(p, len, &q), 0);
	assert_string_equal(q.name, "");
}

static void what_is_no_question_is_told_apart(void **state)
{
	uint8_t p[600], bad[600];
	size_t len = question("web", ns_t_a, p);
	struct question q;

	for (size_t n = 0; n < len; n++) /* cut anywhere */
		assert_int_equal(question_parse(p, n, &q), n < 12 ? PACKET_IGNORE : PACKET_MALFORMED);
	memcpy(bad, p, len);
	bad[2] |= 0x80; /* an answer: never answered, or two of us would speak for ever */
	assert_int_equal(question_parse(bad, len, &q), PACKET_IGNORE);
	memcpy(bad, p, len);
	bad[2] |= 4 << 3; /* NOTIFY */
	assert_int_equal(question_parse(bad, len, &q), PACKET_UNSUPPORTED);
	memcpy(bad, p, len);
	bad[5] = 2; /* two questions, and there is one */
	assert_int_equal(question_parse(bad, len, &q), PACKET_MALFORMED);
	bad[5] = 0;
	assert_int_equal(question_parse(bad, len, &q), PACKET_MALFORMED);
	memcpy(bad, p, len);
	bad[12] = 0xc0; /* a name that points to itself */
	bad[13] = 12;
	assert_int_equal(question_parse(bad, len, &q), PACKET_MALFORMED);
	bad[13] = 0; /* into the header */
	assert_int_equal(question_parse(bad, len, &q), PACKET_MALFORMED);
	memcpy(bad, p, len);
	bad[12] = 0x41; /* a kind of label that there is not */
	assert_int_equal(question_parse(bad, len, &q), PACKET_MALFORMED);
}

/* A dot inside a label is none between labels: "a.b" as one label is not the name a.b. */
static void a_dot_in_a_label_does_not_make_it_two(void **state)
{
	uint8_t p[600];
	size_t len = question("axb", ns_t_a, p);
	struct question q;

	p[14] = '.';
	assert_int_equal(question_parse(p, len, &q), 0);
	assert_string_equal(q.name, "a\\.b");
}

static void an_answer_is_read_by_the_libc_as_it_was_meant(void **state)
{
	static const uint8_t four[2][4] = {{10, 1, 2, 3}, {10, 1, 2, 4}}, six[16] = {0xfd, [15] = 9};
	uint8_t p[600], out[PACKET_EDNS];
	size_t len = with_edns(p, question("WEB", ns_t_any, p), 1232), n;
	struct question q;
	struct answer a;
	ns_msg m;
	ns_rr rr;

	assert_int_equal(question_parse(p, len, &q), 0);
	answer_begin(&a, p, &q, true, out, sizeof out);
	answer_address(&a, four[0], 4);
	answer_address(&a, four[1], 4);
	answer_address(&a, six, 16);
	n = answer_end(&a, ns_r_noerror, true);
	assert_int_equal(ns_initparse(out, (int)n, &m), 0);
	assert_int_equal(ns_msg_id(m), packet_id(p));
	assert_int_equal(ns_msg_getflag(m, ns_f_qr), 1);
	assert_int_equal(ns_msg_getflag(m, ns_f_aa), 1);
	assert_int_equal(ns_msg_getflag(m, ns_f_ra), 1);
	assert_int_equal(ns_msg_getflag(m, ns_f_rd), 1);
	assert_int_equal(ns_msg_count(m, ns_s_an), 3);
	assert_int_equal(ns_msg_count(m, ns_s_ar), 1); /* who speaks EDNS is answered in it */
	assert_int_equal(ns_parserr(&m, ns_s_an, 1, &rr), 0);
	assert_string_equal(ns_rr_name(rr), "WEB"); /* as it was asked */
	assert_int_equal(ns_rr_ttl(rr), 0);	    /* nobody keeps it */
	assert_memory_equal(ns_rr_rdata(rr), four[1], 4);
	assert_int_equal(ns_parserr(&m, ns_s_an, 2, &rr), 0);
	assert_int_equal(ns_rr_type(rr), ns_t_aaaa);
	assert_memory_equal(ns_rr_rdata(rr), six, 16);
	answer_begin(&a, p, &q, true, out, sizeof out);
	answer_name(&a, "web.default.berth.internal");
	n = answer_end(&a, ns_r_noerror, true);
	assert_int_equal(ns_initparse(out, (int)n, &m), 0);
	assert_int_equal(ns_parserr(&m, ns_s_an, 0, &rr), 0);
	char name[NS_MAXDNAME];
	assert_true(ns_name_uncompress(out, out + n, ns_rr_rdata(rr), name, sizeof name) > 0);
	assert_string_equal(name, "web.default.berth.internal");
}

static void an_answer_that_is_too_long_says_so_and_stays_whole(void **state)
{
	uint8_t p[600], out[512], ip[4] = {10};
	size_t len = with_edns(p, question("web", ns_t_a, p), 512), n;
	struct question q;
	struct answer a;
	ns_msg m;

	assert_int_equal(question_parse(p, len, &q), 0);
	answer_begin(&a, p, &q, true, out, sizeof out);
	for (unsigned i = 0; i < 200; i++) {
		ip[3] = (uint8_t)i;
		answer_address(&a, ip, 4);
	}
	n = answer_end(&a, ns_r_noerror, true);
	assert_true(n <= sizeof out);
	assert_int_equal(ns_initparse(out, (int)n, &m), 0);
	assert_int_equal(ns_msg_getflag(m, ns_f_tc), 1);
	assert_in_range(ns_msg_count(m, ns_s_an), 25, 35);
}

/* Of what arrives at a socket of ours only the answer to what was asked from it. */
static void a_reply_fits_its_question_and_no_other(void **state)
{
	uint8_t p[600], reply[600];
	size_t len = question("www.example.org", ns_t_a, p);
	uint16_t id = packet_id(p);

	memcpy(reply, p, len);
	reply[2] |= 0x80;
	assert_true(reply_fits(reply, len, id, p + 12, len - 12));
	reply[13] = 'W'; /* some servers answer in other letters */
	assert_true(reply_fits(reply, len, id, p + 12, len - 12));
	assert_false(reply_fits(reply, len, (uint16_t)(id + 1), p + 12, len - 12));
	assert_false(reply_fits(p, len, id, p + 12, len - 12));
	assert_false(reply_fits(reply, len - 1, id, p + 12, len - 12));
	assert_false(reply_fits(reply, 11, id, p + 12, len - 12));
	reply[14] = 'x';
	assert_false(reply_fits(reply, len, id, p + 12, len - 12));
	reply[5] = 0; /* no question: only as a refusal */
	assert_false(reply_fits(reply, len, id, p + 12, len - 12));
	reply[3] |= ns_r_refused;
	assert_true(reply_fits(reply, len, id, p + 12, len - 12));
}

static void names_of_addresses_are_addresses(void **state)
{
	static const uint8_t six[16] = {0xfd, 0x12, [15] = 0xab};
	static const char *const none[] = {"",
					   "in-addr.arpa",
					   "1.2.3.in-addr.arpa",
					   "1.2.3.256.in-addr.arpa",
					   "1.2.3.4.5.in-addr.arpa",
					   "0001.2.3.4.in-addr.arpa",
					   "b.a.ip6.arpa",
					   "web"};
	uint8_t ip[16];

	assert_int_equal(reverse_parse("3.2.1.10.in-addr.arpa", ip), 4);
	assert_memory_equal(ip, ((uint8_t[]){10, 1, 2, 3}), 4);
	assert_int_equal(reverse_parse("b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.1.d.f.ip6.arpa", ip),
			 16);
	assert_memory_equal(ip, six, 16);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(reverse_parse(none[i], ip), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_read_in_lower_case_with_its_size),
		cmocka_unit_test(what_is_no_question_is_told_apart),
		cmocka_unit_test(a_dot_in_a_label_does_not_make_it_two),
		cmocka_unit_test(an_answer_is_read_by_the_libc_as_it_was_meant),
		cmocka_unit_test(an_answer_that_is_too_long_says_so_and_stays_whole),
		cmocka_unit_test(a_reply_fits_its_question_and_no_other),
		cmocka_unit_test(names_of_addresses_are_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

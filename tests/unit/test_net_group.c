/* tests/unit/test_net_group.c - what becomes of a security group and of an element in the language of nft(8); test_net_batch.c has them as messages. */
#include "net/element.h"
#include "net/group.h"
#include "tests/unit/unit.h"

#include <string.h>

/* The lines of one of its chains, without their beginning. */
static char *lines_of(Net__Rule **list, size_t n, const char *chain)
{
	Net__Group g = NET__GROUP__INIT;
	struct buf text, out;
	char begin[64];

	buf_init(&text, 0);
	buf_init(&out, 0);
	g.key = 7;
	g.rules = list;
	g.n_rules = n;
	group_rules_text(&text, &g);
	assert_false(text.failed);
	snprintf(begin, sizeof begin, "add rule inet berth g7_%s ", chain);
	for (char *p = text.data, *end; *p; p = end + 1) {
		end = strchr(p, '\n');
		*end = 0;
		if (!strncmp(p, begin, strlen(begin)))
			buf_printf(&out, "%s%s", out.len ? "; " : "", p + strlen(begin));
	}
	buf_fini(&text);
	return buf_take(&out);
}

static char *lines(const Net__Rule *r, const char *chain)
{
	Net__Rule *list[] = {(Net__Rule *)(uintptr_t)r};

	return lines_of(list, 1, chain);
}

static void test_rules_that_differ_in_their_ports_are_one_with_each_port_once(void **state)
{
	static const struct {
		uint32_t protocol, first, last, remote_group;
	} rows[] = {{6, 80, 80, 0}, {17, 53, 53, 0},	 {6, 1000, 2000, 0}, {6, 443, 443, 0},
		    {6, 0, 0, 0},   {6, 22, 22, 9},	 {6, 1500, 2500, 0}, {6, 81, 81, 0},
		    {6, 80, 80, 0}, {6, 2501, 65535, 0}, {6, 1, 65535, 9},   {6, 70, 79, 0}};
	Net__Rule r[ARRAY_SIZE(rows)], *list[ARRAY_SIZE(rows)];
	char *got;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		net__rule__init(list[i] = &r[i]);
		r[i].has_protocol = true;
		r[i].protocol = rows[i].protocol;
		r[i].family = 4;
		r[i].has_first = rows[i].first != 0;
		r[i].first = rows[i].first;
		r[i].last = rows[i].last;
		r[i].remote_group = rows[i].remote_group;
	}
	got = lines_of(list, ARRAY_SIZE(rows), "in");
	assert_string_equal(got, "meta nfproto ipv4 meta l4proto 6 th dport { 70-81, 443, 1000-65535 } accept; "
				 "meta nfproto ipv4 meta l4proto 17 th dport 53 accept; "
				 "meta nfproto ipv4 meta l4proto 6 accept; "
				 "ip saddr @g9_4 meta l4proto 6 th dport 1-65535 accept");
	free(got);
	got = lines_of(list, 2, "in_answer");
	assert_string_equal(got, "meta nfproto ipv4 meta l4proto 6 th sport 80 accept; "
				 "meta nfproto ipv4 meta l4proto 17 th sport 53 accept");
	free(got);
}

static void test_a_rule_is_written_for_what_comes_and_turned_round_for_what_answers(void **state)
{
	static uint8_t four[] = {10, 0, 0, 0}, six[16] = {0x20, 1, 0xd, 0xb8};
	static const struct {
		bool egress;
		uint32_t family, protocol, first, last;
		int type, code;
		unsigned remote_len, prefix;
		uint32_t remote_group;
		const char *way, *answer; /* chains "in" or "out", and those of their answers */
	} rows[] = {
		{0, 0, 0, 0, 0, -1, -1, 0, 0, 0, "accept", "accept"},
		{1, 0, 0, 0, 0, -1, -1, 0, 0, 0, "accept", "accept"},
		{0, 6, 0, 0, 0, -1, -1, 0, 0, 0, "meta nfproto ipv6 accept", "meta nfproto ipv6 accept"},
		{0, 0, 6, 80, 90, -1, -1, 0, 0, 0, "meta l4proto 6 th dport 80-90 accept",
		 "meta l4proto 6 th sport 80-90 accept"},
		{0, 4, 17, 53, 53, -1, -1, 4, 8, 0, "ip saddr 10.0.0.0/8 meta l4proto 17 th dport 53 accept",
		 "ip daddr 10.0.0.0/8 meta l4proto 17 th sport 53 accept"},
		{1, 6, 0, 0, 0, -1, -1, 16, 32, 0, "ip6 daddr 2001:db8::/32 accept", "ip6 saddr 2001:db8::/32 accept"},
		{0, 0, 0, 0, 0, -1, -1, 0, 0, 9, "ip saddr @g9_4 accept; ip6 saddr @g9_6 accept",
		 "ip daddr @g9_4 accept; ip6 daddr @g9_6 accept"},
		{1, 4, 47, 0, 0, -1, -1, 0, 0, 9, "ip daddr @g9_4 meta l4proto 47 accept",
		 "ip saddr @g9_4 meta l4proto 47 accept"},
		{0, 4, 1, 0, 0, 8, 0, 0, 0, 0, "meta nfproto ipv4 icmp type 8 icmp code 0 accept",
		 "meta nfproto ipv4 icmp type 0 accept"},
		{0, 6, 58, 0, 0, 128, -1, 0, 0, 0, "meta nfproto ipv6 icmpv6 type 128 accept",
		 "meta nfproto ipv6 icmpv6 type 129 accept"},
		/* what nothing answers has no way back */
		{0, 4, 1, 0, 0, 3, -1, 0, 0, 0, "meta nfproto ipv4 icmp type 3 accept", ""},
		{1, 4, 1, 0, 0, -1, -1, 0, 0, 0, "meta nfproto ipv4 meta l4proto 1 accept",
		 "meta nfproto ipv4 meta l4proto 1 accept"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Net__Rule r = NET__RULE__INIT;
		char *way, *answer;
		struct err e;

		r.egress = rows[i].egress;
		r.family = rows[i].family;
		r.has_protocol = rows[i].protocol != 0;
		r.protocol = rows[i].protocol;
		r.has_first = rows[i].first != 0;
		r.first = rows[i].first;
		r.last = rows[i].last;
		r.has_icmp_type = rows[i].type >= 0;
		r.icmp_type = rows[i].type >= 0 ? (uint32_t)rows[i].type : 0;
		r.has_icmp_code = rows[i].code >= 0;
		r.icmp_code = rows[i].code >= 0 ? (uint32_t)rows[i].code : 0;
		r.remote.len = rows[i].remote_len;
		r.remote.data = rows[i].remote_len == 16 ? six : four;
		r.prefix = rows[i].prefix;
		r.remote_group = rows[i].remote_group;

		Net__Group g = NET__GROUP__INIT;
		Net__Rule *list[] = {&r};
		g.key = 7;
		g.rules = list;
		g.n_rules = 1;
		assert_true(group_is_sound(&g, &e));
		way = lines(&r, r.egress ? "out" : "in");
		answer = lines(&r, r.egress ? "out_answer" : "in_answer");
		assert_string_equal(way, rows[i].way);
		assert_string_equal(answer, rows[i].answer);
		free(way);
		free(answer);
		/* and nothing in the other direction */
		way = lines(&r, r.egress ? "in" : "out");
		assert_string_equal(way, "");
		free(way);
	}
}

static void test_what_is_no_rule_is_refused(void **state)
{
	static uint8_t bytes[16];
	Net__Rule r = NET__RULE__INIT, *list[] = {&r};
	Net__Group g = NET__GROUP__INIT;
	struct err e;

	g.rules = list;
	g.n_rules = 1;
	assert_false(group_is_sound(&g, &e)); /* no key */
	g.key = 1;
	assert_true(group_is_sound(&g, &e));
	r.protocol = 256;
	assert_false(group_is_sound(&g, &e));
	r.protocol = 6;
	r.first = 2;
	r.last = 1;
	assert_false(group_is_sound(&g, &e));
	r.last = 65536;
	assert_false(group_is_sound(&g, &e));
	r.last = 2;
	r.remote.data = bytes;
	r.remote.len = 5;
	assert_false(group_is_sound(&g, &e));
	r.remote.len = 4;
	r.prefix = 33;
	assert_false(group_is_sound(&g, &e));
	assert_false(group_is_sound(NULL, &e));
}

static void test_elements_are_equal_by_all_of_their_parts(void **state)
{
	ProtobufCBinaryData ip = {4, (uint8_t[]){10, 0, 0, 1}}, other = {4, (uint8_t[]){10, 0, 0, 2}};
	struct element a, b;
	struct buf text;

	element_in(&a, "at4");
	element_ip(&a, &ip);
	element_protocol(&a, 6);
	element_port(&a, 8080);
	element_gives(&a);
	element_ip(&a, &other);
	element_port(&a, 80);
	b = a;
	assert_int_equal(element_order(&a, &b), 0);
	b.part[3].byte[3] = 3;
	assert_true((element_order(&a, &b) < 0) != (element_order(&b, &a) < 0));
	b = a;
	b.n_key = 2;
	assert_true((element_order(&a, &b) < 0) != (element_order(&b, &a) < 0));
	element_in(&b, "at4");
	assert_true((element_order(&a, &b) < 0) != (element_order(&b, &a) < 0));
	buf_init(&text, 0);
	element_text(&text, &a);
	assert_string_equal(text.data, "10.0.0.1 . 6 . 8080 : 10.0.0.2 . 80");
	buf_reset(&text);
	element_in(&b, "enter");
	element_number(&b, 5);
	element_answer(&b, true);
	element_gives(&b);
	element_jump(&b, "g4294967295_out_answer");
	element_text(&text, &b);
	assert_string_equal(text.data, "5 . reply : jump g4294967295_out_answer");
	buf_reset(&text);
	element_in(&b, "own4");
	element_link(&b, "bt1");
	element_mac(&b, (const uint8_t[]){2, 0, 0, 0, 0, 0xff});
	element_ip(&b, &ip);
	element_text(&text, &b);
	assert_string_equal(text.data, "\"bt1\" . 02:00:00:00:00:ff . 10.0.0.1");
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_that_differ_in_their_ports_are_one_with_each_port_once),
		cmocka_unit_test(test_a_rule_is_written_for_what_comes_and_turned_round_for_what_answers),
		cmocka_unit_test(test_what_is_no_rule_is_refused),
		cmocka_unit_test(test_elements_are_equal_by_all_of_their_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

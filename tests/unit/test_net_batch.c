/* tests/unit/test_net_batch.c - what becomes of a security group as messages for the kernel. That it makes the same of them as of the text is in
 * tests/system/test_rule_forms.py. */
#include "net/chain_rule.h"
#include "net/group.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

/* ---------------------------------------------------------------- what messages say */

static const struct nlattr *attr(const struct nlattr *nest, unsigned type)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == type) return a;
	fail_msg("no attribute %u", type);
	return NULL;
}

static uint32_t number_of(const struct nlattr *nest, unsigned type)
{
	return ntohl(mnl_attr_get_u32(attr(nest, type)));
}

static void hex(struct buf *b, const struct nlattr *nest, unsigned type)
{
	const struct nlattr *value = attr(attr(nest, type), NFTA_DATA_VALUE);
	const uint8_t *byte = mnl_attr_get_payload(value);

	for (unsigned i = 0; i < mnl_attr_get_payload_len(value); i++)
		buf_printf(b, "%02x", byte[i]);
}

static void verdict_says(struct buf *b, const struct nlattr *data)
{
	const struct nlattr *verdict = attr(data, NFTA_DATA_VERDICT);
	int32_t code = (int32_t)number_of(verdict, NFTA_VERDICT_CODE);

	if (code == NFT_JUMP)
		buf_printf(b, "jump %s", mnl_attr_get_str(attr(verdict, NFTA_VERDICT_CHAIN)));
	else
		buf_printf(b, "%s", code == NF_ACCEPT ? "accept" : "something else");
}

static void expr_says(struct buf *b, const struct nlattr *expr)
{
	const char *name = mnl_attr_get_str(attr(expr, NFTA_EXPR_NAME));
	const struct nlattr *data = attr(expr, NFTA_EXPR_DATA);

	if (!strcmp(name, "meta")) {
		uint32_t key = number_of(data, NFTA_META_KEY);

		buf_adds(b, key == NFT_META_NFPROTO ? "family " : key == NFT_META_L4PROTO ? "protocol " : "?");
	} else if (!strcmp(name, "payload")) {
		buf_printf(b, "%s+%u,%u ",
			   number_of(data, NFTA_PAYLOAD_BASE) == NFT_PAYLOAD_NETWORK_HEADER ? "ip" : "th",
			   number_of(data, NFTA_PAYLOAD_OFFSET), number_of(data, NFTA_PAYLOAD_LEN));
	} else if (!strcmp(name, "bitwise")) {
		buf_adds(b, "& ");
		hex(b, data, NFTA_BITWISE_MASK);
		buf_adds(b, " ");
	} else if (!strcmp(name, "cmp")) {
		uint32_t op = number_of(data, NFTA_CMP_OP);

		buf_adds(b, op == NFT_CMP_EQ ? "= " : op == NFT_CMP_GTE ? ">= " : op == NFT_CMP_LTE ? "<= " : "? ");
		hex(b, data, NFTA_CMP_DATA);
		buf_adds(b, " ");
	} else if (!strcmp(name, "lookup")) {
		buf_printf(b, "@%s ", mnl_attr_get_str(attr(data, NFTA_LOOKUP_SET)));
	} else if (!strcmp(name, "immediate")) {
		verdict_says(b, attr(data, NFTA_IMMEDIATE_DATA));
	} else {
		buf_adds(b, name);
	}
}

/* What nest is named by type, of a message. */
static const struct nlattr *of_message(const struct nlmsghdr *h, unsigned type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static void message_says(struct buf *b, const struct nlmsghdr *h)
{
	const struct nlattr *a, *list;

	switch (NFNL_MSG_TYPE(h->nlmsg_type)) {
	case NFT_MSG_NEWCHAIN:
		buf_printf(b, "chain %s\n", mnl_attr_get_str(of_message(h, NFTA_CHAIN_NAME)));
		break;
	case NFT_MSG_DELCHAIN:
		buf_printf(b, "no chain %s\n", mnl_attr_get_str(of_message(h, NFTA_CHAIN_NAME)));
		break;
	case NFT_MSG_DELRULE:
		buf_printf(b, "empty %s\n", mnl_attr_get_str(of_message(h, NFTA_RULE_CHAIN)));
		break;
	case NFT_MSG_NEWSET:
		buf_printf(b, "set %s\n", mnl_attr_get_str(of_message(h, NFTA_SET_NAME)));
		break;
	case NFT_MSG_DELSET:
		buf_printf(b, "no set %s\n", mnl_attr_get_str(of_message(h, NFTA_SET_NAME)));
		break;
	case NFT_MSG_NEWRULE:
		buf_printf(b, "%s: ", mnl_attr_get_str(of_message(h, NFTA_RULE_CHAIN)));
		mnl_attr_for_each_nested(a, of_message(h, NFTA_RULE_EXPRESSIONS)) expr_says(b, a);
		buf_adds(b, "\n");
		break;
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
		list = of_message(h, NFTA_SET_ELEM_LIST_ELEMENTS);
		buf_printf(b, "%s%s:", NFNL_MSG_TYPE(h->nlmsg_type) == NFT_MSG_DELSETELEM ? "no " : "",
			   mnl_attr_get_str(of_message(h, NFTA_SET_ELEM_LIST_SET)));
		mnl_attr_for_each_nested(a, list)
		{
			const struct nlattr *part;

			buf_adds(b, " ");
			hex(b, a, NFTA_SET_ELEM_KEY);
			mnl_attr_for_each_nested(part, a)
			{
				if (mnl_attr_get_type(part) == NFTA_SET_ELEM_FLAGS)
					buf_adds(b, "]");
				if (mnl_attr_get_type(part) == NFTA_SET_ELEM_DATA) {
					buf_adds(b, " ");
					verdict_says(b, part);
				}
			}
		}
		buf_adds(b, "\n");
		break;
	}
}

/* Takes batch. */
static char *says(struct batch *batch)
{
	struct buf out;
	int left = (int)batch->out.len;

	buf_init(&out, 0);
	assert_false(batch->out.failed);
	for (const struct nlmsghdr *h = (const void *)batch->out.data; mnl_nlmsg_ok(h, left);
	     h = mnl_nlmsg_next(h, &left))
		if (h->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES)
			message_says(&out, h);
	batch_fini(batch);
	return buf_take(&out);
}

/* ---------------------------------------------------------------- what is said */

static void test_a_rule_is_the_expressions_of_what_its_text_says(void **state)
{
	static const uint8_t four[] = {10, 1, 130, 3}, six[16] = {0x20, 1, 0xd, 0xb8, 0xff};
	static const struct {
		const uint8_t *remote;
		int family, prefix, protocol, type, code;
		bool is_destination, answer;
		const char *set, *jump;
		uint32_t first, last;
		const char *want;
	} rows[] = {
		{NULL, 0, 0, -1, -1, -1, 0, 0, "", "", 0, 0, "accept"},
		{NULL, 0, 0, -1, -1, -1, 0, 0, "", "g7_in", 0, 0, "jump g7_in"},
		{NULL, 6, 0, -1, -1, -1, 0, 0, "", "", 0, 0, "family = 0a accept"},
		{four, 4, 32, -1, -1, -1, 0, 0, "", "", 0, 0, "family = 02 ip+12,4 = 0a018203 accept"},
		{four, 4, 17, -1, -1, -1, 1, 0, "", "", 0, 0, "family = 02 ip+16,4 & ffff8000 = 0a018000 accept"},
		{four, 4, 0, -1, -1, -1, 0, 0, "", "", 0, 0, "family = 02 ip+12,4 & 00000000 = 00000000 accept"},
		{six, 6, 33, -1, -1, -1, 0, 0, "", "", 0, 0,
		 "family = 0a ip+8,16 & ffffffff800000000000000000000000 = 20010db8800000000000000000000000 accept"},
		{NULL, 6, 0, 6, -1, -1, 1, 0, "g9_6", "", 443, 443,
		 "family = 0a ip+24,16 @g9_6 protocol = 06 th+2,2 = 01bb accept"},
		{NULL, 0, 0, 17, -1, -1, 0, 1, "", "", 1, 65535, "protocol = 11 th+0,2 >= 0001 <= ffff accept"},
		{NULL, 0, 0, 1, 8, -1, 0, 0, "", "", 0, 0, "family = 02 protocol = 01 th+0,1 = 08 accept"},
		{NULL, 6, 0, 58, 1, 4, 0, 0, "", "", 0, 0, "family = 0a protocol = 3a th+0,2 = 0104 accept"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ports ports = {.n = 0};
		struct chain_rule r;
		struct batch b;
		char *got, want[160];

		snprintf(want, sizeof want, "x: %s", rows[i].want);
		chain_rule_init(&r, "x");
		r.family = rows[i].family;
		r.is_destination = rows[i].is_destination;
		r.answer = rows[i].answer;
		r.prefix = (unsigned)rows[i].prefix;
		r.len = !rows[i].remote ? 0 : r.family == 6 ? 16 : 4;
		if (r.len)
			memcpy(r.byte, rows[i].remote, r.len);
		snprintf(r.set, sizeof r.set, "%s", rows[i].set);
		snprintf(r.jump, sizeof r.jump, "%s", rows[i].jump);
		r.protocol = rows[i].protocol;
		r.icmp_type = rows[i].type;
		r.icmp_code = rows[i].code;
		if (rows[i].first) {
			ports_add(&ports, rows[i].first, rows[i].last);
			r.ports = &ports;
		}
		batch_begin(&b);
		chain_rule_put(&b, &r);
		got = says(&b);
		got[strcspn(got, "\n")] = 0;
		assert_string_equal(got, want);
		free(got);
	}
}

static void test_a_batch_for_which_there_is_no_memory_is_not_one_without_anything_in_it(void **state)
{
	struct batch b;

	batch_begin(&b);
	assert_true(batch_is_empty(&b));
	b.out.max = b.out.len;
	assert_null(batch_message(&b, NFT_MSG_NEWSET, 0, NFPROTO_INET));
	assert_false(batch_is_empty(&b));
	batch_fini(&b);
}

static void test_ports_are_a_set_of_the_borders_between_them(void **state)
{
	struct ports ports = {.n = 0};
	struct chain_rule r;
	struct batch b;
	size_t borders = 0, messages = 0;
	char *got;

	chain_rule_init(&r, "x");
	r.protocol = 6;
	r.ports = &ports;
	ports_add(&ports, 80, 89);
	ports_add(&ports, 60000, 65535);
	batch_begin(&b);
	chain_rule_put(&b, &r);
	got = says(&b);
	assert_string_equal(got,
			    "set __set%d\n__set%d: 0000] 0050 005a] ea60\nx: protocol = 06 th+2,2 @__set%d accept\n");
	free(got);
	ports_add(&ports, 0, 0);
	batch_begin(&b);
	chain_rule_put(&b, &r);
	got = says(&b);
	assert_string_equal(
		got, "set __set%d\n__set%d: 0000 0001] 0050 005a] ea60\nx: protocol = 06 th+2,2 @__set%d accept\n");
	free(got);
	/* as many as there may be, in messages that each fit */
	ports.n = 0;
	for (uint32_t i = 0; i < PORTS_MAX - 1; i++)
		ports_add(&ports, i * 2 + 1, i * 2 + 1);
	batch_begin(&b);
	chain_rule_put(&b, &r);
	for (int left = (int)b.out.len, at = 0; left > 0;) {
		const struct nlmsghdr *h = (const void *)(b.out.data + at);

		assert_true(h->nlmsg_len <= BATCH_MESSAGE_MAX);
		at += (int)NLMSG_ALIGN(h->nlmsg_len);
		left -= (int)NLMSG_ALIGN(h->nlmsg_len);
	}
	got = says(&b);
	for (const char *p = got; (p = strstr(p, "__set%d: ")); p++)
		messages++;
	for (const char *p = got; (p = strchr(p, ']')); p++)
		borders++;
	assert_true(messages > 1);
	assert_int_equal(borders, PORTS_MAX); /* one before the first */
	free(got);
}

static void test_a_change_of_a_group_is_of_its_own_chains_and_sets_alone(void **state)
{
	static const Net__Rule nothing = NET__RULE__INIT;
	Net__Rule r[] = {nothing, nothing, nothing}, *list[] = {&r[0], &r[1], &r[2]};
	Net__Group g = NET__GROUP__INIT;
	struct batch b;
	char *got;

	g.key = 7;
	g.rules = list;
	g.n_rules = 3;
	r[0].egress = true;
	r[1].remote_group = r[2].remote_group = 9;
	r[1].family = r[2].family = 4;
	r[2].has_protocol = true;
	r[2].protocol = 6;
	batch_begin(&b);
	group_put(&b, &g);
	got = says(&b);
	assert_string_equal(got, "set g7_4\nset g7_6\nset g9_4\nset g9_6\n"
				 "chain g7_in\nempty g7_in\nchain g7_in_answer\nempty g7_in_answer\n"
				 "chain g7_out\nempty g7_out\nchain g7_out_answer\nempty g7_out_answer\n"
				 "g7_out: accept\ng7_out_answer: accept\n"
				 "g7_in: family = 02 ip+12,4 @g9_4 accept\n"
				 "g7_in_answer: family = 02 ip+16,4 @g9_4 accept\n"
				 "g7_in: family = 02 ip+12,4 @g9_4 protocol = 06 accept\n"
				 "g7_in_answer: family = 02 ip+16,4 @g9_4 protocol = 06 accept\n");
	free(got);
	batch_begin(&b);
	group_del(&b, 7);
	got = says(&b);
	assert_string_equal(got, "chain g7_in\nno chain g7_in\nchain g7_in_answer\nno chain g7_in_answer\n"
				 "chain g7_out\nno chain g7_out\nchain g7_out_answer\nno chain g7_out_answer\n"
				 "set g7_4\nno set g7_4\nset g7_6\nno set g7_6\n");
	free(got);
}

static void test_a_policy_of_one_group_has_no_chains_of_its_own(void **state)
{
	uint32_t groups[] = {4294967295, 8};
	Net__Policy p = NET__POLICY__INIT;
	struct batch b;
	char *got;

	p.key = 0x01020304;
	p.groups = groups;
	p.n_groups = 1;
	batch_begin(&b);
	policy_put(&b, &p);
	got = says(&b);
	assert_string_equal(got, "enter: 0403020100000000 jump g4294967295_in\n"
				 "leave: 0403020101000000 jump g4294967295_in_answer\n"
				 "leave: 0403020100000000 jump g4294967295_out\n"
				 "enter: 0403020101000000 jump g4294967295_out_answer\n");
	free(got);
	p.n_groups = 2;
	p.key = 5;
	batch_begin(&b);
	policy_put(&b, &p);
	got = says(&b);
	assert_non_null(strstr(got, "chain p5_in\nempty p5_in\np5_in: jump g4294967295_in\np5_in: jump g8_in\nchain"));
	assert_non_null(strstr(got, "enter: 0500000000000000 jump p5_in\nleave: 0500000001000000 jump p5_in_answer\n"));
	free(got);
	batch_begin(&b);
	policy_del(&b, 5);
	got = says(&b);
	assert_non_null(strstr(got, "no enter: 0500000000000000 jump p5_in\nchain p5_in\nno chain p5_in\nno leave: "));
	free(got);
}

static void test_a_network_is_its_first_address_and_the_first_behind_it(void **state)
{
	static uint8_t six[16] = {0xfd, 0xff, 0xff, 0xff, [15] = 1};
	static const struct {
		uint8_t four[4];
		uint32_t prefix; /* above 32: of `six` */
		const char *text, *want;
	} rows[] = {
		{{10, 1, 2, 3}, 16, "10.1.0.0/16", " 0a010000 0a020000]"},
		{{10, 255, 0, 0}, 16, "10.255.0.0/16", " 0aff0000 0b000000]"},
		{{10, 255, 255, 254}, 31, "10.255.255.254/31", " 0afffffe 0b000000]"},
		{{255, 255, 0, 0}, 16, "255.255.0.0/16", " ffff0000"},
		{{1, 2, 3, 4}, 0, "0.0.0.0/0", " 00000000"},
		{{0}, 64, "fdff:ffff::/64", " fdffffff000000000000000000000000 fdffffff000000010000000000000000]"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool is_six = rows[i].prefix > 32;
		ProtobufCBinaryData ip = {is_six ? 16 : 4, is_six ? six : (uint8_t *)(uintptr_t)rows[i].four};
		struct element e;
		struct batch b;
		struct buf text;
		char *got;

		element_in(&e, "x");
		element_net(&e, &ip, rows[i].prefix);
		buf_init(&text, 0);
		element_text(&text, &e);
		assert_string_equal(text.data, rows[i].text);
		buf_fini(&text);
		batch_begin(&b);
		element_put(&b, &e, true);
		got = says(&b);
		got[strcspn(got, "\n")] = 0;
		assert_string_equal(got + 2, rows[i].want);
		free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rule_is_the_expressions_of_what_its_text_says),
		cmocka_unit_test(test_a_batch_for_which_there_is_no_memory_is_not_one_without_anything_in_it),
		cmocka_unit_test(test_ports_are_a_set_of_the_borders_between_them),
		cmocka_unit_test(test_a_change_of_a_group_is_of_its_own_chains_and_sets_alone),
		cmocka_unit_test(test_a_policy_of_one_group_has_no_chains_of_its_own),
		cmocka_unit_test(test_a_network_is_its_first_address_and_the_first_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

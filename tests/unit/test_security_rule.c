/* tests/unit/test_security_rule.c - what a rule of a security group may say, and what becomes of it on its way to the kernel. */
#include "supervisor/security_rule.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef Berth__SecurityGroupRule rule_t;

static char *text(const char *s)
{
	return s ? strdup(s) : NULL;
}

static rule_t *rule(const char *ethertype, const char *protocol, const char *cidr, const char *group)
{
	rule_t *r = malloc(sizeof *r);

	berth__security_group_rule__init(r);
	r->has_direction = true;
	r->direction = BERTH__SECURITY_GROUP_RULE__DIRECTION__INGRESS;
	r->ethertype = text(ethertype);
	r->protocol = text(protocol);
	r->remote_cidr = text(cidr);
	r->remote_group = text(group);
	return r;
}

static void ports(rule_t *r, int64_t min, int64_t max)
{
	r->has_port_min = min >= 0;
	r->port_min = min >= 0 ? (uint32_t)min : 0;
	r->has_port_max = max >= 0;
	r->port_max = max >= 0 ? (uint32_t)max : 0;
}

static void icmp(rule_t *r, int64_t type, int64_t code)
{
	r->has_icmp_type = type >= 0;
	r->icmp_type = type >= 0 ? (uint32_t)type : 0;
	r->has_icmp_code = code >= 0;
	r->icmp_code = code >= 0 ? (uint32_t)code : 0;
}

static void test_what_a_rule_may_not_say_is_refused_by_its_field(void **state)
{
	static const struct {
		const char *ethertype, *protocol;
		int64_t min, max, type, code;
		const char *cidr, *group;
		const char *field, *words; /* of the refusal; NULL: it is sound */
	} rows[] = {
		{NULL, NULL, -1, -1, -1, -1, NULL, NULL, NULL, NULL},
		{"IPv4", "TCP", 80, -1, -1, -1, "10.0.0.0/8", NULL, NULL, NULL},
		{"ipv6", "17", 1, 65535, -1, -1, "2001:db8::/32", NULL, NULL, NULL},
		{NULL, "icmpv6", -1, -1, 128, 0, NULL, "web", NULL, NULL},
		{NULL, "any", -1, -1, -1, -1, "0.0.0.0/0", NULL, NULL, NULL},
		{NULL, "any", -1, -1, -1, -1, "::/0", NULL, NULL, NULL},
		{NULL, "47", -1, -1, -1, -1, NULL, NULL, NULL, NULL},
		{"ip", NULL, -1, -1, -1, -1, NULL, NULL, "rule.ethertype", "ipv4 and ipv6"},
		{NULL, "0", -1, -1, -1, -1, NULL, NULL, "rule.protocol", "1 to 255"},
		{NULL, "256", -1, -1, -1, -1, NULL, NULL, "rule.protocol", "1 to 255"},
		{NULL, "-6", -1, -1, -1, -1, NULL, NULL, "rule.protocol", "1 to 255"},
		{NULL, "tcp; drop", -1, -1, -1, -1, NULL, NULL, "rule.protocol", "1 to 255"},
		{NULL, "6 accept\nflush ruleset", -1, -1, -1, -1, NULL, NULL, "rule.protocol", "1 to 255"},
		{NULL, NULL, 80, -1, -1, -1, NULL, NULL, "rule.port_min", "not of any protocol"},
		{NULL, "47", 80, -1, -1, -1, NULL, NULL, "rule.port_min", "not of 47"},
		{NULL, "icmp", 8, -1, -1, -1, NULL, NULL, "rule.port_min", "not of icmp"},
		{NULL, "tcp", 0, -1, -1, -1, NULL, NULL, "rule.port_min", "1 to 65535"},
		{NULL, "tcp", 65536, -1, -1, -1, NULL, NULL, "rule.port_min", "1 to 65535"},
		{NULL, "tcp", 90, 80, -1, -1, NULL, NULL, "rule.port_max", "90 to 65535"},
		{NULL, "tcp", 80, 4294967295, -1, -1, NULL, NULL, "rule.port_max", "80 to 65535"},
		{NULL, "tcp", -1, 80, -1, -1, NULL, NULL, "rule.port_max", "port_min"},
		{NULL, "tcp", -1, -1, 8, -1, NULL, NULL, "rule.icmp_type", "icmp and icmpv6"},
		{NULL, "icmp", -1, -1, 256, -1, NULL, NULL, "rule.icmp_type", "0 to 255"},
		{NULL, "icmp", -1, -1, 3, 256, NULL, NULL, "rule.icmp_code", "0 to 255"},
		{NULL, "icmp", -1, -1, -1, 4, NULL, NULL, "rule.icmp_code", "icmp_type"},
		{NULL, NULL, -1, -1, -1, -1, "10.0.0.0/8", "web", "rule.remote_group", "not both"},
		{NULL, NULL, -1, -1, -1, -1, "10.0.0.1/8", NULL, "rule.remote_cidr", "did you mean 10.0.0.0/8"},
		{NULL, NULL, -1, -1, -1, -1, "2001:db8::1/32", NULL, "rule.remote_cidr", "did you mean 2001:db8::/32"},
		{NULL, NULL, -1, -1, -1, -1, "10.0.0.0/33", NULL, "rule.remote_cidr", "range of addresses"},
		{NULL, NULL, -1, -1, -1, -1, "10.0.0.0/", NULL, "rule.remote_cidr", "range of addresses"},
		{NULL, NULL, -1, -1, -1, -1, "/8", NULL, "rule.remote_cidr", "range of addresses"},
		{NULL, NULL, -1, -1, -1, -1, "10.0.0.0/8 accept", NULL, "rule.remote_cidr", "range of addresses"},
		{NULL, NULL, -1, -1, -1, -1, "web", NULL, "rule.remote_cidr", "range of addresses"},
		{NULL, NULL, -1, -1, -1, -1,
		 "1111111111111111111111111111111111111111111111111111111111111111111111111111111/8", NULL,
		 "rule.remote_cidr", "range of addresses"},
		{"ipv6", NULL, -1, -1, -1, -1, "10.0.0.0/8", NULL, "rule.ethertype", "10.0.0.0/8 is ipv4"},
		{"ipv4", "icmpv6", -1, -1, -1, -1, NULL, NULL, "rule.ethertype", "icmpv6 is ipv6"},
		{"ipv6", "icmp", -1, -1, -1, -1, NULL, NULL, "rule.ethertype", "icmp is ipv4"},
		{NULL, "icmp", -1, -1, -1, -1, "2001:db8::/32", NULL, "rule.remote_cidr", "icmp has no ipv6"},
		{NULL, "icmpv6", -1, -1, -1, -1, "10.0.0.0/8", NULL, "rule.remote_cidr", "icmpv6 has no ipv4"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rule_t *r = rule(rows[i].ethertype, rows[i].protocol, rows[i].cidr, rows[i].group);
		struct err e = {0};

		ports(r, rows[i].min, rows[i].max);
		icmp(r, rows[i].type, rows[i].code);
		assert_int_equal(security_rule_check(r, &e) < 0, rows[i].field != NULL);
		assert_string_equal(e.step, rows[i].field ? rows[i].field : "");
		assert_non_null(strstr(e.text, rows[i].words ? rows[i].words : ""));
		berth__security_group_rule__free_unpacked(r, NULL);
	}
}

static void test_a_direction_must_be_said(void **state)
{
	rule_t *r = rule(NULL, NULL, NULL, NULL);
	struct err e = {0};

	r->has_direction = false;
	assert_int_equal(security_rule_check(r, &e), -EINVAL);
	assert_string_equal(e.step, "rule.direction");
	r->has_direction = true;
	r->direction = (Berth__SecurityGroupRule__Direction)7;
	assert_int_equal(security_rule_check(r, &e), -EINVAL);
	berth__security_group_rule__free_unpacked(r, NULL);
}

static void test_what_means_the_same_is_written_in_one_way(void **state)
{
	static const struct {
		const char *ethertype, *protocol, *cidr;
		const char *ethertype_then, *protocol_then, *cidr_then;
	} rows[] = {
		{NULL, "6", "10.1.2.3", "ipv4", "tcp", "10.1.2.3/32"},
		{"IPV6", "UDP", "2001:DB8:0::/32", "ipv6", "udp", "2001:db8::/32"},
		{NULL, "ipv6-icmp", NULL, "ipv6", "icmpv6", NULL},
		{NULL, "1", NULL, "ipv4", "icmp", NULL},
		{"", "any", "", NULL, NULL, NULL},
		{NULL, "047", NULL, NULL, "47", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rule_t *r = rule(rows[i].ethertype, rows[i].protocol, rows[i].cidr, NULL);
		rule_t *same = rule(rows[i].ethertype_then, rows[i].protocol_then, rows[i].cidr_then, NULL);
		struct err e = {0};

		assert_int_equal(security_rule_check(r, &e), 0);
		assert_int_equal(security_rule_check(same, &e), 0);
		assert_true(security_rule_is(r, same));
		same->direction = BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS;
		assert_false(security_rule_is(r, same));
		berth__security_group_rule__free_unpacked(r, NULL);
		berth__security_group_rule__free_unpacked(same, NULL);
	}
}

static void test_a_checked_rule_means_to_the_kernel_what_it_says(void **state)
{
	rule_t *r = rule(NULL, "tcp", "10.0.0.0/8", NULL);
	struct arena a = ARENA_INIT;
	struct err e = {0};
	Net__Rule *m;

	ports(r, 80, -1);
	assert_int_equal(security_rule_check(r, &e), 0);
	m = security_rule_message(r, 0, &a);
	assert_false(m->egress);
	assert_int_equal(m->family, 4);
	assert_int_equal(m->protocol, 6);
	assert_int_equal(m->first, 80);
	assert_int_equal(m->last, 80);
	assert_int_equal(m->remote.len, 4);
	assert_int_equal(m->prefix, 8);
	assert_false(m->has_remote_group);
	assert_false(m->has_icmp_type);
	berth__security_group_rule__free_unpacked(r, NULL);

	r = rule(NULL, NULL, NULL, "web");
	r->direction = BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS;
	assert_int_equal(security_rule_check(r, &e), 0);
	m = security_rule_message(r, 42, &a);
	assert_true(m->egress);
	assert_false(m->has_family);
	assert_false(m->has_protocol);
	assert_false(m->has_first);
	assert_int_equal(m->remote_group, 42);
	berth__security_group_rule__free_unpacked(r, NULL);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_rule_may_not_say_is_refused_by_its_field),
		cmocka_unit_test(test_a_direction_must_be_said),
		cmocka_unit_test(test_what_means_the_same_is_written_in_one_way),
		cmocka_unit_test(test_a_checked_rule_means_to_the_kernel_what_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

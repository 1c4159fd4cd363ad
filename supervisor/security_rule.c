/* supervisor/security_rule.c - see supervisor/security_rule.h */
#include "supervisor/security_rule.h"

#include "base/own.h"
#include "base/str.h"
#include "supervisor/address.h"
#include "supervisor/check_field.h"
#include "supervisor/set.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX 255u

typedef Berth__SecurityGroupRule rule_t;

static const struct {
	const char *name;
	uint8_t number;
	bool ports;
} protocols[] = {
	{"tcp", IPPROTO_TCP, true},	  {"udp", IPPROTO_UDP, true},	     {"sctp", IPPROTO_SCTP, true},
	{"icmp", IPPROTO_ICMP, false},	  {"icmpv6", IPPROTO_ICMPV6, false}, {"ipv6-icmp", IPPROTO_ICMPV6, false},
	{"icmp6", IPPROTO_ICMPV6, false}, {"dccp", IPPROTO_DCCP, true},	     {"udplite", IPPROTO_UDPLITE, true},
};

/* Of a text, 0: any; or -EINVAL. */
static int protocol_number(const char *text)
{
	uint32_t number;

	if (!text || !text[0] || !strcasecmp(text, "any"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (!strcasecmp(text, protocols[i].name))
			return protocols[i].number;
	return str_to_u32(text, &number) == 0 && number >= 1 && number <= 255 ? (int)number : -EINVAL;
}

static bool protocol_has_ports(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].number == number)
			return protocols[i].ports;
	return false;
}

/* ---------------------------------------------------------------- what it may say */

static int check_protocol(rule_t *r, int *ret_number, struct err *e)
{
	const char *name = NULL;
	int number = protocol_number(r->protocol);

	if (number < 0)
		return field_bad(e, "rule.protocol",
				 "'%.40s': there are tcp, udp, sctp, icmp, icmpv6, any, and 1 to 255", r->protocol);
	for (size_t i = ARRAY_SIZE(protocols); i--;)
		if (protocols[i].number == number)
			name = protocols[i].name;
	if (!number)
		set_null(&r->protocol);
	else if (name)
		set_text(&r->protocol, "%s", name);
	else
		set_text(&r->protocol, "%d", number);
	*ret_number = number;
	return 0;
}

static int check_ports(rule_t *r, int protocol, struct err *e)
{
	if (!r->has_port_min && r->has_port_max)
		return field_bad(e, "rule.port_max", "where does the range begin? (port_min)");
	if (!r->has_port_min)
		return 0;
	if (!protocol_has_ports(protocol))
		return field_bad(e, "rule.port_min", "ports are of tcp, udp, sctp, dccp and udplite, not of %s",
				 r->protocol ? r->protocol : "any protocol");
	if (!r->port_min || r->port_min > 65535)
		return field_bad(e, "rule.port_min", "must be 1 to 65535");
	if (!r->has_port_max)
		SET(r, port_max, r->port_min);
	if (r->port_max < r->port_min || r->port_max > 65535)
		return field_bad(e, "rule.port_max", "must be %u to 65535", r->port_min);
	return 0;
}

static int check_icmp(rule_t *r, int protocol, struct err *e)
{
	if (r->has_icmp_code && !r->has_icmp_type)
		return field_bad(e, "rule.icmp_code", "of which type? (icmp_type)");
	if (r->has_icmp_type && protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
		return field_bad(e, "rule.icmp_type", "types are of icmp and icmpv6");
	if (r->has_icmp_type && r->icmp_type > 255)
		return field_bad(e, "rule.icmp_type", "must be 0 to 255");
	if (r->has_icmp_code && r->icmp_code > 255)
		return field_bad(e, "rule.icmp_code", "must be 0 to 255");
	return 0;
}

/* "10.1.0.0/16"; "10.1.2.3" is "10.1.2.3/32". */
static int cidr_parse(const char *text, struct address *ret, unsigned *ret_prefix)
{
	const char *slash = strchr(text, '/');
	char address[ADDRESS_TEXT];
	uint32_t prefix;

	if (slash && (size_t)(slash - text) >= sizeof address)
		return -EINVAL;
	snprintf(address, sizeof address, "%.*s", slash ? (int)(slash - text) : (int)strnlen(text, sizeof address),
		 text);
	if (address_parse(address, ret) < 0)
		return -EINVAL;
	prefix = ret->len * 8;
	if (slash && (str_to_u32(slash + 1, &prefix) < 0 || prefix > ret->len * 8))
		return -EINVAL;
	*ret_prefix = prefix;
	return 0;
}

static void mask(struct address *a, unsigned prefix)
{
	for (unsigned bit = prefix; bit < a->len * 8; bit++)
		a->byte[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

static int check_remote(rule_t *r, unsigned *ret_len, struct err *e)
{
	struct address a, first;
	char text[ADDRESS_TEXT];
	unsigned prefix;

	*ret_len = 0;
	if (!r->remote_cidr)
		return 0;
	if (r->remote_group)
		return field_bad(e, "rule.remote_group", "addresses or members of a group, not both: make two rules");
	if (cidr_parse(r->remote_cidr, &a, &prefix) < 0)
		return field_bad(e, "rule.remote_cidr",
				 "'%.60s' is not a range of addresses, such as 10.1.0.0/16 or 2001:db8::/32",
				 r->remote_cidr);
	first = a;
	mask(&first, prefix);
	if (!address_is(&a, &first))
		return field_bad(e, "rule.remote_cidr", "'%.60s' has bits behind its prefix: did you mean %s/%u?",
				 r->remote_cidr, address_text(&first, text), prefix);
	set_text(&r->remote_cidr, "%s/%u", address_text(&a, text), prefix);
	*ret_len = a.len;
	return 0;
}

/* One that says nothing is of the family that the rest of it says, if it says one. */
static int check_family(rule_t *r, int protocol, unsigned remote_len, struct err *e)
{
	const char *derived = remote_len		   ? (remote_len == 16 ? "ipv6" : "ipv4")
			      : protocol == IPPROTO_ICMP   ? "ipv4"
			      : protocol == IPPROTO_ICMPV6 ? "ipv6"
							   : NULL;

	if (r->ethertype && strcasecmp(r->ethertype, "ipv4") != 0 && strcasecmp(r->ethertype, "ipv6") != 0)
		return field_bad(e, "rule.ethertype", "'%.40s': there are ipv4 and ipv6", r->ethertype);
	if (remote_len &&
	    ((protocol == IPPROTO_ICMP && remote_len == 16) || (protocol == IPPROTO_ICMPV6 && remote_len == 4)))
		return field_bad(e, "rule.remote_cidr", "%s has no %s addresses", r->protocol, derived);
	if (r->ethertype && derived && strcasecmp(r->ethertype, derived) != 0)
		return field_bad(e, "rule.ethertype", "%s is %s", remote_len ? r->remote_cidr : r->protocol, derived);
	if (r->ethertype || derived)
		set_text(&r->ethertype, "%s", derived ? derived : strcasecmp(r->ethertype, "ipv6") ? "ipv4" : "ipv6");
	return 0;
}

int security_rule_check(rule_t *r, struct err *e)
{
	unsigned remote_len = 0;
	int protocol = 0, x;

	field_empty_is_absent(&r->ethertype);
	field_empty_is_absent(&r->protocol);
	field_empty_is_absent(&r->remote_cidr);
	field_empty_is_absent(&r->remote_group);
	field_empty_is_absent(&r->description);
	if (!r->has_direction || (r->direction != BERTH__SECURITY_GROUP_RULE__DIRECTION__INGRESS &&
				  r->direction != BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS))
		return field_bad(e, "rule.direction", "INGRESS or EGRESS?");
	if (r->description && strlen(r->description) > TEXT_MAX)
		return field_bad(e, "rule.description", "longer than %u bytes", TEXT_MAX);
	x = check_protocol(r, &protocol, e);
	if (x == 0)
		x = check_ports(r, protocol, e);
	if (x == 0)
		x = check_icmp(r, protocol, e);
	if (x == 0)
		x = check_remote(r, &remote_len, e);
	return x < 0 ? x : check_family(r, protocol, remote_len, e);
}

/* ---------------------------------------------------------------- what it means */

static bool same_text(const char *a, const char *b)
{
	return !a || !b ? a == b : !strcmp(a, b);
}

bool security_rule_is(const rule_t *a, const rule_t *b)
{
	return a->direction == b->direction && same_text(a->ethertype, b->ethertype) &&
	       same_text(a->protocol, b->protocol) && a->has_port_min == b->has_port_min &&
	       a->port_min == b->port_min && a->port_max == b->port_max && a->has_icmp_type == b->has_icmp_type &&
	       a->icmp_type == b->icmp_type && a->has_icmp_code == b->has_icmp_code && a->icmp_code == b->icmp_code &&
	       same_text(a->remote_cidr, b->remote_cidr) && same_text(a->remote_group, b->remote_group);
}

Net__Rule *security_rule_message(const rule_t *r, uint32_t remote_group, struct arena *a)
{
	Net__Rule *m = arena_alloc(a, sizeof *m);
	int protocol = protocol_number(r->protocol);
	struct address remote;
	unsigned prefix;

	if (!m)
		return NULL;
	net__rule__init(m);
	SET(m, egress, r->direction == BERTH__SECURITY_GROUP_RULE__DIRECTION__EGRESS);
	if (r->ethertype)
		SET(m, family, !strcmp(r->ethertype, "ipv6") ? 6 : 4);
	if (protocol > 0)
		SET(m, protocol, (uint32_t)protocol);
	if (r->has_port_min) {
		SET(m, first, r->port_min);
		SET(m, last, r->port_max);
	}
	if (r->has_icmp_type)
		SET(m, icmp_type, r->icmp_type);
	if (r->has_icmp_code)
		SET(m, icmp_code, r->icmp_code);
	if (r->remote_cidr && cidr_parse(r->remote_cidr, &remote, &prefix) == 0) {
		SET(m, remote, ((ProtobufCBinaryData){remote.len, arena_alloc(a, sizeof remote.byte)}));
		if (m->remote.data)
			memcpy(m->remote.data, remote.byte, remote.len);
		SET(m, prefix, prefix);
	}
	if (remote_group)
		SET(m, remote_group, remote_group);
	return a->failed ? NULL : m;
}

/* supervisor/address.c - see supervisor/address.h */
#include "supervisor/address.h"

#include "base/own.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int address_parse(const char *text, struct address *ret)
{
	*ret = (struct address){.len = strchr(text, ':') ? 16 : 4};
	return inet_pton(ret->len == 16 ? AF_INET6 : AF_INET, text, ret->byte) == 1 ? 0 : -EINVAL;
}

const char *address_text(const struct address *a, char buf[ADDRESS_TEXT])
{
	if (!inet_ntop(a->len == 16 ? AF_INET6 : AF_INET, a->byte, buf, ADDRESS_TEXT))
		buf[0] = 0;
	return buf;
}

bool address_is_loopback(const struct address *a)
{
	static const uint8_t one[16] = {[15] = 1};

	return a->len == 4 ? a->byte[0] == 127 : a->len == 16 && !memcmp(a->byte, one, sizeof one);
}

bool address_is_of_one(const struct address *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (a->len == 4)
		return a->byte[0] < 224 || (a->byte[0] >= 240 && memcmp(a->byte, "\xff\xff\xff\xff", 4) != 0);
	return memcmp(a->byte, mapped, sizeof mapped) != 0 && a->byte[0] != 0xff &&
	       (a->byte[0] != 0xfe || (a->byte[1] & 0xc0) != 0x80);
}

bool address_is(const struct address *a, const struct address *b)
{
	return a->len == b->len && !memcmp(a->byte, b->byte, a->len);
}

static bool bit_of(const struct address *a, unsigned n)
{
	return a->byte[n / 8] >> (7 - n % 8) & 1;
}

bool subnet_has(const struct subnet *s, const struct address *a)
{
	if (a->len != s->first.len)
		return false;
	for (unsigned n = 0; n < s->prefix; n++)
		if (bit_of(a, n) != bit_of(&s->first, n))
			return false;
	return true;
}

bool subnets_overlap(const struct subnet *a, const struct subnet *b)
{
	return subnet_has(a, &b->first) || subnet_has(b, &a->first);
}

static bool means_something_else(const struct subnet *s)
{
	static const char *const taken[] = {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
					    "::/8",	 "fe80::/10",	"ff00::/8"};
	struct subnet other;

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		char text[ADDRESS_TEXT];
		const char *slash = strchr(taken[i], '/');
		uint32_t prefix = 0;

		snprintf(text, sizeof text, "%.*s", (int)(slash - taken[i]), taken[i]);
		(void)str_to_u32(slash + 1, &prefix);
		(void)address_parse(text, &other.first);
		other.prefix = prefix;
		if (subnets_overlap(s, &other))
			return true;
	}
	return false;
}

/* Without a look at what it means. */
static int cidr_parse(const char *text, struct subnet *ret, struct err *e)
{
	const char *slash = strchr(text, '/');
	char buf[ADDRESS_TEXT];
	uint32_t prefix;

	if (!slash || (size_t)(slash - text) >= sizeof buf || str_to_u32(slash + 1, &prefix) < 0)
		return err_set(e, EINVAL, "", "'%.60s' is not a subnet like 10.1.0.0/16 or fd00:1::/64", text);
	snprintf(buf, sizeof buf, "%.*s", (int)(slash - text), text);
	if (address_parse(buf, &ret->first) < 0 || prefix > ret->first.len * 8)
		return err_set(e, EINVAL, "", "'%.60s' is not a subnet like 10.1.0.0/16 or fd00:1::/64", text);
	ret->prefix = prefix;
	for (unsigned n = prefix; n < ret->first.len * 8; n++)
		if (bit_of(&ret->first, n))
			return err_set(e, EINVAL, "", "%s has bits behind its prefix of %u", text, prefix);
	return 0;
}

int subnet_parse(const char *text, struct subnet *ret, struct err *e)
{
	int r = cidr_parse(text, ret, e);
	unsigned prefix = ret->prefix;

	if (r < 0)
		return r;
	if (prefix < 8 || ret->first.len * 8 - prefix < 2 || ret->first.len * 8 - prefix > 64)
		return err_set(e, ERANGE, "", "%s: an IPv4 subnet is /8 to /30, an IPv6 one /64 to /126", text);
	if (means_something_else(ret))
		return err_set(e, EINVAL, "", "%s overlaps with addresses that mean something else", text);
	return 0;
}

static bool rest_is(const struct subnet *s, const struct address *a, bool bit)
{
	for (unsigned n = s->prefix; n < a->len * 8; n++)
		if (bit_of(a, n) != bit)
			return false;
	return true;
}

bool subnet_is_usable(const struct subnet *s, const struct address *a)
{
	return subnet_has(s, a) && !rest_is(s, a, false) && !rest_is(s, a, true);
}

struct address subnet_next(const struct subnet *s, const struct address *a)
{
	struct address next = *a;

	if (!subnet_has(s, a))
		return s->first;
	for (unsigned i = next.len; i-- > 0 && ++next.byte[i] == 0;)
		;
	return subnet_has(s, &next) ? next : s->first;
}

uint64_t subnet_index(const struct subnet *s, const struct address *a)
{
	unsigned bits = s->first.len * 8 - s->prefix;
	uint64_t index = 0;

	for (unsigned i = a->len > 8 ? a->len - 8 : 0; i < a->len; i++)
		index = index << 8 | a->byte[i];
	return bits >= 64 ? index : index & ((1ull << bits) - 1);
}

struct address subnet_at(const struct subnet *s, uint64_t index)
{
	struct address a = s->first;

	for (unsigned i = a.len; index; index >>= 8)
		a.byte[--i] |= (uint8_t)index;
	return a;
}

int subnet_parse_in(const struct subnet *s, const char *text, struct subnet *ret, struct err *e)
{
	int r = cidr_parse(text, ret, e);

	if (r < 0)
		return r;
	return ret->first.len == s->first.len && ret->prefix >= s->prefix && subnet_has(s, &ret->first)
		       ? 0
		       : err_set(e, EINVAL, "", "%s does not lie inside of the subnet", text);
}

uint64_t subnet_size(const struct subnet *s)
{
	unsigned bits = s->first.len * 8 - s->prefix;

	return bits >= 64 ? UINT64_MAX : 1ull << bits;
}

/* ---------------------------------------------------------------- ranges */

static struct address last_of(const struct subnet *s)
{
	struct address a = s->first;

	for (unsigned n = s->prefix; n < a.len * 8; n++)
		a.byte[n / 8] |= (uint8_t)(0x80u >> n % 8);
	return a;
}

bool range_has(const struct range *r, const struct address *a)
{
	return a->len == r->first.len && memcmp(r->first.byte, a->byte, a->len) <= 0 &&
	       memcmp(a->byte, r->last.byte, a->len) <= 0;
}

bool range_meets(const struct range *r, const struct subnet *s)
{
	return range_has(r, &s->first) || subnet_has(s, &r->first);
}

int range_parse(const char *text, struct range *ret, struct err *e)
{
	const char *mark = text + strcspn(text, "/-");
	char first[ADDRESS_TEXT];
	struct subnet s;
	uint32_t prefix;

	snprintf(first, sizeof first, "%.*s", (int)(mark - text), text);
	if (address_parse(first, &ret->first) < 0)
		return err_set(
			e, EINVAL, "",
			"'%.100s' is neither a subnet (203.0.113.0/28) nor the first and last of a range (203.0.113.8-203.0.113.20)",
			text);
	ret->last = ret->first;
	if (*mark == '/') {
		if (str_to_u32(mark + 1, &prefix) < 0 || prefix > ret->first.len * 8)
			return err_set(e, EINVAL, "", "'%.100s' is not a subnet like 203.0.113.0/28", text);
		s = (struct subnet){ret->first, prefix};
		for (unsigned n = prefix; n < ret->first.len * 8; n++)
			if (bit_of(&ret->first, n))
				return err_set(e, EINVAL, "", "%s has bits behind its prefix of %u", text, prefix);
		ret->last = last_of(&s);
	} else if (*mark && (address_parse(mark + 1, &ret->last) < 0 ||
			     !range_has(&(struct range){ret->first, ret->last}, &ret->first))) {
		return err_set(e, EINVAL, "", "'%.100s': what follows - is not a later address of the same family",
			       text);
	}
	for (int i = 0; i < 2; i++)
		if (means_something_else(&(struct subnet){i ? ret->last : ret->first, ret->first.len * 8}))
			return err_set(e, EINVAL, "", "%s has addresses that mean something else", text);
	return 0;
}

struct address range_next(const struct range *r, const struct address *a)
{
	struct address next = *a;

	if (!range_has(r, a) || address_is(a, &r->last))
		return r->first;
	for (unsigned i = next.len; i-- > 0 && ++next.byte[i] == 0;)
		;
	return next;
}

/* The last address of the prefix whose first is a; false: a is in the middle of it. */
static bool spans(const struct address *a, unsigned prefix, struct address *ret)
{
	*ret = *a;
	for (unsigned bit = prefix; bit < a->len * 8; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		if (a->byte[bit / 8] & mask)
			return false;
		ret->byte[bit / 8] |= mask;
	}
	return true;
}

bool range_prefix(const struct range *r, struct address *at, struct subnet *ret)
{
	struct address last = {.len = 0}, wider;

	if (!at->len)
		*at = r->first;
	else if (address_is(at, &r->first)) /* behind the last it is this one again */
		return false;
	ret->first = last = *at;
	ret->prefix = at->len * 8;
	while (ret->prefix && spans(at, ret->prefix - 1, &wider) && memcmp(wider.byte, r->last.byte, wider.len) <= 0) {
		ret->prefix--;
		last = wider;
	}
	*at = range_next(r, &last);
	return true;
}

uint64_t range_size(const struct range *r)
{
	uint64_t first = 0, last = 0;
	unsigned skip = r->first.len > 8 ? r->first.len - 8 : 0;

	for (unsigned i = 0; i < r->first.len; i++) {
		if (i < skip && r->first.byte[i] != r->last.byte[i])
			return UINT64_MAX;
		first = i < skip ? 0 : first << 8 | r->first.byte[i];
		last = i < skip ? 0 : last << 8 | r->last.byte[i];
	}
	return last - first == UINT64_MAX ? UINT64_MAX : last - first + 1;
}

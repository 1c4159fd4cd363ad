/* net/ip.c - see net/ip.h */
#include "net/ip.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

bool ip_bits_equal(const struct ip *a, const struct ip *b, unsigned n)
{
	unsigned rest = n % 8;

	return !memcmp(a->byte, b->byte, n / 8) && (!rest || !((a->byte[n / 8] ^ b->byte[n / 8]) >> (8 - rest)));
}

void *ip_request(struct nl *nl, uint16_t type, uint16_t flags, unsigned len, size_t size, struct nlmsghdr **ret)
{
	struct rtgenmsg *m;

	*ret = nl_request(nl, type, flags);
	m = mnl_nlmsg_put_extra_header(*ret, size);
	m->rtgen_family = len == 16 ? AF_INET6 : AF_INET;
	return m;
}

void ip_put(struct nlmsghdr *h, uint16_t type, const struct ip *ip)
{
	if (ip->len)
		mnl_attr_put(h, type, ip->len, ip->byte);
}

bool ip_take(const struct nlattr *a, struct ip *ip)
{
	unsigned len = mnl_attr_get_payload_len(a);

	if (len != 4 && len != 16)
		return false;
	ip->len = len;
	memcpy(ip->byte, mnl_attr_get_payload(a), len);
	return true;
}

int ip_dump(struct nl *nl, uint16_t type, const void *header, size_t size, mnl_cb_t fn, void *arg)
{
	int r = 0;

	for (unsigned len = 4; len <= 16 && r == 0; len += 12) {
		struct nlmsghdr *h;
		uint8_t *m = ip_request(nl, type, NLM_F_DUMP, len, size, &h);

		memcpy(m + sizeof(struct rtgenmsg), (const uint8_t *)header + sizeof(struct rtgenmsg),
		       size - sizeof(struct rtgenmsg));
		r = nl_talk(nl, h, fn, arg);
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0;
	}
	return r;
}

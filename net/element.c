/* net/element.c - see net/element.h */
#include "net/element.h"

#include "net/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- one */

void element_in(struct element *e, const char *set)
{
	*e = (struct element){0};
	snprintf(e->set, sizeof e->set, "%s", set);
}

void element_in_bridge(struct element *e, const char *set)
{
	element_in(e, set);
	e->bridge = true;
}

void element_gives(struct element *e)
{
	e->n_key = e->n;
}

static void part_add(struct element *e, enum part_kind kind, const void *bytes, size_t len)
{
	struct part *p = &e->part[e->n++];

	p->kind = kind;
	p->len = (uint8_t)len;
	memcpy(p->byte, bytes, len);
}

void element_link(struct element *e, const char *name)
{
	char padded[IFNAMSIZ] = "";

	snprintf(padded, sizeof padded, "%s", name);
	part_add(e, PART_LINK, padded, sizeof padded);
}

void element_mac(struct element *e, const uint8_t mac[6])
{
	part_add(e, PART_MAC, mac, 6);
}

void element_ip(struct element *e, const ProtobufCBinaryData *ip)
{
	part_add(e, PART_IP, ip->data, ip->len == 16 ? 16 : 4);
}

void element_net(struct element *e, const ProtobufCBinaryData *ip, uint32_t prefix)
{
	struct part *p = &e->part[e->n];

	part_add(e, PART_NET, ip->data, ip->len == 16 ? 16 : 4);
	p->prefix = (uint8_t)prefix;
	for (unsigned bit = prefix; bit < p->len * 8u; bit++)
		p->byte[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

void element_bits(struct element *e, const ProtobufCBinaryData *ip)
{
	part_add(e, PART_BITS, ip->data, ip->len == 16 ? 16 : 4);
}

void element_number(struct element *e, uint32_t number)
{
	part_add(e, PART_NUMBER, &number, sizeof number);
}

void element_protocol(struct element *e, uint32_t protocol)
{
	part_add(e, PART_PROTOCOL, &(uint8_t){(uint8_t)protocol}, 1);
}

void element_answer(struct element *e, bool is_answer)
{
	part_add(e, PART_DIRECTION, &(uint8_t){is_answer ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL}, 1);
}

void element_jump(struct element *e, const char *chain)
{
	char padded[sizeof e->part[0].byte] = "";

	snprintf(padded, sizeof padded, "%s", chain);
	part_add(e, PART_JUMP, padded, sizeof padded);
}

void element_port(struct element *e, uint32_t port)
{
	part_add(e, PART_PORT, &(uint16_t){htons((uint16_t)port)}, 2);
}

static int part_order(const struct part *a, const struct part *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->len != b->len)
		return a->len - b->len;
	return a->prefix != b->prefix ? a->prefix - b->prefix : memcmp(a->byte, b->byte, a->len);
}

int element_order(const struct element *a, const struct element *b)
{
	int r = strcmp(a->set, b->set);

	if (r == 0 && (a->n != b->n || a->n_key != b->n_key))
		r = (int)(a->n * (ELEMENT_PARTS + 1) + a->n_key) - (int)(b->n * (ELEMENT_PARTS + 1) + b->n_key);
	for (unsigned i = 0; r == 0 && i < a->n; i++)
		r = part_order(&a->part[i], &b->part[i]);
	return r;
}

static void part_text(struct buf *b, const struct part *p)
{
	char text[INET6_ADDRSTRLEN] = "";
	const uint8_t *m = p->byte;
	uint32_t number;
	uint16_t port;

	switch (p->kind) {
	case PART_LINK:
		buf_printf(b, "\"%.*s\"", (int)strnlen((const char *)p->byte, sizeof p->byte), (const char *)p->byte);
		break;
	case PART_MAC:
		buf_printf(b, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
		break;
	case PART_IP:
		buf_adds(b, inet_ntop(p->len == 16 ? AF_INET6 : AF_INET, p->byte, text, sizeof text));
		break;
	case PART_NET:
		buf_printf(b, "%s/%u", inet_ntop(p->len == 16 ? AF_INET6 : AF_INET, p->byte, text, sizeof text),
			   p->prefix);
		break;
	case PART_BITS:
		buf_adds(b, "0x");
		for (unsigned i = 0; i < p->len; i++)
			buf_printf(b, "%02x", p->byte[i]);
		break;
	case PART_NUMBER:
		memcpy(&number, p->byte, sizeof number);
		buf_printf(b, "%u", number);
		break;
	case PART_PROTOCOL:
		buf_printf(b, "%u", p->byte[0]);
		break;
	case PART_DIRECTION:
		buf_adds(b, p->byte[0] == IP_CT_DIR_REPLY ? "reply" : "original");
		break;
	case PART_JUMP:
		buf_printf(b, "jump %s", (const char *)p->byte);
		break;
	case PART_PORT:
		memcpy(&port, p->byte, sizeof port);
		buf_printf(b, "%u", ntohs(port));
		break;
	}
}

void element_text(struct buf *b, const struct element *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		if (i)
			buf_adds(b, i == e->n_key ? " : " : " . ");
		part_text(b, &e->part[i]);
	}
}

/* ---------------------------------------------------------------- many */

void elements_add(struct elements *list, const struct element *e)
{
	if (list->n == list->max) {
		size_t max = list->max ? list->max * 2 : 32;
		struct element *v = reallocarray(list->v, max, sizeof *v);

		if (!v) {
			list->failed = true;
			return;
		}
		list->v = v;
		list->max = max;
	}
	list->v[list->n++] = *e;
}

void elements_fini(struct elements *list)
{
	free(list->v);
	*list = (struct elements){0};
}

static int order(const void *a, const void *b)
{
	return element_order(a, b);
}

void elements_sort(struct elements *list)
{
	if (list->n)
		qsort(list->v, list->n, sizeof *list->v, order);
}

void elements_text(struct buf *b, struct elements *list)
{
	elements_sort(list);
	for (size_t i = 0; i < list->n; i++) {
		bool first = !i || strcmp(list->v[i].set, list->v[i - 1].set) != 0;

		if (first)
			buf_printf(b, "%sadd element %s berth %s { ", i ? " }\n" : "",
				   list->v[i].bridge ? "bridge" : "inet", list->v[i].set);
		else
			buf_adds(b, ", ");
		element_text(b, &list->v[i]);
	}
	buf_adds(b, list->n ? " }\n" : "");
	b->failed |= list->failed;
}

/* list: in order. */
static bool elements_have(const struct elements *list, const struct element *e)
{
	return list->n && bsearch(e, list->v, list->n, sizeof *list->v, order);
}

/* ---------------------------------------------------------------- to the kernel */

/* What several parts make together: each begins at a multiple of four bytes. */
static void value_put(struct nlmsghdr *h, uint16_t type, const struct part *parts, unsigned n)
{
	uint8_t value[ELEMENT_PARTS * sizeof parts->byte] = {0};
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		memcpy(value + len, parts[i].byte, parts[i].len);
		/* Alone, it is as long as its type; with others, rounded up. */
		len += n > 1 ? (parts[i].len + 3u) & ~3u : parts[i].len;
	}
	batch_value(h, type, value, len);
}

/* The kernel has an interval as its first value, and the first one behind it with a flag. */
static void net_put(struct nlmsghdr *h, const struct part *p)
{
	struct nlattr *one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	struct part end = *p;
	unsigned bit;

	batch_value(h, NFTA_SET_ELEM_KEY, p->byte, p->len);
	mnl_attr_nest_end(h, one);
	for (bit = p->prefix; bit > 0; bit--) { /* one more in its last bit, and on while there is something to carry */
		uint8_t *byte = &end.byte[(bit - 1) / 8], mask = (uint8_t)(0x80 >> (bit - 1) % 8);

		*byte ^= mask;
		if (*byte & mask)
			break;
	}
	if (!bit) /* there is nothing behind it */
		return;
	one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	batch_value(h, NFTA_SET_ELEM_KEY, end.byte, end.len);
	batch_number(h, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	mnl_attr_nest_end(h, one);
}

static void one_put(struct nlmsghdr *h, const struct element *e)
{
	unsigned n_key = e->n_key ? e->n_key : e->n;
	const struct part *gives = e->part + n_key;
	struct nlattr *one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);

	value_put(h, NFTA_SET_ELEM_KEY, e->part, n_key);
	if (e->n > n_key && gives->kind == PART_JUMP)
		batch_verdict(h, NFTA_SET_ELEM_DATA, (const char *)gives->byte);
	else if (e->n > n_key)
		value_put(h, NFTA_SET_ELEM_DATA, gives, e->n - n_key);
	mnl_attr_nest_end(h, one);
}

void element_put(struct batch *b, const struct element *e, bool add)
{
	struct nlmsghdr *h = batch_message(b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0,
					   e->bridge ? NFPROTO_BRIDGE : NFPROTO_INET);
	struct nlattr *list;

	if (!h)
		return;
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, e->set);
	list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	if (e->part[0].kind == PART_NET)
		net_put(h, &e->part[0]);
	else
		one_put(h, e);
	mnl_attr_nest_end(h, list);
	batch_message_end(b, h);
}

static int send_elements(struct batch *b, struct batch_socket *s, size_t n, struct err *e)
{
	char what[64];

	snprintf(what, sizeof what, "change %zu elements of the table", n);
	return batch_send(b, s, what, e);
}

static int change(struct batch_socket *s, const struct elements *gone, const struct elements *come, struct err *e)
{
	struct batch b;

	if (gone->failed || come->failed)
		return err_set(e, ENOMEM, "nftables", "no memory for a change of the table");
	batch_begin(&b);
	for (size_t i = 0; i < gone->n; i++) {
		if (elements_have(come, &gone->v[i]))
			continue;
		/* Taking away what is not there would fail, slowly: it is put there first. */
		element_put(&b, &gone->v[i], true);
		element_put(&b, &gone->v[i], false);
	}
	for (size_t i = 0; i < come->n; i++)
		element_put(&b, &come->v[i], true);
	if (!batch_is_empty(&b))
		return send_elements(&b, s, gone->n + come->n, e);
	batch_fini(&b);
	return 0;
}

static const struct elements none;

/* The kernel's word for a key that has something else in the map already. */
static bool is_clash(int r)
{
	return r == -EEXIST || r == -EBUSY;
}

/* The key may lead to something else meanwhile: that is not what is to go. */
static int go(struct batch_socket *s, const struct element *el, struct err *e)
{
	int r = change(s, &(struct elements){.v = (struct element *)(uintptr_t)el, .n = 1}, &none, e);

	return r == -ENOENT || is_clash(r) ? 0 : r;
}

/* … and to come instead of it. */
static int come_instead(struct batch_socket *s, const struct element *el, struct err *e)
{
	struct elements one = {.v = (struct element *)(uintptr_t)el, .n = 1};
	int r = change(s, &none, &one, e);
	struct batch b;

	if (!is_clash(r))
		return r;
	batch_begin(&b);
	element_put(&b, el, false); /* by its key alone */
	element_put(&b, el, true);
	return send_elements(&b, s, 2, e);
}

/* A State that came in between has made the change, and those after it: then it is made once more, until what followed it is. So what is to go may
 * have gone, with the sets of a group that nobody is in any more; and what comes, or goes, may find its key with what comes later. */
int elements_change(struct batch_socket *s, const struct elements *gone, struct elements *come, struct err *e)
{
	int r;

	elements_sort(come); /* a port may have thousands */
	r = change(s, gone, come, e);

	if (r != -ENOENT && !is_clash(r))
		return r;
	r = 0;
	for (size_t i = 0; i < gone->n && r == 0; i++)
		r = elements_have(come, &gone->v[i]) ? 0 : go(s, &gone->v[i], e);
	for (size_t i = 0; i < come->n && r == 0; i++)
		r = come_instead(s, &come->v[i], e);
	return r;
}

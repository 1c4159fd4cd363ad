/* net/element.c - see net/element.h */
#include "net/element.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

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

void element_port(struct element *e, uint32_t port)
{
	part_add(e, PART_PORT, &(uint16_t){htons((uint16_t)port)}, 2);
}

bool element_is(const struct element *a, const struct element *b)
{
	if (strcmp(a->set, b->set) != 0 || a->n != b->n || a->n_key != b->n_key)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (a->part[i].kind != b->part[i].kind || a->part[i].len != b->part[i].len ||
		    memcmp(a->part[i].byte, b->part[i].byte, a->part[i].len) != 0)
			return false;
	return true;
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

static bool elements_have(const struct elements *list, const struct element *e)
{
	for (size_t i = 0; i < list->n; i++)
		if (element_is(&list->v[i], e))
			return true;
	return false;
}

/* ---------------------------------------------------------------- to the kernel */

struct element_socket {
	struct mnl_socket *sock;
	uint32_t seq;
	char in[16384];
};

#define MESSAGE_MAX 512u /* an element with its headers is some 200 */

int element_socket_open(struct element_socket **ret, struct err *e)
{
	struct element_socket *s = calloc(1, sizeof *s);

	if (s)
		s->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!s || !s->sock || mnl_socket_bind(s->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = err_set(e, s ? errno : ENOMEM, "nftables", "a netlink socket");

		element_socket_close(s);
		return r;
	}
	s->seq = (uint32_t)time(NULL);
	*ret = s;
	return 0;
}

void element_socket_close(struct element_socket *s)
{
	if (s && s->sock)
		mnl_socket_close(s->sock);
	free(s);
}

static struct nlmsghdr *message_begin(struct element_socket *s, struct buf *b, uint16_t type, uint16_t flags)
{
	char *at = buf_room(b, MESSAGE_MAX);
	struct nlmsghdr *h = at ? mnl_nlmsg_put_header(at) : NULL;
	bool edge = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;
	struct nfgenmsg *g;

	if (!h)
		return NULL;
	h->nlmsg_type = edge ? type : (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++s->seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	g->nfgen_family = edge ? AF_UNSPEC : NFPROTO_INET;
	g->version = NFNETLINK_V0;
	g->res_id = htons(edge ? NFNL_SUBSYS_NFTABLES : 0);
	return h;
}

static void message_end(struct buf *b, const struct nlmsghdr *h)
{
	if (h)
		b->len += h->nlmsg_len;
}

/* What several parts make together: each begins at a multiple of four bytes. */
static void value_put(struct nlmsghdr *h, uint16_t type, const struct part *parts, unsigned n)
{
	uint8_t value[ELEMENT_PARTS * 16] = {0};
	struct nlattr *nest;
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		memcpy(value + len, parts[i].byte, parts[i].len);
		/* Alone, it is as long as its type; with others, rounded up. */
		len += n > 1 ? (parts[i].len + 3u) & ~3u : parts[i].len;
	}
	nest = mnl_attr_nest_start(h, type);
	mnl_attr_put(h, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(h, nest);
}

static void element_put(struct element_socket *s, struct buf *b, const struct element *e, bool add)
{
	unsigned n_key = e->n_key ? e->n_key : e->n;
	struct nlmsghdr *h = message_begin(s, b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0);
	struct nlattr *list, *one;

	if (!h)
		return;
	((struct nfgenmsg *)mnl_nlmsg_get_payload(h))->nfgen_family = e->bridge ? NFPROTO_BRIDGE : NFPROTO_INET;
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, "berth");
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, e->set);
	list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	value_put(h, NFTA_SET_ELEM_KEY, e->part, n_key);
	if (e->n > n_key)
		value_put(h, NFTA_SET_ELEM_DATA, e->part + n_key, e->n - n_key);
	mnl_attr_nest_end(h, one);
	mnl_attr_nest_end(h, list);
	message_end(b, h);
}

/* The kernel has answered when the batch is sent: there is an error, or nothing. */
static int batch_result(struct element_socket *s)
{
	int result = 0;

	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(s->sock), s->in, sizeof s->in, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? result : result ? result : -errno;
		int left = (int)n;
		for (const struct nlmsghdr *h = (const void *)s->in; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type == NLMSG_ERROR && err->error && !result)
				result = err->error;
		}
	}
}

/* Takes b. */
static int batch_send(struct element_socket *s, struct buf *b, size_t n, struct err *e)
{
	int r = 0;

	message_end(b, message_begin(s, b, NFNL_MSG_BATCH_END, 0));
	if (b->failed)
		r = err_set(e, ENOMEM, "nftables", "no memory for a change of the table");
	else if (mnl_socket_sendto(s->sock, b->data, b->len) < 0)
		r = err_set(e, errno, "nftables", "change %zu elements of the table", n);
	else if ((r = batch_result(s)) < 0)
		r = err_set(e, -r, "nftables", "change %zu elements of the table", n);
	buf_fini(b);
	return r;
}

static int batch(struct element_socket *s, const struct elements *gone, const struct elements *come, struct err *e)
{
	bool any = false;
	struct buf b;

	if (gone->failed || come->failed)
		return err_set(e, ENOMEM, "nftables", "no memory for a change of the table");
	buf_init(&b, 0);
	message_end(&b, message_begin(s, &b, NFNL_MSG_BATCH_BEGIN, 0));
	for (size_t i = 0; i < gone->n; i++) {
		if (elements_have(come, &gone->v[i]))
			continue;
		/* Taking away what is not there would fail, slowly: it is put there first. */
		element_put(s, &b, &gone->v[i], true);
		element_put(s, &b, &gone->v[i], false);
		any = true;
	}
	for (size_t i = 0; i < come->n; i++, any = true)
		element_put(s, &b, &come->v[i], true);
	if (any)
		return batch_send(s, &b, gone->n + come->n, e);
	buf_fini(&b);
	return 0;
}

static const struct elements none;

/* The kernel's word for a key that has something else in the map already. */
static bool is_clash(int r)
{
	return r == -EEXIST || r == -EBUSY;
}

/* The key may lead to something else meanwhile: that is not what is to go. */
static int go(struct element_socket *s, const struct element *el, struct err *e)
{
	int r = batch(s, &(struct elements){.v = (struct element *)(uintptr_t)el, .n = 1}, &none, e);

	return r == -ENOENT || is_clash(r) ? 0 : r;
}

/* … and to come instead of it. */
static int come_instead(struct element_socket *s, const struct element *el, struct err *e)
{
	struct elements one = {.v = (struct element *)(uintptr_t)el, .n = 1};
	int r = batch(s, &none, &one, e);
	struct buf b;

	if (!is_clash(r))
		return r;
	buf_init(&b, 0);
	message_end(&b, message_begin(s, &b, NFNL_MSG_BATCH_BEGIN, 0));
	element_put(s, &b, el, false); /* by its key alone */
	element_put(s, &b, el, true);
	return batch_send(s, &b, 2, e);
}

/* A State that came in between has made the change, and those after it: then it is made once more, until what followed it is. So what is to go may
 * have gone, with the sets of a group that nobody is in any more; and what comes, or goes, may find its key with what comes later. */
int elements_change(struct element_socket *s, const struct elements *gone, const struct elements *come, struct err *e)
{
	int r = batch(s, gone, come, e);

	if (r != -ENOENT && !is_clash(r))
		return r;
	r = 0;
	for (size_t i = 0; i < gone->n && r == 0; i++)
		r = elements_have(come, &gone->v[i]) ? 0 : go(s, &gone->v[i], e);
	for (size_t i = 0; i < come->n && r == 0; i++)
		r = come_instead(s, &come->v[i], e);
	return r;
}

/* net/batch.c - see net/batch.h */
#include "net/batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

struct batch_socket {
	struct mnl_socket *sock;
	size_t room; /* what the kernel takes in one piece */
	struct batch_ops ops;
	char in[16384];
};

int batch_socket_open(struct batch_socket **ret, struct err *e)
{
	struct batch_socket *s = calloc(1, sizeof *s);
	int yes = 1;

	if (s)
		s->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	/* An error says which message it is about by its header: with all of it, it might not fit into what we read. */
	if (!s || !s->sock || mnl_socket_bind(s->sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(s->sock, NETLINK_CAP_ACK, &yes, sizeof yes) < 0) {
		int r = err_set(e, s ? errno : ENOMEM, "nftables", "a netlink socket");

		batch_socket_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void batch_socket_close(struct batch_socket *s)
{
	if (s && s->sock)
		mnl_socket_close(s->sock);
	free(s);
}

void batch_socket_tell(struct batch_socket *s, const struct batch_ops *ops)
{
	s->ops = *ops;
}

/* ---------------------------------------------------------------- messages */

static struct nlmsghdr *message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t res_id)
{
	char *at = buf_room(&b->out, BATCH_MESSAGE_MAX);
	struct nlmsghdr *h = at ? mnl_nlmsg_put_header(at) : NULL;
	struct nfgenmsg *g;

	if (!h)
		return NULL;
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++b->seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res_id);
	return h;
}

struct nlmsghdr *batch_message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family)
{
	return message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, family, 0);
}

void batch_message_end(struct batch *b, const struct nlmsghdr *h)
{
	if (h)
		b->out.len += h->nlmsg_len;
}

void batch_begin(struct batch *b)
{
	*b = (struct batch){0};
	buf_init(&b->out, 0);
	batch_message_end(b, message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void batch_number(struct nlmsghdr *h, uint16_t type, uint32_t number)
{
	mnl_attr_put_u32(h, type, htonl(number));
}

void batch_value(struct nlmsghdr *h, uint16_t type, const void *bytes, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, len, bytes);
	mnl_attr_nest_end(h, nest);
}

void batch_verdict(struct nlmsghdr *h, uint16_t type, const char *jump)
{
	struct nlattr *data = mnl_attr_nest_start(h, type), *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);

	batch_number(h, NFTA_VERDICT_CODE, *jump ? (uint32_t)NFT_JUMP : NF_ACCEPT);
	if (*jump)
		mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, jump);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_nest_end(h, data);
}

bool batch_is_empty(const struct batch *b)
{
	return b->seq <= 1 && !b->out.failed;
}

void batch_fini(struct batch *b)
{
	buf_fini(&b->out);
}

/* ---------------------------------------------------------------- to the kernel */

/* It has answered when the batch is sent: there is an error, or nothing. */
static int result(struct batch_socket *s)
{
	int r = 0, missed = 0;

	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(s->sock), s->in, sizeof s->in, MSG_DONTWAIT);

		/* Each message may have one, and the socket has room for some hundreds: none of them is left for the next batch. */
		if (n < 0 && errno == ENOBUFS)
			missed = -ENOBUFS;
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n < 0)
			return r ? r : errno == EAGAIN ? missed : -errno;
		int left = (int)n;
		for (const struct nlmsghdr *h = (const void *)s->in; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type == NLMSG_ERROR && err->error && !r)
				r = err->error;
		}
	}
}

/* A group of many rules is more than a socket takes by itself. */
static int make_room(struct batch_socket *s, size_t len)
{
	int room = (int)len;

	if (len <= s->room)
		return 0;
	if (setsockopt(mnl_socket_get_fd(s->sock), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
		return -errno;
	s->room = len;
	return 0;
}

int batch_send(struct batch *b, struct batch_socket *s, const char *what, struct err *e)
{
	int r;

	batch_message_end(b, message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (s->ops.before)
		s->ops.before(s->ops.arg);
	if (b->out.failed)
		r = -ENOMEM;
	else if ((r = make_room(s, b->out.len)) == 0)
		r = mnl_socket_sendto(s->sock, b->out.data, b->out.len) < 0 ? -errno : result(s);
	if (s->ops.after)
		s->ops.after(s->ops.arg);
	batch_fini(b);
	return r < 0 ? err_set(e, -r, "nftables", "%s", what) : 0;
}

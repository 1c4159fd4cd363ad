/* net/nl.c - see net/nl.h */
#include "net/nl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>

int nl_open(struct nl *nl, struct err *e)
{
	return nl_open_of(nl, NETLINK_ROUTE, e);
}

int nl_open_of(struct nl *nl, int bus, struct err *e)
{
	nl->seq = 0;
	nl->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, errno, "network", "a netlink socket");
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

struct nlmsghdr *nl_request(struct nl *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(nl->out);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | ((flags & NLM_F_DUMP) == NLM_F_DUMP ? 0 : NLM_F_ACK) | flags);
	h->nlmsg_seq = ++nl->seq;
	return h;
}

int nl_talk(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg)
{
	unsigned port = mnl_socket_get_portid(nl->sock);

	if (mnl_socket_sendto(nl->sock, h, h->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(nl->sock, nl->in, sizeof nl->in);
		int r = n < 0 ? -1 : mnl_cb_run(nl->in, (size_t)n, nl->seq, port, fn, arg);

		if (r < 0 && errno == EINTR) /* a dump that the kernel changed under us: what it says is still told */
			continue;
		if (r <= 0)
			return r < 0 ? -errno : 0;
	}
}

/* net/refused.c - see net/refused.h */
#include "net/refused.h"

#include "base/log.h"
#include "net/flows.h"
#include "net/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HEADERS 68 /* IPv4 with all of its options, and the ports */

#define AT_ONCE	   64u
#define FREE_NS	   (5 * 1000 * 1000)
#define FREE_TRIES 400u

struct refused {
	struct nl nl;
	struct flow flows[AT_ONCE]; /* that were heard of, and are to end */
	size_t n;
};

/* Each packet at once, with its headers. */
static struct nlmsghdr *listen_request(struct nl *nl)
{
	struct nlmsghdr *h = nl_request(nl, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, 0);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	struct nfulnl_msg_config_cmd cmd = {.command = NFULNL_CFG_CMD_BIND};
	struct nfulnl_msg_config_mode mode = {.copy_mode = NFULNL_COPY_PACKET, .copy_range = htonl(HEADERS)};

	g->nfgen_family = AF_UNSPEC;
	g->res_id = htons(REFUSED_GROUP);
	mnl_attr_put(h, NFULA_CFG_CMD, sizeof cmd, &cmd);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof mode, &mode);
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(1));
	return h;
}

/* An earlier berth-net that is just ending has it still, and else it would be nobody's for as long as this one lives. */
static int listen_begin(struct nl *nl)
{
	int r = nl_talk(nl, listen_request(nl), NULL, NULL);

	for (unsigned i = 0; r == -EPERM && i < FREE_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = FREE_NS}, NULL);
		r = nl_talk(nl, listen_request(nl), NULL, NULL);
	}
	return r;
}

int refused_open(struct refused **ret, struct err *e)
{
	struct refused *r = calloc(1, sizeof *r);
	int result = r ? nl_open_of(&r->nl, NETLINK_NETFILTER, e) : err_set(e, ENOMEM, "nftables", "no memory");

	if (result == 0 && (result = listen_begin(&r->nl)) < 0)
		err_set(e, -result, "nftables", "hear of packets that are refused (nfnetlink_log)");
	if (result < 0) {
		refused_close(r);
		return result;
	}
	*ret = r;
	return 0;
}

void refused_close(struct refused *r)
{
	if (r)
		nl_close(&r->nl);
	free(r);
}

int refused_fd(const struct refused *r)
{
	return r ? mnl_socket_get_fd(r->nl.sock) : -1;
}

/* What of a datagram says whose it is: addresses, and ports. */
static bool take_flow(const uint8_t *p, size_t len, struct flow *f)
{
	size_t header, ip = 4, at = 12;

	if (len >= 20 && p[0] >> 4 == 4 && p[9] == IPPROTO_UDP) {
		header = (size_t)(p[0] & 15) * 4;
	} else if (len >= 40 && p[0] >> 4 == 6 && p[6] == IPPROTO_UDP) {
		header = 40;
		ip = 16;
		at = 8;
	} else {
		return false;
	}
	if (len < header + 4)
		return false;
	f->from.len = f->to.len = (unsigned)ip;
	memcpy(f->from.byte, p + at, ip);
	memcpy(f->to.byte, p + at + ip, ip);
	memcpy(&f->from_port, p + header, 2);
	memcpy(&f->to_port, p + header + 2, 2);
	return true;
}

static void end_them(struct refused *r)
{
	struct err e;

	if (r->n && flows_end_of(r->flows, r->n, &e) < 0)
		log_err(&e, "flows whose datagrams are refused");
	r->n = 0;
}

static bool is_ip(const struct ip *a, const struct ip *b)
{
	return a->len == b->len && !memcmp(a->byte, b->byte, a->len);
}

static bool is_known(const struct refused *r, const struct flow *f)
{
	for (size_t i = 0; i < r->n; i++)
		if (is_ip(&r->flows[i].from, &f->from) && is_ip(&r->flows[i].to, &f->to) &&
		    r->flows[i].from_port == f->from_port && r->flows[i].to_port == f->to_port)
			return true;
	return false;
}

static int hear(const struct nlmsghdr *h, void *arg)
{
	struct refused *r = arg;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		struct flow f = {.ended = false};

		if (mnl_attr_get_type(a) != NFULA_PAYLOAD ||
		    !take_flow(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), &f) || is_known(r, &f))
			continue;
		if (r->n == AT_ONCE)
			end_them(r);
		r->flows[r->n++] = f;
	}
	return MNL_CB_OK;
}

void refused_read(struct refused *r)
{
	for (;;) {
		ssize_t n = recv(refused_fd(r), r->nl.in, sizeof r->nl.in, MSG_DONTWAIT);

		if (n < 0 && (errno == EINTR || errno == ENOBUFS)) /* what was not heard is said with the next packet */
			continue;
		if (n <= 0)
			break;
		mnl_cb_run(r->nl.in, (size_t)n, 0, 0, hear, r);
	}
	end_them(r);
}

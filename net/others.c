/* net/others.c - see net/others.h */
#include "net/others.h"

#include "net/table.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ROOM (4 << 20) /* of notifications: more at once, and we look as if our table had been touched */

/* ---------------------------------------------------------------- the generation */

static int take_generation(const struct nlmsghdr *h, void *arg)
{
	struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == NFTA_GEN_ID) * (uint32_t *)arg =
		ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int generation_now(struct others *o, uint32_t *ret)
{
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	ssize_t n;

	h->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
	h->nlmsg_flags = NLM_F_REQUEST;
	h->nlmsg_seq = 1;
	if (mnl_socket_sendto(o->ask, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(o->ask, buf, sizeof buf);
	if (n < 0 || mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(o->ask), take_generation, ret) < 0)
		return -errno;
	return 0;
}

/* ---------------------------------------------------------------- what is heard */

/* The attribute that names the table is the first of each of these messages' own numbering, and the same number in all. */
static bool is_ours(const struct nlmsghdr *h)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	struct nlattr *a;

	static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1 &&
			      NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1 && NFTA_FLOWTABLE_TABLE == 1,
		      "one number for all of them");
	if (g->nfgen_family != NFPROTO_INET && g->nfgen_family != NFPROTO_BRIDGE)
		return false;
	mnl_attr_for_each(a, h, sizeof *g) if (mnl_attr_get_type(a) ==
					       1) return mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 &&
		!strcmp(mnl_attr_get_str(a), TABLE_NAME);
	return false;
}

static void take_doer(const struct nlmsghdr *h, const char **ret_name, uint32_t *ret_pid)
{
	struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_GEN_PROC_NAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			*ret_name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == NFTA_GEN_PROC_PID)
			*ret_pid = ntohl(mnl_attr_get_u32(a));
	}
}

/* A transaction is told change by change, and ends with the new generation and who made it. */
static int hear(const struct nlmsghdr *h, void *arg)
{
	struct others *o = arg;
	unsigned type = NFNL_MSG_TYPE(h->nlmsg_type);
	const char *who = "somebody";
	uint32_t pid = 0;

	if (type != NFT_MSG_NEWGEN) {
		if (is_ours(h)) {
			o->touched = true;
			o->removed |= type == NFT_MSG_DELTABLE;
		}
		return MNL_CB_OK;
	}
	take_generation(h, &o->generation);
	take_doer(h, &who, &pid);
	if (o->touched && !o->reason[0])
		snprintf(o->reason, sizeof o->reason, "%s by %.40s (pid %u)", o->removed ? "removed" : "changed", who,
			 pid);
	return MNL_CB_OK;
}

void others_listen(struct others *o)
{
	static char buf[65536];

	for (;;) {
		ssize_t n = recv(others_fd(o), buf, sizeof buf, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			o->missed = true;
			continue;
		}
		if (n <= 0)
			break;
		mnl_cb_run(buf, (size_t)n, 0, 0, hear, o);
	}
	if (o->missed && !o->touched) {
		o->touched = true;
		snprintf(o->reason, sizeof o->reason, "perhaps changed (too many changes at once to be heard)");
	}
	if (o->missed)
		(void)generation_now(o, &o->generation); /* else the next change of ours looks touched too: harmless */
	o->missed = false;
}

void others_forget(struct others *o)
{
	o->touched = o->removed = false;
	o->reason[0] = 0;
}

static void group(struct others *o, int option)
{
	int nr = NFNLGRP_NFTABLES;

	(void)mnl_socket_setsockopt(o->sock, option, &nr, sizeof nr); /* cannot fail for who has opened it */
}

void others_mute(struct others *o)
{
	group(o, NETLINK_DROP_MEMBERSHIP);
	others_listen(o);
}

/* A transaction of ours counts one, or none, if there was nothing to change. */
void others_unmute(struct others *o)
{
	uint32_t now = o->generation;
	bool known;

	group(o, NETLINK_ADD_MEMBERSHIP);
	known = generation_now(o, &now) == 0;
	if (!known || now - o->generation > 1) {
		o->touched = true;
		snprintf(o->reason, sizeof o->reason, "perhaps changed (while we changed it ourselves)");
	}
	/* What came into the socket since is counted in it, or says its own number. */
	o->generation = now;
}

int others_fd(const struct others *o)
{
	return mnl_socket_get_fd(o->sock);
}

int others_open(struct others *o, struct err *e)
{
	int room = ROOM;

	o->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	o->ask = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!o->sock || !o->ask || mnl_socket_bind(o->sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_bind(o->ask, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, errno, "nftables", "a netlink socket for what others do to the table");
	if (setsockopt(others_fd(o), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		return err_set(e, errno, "nftables", "room for notifications");
	group(o, NETLINK_ADD_MEMBERSHIP);
	return generation_now(o, &o->generation) < 0 ? err_set(e, errno, "nftables", "ask for the ruleset's generation")
						     : 0;
}

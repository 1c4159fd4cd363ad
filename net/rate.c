/* net/rate.c - see net/rate.h */
#include "net/rate.h"

#include "base/log.h"
#include "net/link.h"
#include "net/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IFB_PREFIX "bf"
/* A bucket holds 10 ms of the rate, and at least some packets; what waits is 50 ms of it. */
#define BURST_MIN 32768u
#define QUEUE_MIN 65536u

/* "bt5" -> "bf5" */
static void ifb_name(const char *host_link, char name[IF_NAMESIZE])
{
	snprintf(name, IF_NAMESIZE, IFB_PREFIX "%s", host_link + strlen(LINK_PREFIX));
}

static struct nlmsghdr *tc_request(struct nl *nl, uint16_t type, uint16_t flags, int index, uint32_t parent,
				   struct tcmsg **ret)
{
	struct nlmsghdr *h = nl_request(nl, type, flags);

	*ret = mnl_nlmsg_put_extra_header(h, sizeof **ret);
	(*ret)->tcm_ifindex = index;
	(*ret)->tcm_parent = parent;
	return h;
}

static int lacking(int r, const char *module, const char *what, struct err *e)
{
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return err_set(e, EOPNOTSUPP, "network", "%s cannot be limited: the kernel has no %s (modprobe %s)",
			       what, module, module);
	return err_set(e, -r, "network", "limit %s", what);
}

/* ---------------------------------------------------------------- the bucket */

static int bucket_put(struct nl *nl, int index, uint64_t bps, uint32_t mtu, const char *what, struct err *e)
{
	uint64_t rate = bps / 8, burst = rate / 100, queue = rate / 20;
	struct tc_tbf_qopt q = {.rate.linklayer = TC_LINKLAYER_ETHERNET};
	struct nlattr *options;
	struct nlmsghdr *h;
	struct tcmsg *t;
	int r;

	if (burst < BURST_MIN)
		burst = BURST_MIN;
	if (burst < mtu + 256u)
		burst = mtu + 256u;
	if (burst > INT32_MAX / 2)
		burst = INT32_MAX / 2;
	if (queue < QUEUE_MIN)
		queue = QUEUE_MIN;
	q.rate.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
	q.limit = queue + burst > INT32_MAX ? INT32_MAX : (uint32_t)(queue + burst);
	h = tc_request(nl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, TC_H_ROOT, &t);
	t->tcm_handle = 1 << 16;
	mnl_attr_put_strz(h, TCA_KIND, "tbf");
	options = mnl_attr_nest_start(h, TCA_OPTIONS);
	mnl_attr_put(h, TCA_TBF_PARMS, sizeof q, &q);
	mnl_attr_put_u32(h, TCA_TBF_BURST, (uint32_t)burst);
	if (rate > UINT32_MAX)
		mnl_attr_put_u64(h, TCA_TBF_RATE64, rate);
	mnl_attr_nest_end(h, options);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? lacking(r, "sch_tbf", what, e) : 0;
}

/* Nothing there is no error. */
static int qdisc_del(struct nl *nl, int index, uint32_t parent, struct err *e)
{
	struct tcmsg *t;
	struct nlmsghdr *h = tc_request(nl, RTM_DELQDISC, 0, index, parent, &t);
	int r = nl_talk(nl, h, NULL, NULL);

	return r < 0 && r != -ENOENT && r != -EINVAL && r != -ENODEV ? err_set(e, -r, "network", "take a limit away")
								     : 0;
}

/* ---------------------------------------------------------------- what comes from the port */

static int ingress_put(struct nl *nl, int index, struct err *e)
{
	struct tcmsg *t;
	struct nlmsghdr *h = tc_request(nl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_INGRESS, &t);
	int r;

	t->tcm_handle = TC_H_INGRESS & TC_H_MAJ_MASK;
	mnl_attr_put_strz(h, TCA_KIND, "ingress");
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 && r != -EEXIST ? lacking(r, "sch_ingress", "what a container sends", e) : 0;
}

/* All of it to the other link; there it is queued, and comes back as if it had just been received. */
static int redirect_put(struct nl *nl, int index, int to, struct err *e)
{
	_Alignas(struct tc_u32_sel) uint8_t all[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)] = {0};
	struct tc_u32_sel *match = (struct tc_u32_sel *)all;
	struct tc_mirred mirred = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
	struct nlattr *options, *actions, *one, *parameters;
	struct nlmsghdr *h;
	struct tcmsg *t;
	int r;

	h = tc_request(nl, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_INGRESS & TC_H_MAJ_MASK, &t);
	t->tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(h, TCA_KIND, "u32");
	options = mnl_attr_nest_start(h, TCA_OPTIONS);
	match->flags = TC_U32_TERMINAL;
	match->nkeys = 1; /* of no bits: it fits everything */
	mnl_attr_put(h, TCA_U32_SEL, sizeof all, all);
	actions = mnl_attr_nest_start(h, TCA_U32_ACT);
	one = mnl_attr_nest_start(h, 1);
	mnl_attr_put_strz(h, TCA_ACT_KIND, "mirred");
	parameters = mnl_attr_nest_start(h, TCA_ACT_OPTIONS);
	mnl_attr_put(h, TCA_MIRRED_PARMS, sizeof mirred, &mirred);
	mnl_attr_nest_end(h, parameters);
	mnl_attr_nest_end(h, one);
	mnl_attr_nest_end(h, actions);
	mnl_attr_nest_end(h, options);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 ? lacking(r, "cls_u32 or act_mirred", "what a container sends", e) : 0;
}

static int ifb_make(struct nl *nl, const char *name, uint32_t mtu, struct err *e)
{
	struct ifinfomsg *info;
	struct nlmsghdr *h = nl_request(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *kind;
	int r;

	info = mnl_nlmsg_put_extra_header(h, sizeof *info);
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	kind = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "ifb");
	mnl_attr_nest_end(h, kind);
	r = nl_talk(nl, h, NULL, NULL);
	return r < 0 && r != -EEXIST ? lacking(r, "ifb", "what a container sends", e) : 0;
}

/* The bucket first: nothing passes beside it. */
static int out_put(struct nl *nl, int index, const char *ifb, const Net__Port *p, struct err *e)
{
	int r = ifb_make(nl, ifb, p->mtu, e), to;

	if (r < 0)
		return r;
	to = link_index(nl, ifb);
	if (to < 0)
		return err_set(e, -to, "network", "find the link %s", ifb);
	r = bucket_put(nl, to, p->rate_out, p->mtu, "what a container sends", e);
	if (r == 0)
		r = qdisc_del(nl, index, TC_H_INGRESS, e);
	if (r == 0)
		r = ingress_put(nl, index, e);
	return r < 0 ? r : redirect_put(nl, index, to, e);
}

static int out_del(struct nl *nl, int index, const char *ifb, struct err *e)
{
	int r = index > 0 ? qdisc_del(nl, index, TC_H_INGRESS, e) : 0;

	return r < 0 || link_index(nl, ifb) < 0 ? r : link_del(nl, ifb, e);
}

/* ---------------------------------------------------------------- a port, all ports */

int rate_put(struct nl *host, const Net__Port *p, struct err *e)
{
	int index = link_index(host, p->host_link), r;
	char ifb[IF_NAMESIZE];

	if (index < 0)
		return err_set(e, -index, "network", "find the link %s", p->host_link);
	ifb_name(p->host_link, ifb);
	r = p->rate_in ? bucket_put(host, index, p->rate_in, p->mtu, "what a container receives", e)
		       : qdisc_del(host, index, TC_H_ROOT, e);
	if (r < 0)
		return r;
	return p->rate_out ? out_put(host, index, ifb, p, e) : out_del(host, index, ifb, e);
}

int rate_del(struct nl *host, const Net__Port *p, struct err *e)
{
	char ifb[IF_NAMESIZE];

	ifb_name(p->host_link, ifb);
	return p->rate_out ? out_del(host, -1, ifb, e) : 0;
}

#define IFBS_AT_ONCE 256u

struct strays {
	const Net__State *state;
	char (*name)[IF_NAMESIZE];
	size_t n;
};

static void look(void *arg, const char *name, uint32_t group)
{
	struct strays *s = arg;
	char ifb[IF_NAMESIZE];

	(void)group;
	if (strncmp(name, IFB_PREFIX, strlen(IFB_PREFIX)) != 0 || s->n == IFBS_AT_ONCE)
		return;
	for (size_t i = 0; i < s->state->n_ports; i++) {
		ifb_name(s->state->ports[i]->host_link, ifb);
		if (s->state->ports[i]->rate_out && !strcmp(ifb, name))
			return;
	}
	snprintf(s->name[s->n++], IF_NAMESIZE, "%s", name);
}

int rate_all(struct nl *host, const Net__State *state, struct err *e)
{
	struct strays s = {.state = state, .name = calloc(IFBS_AT_ONCE, IF_NAMESIZE)};
	struct err one;
	int r = s.name ? 0 : err_set(e, ENOMEM, "network", "no memory");

	do {
		s.n = 0;
		if (r == 0)
			r = link_each(host, look, &s, e);
		for (size_t i = 0; i < s.n && r == 0; i++)
			r = link_del(host, s.name[i], e);
	} while (r == 0 && s.n == IFBS_AT_ONCE);
	free(s.name);
	/* A link that went away meanwhile is no reason to have no network at all. */
	for (size_t i = 0; i < state->n_ports && r == 0; i++)
		if ((state->ports[i]->rate_in || state->ports[i]->rate_out) &&
		    rate_put(host, state->ports[i], &one) < 0)
			log_err(&one, "the limits of %s", state->ports[i]->host_link);
	return r;
}

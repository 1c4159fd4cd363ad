/* net/probe.c - see net/probe.h */
#include "net/probe.h"

#include "base/file.h"
#include "net/announce.h"
#include "net/link.h"
#include "net/rate.h"
#include "net/routed.h"
#include "net/table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINK "bt0"

static struct nl nl;

static void say(const char *name, int r, const char *bad, const char *good, const char *remedy, const struct err *e)
{
	if (r >= 0)
		printf("%s\tok\t%s\t\n", name, good);
	else if (e)
		printf("%s\t%s\t%s: %s\t%s\n", name, bad, e->text, e->code ? strerror(e->code) : "refused", remedy);
	else
		printf("%s\t%s\t%s\t%s\n", name, bad, strerror(-r), remedy);
}

/* The very table that there will be. */
static void probe_table(void)
{
	static const Net__State nothing = NET__STATE__INIT;
	struct table *t = NULL;
	struct err e = {0};
	char max[32];
	int r = table_open(&t, &e);

	if (r == 0)
		r = table_make(t, &nothing, &e);
	say("nftables", r, "missing", "rules, sets, maps and translation of addresses",
	    "load nf_tables, nf_nat, nft_chain_nat, nft_ct, nft_masq, nft_fib_inet, nft_log, nfnetlink_log (Debian's kernels have them): networks need them",
	    &e);
	r = file_read(AT_FDCWD, "/proc/sys/net/netfilter/nf_conntrack_max", max, sizeof max);
	say("connection tracking", r < 0 ? r : 0, "missing", "by which NAT and groups know answers",
	    "modprobe nf_conntrack", NULL);
	table_close(t);
}

static int veth_make(struct err *e)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	const struct link_pair pair = {.host = LINK, .inside = "eth0", .ns_fd = ns, .mac = mac};
	int r = ns < 0 ? err_set(e, errno, "network", "open the namespace") : link_pair_add(&nl, &pair, e);

	if (ns >= 0)
		close(ns);
	return r;
}

static void setting(const char *name, const char *path, const char *value, const char *good)
{
	say(name, file_writes(AT_FDCWD, path, value), "missing", good,
	    "mount /proc/sys so that berthd may write to it (not read-only)", NULL);
}

#define FORWARD4 "/proc/sys/net/ipv4/ip_forward"
#define FORWARD6 "/proc/sys/net/ipv6/conf/all/forwarding"

/* Of the host itself, where there are networks: somebody has switched off what berth-net has switched on. */
static bool is_off(const char *path)
{
	char now[8];

	return if_nametoindex(GATEWAY_LINK) && file_read(AT_FDCWD, path, now, sizeof now) > 0 && now[0] == '0';
}

static void forwarding(const char *name, const char *path, const char *key, bool off)
{
	if (off)
		printf("%s\tmissing\tsomebody has switched it off: containers reach the host and nobody else\tsysctl -w %s=1, and "
		       "keep files of sysctl.d from setting it to 0\n",
		       name, key);
	else
		setting(name, path, "1", "on as soon as there is a network");
}

static void kind(const char *name, bool parent, const char *remedy, const char *good)
{
	int r, index = link_index(&nl, "eth0");
	struct nlmsghdr *h = nl_request(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info;
	struct err e;

	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, "tried");
	if (parent)
		mnl_attr_put_u32(h, IFLA_LINK, (uint32_t)index);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, name);
	mnl_attr_nest_end(h, info);
	r = nl_talk(&nl, h, NULL, NULL);
	say(name, r, "degraded", good, remedy, NULL);
	if (r == 0)
		(void)link_del(&nl, "tried", &e); /* else the next one finds the parent taken, and says so */
}

static void rates(void)
{
	Net__Port p = NET__PORT__INIT;
	struct err e = {0};
	int r;

	p.host_link = (char *)(uintptr_t)LINK;
	p.has_rate_in = 1;
	p.rate_in = 1000000;
	r = rate_put(&nl, &p, &e);
	say("bandwidth limits in", r, "degraded", "rate-in", "modprobe sch_tbf: without it rate-in is refused", &e);
	p.has_rate_out = 1;
	p.rate_out = 1000000;
	p.rate_in = 0;
	r = rate_put(&nl, &p, &e);
	say("bandwidth limits out", r, "degraded", "rate-out",
	    "modprobe sch_tbf ifb sch_ingress cls_u32 act_mirred: without them rate-out is refused", &e);
}

int probe_run(void)
{
	struct err e = {0};
	int r, fd = announce_open();
	bool off4 = is_off(FORWARD4), off6 = is_off(FORWARD6);

	if (unshare(CLONE_NEWNET) < 0) {
		say("network namespaces", -errno, "missing", "",
		    "run berthd with CAP_SYS_ADMIN, on a kernel with CONFIG_NET_NS", NULL);
		return 0;
	}
	probe_table();
	r = nl_open(&nl, &e);
	if (r == 0)
		r = veth_make(&e);
	say("veth", r, "missing", "the two ends of an interface", "modprobe veth (CONFIG_VETH): networks need it", &e);
	if (r < 0)
		return 0;
	forwarding("forwarding IPv4", FORWARD4, "net.ipv4.ip_forward", off4);
	setting("route_localnet", "/proc/sys/net/ipv4/conf/" LINK "/route_localnet", "1",
		"published ports are reached at 127.0.0.1");
	if (access("/proc/sys/net/ipv6", F_OK) == 0)
		forwarding("forwarding IPv6", FORWARD6, "net.ipv6.conf.all.forwarding", off6);
	else
		say("IPv6", -EAFNOSUPPORT, "degraded", "",
		    "boot without ipv6.disable=1; networks with an IPv4 subnet alone work", NULL);
	rates();
	kind("bridge", false, "modprobe bridge: networks of the driver bridge need it", "the driver bridge");
	kind("macvlan", true, "modprobe macvlan: networks of the driver macvlan need it", "the driver macvlan");
	kind("ipvlan", true, "modprobe ipvlan: networks of the driver ipvlan need it", "the driver ipvlan");
	say("packet sockets", fd < 0 ? -EPERM : 0, "degraded", "addresses are announced, and duplicates found",
	    "give berthd CAP_NET_RAW: else neighbours notice later that an address has moved, and nobody that it is somebody else's too",
	    NULL);
	return 0;
}

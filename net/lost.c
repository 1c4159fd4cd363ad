/* net/lost.c - see net/lost.h */
#include "net/lost.h"

#include "base/list.h"
#include "base/own.h"
#include "net/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUCKETS 1024u

struct wanted {
	struct list bucket; /* lost.by_name */
	char name[IF_NAMESIZE];
	bool shared;
	int index; /* of one that is shared, with all that hangs on it */
};

struct lost {
	struct nl *host;
	struct mnl_socket *news;
	struct list by_name[BUCKETS];
	bool doubt; /* more than we were told of may have gone */
};

/* Links that come and change are nobody's end, nor is a port that leaves its bridge. */
static int filter_put(struct mnl_socket *sock)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_family)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNSPEC, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), /* in network order, as filters read */
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	code[3].k = htons(RTM_DELLINK);
	return setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int lost_open(struct lost **ret, struct nl *host, struct err *e)
{
	struct lost *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(e, ENOMEM, "network", "no memory");
	l->host = host;
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&l->by_name[i]);
	l->news = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	*ret = l;
	return l->news && filter_put(l->news) == 0 && mnl_socket_bind(l->news, RTMGRP_LINK, MNL_SOCKET_AUTOPID) == 0
		       ? 0
		       : err_set(e, errno, "network", "hear of links that go");
}

static struct list *bucket_of(struct lost *l, const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	while (*name)
		h = (h ^ (uint8_t)*name++) * 16777619u;
	return &l->by_name[h % BUCKETS];
}

static struct wanted *find(struct lost *l, const char *name)
{
	struct list *bucket = bucket_of(l, name);
	struct wanted *x;

	list_each (x, bucket, bucket)
		if (!strcmp(x->name, name))
			return x;
	return NULL;
}

static void forget(struct wanted *x)
{
	list_del(&x->bucket);
	free(x);
}

void lost_want(struct lost *l, const char *name, bool shared)
{
	struct wanted *x = find(l, name) ? NULL : calloc(1, sizeof *x);

	if (!x)
		return;
	snprintf(x->name, sizeof x->name, "%s", name);
	x->shared = shared;
	x->index = shared ? link_index(l->host, name) : 0;
	list_init(&x->bucket);
	list_push(bucket_of(l, name), &x->bucket);
}

void lost_forget(struct lost *l, const char *name)
{
	struct wanted *x = find(l, name);

	if (x)
		forget(x);
}

void lost_forget_all(struct lost *l)
{
	struct wanted *x;

	for (size_t i = 0; i < BUCKETS; i++)
		while ((x = list_first(&l->by_name[i], struct wanted, bucket)))
			forget(x);
}

void lost_doubt(struct lost *l)
{
	l->doubt = true;
}

int lost_fd(const struct lost *l)
{
	return mnl_socket_get_fd(l->news);
}

/* Another one of that name may be there by now, made by what needed it: on one that is shared the other ports do not hang. */
static bool is_gone(const struct lost *l, const struct wanted *x)
{
	int index = link_index(l->host, x->name);

	return x->shared ? index < 0 || index != x->index : index == -ENODEV;
}

bool lost_is(struct lost *l, const char *name)
{
	const struct wanted *x = find(l, name);

	return x && is_gone(l, x);
}

static int look(struct lost *l, struct wanted *x, lost_tell *fn, void *arg)
{
	char name[IF_NAMESIZE];
	bool shared;

	if (!x || !is_gone(l, x))
		return 0;
	snprintf(name, sizeof name, "%s", x->name);
	shared = x->shared;
	if (!shared)
		forget(x);
	return fn(arg, name, shared);
}

static const char *name_in(const struct nlmsghdr *h)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg)) if (mnl_attr_get_type(a) == IFLA_IFNAME &&
							      mnl_attr_validate(a, MNL_TYPE_NUL_STRING) ==
								      0) return mnl_attr_get_str(a);
	return NULL;
}

static int look_at_all(struct lost *l, lost_tell *fn, void *arg)
{
	struct wanted *x;
	int r = 0;

	for (size_t i = 0; i < BUCKETS && r >= 0; i++)
		list_each (x, &l->by_name[i], bucket)
			if (r >= 0)
				r = look(l, x, fn, arg);
	return r;
}

int lost_each(struct lost *l, lost_tell *fn, void *arg)
{
	static char buf[16384];
	int r = 0;

	while (r >= 0) {
		ssize_t n = recv(lost_fd(l), buf, sizeof buf, MSG_DONTWAIT);
		int left = (int)n;

		l->doubt |= n < 0 && errno == ENOBUFS; /* it was too much at once */
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n <= 0)
			break;
		for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, left) && r >= 0;
		     h = mnl_nlmsg_next(h, &left)) {
			const char *name = h->nlmsg_type == RTM_DELLINK ? name_in(h) : NULL;

			r = name ? look(l, find(l, name), fn, arg) : 0;
		}
	}
	if (r < 0 || !l->doubt)
		return r;
	l->doubt = false;
	return look_at_all(l, fn, arg);
}

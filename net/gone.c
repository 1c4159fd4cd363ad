/* net/gone.c - see net/gone.h */
#include "net/gone.h"

#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "net/link.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WAIT_NS	    NS_PER_S	      /* from when it was let go until it is removed */
#define AT_ONCE	    16u		      /* are let go; the kernel takes some 50 ms for them */
#define FEW	    4u		      /* … while somebody attaches: his wait for the lock is a fourth */
#define YIELD_NS    (100 * NS_PER_MS) /* … or did so a moment ago */
#define PATIENCE_NS (2 * NS_PER_S)    /* … but starts without a pause, each with its end, must not pile these up */
#define NO_MORE_NS  (200 * NS_PER_MS) /* one that is there then is in nobody's way: something keeps it */
#define LOOK_NS	    (4 * NS_PER_MS)   /* whether others can be let go */
#define BUCKETS	    1024u

struct one {
	struct list link;   /* gone.waiting, gone.let_go: the earliest first; in use: none */
	struct list bucket; /* gone.by_name */
	char name[IF_NAMESIZE];
	int ns_fd; /* -1: not held */
	bool ended;
	uint64_t since_ns; /* it waits, or was let go */
};

struct gone {
	struct nl *host;
	size_t held, held_max;
	uint64_t look_ns, yield_ns; /* the next look; until then somebody attaches */
	struct list waiting, let_go;
	struct list by_name[BUCKETS];
};

int gone_open(struct gone **ret, struct nl *host, struct err *e)
{
	struct gone *g = calloc(1, sizeof *g);
	struct rlimit limit = {.rlim_cur = 0};

	if (!g)
		return err_set(e, ENOMEM, "network", "no memory");
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	g->host = host;
	g->held_max = limit.rlim_cur / 2; /* the rest is for whatever else has to be opened */
	list_init(&g->waiting);
	list_init(&g->let_go);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&g->by_name[i]);
	*ret = g;
	return 0;
}

static unsigned bucket_of(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	while (*name)
		h = (h ^ (uint8_t)*name++) * 16777619u;
	return h % BUCKETS;
}

static struct one *one_find(const struct gone *g, const char *name)
{
	struct one *x;

	list_each (x, &g->by_name[bucket_of(name)], bucket)
		if (!strcmp(x->name, name))
			return x;
	return NULL;
}

static struct one *one_new(struct gone *g, const char *name)
{
	struct one *x = calloc(1, sizeof *x);

	if (!x)
		return NULL;
	snprintf(x->name, sizeof x->name, "%s", name);
	x->ns_fd = -1;
	list_init(&x->link);
	list_init(&x->bucket);
	list_push(&g->by_name[bucket_of(name)], &x->bucket);
	return x;
}

static void one_release(struct gone *g, struct one *x)
{
	g->held -= x->ns_fd >= 0;
	close_fd(&x->ns_fd);
}

static void one_free(struct gone *g, struct one *x)
{
	one_release(g, x);
	list_del(&x->link);
	list_del(&x->bucket);
	free(x);
}

static void take_away(struct gone *g, const char *name)
{
	struct err e;

	if (link_index(g->host, name) > 0 && link_del(g->host, name, &e) < 0)
		log_err(&e, "an interface of one that has ended");
}

void gone_hold(struct gone *g, const char *host_link, int *ns_fd)
{
	struct one *x;

	gone_forget(g, host_link);
	x = g->held < g->held_max && *ns_fd >= 0 ? one_new(g, host_link) : NULL;
	if (!x) {
		close_fd(ns_fd);
		return;
	}
	x->ns_fd = *ns_fd;
	*ns_fd = -1;
	g->held++;
}

/* How many are on their way; those that have gone are none any more. */
static unsigned under_way(struct gone *g, uint64_t now)
{
	unsigned n = 0;
	struct one *x;

	list_each (x, &g->let_go, link)
		if (link_index(g->host, x->name) < 0)
			one_free(g, x);
		else
			n += now - x->since_ns < NO_MORE_NS;
	return n;
}

static unsigned at_once(const struct gone *g, uint64_t now)
{
	const struct one *x = list_first(&g->waiting, struct one, link);

	return now < g->yield_ns && x && now - x->since_ns < PATIENCE_NS ? FEW : AT_ONCE;
}

static void let_go(struct gone *g)
{
	uint64_t now = now_ns();
	unsigned n = under_way(g, now), max = at_once(g, now);
	struct one *x;

	while (n++ < max && (x = list_pop(&g->waiting, struct one, link))) {
		one_release(g, x);
		x->since_ns = now;
		list_push(&g->let_go, &x->link);
	}
	g->look_ns = now + LOOK_NS;
}

void gone_add(struct gone *g, const char *host_link)
{
	struct one *x = one_find(g, host_link);

	if (x && x->ended)
		return;
	if (!x)
		x = one_new(g, host_link);
	if (!x) {
		take_away(g, host_link);
		return;
	}
	x->ended = true;
	x->since_ns = now_ns();
	list_push(&g->waiting, &x->link);
	if (list_first(&g->waiting, struct one, link) == x)
		let_go(g);
}

void gone_yield(struct gone *g)
{
	g->yield_ns = now_ns() + YIELD_NS;
}

void gone_forget(struct gone *g, const char *host_link)
{
	struct one *x = one_find(g, host_link);

	if (x)
		one_free(g, x);
}

bool gone_has(const struct gone *g, const char *host_link)
{
	const struct one *x = one_find(g, host_link);

	return x && x->ended;
}

static int by_link(const void *a, const void *b)
{
	return strcmp((*(const Net__Port *const *)a)->host_link, (*(const Net__Port *const *)b)->host_link);
}

void gone_keep(struct gone *g, Net__Port *const *ports, size_t n)
{
	AUTO_FREE const Net__Port **sorted = calloc(n + 1, sizeof *sorted);
	Net__Port like = NET__PORT__INIT;
	const Net__Port *p = &like;
	struct one *x;

	if (!sorted)
		return;
	if (n)
		memcpy(sorted, ports, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_link);
	for (size_t i = 0; i < BUCKETS; i++)
		list_each (x, &g->by_name[i], bucket) {
			like.host_link = x->name;
			if (!x->ended && !bsearch(&p, sorted, n, sizeof *sorted, by_link))
				one_free(g, x);
		}
}

uint64_t gone_due(const struct gone *g)
{
	const struct one *x = list_first(&g->let_go, struct one, link);

	if (!list_empty(&g->waiting))
		return g->look_ns;
	return x ? x->since_ns + WAIT_NS : 0;
}

void gone_go_on(struct gone *g)
{
	struct one *x;

	while ((x = list_first(&g->let_go, struct one, link)) && x->since_ns + WAIT_NS <= now_ns()) {
		take_away(g, x->name);
		one_free(g, x);
	}
	if (!list_empty(&g->waiting) && g->look_ns <= now_ns())
		let_go(g);
}

/* net/gone.c - see net/gone.h */
#include "net/gone.h"

#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "net/link.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_NS NS_PER_S

struct one {
	struct list link; /* gone.all, the earliest first */
	char name[IF_NAMESIZE];
	uint64_t due_ns;
};

struct gone {
	struct nl *host;
	struct list all;
};

int gone_open(struct gone **ret, struct nl *host, struct err *e)
{
	struct gone *g = calloc(1, sizeof *g);

	if (!g)
		return err_set(e, ENOMEM, "network", "no memory");
	g->host = host;
	list_init(&g->all);
	*ret = g;
	return 0;
}

static void one_free(struct one *x)
{
	list_del(&x->link);
	free(x);
}

static void take_away(struct gone *g, const char *name)
{
	struct err e;

	if (link_index(g->host, name) > 0 && link_del(g->host, name, &e) < 0)
		log_err(&e, "an interface of one that has ended");
}

void gone_add(struct gone *g, const char *host_link)
{
	struct one *x = calloc(1, sizeof *x);

	gone_forget(g, host_link);
	if (!x) {
		take_away(g, host_link);
		return;
	}
	snprintf(x->name, sizeof x->name, "%s", host_link);
	x->due_ns = now_ns() + WAIT_NS;
	list_init(&x->link);
	list_push(&g->all, &x->link);
}

void gone_forget(struct gone *g, const char *host_link)
{
	struct one *x;

	list_each (x, &g->all, link)
		if (!host_link || !strcmp(x->name, host_link))
			one_free(x);
}

uint64_t gone_due(const struct gone *g)
{
	const struct one *x = list_first(&g->all, struct one, link);

	return x ? x->due_ns : 0;
}

void gone_go_on(struct gone *g)
{
	struct one *x;

	while ((x = list_first(&g->all, struct one, link)) && x->due_ns <= now_ns()) {
		take_away(g, x->name);
		one_free(x);
	}
}

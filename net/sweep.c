/* net/sweep.c - see net/sweep.h */
#include "net/sweep.h"

#include "base/own.h"
#include "net/link.h"
#include "net/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_AT_ONCE 1024u

struct wrong {
	char name[16];
	const Net__Port *port; /* whose it is; NULL: nobody's any more */
};

struct known {
	const Net__Port **ports; /* by name */
	size_t n_ports;
	const char **others; /* so too: what networks have, and slots */
	size_t n_others;
	const struct gone *gone;
	struct wrong *wrong;
	size_t n, max;
};

static int by_link(const void *a, const void *b)
{
	return strcmp((*(const Net__Port *const *)a)->host_link, (*(const Net__Port *const *)b)->host_link);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void link_look(void *arg, const char *name, uint32_t group)
{
	struct known *k = arg;
	Net__Port like = NET__PORT__INIT, *p = &like;
	const Net__Port **found;

	if (strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0 || k->n == k->max ||
	    (k->n_others && bsearch(&name, k->others, k->n_others, sizeof *k->others, by_name)))
		return;
	like.host_link = (char *)(uintptr_t)name;
	found = k->n_ports ? bsearch(&p, k->ports, k->n_ports, sizeof *k->ports, by_link) : NULL;
	if (found ? (*found)->policy == group : gone_has(k->gone, name))
		return;
	k->wrong[k->n].port = found ? *found : NULL;
	snprintf(k->wrong[k->n++].name, sizeof k->wrong[0].name, "%s", name);
}

int links_sweep(struct nl *host, const Net__State *s, const struct gone *gone, struct err *e)
{
	AUTO_FREE struct wrong *wrong = calloc(LINKS_AT_ONCE, sizeof *wrong);
	AUTO_FREE const Net__Port **ports = calloc(s->n_ports + 1, sizeof *ports);
	AUTO_FREE const char **others = calloc(s->n_networks + s->n_slots + 1, sizeof *others);
	struct known k = {.ports = ports,
			  .n_ports = s->n_ports,
			  .others = others,
			  .gone = gone,
			  .wrong = wrong,
			  .max = LINKS_AT_ONCE};
	int r;

	if (!wrong || !ports || !others)
		return err_set(e, ENOMEM, "network", "no memory");
	if (s->n_ports)
		memcpy(ports, s->ports, s->n_ports * sizeof *ports);
	qsort(ports, s->n_ports, sizeof *ports, by_link);
	for (size_t i = 0; i < s->n_networks; i++)
		if (s->networks[i]->uplink)
			others[k.n_others++] = s->networks[i]->uplink->link;
	for (size_t i = 0; i < s->n_slots; i++)
		others[k.n_others++] = s->slots[i];
	qsort(others, k.n_others, sizeof *others, by_name);
	do {
		k.n = 0;
		r = link_each(host, link_look, &k, e);
		for (size_t i = 0; i < k.n && r == 0; i++)
			r = wrong[i].port ? link_group(host, wrong[i].name, wrong[i].port->policy, e)
					  : link_del(host, wrong[i].name, e);
	} while (r == 0 && k.n == k.max);
	return r;
}

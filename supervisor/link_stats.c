/* supervisor/link_stats.c - see supervisor/link_stats.h */
#include "supervisor/link_stats.h"

#include "supervisor/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 256u /* of one namespace: a container may have made some of its own */

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop …" */
static int line_read(const char *line, Berth__InterfaceStats **ret)
{
	Berth__InterfaceStats *i;
	unsigned long long n[8];
	char name[32];

	if (sscanf(line, " %31[^: ]: %llu %llu %llu %llu %*u %*u %*u %*u %llu %llu %llu %llu", name, &n[0], &n[1],
		   &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]) != 9 ||
	    !strcmp(name, "lo"))
		return 0;
	i = malloc(sizeof *i);
	if (!i)
		return -ENOMEM;
	berth__interface_stats__init(i);
	i->link = strdup(name);
	SET(i, rx_bytes, n[0]);
	SET(i, rx_packets, n[1]);
	SET(i, rx_errors, n[2]);
	SET(i, rx_dropped, n[3]);
	SET(i, tx_bytes, n[4]);
	SET(i, tx_packets, n[5]);
	SET(i, tx_errors, n[6]);
	SET(i, tx_dropped, n[7]);
	*ret = i;
	return i->link ? 1 : -ENOMEM;
}

int link_stats_read(int pid, Berth__Stats *s)
{
	char path[40], line[512];
	FILE *f;
	int r = 0;

	snprintf(path, sizeof path, "/proc/%d/net/dev", pid);
	f = fopen(path, "re");
	if (!f)
		return errno == EINVAL ? -ENOENT : -errno; /* of one that has just died */
	s->interfaces = calloc(LINKS_MAX, sizeof *s->interfaces);
	if (!s->interfaces)
		r = -ENOMEM;
	while (r >= 0 && s->n_interfaces < LINKS_MAX && fgets(line, sizeof line, f)) {
		r = line_read(line, &s->interfaces[s->n_interfaces]);
		s->n_interfaces += s->interfaces[s->n_interfaces] != NULL;
	}
	fclose(f);
	return r < 0 ? r : 0;
}

void link_stats_free(Berth__Stats *s)
{
	for (size_t i = 0; i < s->n_interfaces; i++) {
		free(s->interfaces[i]->link);
		free(s->interfaces[i]);
	}
	free(s->interfaces);
}

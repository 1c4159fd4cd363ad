/* supervisor/resolv.c - see supervisor/resolv.h */
#include "supervisor/resolv.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "supervisor/network.h"

#include <fcntl.h>
#include <string.h>

#define RESOLV_CONF "/etc/resolv.conf"

void resolv_read(struct supervisor *sv)
{
	AUTO_FREE char *text = NULL;
	char *rest, *line;
	struct buf b;

	buf_init(&b, 16384);
	if (file_read_all(AT_FDCWD, RESOLV_CONF, 65536, &text) >= 0)
		for (rest = text; (line = strsep(&rest, "\n"));) {
			char *word = line + strspn(line, " \t");

			if (str_starts(word, "nameserver")) {
				word += strlen("nameserver");
				word += strspn(word, " \t");
				if (str_starts(word, "127.") || str_starts(word, "::1"))
					continue;
			} else if (!str_starts(word, "search") && !str_starts(word, "options") &&
				   !str_starts(word, "domain")) {
				continue;
			}
			buf_printf(&b, "%s\n", line);
		}
	sv->host_resolv = buf_take(&b);
}

const char *resolv_conf(const struct net_holder *h, struct arena *a)
{
	struct supervisor *sv = h->sv;
	const struct net_stored stored = net_stored_of(h);
	const Berth__Lease *first = stored.n_leases ? stored.leases[0] : NULL;
	struct table_node *node = first ? table_find(&sv->networks, first->network_uuid) : NULL;
	const Berth__Network *n = node ? container_of(node, struct network, node)->obj : NULL;
	const char *text = "";

	if (!n)
		return NULL;
	for (size_t i = 0; i < n->n_dns_search; i++)
		text = arena_printf(a, "%s%s%s%s", text ? text : "", i ? " " : "search ", n->dns_search[i],
				    i + 1 == n->n_dns_search ? "\n" : "");
	for (size_t i = 0; i < n->n_dns; i++)
		text = arena_printf(a, "%snameserver %s\n", text ? text : "", n->dns[i]);
	return n->n_dns || !sv->host_resolv ? text : arena_printf(a, "%s%s", text ? text : "", sv->host_resolv);
}

/* supervisor/resolv.c - see supervisor/resolv.h
 *
 * The host's file is watched, and the folder of what it is a link to: it is mostly replaced by another, not written. It is read on the loop,
 * unlike anything else on a disk: only at the start and right behind a change of it, when it is in memory. A name server on the host's
 * loopback (systemd-resolved's stub, dnsmasq) is as good as any, because berth-dns asks it from the host. */
#include "supervisor/resolv.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "proto/dns.h"
#include "supervisor/dnsd.h"
#include "supervisor/files.h"
#include "supervisor/network.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#define SETTLE_NS  (50 * NS_PER_MS)
#define WORDS_MAX  1024u
#define CHANGES	   (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR)
#define NAMESERVER "nameserver"

/* What it says, as far as it is good for others. */
struct facts {
	struct address server[RESOLV_SERVERS];
	unsigned n_servers;
	char search[WORDS_MAX], options[WORDS_MAX]; /* words of the last such line, as the libc takes them */
};

struct resolv {
	struct supervisor *sv;
	struct facts facts;
	struct source changes;
	struct timer settle;
	int fd; /* owned */
};

static void line_take(struct facts *f, char *line)
{
	char *word = strsep(&line, " \t");

	while (line && (*line == ' ' || *line == '\t'))
		line++;
	if (!line)
		return;
	if (!strcmp(word, NAMESERVER) && f->n_servers < RESOLV_SERVERS) {
		line[strcspn(line, " \t#;")] = 0;
		if (address_parse(line, &f->server[f->n_servers]) == 0) /* else of one link (fe80::1%eth0), perhaps */
			f->n_servers++;
	} else if (!strcmp(word, "search") || !strcmp(word, "domain")) {
		snprintf(f->search, sizeof f->search, "%s", line);
	} else if (!strcmp(word, "options")) {
		snprintf(f->options, sizeof f->options, "%s", line);
	}
}

static void facts_read(const char *path, struct facts *f)
{
	AUTO_FREE char *text = NULL;
	char *rest, *line;
	ssize_t r = file_read_all(AT_FDCWD, path, 65536, &text);

	*f = (struct facts){0};
	if (r < 0 && r != -ENOENT)
		log_warn("%s: %s", path, strerror((int)-r));
	rest = r < 0 ? NULL : text;
	while ((line = strsep(&rest, "\n")))
		line_take(f, line + strspn(line, " \t"));
	if (!f->n_servers) { /* as the libc: one on this host */
		(void)address_parse("127.0.0.1", &f->server[0]);
		f->n_servers = 1;
	}
}

/* ---------------------------------------------------------------- the host's file */

static void folder_watch(struct resolv *rv, const char *path)
{
	char folder[PATH_MAX];
	char *slash;

	snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	if (slash && slash != folder)
		*slash = 0;
	if (slash && inotify_add_watch(rv->fd, folder, CHANGES) < 0 && errno != ENOENT)
		log_warn("%s is not watched: %s", folder, strerror(errno));
}

/* The same folder again is the same watch. Where a link led before may be watched for nothing. */
static void both_watch(struct resolv *rv)
{
	const char *path = rv->sv->cfg.resolv_conf;
	char real[PATH_MAX];

	folder_watch(rv, path);
	if (realpath(path, real))
		folder_watch(rv, real);
}

static void on_settled(struct timer *t)
{
	struct resolv *rv = container_of(t, struct resolv, settle);
	struct net_holder *h;
	struct facts now;
	bool others;

	both_watch(rv);
	facts_read(rv->sv->cfg.resolv_conf, &now);
	if (!memcmp(&now, &rv->facts, sizeof now))
		return;
	others = strcmp(now.search, rv->facts.search) || strcmp(now.options, rv->facts.options);
	rv->facts = now;
	log_info("the host asks %u name servers as %s says now", now.n_servers, rv->sv->cfg.resolv_conf);
	dnsd_servers(rv->sv);
	list_each (h, &rv->sv->net_holders, link)
		if (h->ready && (others || !resolv_asks_us(h)))
			files_changed(h);
}

static void on_change(struct source *s, uint32_t events)
{
	struct resolv *rv = container_of(s, struct resolv, changes);
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	/* What has changed there is not worth a look: the file is read, and mostly says what it did. */
	while (read(s->fd, buf, sizeof buf) > 0)
		;
	if (!timer_armed(&rv->settle))
		timer_in(&rv->sv->loop, &rv->settle, SETTLE_NS, on_settled);
}

int resolv_open(struct supervisor *sv, struct err *e)
{
	struct resolv *rv = sv->resolv = calloc(1, sizeof *rv);
	int r;

	if (!rv)
		return err_set(e, ENOMEM, "resolv", "no memory");
	rv->sv = sv;
	rv->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r = rv->fd < 0 ? -errno : source_add(&sv->loop, &rv->changes, rv->fd, EPOLLIN, on_change);
	if (r < 0)
		log_warn("%s is read once: %s", sv->cfg.resolv_conf, strerror(-r));
	else
		both_watch(rv);
	facts_read(sv->cfg.resolv_conf, &rv->facts);
	return 0;
}

void resolv_close(struct supervisor *sv)
{
	struct resolv *rv = sv->resolv;

	if (!rv)
		return;
	source_del(&rv->changes);
	timer_del(&rv->settle);
	close_fd(&rv->fd);
	free(rv);
	sv->resolv = NULL;
}

unsigned resolv_servers(const struct supervisor *sv)
{
	return sv->resolv->facts.n_servers;
}

const struct address *resolv_server(const struct supervisor *sv, unsigned i)
{
	return &sv->resolv->facts.server[i];
}

/* ---------------------------------------------------------------- a container's */

static const struct network *network_of(const struct net_holder *h, const Berth__Lease *l)
{
	struct table_node *node = table_find(&h->sv->networks, l->network_uuid);

	return node ? container_of(node, struct network, node) : NULL;
}

static const char *words_of(struct arena *a, char *const *list, size_t n)
{
	const char *text = "";

	for (size_t i = 0; i < n && text; i++)
		text = arena_printf(a, "%s %s", text, list[i]);
	return text;
}

/* What was asked for; else the first network that says something decides; else the host's, where there is a way to the outside. */
static const char *search_of(const struct net_holder *h, struct arena *a)
{
	const struct net_stored stored = net_stored_of(h);
	const struct facts *host = &h->sv->resolv->facts;
	bool outside = false;

	if (stored.names->n_dns_search) /* "." is the root: nowhere else */
		return !strcmp(stored.names->dns_search[0], ".")
			       ? ""
			       : words_of(a, stored.names->dns_search, stored.names->n_dns_search);
	for (size_t i = 0; i < stored.n_leases; i++) {
		const struct network *n = network_of(h, stored.leases[i]);

		if (n && n->obj->n_dns_search)
			return words_of(a, n->obj->dns_search, n->obj->n_dns_search);
		outside |= n && !n->obj->internal;
	}
	return outside && host->search[0] ? arena_printf(a, " %s", host->search) : "";
}

bool resolv_asks_us(const struct net_holder *h)
{
	const struct net_stored stored = net_stored_of(h);

	for (size_t i = 0; i < stored.n_leases; i++) {
		const struct network *n = stored.leases[i]->leaving ? NULL : network_of(h, stored.leases[i]);

		if (n && n->n_subnets && network_has_dns(n))
			return true;
	}
	return false;
}

static const char *server_lines(struct arena *a, const char *text, char *const *servers, size_t n)
{
	for (size_t i = 0; text && i < n; i++)
		text = arena_printf(a, "%s" NAMESERVER " %s\n", text, servers[i]);
	return text;
}

/* Where berth-dns cannot be asked: the servers themselves, his own, or those of the first network that has some, or the host's, but for those that are
 * none from inside a container. */
static const char *servers_of(const struct net_holder *h, const char *text, struct arena *a)
{
	const struct net_stored stored = net_stored_of(h);
	const struct facts *host = &h->sv->resolv->facts;
	const size_t before = text ? strlen(text) : 0;
	char server[ADDRESS_TEXT];

	if (stored.names->n_dns)
		return server_lines(a, text, stored.names->dns, stored.names->n_dns);
	for (size_t i = 0; text && i < stored.n_leases; i++) {
		const struct network *n = stored.leases[i]->leaving ? NULL : network_of(h, stored.leases[i]);

		if (n && n->obj->n_dns)
			return server_lines(a, text, n->obj->dns, n->obj->n_dns);
	}
	for (unsigned i = 0; text && i < host->n_servers; i++)
		if (!address_is_loopback(&host->server[i]))
			text = arena_printf(a, "%s" NAMESERVER " %s\n", text, address_text(&host->server[i], server));
	if (text && strlen(text) == before)
		text = arena_printf(
			a, "%s# no name server: the host asks its own loopback, and the network has none (--dns)\n",
			text);
	return text;
}

/* Our own domain is nobody's but berth-dns's. */
static const char *search_line(const struct net_holder *h, struct arena *a)
{
	const char *words = search_of(h, a);

	if (words && resolv_asks_us(h))
		return arena_printf(a, "search " DNS_DOMAIN "%s\n", words);
	return !words || !*words ? words : arena_printf(a, "search%s\n", words);
}

static const char *options_line(const struct net_holder *h, const char *text, struct arena *a)
{
	const struct net_stored stored = net_stored_of(h);
	const struct facts *host = &h->sv->resolv->facts;
	const char *words;

	if (!stored.names->n_dns_options)
		return text && host->options[0] ? arena_printf(a, "%soptions %s\n", text, host->options) : text;
	words = words_of(a, stored.names->dns_options, stored.names->n_dns_options);
	return text && words ? arena_printf(a, "%soptions%s\n", text, words) : NULL;
}

const char *resolv_conf(const struct net_holder *h, struct arena *a)
{
	const struct net_stored stored = net_stored_of(h);
	const char *text;
	char gateway[ADDRESS_TEXT];
	unsigned n_servers = 0;

	if (!stored.n_leases)
		return NULL;
	text = search_line(h, a);
	/* Of each network one, of any of which berth-dns answers for all of them. */
	for (size_t i = 0; text && i < stored.n_leases && n_servers < RESOLV_SERVERS; i++) {
		const struct network *n = network_of(h, stored.leases[i]);

		if (!n || !n->n_subnets || stored.leases[i]->leaving || !network_has_dns(n))
			continue;
		text = arena_printf(a, "%s" NAMESERVER " %s\n", text, address_text(&n->gateway[0], gateway));
		n_servers++;
	}
	if (text && !n_servers)
		text = servers_of(h, text, a);
	return options_line(h, text, a);
}

/* ctl/network_text.c - see ctl/network_text.h */
#include "ctl/network_text.h"

#include "base/own.h"
#include "base/str.h"
#include "ctl/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---------------------------------------------------------------- an interface */

void network_address_add(Berth__NetworkAsk *ask, const char *address)
{
	ask->addresses = mem_grow(ask->addresses, ask->n_addresses, sizeof *ask->addresses);
	ask->addresses[ask->n_addresses++] = mem_text(address);
}

static int add_address(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	AUTO_FREE char *address = value;

	(void)e;
	network_address_add(ask, address);
	return 0;
}

static int add_group(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	(void)e;
	ask->security_groups = mem_grow(ask->security_groups, ask->n_security_groups, sizeof *ask->security_groups);
	ask->security_groups[ask->n_security_groups++] = value;
	return 0;
}

static int set_spoof(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	AUTO_FREE char *word = value;

	if (strcmp(word, "yes") != 0 && strcmp(word, "no") != 0)
		return err_set(e, EINVAL, "flag", "spoof=\"%s\" is neither yes nor no", word);
	ask->has_allow_spoofing = true;
	ask->allow_spoofing = !strcmp(word, "yes");
	return 0;
}

void network_alias_add(Berth__NetworkAsk *ask, const char *name)
{
	ask->aliases = mem_grow(ask->aliases, ask->n_aliases, sizeof *ask->aliases);
	ask->aliases[ask->n_aliases++] = mem_text(name);
}

static int add_alias(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	AUTO_FREE char *name = value;

	(void)e;
	network_alias_add(ask, name);
	return 0;
}

int rate_from_text(const char *text, uint64_t *ret, struct err *e)
{
	static const struct {
		const char *unit;
		uint64_t bits;
	} units[] = {{"gbit", 1000000000}, {"mbit", 1000000}, {"kbit", 1000}, {"bit", 1},
		     {"g", 1000000000},	   {"m", 1000000},    {"k", 1000},    {"", 1}};
	size_t digits = strspn(text, "0123456789");
	AUTO_FREE char *number = mem_textn(text, digits);
	uint64_t n;

	if (!strcmp(text, "none")) {
		*ret = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units) && digits; i++) {
		if (strcasecmp(text + digits, units[i].unit) != 0)
			continue;
		if (str_to_u64(number, &n) < 0 || n > UINT64_MAX / units[i].bits)
			break;
		*ret = n * units[i].bits;
		return 0;
	}
	return err_set(e, EINVAL, "flag",
		       "\"%s\" is not a rate in bits per second, such as 100mbit, 500k, 1gbit or none", text);
}

static int set_rate_in(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	AUTO_FREE char *word = value;

	ask->has_ingress_bps = true;
	return rate_from_text(word, &ask->ingress_bps, e);
}

static int set_rate_out(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	AUTO_FREE char *word = value;

	ask->has_egress_bps = true;
	return rate_from_text(word, &ask->egress_bps, e);
}

static int set_link(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	(void)e;
	free(ask->link);
	ask->link = value;
	return 0;
}

static int set_mac(Berth__NetworkAsk *ask, char *value, struct err *e)
{
	(void)e;
	free(ask->mac);
	ask->mac = value;
	return 0;
}

/* What may stand behind the colon; each takes its value. podman's ip6 is an address as any other. */
static const struct {
	const char *key;
	int (*set)(Berth__NetworkAsk *ask, char *value, struct err *e);
} keys[] = {
	{"ip", add_address},	  {"ip6", add_address},	      {"link", set_link}, {"mac", set_mac},
	{"mac-address", set_mac}, {"alias", add_alias},	      {"sg", add_group},  {"spoof", set_spoof},
	{"rate-in", set_rate_in}, {"rate-out", set_rate_out},
};

static int key_set(Berth__NetworkAsk *ask, const char *word, const char *text, struct err *e)
{
	size_t len = strcspn(word, "=");

	/* An IPv6 address has colons of its own, so a value goes up to the next comma. */
	for (size_t i = 0; word[len] && i < ARRAY_SIZE(keys); i++)
		if (len == strlen(keys[i].key) && !memcmp(word, keys[i].key, len))
			return keys[i].set(ask, mem_text(word + len + 1), e);
	return err_set(
		e, EINVAL, "flag",
		"\"%s\" is not NETWORK[:KEY=VALUE,...] with ip, ip6, link, mac, alias, sg, spoof, rate-in or rate-out",
		text);
}

int network_from_text(Berth__NetworkAsk *ask, const char *text, struct err *e)
{
	static const char name[] = "name=", container[] = "container:";
	bool docker = str_starts(text, name); /* name=NETWORK,KEY=VALUE,... */
	const char *p = docker ? text + strlen(name) : text, *word;
	size_t len = strcspn(p, docker ? "," : ":");
	int r = 0;

	if (str_starts(text, container))
		return err_set(e, EINVAL, "flag",
			       "\"%s\": containers that share their interfaces are a pod (berth pod create, --pod POD)",
			       text);
	if (memchr(p, ',', len))
		return key_set(ask, "", text, e);
	ask->network = mem_textn(p, len);
	for (p += len + (p[len] != 0); r == 0 && (word = str_word(&p, ",", &len));) {
		AUTO_FREE char *one = mem_textn(word, len);

		r = key_set(ask, one, text, e);
	}
	return r;
}

/* ---------------------------------------------------------------- published ports */

struct range {
	uint32_t first, last;
};

static int port_number(const char *s, size_t len, uint32_t *ret)
{
	char text[8];

	snprintf(text, sizeof text, "%.*s", (int)len, s);
	return len && len < sizeof text && str_to_u32(text, ret) == 0 ? 0 : -EINVAL;
}

/* "80", "8000-8010" */
static int port_range(const char *s, size_t len, struct range *r)
{
	const char *dash = memchr(s, '-', len);
	size_t n = dash ? (size_t)(dash - s) : len;

	if (port_number(s, n, &r->first) < 0 || (dash && port_number(dash + 1, len - n - 1, &r->last) < 0))
		return -EINVAL;
	if (!dash)
		r->last = r->first;
	return 0;
}

/* NULL, or what is wrong with them. found: any port of the host will do. */
static const char *ranges_fault(const struct range *host, const struct range *inside, bool found)
{
	if (inside->first < 1 || inside->last > 65535 || (!found && host->first < 1) || host->last > 65535)
		return "ports are 1 to 65535";
	if (inside->first > inside->last || host->first > host->last)
		return "a range goes up";
	if (!found && host->last - host->first != inside->last - inside->first)
		return "as many ports of the host as of the container";
	return NULL;
}

int ports_from_text(Berth__PortMap *(*next)(void *arg), void *arg, const char *text, struct err *e)
{
	const char *slash = strrchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	const char *inside = memrchr(text, ':', len), *host = NULL, *ip = NULL;
	struct range h = {0, 0}, c;
	size_t host_len = 0, ip_len = 0;
	const char *fault;
	bool found;

	inside = inside ? inside + 1 : text;
	if (inside > text) {
		const char *colon = memrchr(text, ':', (size_t)(inside - 1 - text));

		host = colon ? colon + 1 : text;
		host_len = (size_t)(inside - 1 - host);
		ip = colon ? text : NULL;
		ip_len = colon ? (size_t)(colon - text) : 0;
		if (ip_len > 2 && ip[0] == '[' && ip[ip_len - 1] == ']') {
			ip++;
			ip_len -= 2;
		}
	}
	if (port_range(inside, len - (size_t)(inside - text), &c) < 0 ||
	    (host_len && port_range(host, host_len, &h) < 0))
		return err_set(e, EINVAL, "flag", "\"%s\" is not [[IP:]HOST_PORT[-PORT]:]PORT[-PORT][/tcp|udp|sctp]",
			       text);
	found = !h.last; /* Docker's 0 is any, too */
	fault = ranges_fault(&h, &c, found);
	if (fault)
		return err_set(e, EINVAL, "flag", "\"%s\": %s", text, fault);
	for (uint32_t i = 0; i <= c.last - c.first; i++) {
		Berth__PortMap *p = next(arg);

		p->host_ip = ip_len ? mem_textn(ip, ip_len) : NULL;
		p->has_host_port = !found;
		p->host_port = found ? 0 : h.first + i;
		p->has_container_port = true;
		p->container_port = c.first + i;
		p->protocol = slash ? mem_text(slash + 1) : NULL;
	}
	return 0;
}

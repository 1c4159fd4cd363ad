/* supervisor/check_names.c - see supervisor/check_names.h */
#include "supervisor/check_names.h"

#include "supervisor/address.h"
#include "supervisor/check_field.h"

#include <stdbool.h>
#include <string.h>

#define SERVERS	    3u /* that a libc asks */
#define DOMAINS	    6u /* that it looks in */
#define OPTIONS	    16u
#define OPTION_SIZE 64u
#define HOSTS	    256u
#define LETTERS	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool is_domain(const char *text)
{
	size_t len = strlen(text);

	return len && len < 254 && text[strspn(text, LETTERS ".-_")] == 0 && text[0] != '.' && text[0] != '-' &&
	       !strstr(text, "..");
}

int check_dns(const char *at, char *const *servers, size_t n_servers, char *const *search, size_t n_search,
	      struct err *e)
{
	struct address a;
	char field[FIELD_SIZE];

	if (n_servers > SERVERS)
		return field_bad(e, field_at(field, "%s.dns", at), "at most %u are asked", SERVERS);
	if (n_search > DOMAINS)
		return field_bad(e, field_at(field, "%s.dns_search", at), "at most %u domains", DOMAINS);
	for (size_t i = 0; i < n_servers; i++)
		if (address_parse(servers[i], &a) < 0)
			return field_bad(e, field_at(field, "%s.dns[%zu]", at, i), "'%.60s' is not an IP address",
					 servers[i]);
	for (size_t i = 0; i < n_search; i++)
		if (!is_domain(search[i]))
			return field_bad(e, field_at(field, "%s.dns_search[%zu]", at, i), "'%.60s' is not a domain",
					 search[i]);
	return 0;
}

static int check_hosts(Berth__HostName *const *hosts, size_t n, struct err *e)
{
	struct address a;
	char at[FIELD_SIZE];

	if (n > HOSTS)
		return field_bad(e, "spec.names.hosts", "%zu names: at most %u", n, HOSTS);
	for (size_t i = 0; i < n; i++) {
		const char *name = hosts[i]->name ? hosts[i]->name : "";
		const char *address = hosts[i]->address ? hosts[i]->address : "";

		if (!is_domain(name))
			return field_bad(e, field_at(at, "spec.names.hosts[%zu].name", i),
					 "'%.60s' is not the name of a host", name);
		if (strcmp(address, HOST_GATEWAY) != 0 && address_parse(address, &a) < 0)
			return field_bad(e, field_at(at, "spec.names.hosts[%zu].address", i),
					 "'%.60s' is neither an IP address nor " HOST_GATEWAY, address);
	}
	return 0;
}

static int check_options(char *const *options, size_t n, struct err *e)
{
	char at[FIELD_SIZE];

	if (n > OPTIONS)
		return field_bad(e, "spec.names.dns_options", "at most %u options", OPTIONS);
	for (size_t i = 0; i < n; i++)
		if (!options[i][0] || strlen(options[i]) > OPTION_SIZE || options[i][strspn(options[i], LETTERS ":-_")])
			return field_bad(e, field_at(at, "spec.names.dns_options[%zu]", i),
					 "'%.60s' is not an option of resolv.conf, such as ndots:2", options[i]);
	return 0;
}

const char *names_field(const Berth__NameOptions *names)
{
	return !names		      ? NULL
	       : names->n_hosts	      ? "spec.names.hosts[0]"
	       : names->n_dns	      ? "spec.names.dns[0]"
	       : names->n_dns_search  ? "spec.names.dns_search[0]"
	       : names->n_dns_options ? "spec.names.dns_options[0]"
				      : NULL;
}

int check_names(const Berth__NameOptions *names, const char *network, struct err *e)
{
	const char *given = names_field(names);
	bool no_search;
	int r;

	if (!given)
		return 0;
	no_search = names->n_dns_search == 1 && !strcmp(names->dns_search[0], ".");
	r = check_hosts(names->hosts, names->n_hosts, e);
	if (r == 0)
		r = check_dns("spec.names", names->dns, names->n_dns, names->dns_search,
			      no_search ? 0 : names->n_dns_search, e);
	if (r == 0)
		r = check_options(names->dns_options, names->n_dns_options, e);
	if (r == 0 && network && !strcmp(network, "host"))
		r = field_unsupported(e, given,
				      "with the host's network /etc/hosts and resolv.conf are the host's: mount a file "
				      "of your own over it (-v FILE:/etc/hosts)");
	return r;
}

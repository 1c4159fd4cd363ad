/* ctl/port_text.c - see ctl/port_text.h */
#include "ctl/port_text.h"

#include <stdio.h>
#include <string.h>

#define HOST_TEXT 80

/* The i-th address of the host that it is published at; NULL: there are no more. */
static const char *host_of(const Berth__PortMap *p, char *const *addresses, size_t n, unsigned i, char buf[HOST_TEXT])
{
	bool has[2] = {false, false};

	for (size_t k = 0; k < n; k++)
		has[strchr(addresses[k], ':') != NULL] = true;
	if (p->host_ip && *p->host_ip) {
		snprintf(buf, HOST_TEXT, strchr(p->host_ip, ':') ? "[%.60s]" : "%.60s", p->host_ip);
		return i ? NULL : buf;
	}
	if (i == 0 && (has[0] || !n))
		return "0.0.0.0";
	return has[1] && i == has[0] ? "[::]" : NULL;
}

void port_each(Berth__PortMap *const *ports, size_t n, char *const *addresses, size_t n_addresses, port_fn *fn,
	       void *arg)
{
	char buf[HOST_TEXT], where[HOST_TEXT + 8];
	const char *host;

	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; (host = host_of(ports[i], addresses, n_addresses, k, buf)); k++) {
			snprintf(where, sizeof where, "%s:%u", host, ports[i]->host_port);
			fn(arg, ports[i], where);
		}
}

static bool text_is(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : !a == !b;
}

/* How many from the i-th on go up together. */
static size_t run_of(Berth__PortMap *const *ports, size_t n, size_t i)
{
	size_t len = 1;

	while (i + len < n && ports[i + len]->host_port == ports[i]->host_port + len &&
	       ports[i + len]->container_port == ports[i]->container_port + len &&
	       text_is(ports[i + len]->protocol, ports[i]->protocol) &&
	       text_is(ports[i + len]->host_ip, ports[i]->host_ip))
		len++;
	return len;
}

static void range_text(struct buf *b, uint32_t first, size_t len)
{
	buf_printf(b, len > 1 ? "%u-%u" : "%u", first, first + (uint32_t)len - 1);
}

void ports_text(struct buf *b, Berth__PortMap *const *ports, size_t n, char *const *addresses, size_t n_addresses)
{
	char buf[HOST_TEXT];
	const char *host;
	size_t len;

	for (size_t i = 0; i < n; i += len) {
		len = run_of(ports, n, i);
		for (unsigned k = 0; (host = host_of(ports[i], addresses, n_addresses, k, buf)); k++) {
			buf_printf(b, "%s%s:", b->len ? ", " : "", host);
			range_text(b, ports[i]->host_port, len);
			buf_adds(b, "->");
			range_text(b, ports[i]->container_port, len);
			buf_printf(b, "/%s", ports[i]->protocol);
		}
	}
}

/* ctl/cmd_port.c - port: where the ports of a container, or of the pod that it is in, are published. */
#include "base/own.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/mem.h"
#include "ctl/port_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wanted {
	uint32_t port; /* 0: all */
	const char *protocol;
};

/* "80", "80/udp" */
static bool wanted_parse(const char *text, struct wanted *w)
{
	const char *slash = strchr(text, '/');
	char number[8];

	snprintf(number, sizeof number, "%.*s", (int)(slash ? slash - text : (int)strlen(text)), text);
	w->protocol = slash ? slash + 1 : "tcp";
	return str_to_u32(number, &w->port) == 0 && w->port && w->port < 65536;
}

static void line(void *arg, const Berth__PortMap *p, const char *where)
{
	const struct wanted *w = arg;

	if (w->port)
		printf("%s\n", where);
	else
		printf("%u/%s -> %s\n", p->container_port, p->protocol, where);
}

/* Whose name, ports and interfaces those are: its own, or its pod's. */
struct holder {
	const char *name;
	Berth__PortMap **ports;
	size_t n_ports;
	Berth__Lease **leases;
	size_t n_leases;
};

static int port_print(struct app *app, const struct format_opts *o, const struct holder *h, struct wanted *w)
{
	const Berth__Lease *l = h->n_leases ? h->leases[0] : NULL;
	AUTO_FREE Berth__PortMap **found = mem_zero((h->n_ports + 1) * sizeof *found);
	size_t n = 0;

	for (size_t i = 0; i < h->n_ports; i++)
		if (!w->port || (h->ports[i]->container_port == w->port && !strcmp(h->ports[i]->protocol, w->protocol)))
			found[n++] = h->ports[i];
	if (w->port && !n) {
		say("port %u/%s of %s is not published", w->port, w->protocol, h->name);
		return app->failure;
	}
	if (o->format && !format_is_table(o))
		format_print(o, (void *const *)found, n);
	else
		port_each(found, n, l ? l->addresses : NULL, l ? l->n_addresses : 0, line, w);
	return 0;
}

static int pod_print(struct app *app, const struct format_opts *o, const char *name, struct wanted *w)
{
	Berth__PodInspect inspect = BERTH__POD_INSPECT__INIT;
	const Berth__Pod *p;
	struct ask a;
	int status;

	inspect.ref = (char *)(uintptr_t)name;
	ask_init(&a, BERTH__ENVELOPE__BODY_POD_INSPECT, &inspect);
	status = app_ask(app, &a, NULL);
	if (!status) {
		p = a.reply->pod_reply->pod;
		status = port_print(
			app, o,
			&(struct holder){p->meta->name, p->spec->ports, p->spec->n_ports, p->networks, p->n_networks},
			w);
	}
	ask_fini(&a);
	return status;
}

static int port_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct format_opts *o = opts;
	Berth__ContainerInspect inspect = BERTH__CONTAINER_INSPECT__INIT;
	const Berth__Container *c;
	struct wanted w = {0};
	struct err e;
	struct ask a;
	int status;

	if (format_check(o, &berth__port_map__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	if (n > 1 && !wanted_parse(operands[1], &w))
		return app_usage(app, "\"%s\" is not PORT[/tcp|udp|sctp]", operands[1]);
	inspect.ref = operands[0];
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_INSPECT, &inspect);
	status = app_ask(app, &a, NULL);
	c = status ? NULL : a.reply->container_reply->container;
	if (c && c->spec->pod)
		status = pod_print(app, o, c->spec->pod, &w);
	else if (c)
		status = port_print(
			app, o,
			&(struct holder){c->meta->name, c->spec->ports, c->spec->n_ports, c->networks, c->n_networks},
			&w);
	ask_fini(&a);
	return status;
}

const struct command cmd_port = {
	.flags = {{format_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = 2,
	.complete = "container",
	.run = port_run,
};

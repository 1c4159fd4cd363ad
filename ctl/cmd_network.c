/* ctl/cmd_network.c - network create, ls, inspect, update, rm, prune, connect, disconnect. */
#include "base/own.h"
#include "ctl/field.h"
#include "ctl/inspect.h"
#include "ctl/listing.h"
#include "ctl/mem.h"
#include "ctl/network_text.h"
#include "ctl/spec_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- create */

enum family_word { AS_FOUND, WANTED, NOT_WANTED };

struct create_opts {
	struct spec_opts spec;
	enum family_word six, four;
};

static int create_family(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)e;
	*(enum family_word *)((char *)opts + f->offset) = !strcmp(value, "true") ? WANTED : NOT_WANTED;
	return 0;
}

static int create_as_it_is(void *opts, const struct flag *f, const char *value, struct err *e)
{
	(void)opts;
	(void)f;
	(void)value;
	(void)e;
	return 0;
}

/* Docker's. */
static const struct flag create_flags[] = {
	{0, "ipv6", NULL, "with an IPv6 subnet, which is found if none is named", create_family,
	 offsetof(struct create_opts, six)},
	{0, "ipv4", NULL, "likewise", create_family, offsetof(struct create_opts, four)},
	{0, "attachable", NULL, "as every network is", create_as_it_is},
	{0},
};

/* Which families it has is said by its subnets; where none are named, one of each is found. */
static const char *family_fault(const struct create_opts *o)
{
	const Berth__Network *n = (const Berth__Network *)o->spec.message;
	bool six = !n->n_subnets, four = !n->n_subnets;

	for (size_t i = 0; i < n->n_subnets; i++)
		*(strchr(n->subnets[i]->cidr, ':') ? &six : &four) = true;
	if ((o->six == WANTED && !six) || (o->four == WANTED && !four))
		return six ? "--ipv4: name an IPv4 --subnet too" : "--ipv6: name an IPv6 --subnet too";
	if (o->six == NOT_WANTED && six)
		return "--ipv6=false: name the one --subnet that it is to have, of IPv4";
	if (o->four == NOT_WANTED && four)
		return "--ipv4=false: name the one --subnet that it is to have, of IPv6";
	return NULL;
}

static void create_init(void *opts)
{
	spec_opts_init(&((struct create_opts *)opts)->spec, &berth__network__descriptor);
}

static void create_fini(void *opts)
{
	spec_opts_fini(&((struct create_opts *)opts)->spec);
}

static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct create_opts *o = opts;
	Berth__NetworkCreate create = BERTH__NETWORK_CREATE__INIT;
	const char *fault = family_fault(o);
	struct ask a;
	int status;

	(void)n;
	if (fault)
		return app_usage(app, "%s", fault);
	create.name = operands[0];
	create.spec = (Berth__Network *)o->spec.message;
	ask_init(&a, BERTH__ENVELOPE__BODY_NETWORK_CREATE, &create);
	status = app_ask(app, &a, &o->spec);
	if (!status)
		puts(a.reply->network_reply->networks[0]->meta->uuid);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- update */

struct update_opts {
	struct strings dns, dns_search;
};

static const struct flag update_flags[] = {
	{0, "dns", "ADDRESS", "name server of its containers, in place of those that were; \"\": the host's", flag_list,
	 offsetof(struct update_opts, dns), .field = "dns"},
	{0, "dns-search", "DOMAIN",
	 "where names without a dot are looked for, in place of those that were; \"\": as the host does", flag_list,
	 offsetof(struct update_opts, dns_search), .field = "dns_search"},
	{0},
};

/* The message's own. */
static char **words_copy(const struct strings *l, size_t *ret_n)
{
	char **copy = l->n ? mem_zero(l->n * sizeof *copy) : NULL;

	for (*ret_n = 0; *ret_n < l->n; ++*ret_n)
		copy[*ret_n] = mem_text(l->v[*ret_n]);
	return copy;
}

static void update_fill(void *body, const void *opts)
{
	const struct update_opts *o = opts;
	Berth__NetworkUpdate *m = body;

	m->has_set_dns = m->set_dns = o->dns.n > 0;
	m->dns = words_copy(&o->dns, &m->n_dns);
	m->has_set_dns_search = m->set_dns_search = o->dns_search.n > 0;
	m->dns_search = words_copy(&o->dns_search, &m->n_dns_search);
}

static int update_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct update_opts *o = opts;

	if (!o->dns.n && !o->dns_search.n)
		return app_usage(app, "--dns or --dns-search is missing: nothing else of a network can be changed");
	return app_each(app, BERTH__ENVELOPE__BODY_NETWORK_UPDATE, update_fill, opts, operands, n);
}

static void update_fini(void *opts)
{
	struct update_opts *o = opts;

	strings_fini(&o->dns);
	strings_fini(&o->dns_search);
}

/* ---------------------------------------------------------------- ls, inspect, rm */

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name, id, driver, label, dangling", flag_list,
	 offsetof(struct listing_opts, filters), .complete = "name= id= driver= label= dangling="},
	FLAG_ALL_PROJECTS(offsetof(struct listing_opts, format)),
	{0},
};

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__Network *n = object;
	char id[PRINT_SIZE], ago[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", o->no_trunc ? n->meta->uuid : print_short_id(n->meta->uuid, id));
	table_cell(t, "%s", n->meta->name);
	table_cell(t, "%s", n->driver);
	table_cell(t, "%s%s%s", n->n_subnets ? n->subnets[0]->cidr : "", n->n_subnets > 1 ? ", " : "",
		   n->n_subnets > 1 ? n->subnets[1]->cidr : "");
	table_cell(t, "%s", n->shared ? "shared" : "project");
	table_cell(t, "%s", print_ago(n->meta->created_at, now, ago));
	if (o->all_projects)
		table_cell(t, "%s", n->meta->project);
}

static const char *ls_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__Network *)object)->meta->uuid;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {{"ID"},	   {"NAME"},	{"DRIVER"}, {"SUBNETS"},
						{"SCOPE"}, {"CREATED"}, {"PROJECT"}};
	static const struct listing networks = {
		&berth__network__descriptor, columns, ARRAY_SIZE(columns), ls_line, ls_id, .project_last = true};

	(void)operands;
	(void)n;
	return listing_run(app, &networks, opts, BERTH__ENVELOPE__BODY_NETWORK_LIST);
}

static int inspect_network(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"network", BERTH__ENVELOPE__BODY_NETWORK_INSPECT,
						 &berth__network__descriptor};

	return inspect_run(app, opts, &kind, operands, n);
}

/* ---------------------------------------------------------------- drivers */

static const char *driver_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__NetworkDriver *)object)->name;
}

static bool is_among(const char *word, char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(words[i], word))
			return true;
	return false;
}

/* A line for each feature, a column for each driver: there are more features. */
static void drivers_table(Berth__NetworkDriver *const *drivers, size_t n)
{
	struct column *columns = mem_zero((n + 1) * sizeof *columns);
	char(*titles)[PRINT_SIZE] = mem_zero(n * sizeof *titles);
	struct table *t;

	columns[0].title = "FEATURE";
	for (size_t i = 0; i < n; i++) {
		snprintf(titles[i], sizeof titles[i], "%s%s", drivers[i]->name, drivers[i]->parent ? "+parent" : "");
		columns[i + 1].title = titles[i];
	}
	t = table_new(columns, n + 1, false);
	/* What it can and what it lacks is together all there is; of the first one, so in one order for all. */
	for (size_t k = 0; n && k < drivers[0]->n_features + drivers[0]->n_lacks; k++) {
		size_t n_has = drivers[0]->n_features;
		const char *feature = k < n_has ? drivers[0]->features[k] : drivers[0]->lacks[k - n_has];

		table_line(t);
		table_cell(t, "%s", feature);
		for (size_t i = 0; i < n; i++)
			table_cell(t, "%s",
				   is_among(feature, drivers[i]->features, drivers[i]->n_features) ? "yes" : "-");
	}
	table_print(t);
	table_free(t);
	free(titles);
	free(columns);
}

static int drivers_run(struct app *app, void *opts, char **operands, unsigned n_operands)
{
	static const struct listing drivers = {&berth__network_driver__descriptor, NULL, 0, NULL, driver_id, false};
	const struct format_opts *o = opts;
	Berth__NetworkDrivers request = BERTH__NETWORK_DRIVERS__INIT;
	struct ask a;
	int status = listing_check(app, &drivers, o);

	(void)operands;
	(void)n_operands;
	if (status)
		return status;
	ask_init(&a, BERTH__ENVELOPE__BODY_NETWORK_DRIVERS, &request);
	status = app_ask(app, &a, NULL);
	if (!status) {
		size_t n;
		void *const *objects = reply_objects(a.reply, &n);

		if (format_is_table(o) && !o->quiet)
			drivers_table((Berth__NetworkDriver *const *)objects, n);
		else
			listing_print(&drivers, o, objects, n);
	}
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- limit */

struct limit_opts {
	bool has_in, has_out;
	uint64_t in, out;
};

static int limit_in(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct limit_opts *o = opts;

	(void)f;
	o->has_in = true;
	return rate_from_text(value, &o->in, e);
}

static int limit_out(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct limit_opts *o = opts;

	(void)f;
	o->has_out = true;
	return rate_from_text(value, &o->out, e);
}

static const struct flag limit_flags[] = {
	{0, "rate-in", "RATE", "what it may receive, such as 100mbit; none: no limit", limit_in,
	 .field = "ingress_bps"},
	{0, "rate-out", "RATE", "what it may send", limit_out, .field = "egress_bps"},
	{0},
};

static int limit_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct limit_opts *o = opts;
	Berth__InterfaceLimit limit = BERTH__INTERFACE_LIMIT__INIT;
	struct ask a;
	int status;

	if (!o->has_in && !o->has_out)
		return app_usage(app, "which limit? --rate-in, --rate-out");
	limit.ref = operands[0];
	limit.link = n > 1 ? operands[1] : (char *)(uintptr_t) "eth0";
	limit.has_ingress_bps = o->has_in;
	limit.ingress_bps = o->in;
	limit.has_egress_bps = o->has_out;
	limit.egress_bps = o->out;
	ask_init(&a, BERTH__ENVELOPE__BODY_INTERFACE_LIMIT, &limit);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(operands[0]);
	ask_fini(&a);
	return status;
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_remove(app, BERTH__ENVELOPE__BODY_NETWORK_REMOVE, opts, operands, n);
}

/* ---------------------------------------------------------------- prune */

struct prune_opts {
	struct strings filters;
	bool force;
};

static const struct flag prune_flags[] = {
	{0, "filter", "KEY=VALUE", "label", flag_list, offsetof(struct prune_opts, filters), .complete = "label="},
	{'f', "force", NULL, "do not ask", flag_bool, offsetof(struct prune_opts, force)},
	{0},
};

static void prune_fini(void *opts)
{
	strings_fini(&((struct prune_opts *)opts)->filters);
}

static const char *not_a_label(const struct strings *filters)
{
	for (size_t i = 0; i < filters->n; i++)
		if (strncmp(filters->v[i], "label=", 6) != 0)
			return filters->v[i];
	return NULL;
}

/* By its uuid: the shared ones of other projects may have the name of one that is not meant. */
static int prune_one(struct app *app, const Berth__Meta *meta)
{
	Berth__NetworkRemove rm = BERTH__NETWORK_REMOVE__INIT;
	struct ask a;
	int status;

	rm.name = meta->uuid;
	ask_init(&a, BERTH__ENVELOPE__BODY_NETWORK_REMOVE, &rm);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(meta->name);
	ask_fini(&a);
	return status;
}

/* One that somebody takes into use meanwhile is refused to be removed, as by `rm`. */
static int prune_all(struct app *app, Berth__NetworkList *list)
{
	struct ask a;
	int status;

	ask_init(&a, BERTH__ENVELOPE__BODY_NETWORK_LIST, list);
	status = app_ask(app, &a, NULL);
	for (size_t i = 0, n = status ? 0 : a.reply->network_reply->n_networks; i < n; i++) {
		int r = prune_one(app, a.reply->network_reply->networks[i]->meta);

		status = r ? r : status;
	}
	ask_fini(&a);
	return status;
}

static int prune_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct prune_opts *o = opts;
	Berth__NetworkList *list;
	Berth__Filter *unused;
	int status;

	(void)operands;
	(void)n;
	if (not_a_label(&o->filters))
		return app_usage(app, "--filter: \"%s\" is not label=KEY or label=KEY=VALUE", not_a_label(&o->filters));
	list = (Berth__NetworkList *)message_new(&berth__network_list__descriptor);
	status = app_filters(app, &o->filters, &list->base);
	unused = (Berth__Filter *)field_add(&list->base, "filters");
	unused->key = mem_text("dangling");
	unused->value = mem_text("true");
	if (!status && !o->force)
		status = app_confirm(app, "This removes all networks that no container and no pod has. Go on?");
	if (!status)
		status = prune_all(app, list);
	protobuf_c_message_free_unpacked(&list->base, NULL);
	return status;
}

/* ---------------------------------------------------------------- connect, disconnect */

static void connect_init(void *opts)
{
	spec_opts_init(opts, &berth__network_ask__descriptor);
}

static int connect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct spec_opts *o = opts;
	Berth__NetworkConnect connect = BERTH__NETWORK_CONNECT__INIT;
	struct ask a;
	struct err e;
	int status;

	(void)n;
	connect.spec = (Berth__NetworkAsk *)o->message;
	if (network_from_text(connect.spec, operands[0], &e) < 0)
		return app_usage(app, "%s", e.text);
	connect.ref = operands[1];
	ask_init(&a, BERTH__ENVELOPE__BODY_NETWORK_CONNECT, &connect);
	status = app_ask(app, &a, o);
	if (!status)
		puts(a.reply->done->text);
	ask_fini(&a);
	return status;
}

static void connect_fini(void *opts)
{
	spec_opts_fini(opts);
}

/* There is nothing that it could do by force: what cannot be taken out yet is tried again by itself. */
static const struct flag disconnect_flags[] = {
	{'f', "force", "", NULL, flag_refused,
	 .complete =
		 "leave it out: a disconnect is carried out whether it runs or not, and tried again until it could be"},
	{0},
};

static int disconnect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__NetworkDisconnect disconnect = BERTH__NETWORK_DISCONNECT__INIT;
	struct ask a;
	int status;

	(void)opts;
	(void)n;
	disconnect.network = operands[0];
	disconnect.ref = operands[1];
	ask_init(&a, BERTH__ENVELOPE__BODY_NETWORK_DISCONNECT, &disconnect);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(a.reply->done->text);
	ask_fini(&a);
	return status;
}

const struct command cmd_network_create = {
	.flags = {{spec_network_flags, offsetof(struct create_opts, spec)}, {create_flags, 0}},
	.opts_size = sizeof(struct create_opts),
	.init = create_init,
	.fini = create_fini,
	.min = 1,
	.max = 1,
	.run = create_run,
};
const struct command cmd_network_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct listing_opts, format)}},
	.opts_size = sizeof(struct listing_opts),
	.run = ls_run,
};
const struct command cmd_network_inspect = {
	.flags = {{format_inspect_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "network",
	.run = inspect_network,
};
const struct command cmd_network_update = {
	.flags = {{update_flags, 0}},
	.opts_size = sizeof(struct update_opts),
	.fini = update_fini,
	.min = 1,
	.max = MANY,
	.complete = "network",
	.run = update_run,
};
const struct command cmd_network_rm = {
	.flags = {{remove_flags, 0}},
	.opts_size = sizeof(struct remove_opts),
	.min = 1,
	.max = MANY,
	.complete = "network",
	.run = rm_run,
};
const struct command cmd_network_prune = {
	.flags = {{prune_flags, 0}},
	.opts_size = sizeof(struct prune_opts),
	.fini = prune_fini,
	.run = prune_run,
};
const struct command cmd_network_limit = {
	.flags = {{limit_flags, 0}},
	.opts_size = sizeof(struct limit_opts),
	.min = 1,
	.max = 2,
	.complete = "container",
	.run = limit_run,
};
const struct command cmd_network_drivers = {
	.flags = {{format_list_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.run = drivers_run,
};
const struct command cmd_network_connect = {
	.flags = {{spec_interface_flags, 0}},
	.opts_size = sizeof(struct spec_opts),
	.init = connect_init,
	.fini = connect_fini,
	.min = 2,
	.max = 2,
	.complete = "network",
	.run = connect_run,
};
const struct command cmd_network_disconnect = {
	.flags = {{disconnect_flags, 0}},
	.min = 2,
	.max = 2,
	.complete = "network",
	.run = disconnect_run,
};

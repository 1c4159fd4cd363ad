/* ctl/cmd_floating.c - floating-ip pool create, ls, rm; floating-ip allocate, ls, release, associate, disassociate. */
#include "base/own.h"
#include "ctl/listing.h"
#include "ctl/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- pools */

struct pool_opts {
	const char *range, *link;
	bool shared;
};

static const struct flag pool_flags[] = {
	{0, "range", "CIDR|FIRST-LAST", "the addresses, such as 203.0.113.0/28", flag_text,
	 offsetof(struct pool_opts, range)},
	{0, "link", "LINK", "the link of the host on which it answers for them; without: they are routed to the host",
	 flag_text, offsetof(struct pool_opts, link)},
	{0, "shared", NULL, "all projects may have addresses of it", flag_bool, offsetof(struct pool_opts, shared)},
	{0},
};

static int pool_create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct pool_opts *o = opts;
	Berth__FloatingIpPoolCreate create = BERTH__FLOATING_IP_POOL_CREATE__INIT;
	Berth__FloatingIpPool spec = BERTH__FLOATING_IP_POOL__INIT;
	struct ask a;
	int status;

	(void)n;
	if (!o->range)
		return app_usage(app, "a pool needs --range, such as 203.0.113.0/28");
	create.name = operands[0];
	create.spec = &spec;
	spec.range = (char *)(uintptr_t)o->range;
	spec.link = (char *)(uintptr_t)o->link;
	spec.has_shared = spec.shared = o->shared;
	ask_init(&a, BERTH__ENVELOPE__BODY_FLOATING_IP_POOL_CREATE, &create);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(a.reply->floating_ip_pool_reply->pools[0]->meta->uuid);
	ask_fini(&a);
	return status;
}

static void pool_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__FloatingIpPool *p = object;
	char id[PRINT_SIZE];

	(void)now;
	table_line(t);
	table_cell(t, "%s", o->no_trunc ? p->meta->uuid : print_short_id(p->meta->uuid, id));
	table_cell(t, "%s", p->meta->name);
	table_cell(t, "%s", p->range);
	table_cell(t, "%s", p->link ? p->link : "(routed)");
	table_cell(t, "%u", p->used);
	if (p->size == UINT64_MAX)
		table_cell(t, "%s", "many");
	else
		table_cell(t, "%llu", (unsigned long long)p->size);
	table_cell(t, "%s", p->shared ? "shared" : "project");
	if (o->all_projects)
		table_cell(t, "%s", p->meta->project);
}

static const char *pool_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__FloatingIpPool *)object)->meta->uuid;
}

static const struct flag ls_flags[] = {FLAG_ALL_PROJECTS(0), {0}};

static int pool_ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {
		{"ID"},	   {"NAME"},   {"RANGE"}, {"LINK"}, {"USED", .right = true}, {"SIZE", .right = true},
		{"SCOPE"}, {"PROJECT"}};
	static const struct listing pools = {&berth__floating_ip_pool__descriptor,
					     columns,
					     ARRAY_SIZE(columns),
					     pool_line,
					     pool_id,
					     .project_last = true};
	const struct format_opts *o = opts;
	Berth__FloatingIpPoolList list = BERTH__FLOATING_IP_POOL_LIST__INIT;
	struct ask a;
	int status = listing_check(app, &pools, o);

	(void)operands;
	(void)n;
	if (status)
		return status;
	list.has_all_projects = list.all_projects = o->all_projects;
	ask_init(&a, BERTH__ENVELOPE__BODY_FLOATING_IP_POOL_LIST, &list);
	status = app_ask(app, &a, NULL);
	if (!status)
		listing_print(&pools, o, (void *const *)a.reply->floating_ip_pool_reply->pools,
			      a.reply->floating_ip_pool_reply->n_pools);
	ask_fini(&a);
	return status;
}

static int pool_rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_FLOATING_IP_POOL_REMOVE, NULL, opts, operands, n);
}

/* ---------------------------------------------------------------- addresses */

struct allocate_opts {
	const char *pool, *address;
};

static const struct flag allocate_flags[] = {
	{0, "pool", "POOL", "of which it is; not needed where there is one", flag_text,
	 offsetof(struct allocate_opts, pool)},
	{0, "ip", "ADDRESS", "this one, instead of the next that is free", flag_text,
	 offsetof(struct allocate_opts, address)},
	{0},
};

static int allocate_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct allocate_opts *o = opts;
	Berth__FloatingIpAllocate allocate = BERTH__FLOATING_IP_ALLOCATE__INIT;
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	allocate.pool = (char *)(uintptr_t)o->pool;
	allocate.address = (char *)(uintptr_t)o->address;
	ask_init(&a, BERTH__ENVELOPE__BODY_FLOATING_IP_ALLOCATE, &allocate);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(a.reply->floating_ip_reply->floating_ips[0]->address);
	ask_fini(&a);
	return status;
}

static void ip_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__FloatingIp *f = object;
	char ago[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", f->address);
	table_cell(t, "%s", f->pool);
	if (f->target)
		table_cell(t, "%s %s:%s", f->target_kind, f->target, f->link);
	else
		table_cell(t, "%s", "-");
	table_cell(t, "%s", f->fixed_address ? f->fixed_address : "");
	table_cell(t, "%s", print_ago(f->meta->created_at, now, ago));
	if (o->all_projects)
		table_cell(t, "%s", f->meta->project);
}

static const char *ip_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__FloatingIp *)object)->address;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {{"ADDRESS"},  {"POOL"},	   {"LEADS TO"},
						{"WHICH IS"}, {"CREATED"}, {"PROJECT"}};
	static const struct listing ips = {
		&berth__floating_ip__descriptor, columns, ARRAY_SIZE(columns), ip_line, ip_id, .project_last = true};
	const struct format_opts *o = opts;
	Berth__FloatingIpList list = BERTH__FLOATING_IP_LIST__INIT;
	struct ask a;
	int status = listing_check(app, &ips, o);

	(void)operands;
	(void)n;
	if (status)
		return status;
	list.has_all_projects = list.all_projects = o->all_projects;
	ask_init(&a, BERTH__ENVELOPE__BODY_FLOATING_IP_LIST, &list);
	status = app_ask(app, &a, NULL);
	if (!status)
		listing_print(&ips, o, (void *const *)a.reply->floating_ip_reply->floating_ips,
			      a.reply->floating_ip_reply->n_floating_ips);
	ask_fini(&a);
	return status;
}

static int release_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_FLOATING_IP_RELEASE, NULL, opts, operands, n);
}

static int disassociate_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_FLOATING_IP_DISASSOCIATE, NULL, opts, operands, n);
}

static int associate_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__FloatingIpAssociate associate = BERTH__FLOATING_IP_ASSOCIATE__INIT;
	char *colon = strchr(operands[1], ':');
	struct ask a;
	int status;

	(void)opts;
	(void)n;
	AUTO_FREE char *target = mem_textn(operands[1], colon ? (size_t)(colon - operands[1]) : strlen(operands[1]));
	associate.ip = operands[0];
	associate.target = target;
	associate.link = colon ? colon + 1 : NULL;
	ask_init(&a, BERTH__ENVELOPE__BODY_FLOATING_IP_ASSOCIATE, &associate);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(a.reply->floating_ip_reply->floating_ips[0]->address);
	ask_fini(&a);
	return status;
}

const struct command cmd_pool_create = {
	.flags = {{pool_flags, 0}},
	.opts_size = sizeof(struct pool_opts),
	.min = 1,
	.max = 1,
	.run = pool_create_run,
};
const struct command cmd_pool_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.run = pool_ls_run,
};
const struct command cmd_pool_rm = {.min = 1, .max = MANY, .run = pool_rm_run};
const struct command cmd_floating_allocate = {
	.flags = {{allocate_flags, 0}},
	.opts_size = sizeof(struct allocate_opts),
	.run = allocate_run,
};
const struct command cmd_floating_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.run = ls_run,
};
const struct command cmd_floating_release = {.min = 1, .max = MANY, .run = release_run};
const struct command cmd_floating_associate = {.min = 2, .max = 2, .run = associate_run};
const struct command cmd_floating_disassociate = {.min = 1, .max = MANY, .run = disassociate_run};

/* ctl/cmd_pod.c - pod create, ls, inspect, rm. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/inspect.h"
#include "ctl/listing.h"
#include "ctl/mem.h"
#include "ctl/spec_flags.h"

#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- create */

struct create_opts {
	struct spec_opts spec;
	const char *name;
};

static const struct flag create_flags[] = {
	{0, "name", "NAME", "the same as the operand; default: one is made", flag_text,
	 offsetof(struct create_opts, name)},
	{0},
};

static void create_init(void *opts)
{
	spec_opts_init(&((struct create_opts *)opts)->spec, &berth__pod_spec__descriptor);
}

static void create_fini(void *opts)
{
	spec_opts_fini(&((struct create_opts *)opts)->spec);
}

static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct create_opts *o = opts;
	Berth__PodCreate create = BERTH__POD_CREATE__INIT;
	struct ask a;
	int status;

	if (n && o->name)
		return app_usage(app, "the name is given twice: \"%s\" and \"%s\"", o->name, operands[0]);
	create.name = n ? operands[0] : (char *)(uintptr_t)o->name;
	create.spec = (Berth__PodSpec *)o->spec.message;
	ask_init(&a, BERTH__ENVELOPE__BODY_POD_CREATE, &create);
	status = app_ask(app, &a, &o->spec);
	if (!status)
		puts(a.reply->pod_reply->pod->meta->uuid);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- ls */

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name, id, state, label", flag_list, offsetof(struct listing_opts, filters),
	 .complete = "name= id= state= label="},
	FLAG_ALL_PROJECTS(offsetof(struct listing_opts, format)),
	{0},
};

static void networks_cell(struct table *t, const Berth__Pod *p)
{
	AUTO_FREE char *text = NULL;

	for (size_t i = 0; i < p->n_networks; i++) {
		char *longer = mem_printf("%s%s%s", text ? text : "", text ? "," : "", p->networks[i]->network);

		free(text);
		text = longer;
	}
	table_cell(t, "%s", text ? text : p->spec && p->spec->network && *p->spec->network ? p->spec->network : "none");
}

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__Pod *p = object;
	char id[PRINT_SIZE], ago[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", o->no_trunc ? p->meta->uuid : print_short_id(p->meta->uuid, id));
	table_cell(t, "%s", p->meta->name);
	table_cell(t, "%s", p->state ? p->state : "");
	table_cell(t, "%zu", p->n_containers);
	networks_cell(t, p);
	table_cell(t, "%s", print_ago(p->meta->created_at, now, ago));
	if (o->all_projects)
		table_cell(t, "%s", p->meta->project);
}

static const char *ls_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__Pod *)object)->meta->uuid;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {{"ID"},	     {"NAME"},	  {"STATE"},  {"CONTAINERS", .right = true},
						{"NETWORK"}, {"CREATED"}, {"PROJECT"}};
	static const struct listing pods = {&berth__pod__descriptor, columns, ARRAY_SIZE(columns), ls_line, ls_id,
					    .project_last = true};

	(void)operands;
	(void)n;
	return listing_run(app, &pods, opts, BERTH__ENVELOPE__BODY_POD_LIST);
}

/* ---------------------------------------------------------------- inspect, rm */

static int pod_inspect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"pod", BERTH__ENVELOPE__BODY_POD_INSPECT, &berth__pod__descriptor};

	return inspect_run(app, opts, &kind, operands, n);
}

struct rm_opts {
	bool force;
};

static const struct flag rm_flags[] = {
	{'f', "force", NULL, "with its containers", flag_bool, offsetof(struct rm_opts, force)},
	{0},
};

static void rm_fill(void *body, const void *opts)
{
	Berth__PodRemove *m = body;

	m->has_force = true;
	m->force = ((const struct rm_opts *)opts)->force;
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_POD_REMOVE, rm_fill, opts, operands, n);
}

const struct command cmd_pod_create = {
	.flags = {{create_flags, 0},
		  {spec_pod_flags, offsetof(struct create_opts, spec)},
		  {spec_joins_flags, offsetof(struct create_opts, spec)},
		  {spec_resource_flags, offsetof(struct create_opts, spec)}},
	.opts_size = sizeof(struct create_opts),
	.init = create_init,
	.fini = create_fini,
	.max = 1,
	.run = create_run,
};
const struct command cmd_pod_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct listing_opts, format)}},
	.opts_size = sizeof(struct listing_opts),
	.run = ls_run,
};
const struct command cmd_pod_inspect = {
	.flags = {{format_inspect_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "pod",
	.run = pod_inspect_run,
};
const struct command cmd_pod_rm = {
	.flags = {{rm_flags, 0}},
	.opts_size = sizeof(struct rm_opts),
	.min = 1,
	.max = MANY,
	.complete = "pod",
	.run = rm_run,
};

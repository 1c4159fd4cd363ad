/* ctl/cmd_pod.c - pod create, ls, inspect, rm. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/inspect.h"
#include "ctl/print.h"
#include "ctl/spec_flags.h"

#include <stdio.h>

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

	if (n && o->name) {
		say("the name is given twice: \"%s\" and \"%s\"", o->name, operands[0]);
		return app->failure;
	}
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

struct ls_opts {
	struct format_opts format;
	struct strings filters;
};

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name, id, label", flag_list, offsetof(struct ls_opts, filters)},
	{0},
};

static void ls_table(const struct format_opts *o, const Berth__PodListReply *r)
{
	static const struct column columns[] = {{"ID"},	     {"NAME"},	 {"STATE"}, {"CONTAINERS", .right = true},
						{"NETWORK"}, {"CREATED"}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), o->no_trunc);
	int64_t now = wall_ns();

	for (size_t i = 0; i < r->n_pods; i++) {
		const Berth__Pod *p = r->pods[i];
		char id[PRINT_SIZE], ago[PRINT_SIZE];

		table_line(t);
		table_cell(t, "%s", o->no_trunc ? p->meta->uuid : print_short_id(p->meta->uuid, id));
		table_cell(t, "%s", p->meta->name);
		table_cell(t, "%s", p->state ? p->state : "");
		table_cell(t, "%zu", p->n_containers);
		table_cell(t, "%s", p->spec && p->spec->network && *p->spec->network ? p->spec->network : "none");
		table_cell(t, "%s", print_ago(p->meta->created_at, now, ago));
	}
	table_print(t);
	table_free(t);
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct ls_opts *o = opts;
	Berth__PodList list = BERTH__POD_LIST__INIT;
	struct err e;
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	if (format_check(&o->format, &berth__pod__descriptor, &e) < 0)
		return app_fail(app, &e);
	status = app_filters(app, &o->filters, &list.filters, &list.n_filters);
	if (status)
		return status;
	ask_init(&a, BERTH__ENVELOPE__BODY_POD_LIST, &list);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__PodListReply *r = a.reply->pod_list_reply;

		if (o->format.quiet)
			for (size_t i = 0; i < r->n_pods; i++)
				puts(r->pods[i]->meta->uuid);
		else if (format_is_table(&o->format))
			ls_table(&o->format, r);
		else
			format_print(&o->format, (void *const *)r->pods, r->n_pods);
	}
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- inspect, rm */

static void *inspect_make(const void *opts, const char *ref)
{
	Berth__PodInspect *m = mem_zero(sizeof *m);

	(void)opts;
	berth__pod_inspect__init(m);
	m->ref = mem_text(ref);
	return m;
}

static int pod_inspect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"pod", BERTH__ENVELOPE__BODY_POD_INSPECT, &berth__pod__descriptor,
						 inspect_make};

	return inspect_run(app, opts, &kind, operands, n);
}

struct rm_opts {
	bool force;
};

static const struct flag rm_flags[] = {
	{'f', "force", NULL, "with its containers", flag_bool, offsetof(struct rm_opts, force)},
	{0},
};

static void *rm_make(const void *opts, const char *ref)
{
	Berth__PodRemove *m = mem_zero(sizeof *m);

	berth__pod_remove__init(m);
	m->ref = mem_text(ref);
	m->has_force = true;
	m->force = ((const struct rm_opts *)opts)->force;
	return m;
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_POD_REMOVE, rm_make, opts, operands, n);
}

const struct command cmd_pod_create = {
	.flags = {{create_flags, 0},
		  {spec_pod_flags, offsetof(struct create_opts, spec)},
		  {spec_resource_flags, offsetof(struct create_opts, spec)}},
	.opts_size = sizeof(struct create_opts),
	.init = create_init,
	.fini = create_fini,
	.max = 1,
	.run = create_run,
};
const struct command cmd_pod_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct ls_opts, format)}},
	.opts_size = sizeof(struct ls_opts),
	.run = ls_run,
};
const struct command cmd_pod_inspect = {
	.flags = {{format_f_flags, 0}},
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

/* ctl/cmd_volume.c - volume create, ls, inspect, rm. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/inspect.h"
#include "ctl/print.h"

#include <stdio.h>
#include <string.h>

static void *create_make(const void *opts, const char *name)
{
	Berth__VolumeCreate *m = mem_zero(sizeof *m);

	(void)opts;
	berth__volume_create__init(m);
	m->name = mem_text(name);
	return m;
}

static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_VOLUME_CREATE, create_make, opts, operands, n);
}

static void *rm_make(const void *opts, const char *name)
{
	Berth__VolumeRemove *m = mem_zero(sizeof *m);

	(void)opts;
	berth__volume_remove__init(m);
	m->name = mem_text(name);
	return m;
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_VOLUME_REMOVE, rm_make, opts, operands, n);
}

/* ---------------------------------------------------------------- ls, inspect */

struct ls_opts {
	struct format_opts format;
	struct strings filters;
};

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name", flag_list, offsetof(struct ls_opts, filters)},
	{0},
};

static void ls_table(const struct format_opts *o, const Berth__VolumeReply *r)
{
	static const struct column columns[] = {
		{"NAME"}, {"USED BY", .right = true}, {"CREATED"}, {"PATH", .shrink = true}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), o->no_trunc);
	int64_t now = wall_ns();

	for (size_t i = 0; i < r->n_volumes; i++) {
		const Berth__Volume *v = r->volumes[i];
		char ago[PRINT_SIZE];

		table_line(t);
		table_cell(t, "%s", v->meta->name);
		table_cell(t, "%zu", v->n_used_by);
		table_cell(t, "%s", print_ago(v->meta->created_at, now, ago));
		table_cell(t, "%s", v->path ? v->path : "");
	}
	table_print(t);
	table_free(t);
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct ls_opts *o = opts;
	Berth__VolumeList list = BERTH__VOLUME_LIST__INIT;
	struct err e;
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	if (format_check(&o->format, &berth__volume__descriptor, &e) < 0)
		return app_fail(app, &e);
	status = app_filters(app, &o->filters, &list.filters, &list.n_filters);
	if (status)
		return status;
	ask_init(&a, BERTH__ENVELOPE__BODY_VOLUME_LIST, &list);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__VolumeReply *r = a.reply->volume_reply;

		if (o->format.quiet)
			for (size_t i = 0; i < r->n_volumes; i++)
				puts(r->volumes[i]->meta->name);
		else if (format_is_table(&o->format))
			ls_table(&o->format, r);
		else
			format_print(&o->format, (void *const *)r->volumes, r->n_volumes);
	}
	ask_fini(&a);
	return status;
}

/* There is no request for one volume: a list of those that have the name. */
static void *inspect_make(const void *opts, const char *name)
{
	Berth__VolumeList *m = mem_zero(sizeof *m);
	Berth__Filter *f = mem_zero(sizeof *f);

	(void)opts;
	berth__volume_list__init(m);
	berth__filter__init(f);
	f->key = mem_text("name");
	f->value = mem_text(name);
	m->filters = mem_grow(NULL, 0, sizeof *m->filters);
	m->filters[m->n_filters++] = f;
	return m;
}

static int volume_inspect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"volume", BERTH__ENVELOPE__BODY_VOLUME_LIST,
						 &berth__volume__descriptor, inspect_make};

	return inspect_run(app, opts, &kind, operands, n);
}

const struct command cmd_volume_create = {.min = 1, .max = MANY, .run = create_run};
const struct command cmd_volume_rm = {.min = 1, .max = MANY, .complete = "volume", .run = rm_run};
const struct command cmd_volume_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct ls_opts, format)}},
	.opts_size = sizeof(struct ls_opts),
	.run = ls_run,
};
const struct command cmd_volume_inspect = {
	.flags = {{format_f_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "volume",
	.run = volume_inspect_run,
};

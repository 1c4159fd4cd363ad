/* ctl/cmd_volume.c - volume create, ls, inspect, rm. */
#include "base/own.h"
#include "ctl/inspect.h"
#include "ctl/listing.h"

#include <stdio.h>

/* Without a name berthd makes one, which must be told. */
static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__VolumeCreate create = BERTH__VOLUME_CREATE__INIT;
	struct ask a;
	int status;

	if (!n) {
		ask_init(&a, BERTH__ENVELOPE__BODY_VOLUME_CREATE, &create);
		status = app_ask(app, &a, NULL);
		if (!status)
			puts(a.reply->volume_reply->volumes[0]->meta->name);
		ask_fini(&a);
		return status;
	}
	return app_each(app, BERTH__ENVELOPE__BODY_VOLUME_CREATE, NULL, opts, operands, n);
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_VOLUME_REMOVE, NULL, opts, operands, n);
}

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name, dangling", flag_list, offsetof(struct listing_opts, filters),
	 .complete = "name= dangling="},
	FLAG_ALL_PROJECTS(offsetof(struct listing_opts, format)),
	{0},
};

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__Volume *v = object;
	char ago[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", v->meta->name);
	table_cell(t, "%zu", v->n_used_by);
	table_cell(t, "%s", print_ago(v->meta->created_at, now, ago));
	table_cell(t, "%s", v->path ? v->path : "");
	if (o->all_projects)
		table_cell(t, "%s", v->meta->project);
}

static const char *ls_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__Volume *)object)->meta->name;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {
		{"NAME"}, {"USED BY", .right = true}, {"CREATED"}, {"PATH", .shrink = true}, {"PROJECT"}};
	static const struct listing volumes = {&berth__volume__descriptor, columns, ARRAY_SIZE(columns), ls_line, ls_id,
					       .project_last = true};

	(void)operands;
	(void)n;
	return listing_run(app, &volumes, opts, BERTH__ENVELOPE__BODY_VOLUME_LIST);
}

static int volume_inspect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"volume", BERTH__ENVELOPE__BODY_VOLUME_INSPECT,
						 &berth__volume__descriptor};

	return inspect_run(app, opts, &kind, operands, n);
}

const struct command cmd_volume_create = {.max = MANY, .run = create_run};
const struct command cmd_volume_rm = {.min = 1, .max = MANY, .complete = "volume", .run = rm_run};
const struct command cmd_volume_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct listing_opts, format)}},
	.opts_size = sizeof(struct listing_opts),
	.run = ls_run,
};
const struct command cmd_volume_inspect = {
	.flags = {{format_inspect_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "volume",
	.run = volume_inspect_run,
};

/* ctl/cmd_volume.c - volume create, ls, inspect, update, rm, prune. */
#include "base/own.h"
#include "base/str.h"
#include "ctl/field.h"
#include "ctl/inspect.h"
#include "ctl/listing.h"
#include "ctl/volume_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- create */

struct create_opts {
	Berth__VolumeCreate create;
};

static int flag_driver(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return volume_driver_text(&((struct create_opts *)opts)->create, value, e);
}

static int flag_size(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return volume_size_text(&((struct create_opts *)opts)->create, value, e);
}

static int flag_label(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return volume_label_text(&((struct create_opts *)opts)->create, value, e);
}

static int flag_option(void *opts, const struct flag *f, const char *value, struct err *e)
{
	return volume_option_text(&((struct create_opts *)opts)->create, value, e);
}

static const struct flag create_flags[] = {
	{'d', "driver", "DRIVER",
	 "plain (a folder; the default), sized (a size that is kept; the default with a size) or tmpfs (in memory)",
	 flag_driver, .field = "driver", .complete = "plain sized tmpfs"},
	{0, "size", "BYTES", "of a sized one, which has it reserved at once, or of a tmpfs: 10g", flag_size,
	 .field = "size_bytes"},
	{'l', "label", "KEY=VALUE", "add a label", flag_label, .field = "labels"},
	{'o', "opt", "KEY=VALUE", "as Docker's: size=10g; type=tmpfs with o=size=64m,mode=700,uid=1,gid=2", flag_option,
	 .field = "mode"},
	{0},
};

static void create_init(void *opts)
{
	berth__volume_create__init(&((struct create_opts *)opts)->create);
}

static void create_fini(void *opts)
{
	Berth__VolumeCreate *c = &((struct create_opts *)opts)->create;

	for (size_t i = 0; i < c->n_labels; i++)
		berth__key_value__free_unpacked(c->labels[i], NULL);
	free(c->labels);
}

/* Without a name berthd makes one, which must be told. */
static int create_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__VolumeCreate *create = &((struct create_opts *)opts)->create;
	int status = 0;

	for (unsigned i = 0; i < (n ? n : 1); i++) {
		struct ask a;
		int r;

		create->name = n ? operands[i] : NULL;
		ask_init(&a, BERTH__ENVELOPE__BODY_VOLUME_CREATE, create);
		r = app_ask(app, &a, NULL);
		if (!r)
			puts(a.reply->volume_reply->volumes[0]->meta->name);
		status = r ? r : status;
		ask_fini(&a);
	}
	create->name = NULL;
	return status;
}

/* ---------------------------------------------------------------- update */

struct update_opts {
	uint64_t size;
	bool has_size;
};

static int flag_new_size(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct update_opts *o = opts;

	if (str_to_bytes(value, &o->size))
		return err_set(e, EINVAL, "flag", "\"%s\" is not a size (such as 10g)", value);
	o->has_size = true;
	return 0;
}

static const struct flag update_flags[] = {
	{0, "size", "BYTES", "a sized volume grows to this, also while it is in use", flag_new_size,
	 .field = "size_bytes"},
	{0},
};

static void update_fill(void *body, const void *opts)
{
	const struct update_opts *o = opts;
	Berth__VolumeUpdate *m = body;

	m->has_size_bytes = o->has_size;
	m->size_bytes = o->size;
}

static int update_run(struct app *app, void *opts, char **operands, unsigned n)
{
	if (!((struct update_opts *)opts)->has_size)
		return app_usage(app, "--size is missing: nothing else of a volume can be changed");
	return app_each(app, BERTH__ENVELOPE__BODY_VOLUME_UPDATE, update_fill, opts, operands, n);
}

/* ---------------------------------------------------------------- rm, prune */

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_remove(app, BERTH__ENVELOPE__BODY_VOLUME_REMOVE, opts, operands, n);
}

struct prune_opts {
	bool all, force;
	struct strings filters;
};

static const struct flag prune_flags[] = {
	{'a', "all", NULL, "those that have a name too", flag_bool, offsetof(struct prune_opts, all)},
	{0, "filter", "KEY=VALUE", "label", flag_list, offsetof(struct prune_opts, filters), .complete = "label="},
	{'f', "force", NULL, "do not ask", flag_bool, offsetof(struct prune_opts, force)},
	{0},
};

static int prune_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct prune_opts *o = opts;
	Berth__VolumePrune *prune = (Berth__VolumePrune *)message_new(&berth__volume_prune__descriptor);
	char size[PRINT_SIZE];
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	status = app_filters(app, &o->filters, &prune->base);
	if (!status && !o->force)
		status = app_confirm(app, "This removes all volumes that %s, with what is in them. Go on?",
				     o->all ? "no container has" : "no container has and nobody gave a name");
	if (!status) {
		prune->has_all = true;
		prune->all = o->all;
		ask_init(&a, BERTH__ENVELOPE__BODY_VOLUME_PRUNE, prune);
		status = app_ask(app, &a, NULL);
		for (size_t i = 0; !status && i < a.reply->prune_reply->n_removed; i++)
			puts(a.reply->prune_reply->removed[i]);
		if (!status)
			printf("Freed: %s\n", print_size(a.reply->prune_reply->freed_bytes, size));
		ask_fini(&a);
	}
	protobuf_c_message_free_unpacked(&prune->base, NULL);
	return status;
}

/* ---------------------------------------------------------------- ls, inspect */

static const struct flag ls_flags[] = {
	{'f', "filter", "KEY=VALUE", "name, label, driver, dangling", flag_list, offsetof(struct listing_opts, filters),
	 .complete = "name= label= driver= dangling="},
	FLAG_ALL_PROJECTS(offsetof(struct listing_opts, format)),
	{0},
};

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__Volume *v = object;
	char ago[PRINT_SIZE], size[PRINT_SIZE];

	table_line(t);
	table_cell(t, "%s", v->meta->name);
	table_cell(t, "%s", volume_driver_name(v->driver));
	table_cell(t, "%s", v->has_size_bytes ? print_size(v->size_bytes, size) : "");
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
	static const struct column columns[] = {{"NAME"},
						{"DRIVER"},
						{"SIZE", .right = true},
						{"USED BY", .right = true},
						{"CREATED"},
						{"PATH", .shrink = true},
						{"PROJECT"}};
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

const struct command cmd_volume_create = {
	.flags = {{create_flags, 0}},
	.opts_size = sizeof(struct create_opts),
	.init = create_init,
	.fini = create_fini,
	.max = MANY,
	.run = create_run,
};
const struct command cmd_volume_update = {
	.flags = {{update_flags, 0}},
	.opts_size = sizeof(struct update_opts),
	.min = 1,
	.max = MANY,
	.complete = "volume",
	.run = update_run,
};
const struct command cmd_volume_rm = {
	.flags = {{remove_flags, 0}},
	.opts_size = sizeof(struct remove_opts),
	.min = 1,
	.max = MANY,
	.complete = "volume",
	.run = rm_run,
};
const struct command cmd_volume_prune = {
	.flags = {{prune_flags, 0}},
	.opts_size = sizeof(struct prune_opts),
	.run = prune_run,
};
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

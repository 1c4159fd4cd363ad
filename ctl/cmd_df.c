/* ctl/cmd_df.c - system df: what is taken on the disk, by whom. */
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/listing.h"

#include <stdio.h>

struct df_opts {
	struct format_opts format;
	bool verbose;
};

static const struct flag df_flags[] = {
	{'v', "verbose", NULL, "each image, container, volume and broken pull", flag_bool,
	 offsetof(struct df_opts, verbose)},
	{0},
};

static void kinds_print(const Berth__DiskUsageReply *r)
{
	static const struct column columns[] = {{"TYPE"},
						{"TOTAL", .right = true},
						{"ACTIVE", .right = true},
						{"SIZE", .right = true},
						{"RECLAIMABLE", .right = true}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), true);
	char size[PRINT_SIZE], free[PRINT_SIZE];

	for (size_t i = 0; i < r->n_kinds; i++) {
		const Berth__DiskUsageKind *k = r->kinds[i];

		table_line(t);
		table_cell(t, "%s", k->kind);
		table_cell(t, "%llu", (unsigned long long)k->count);
		table_cell(t, "%llu", (unsigned long long)k->active);
		table_cell(t, "%s", print_size(k->size_bytes, size));
		table_cell(t, "%s (%.0f%%)", print_size(k->reclaimable_bytes, free),
			   k->size_bytes ? 100.0 * (double)k->reclaimable_bytes / (double)k->size_bytes : 0.0);
	}
	table_print(t);
	table_free(t);
}

static void short_digest(struct table *t, const char *digest)
{
	table_cell(t, "%.12s", digest && str_starts(digest, "sha256:") ? digest + 7 : "");
}

static void images_print(const Berth__DiskUsageReply *r, int64_t now)
{
	static const struct column columns[] = {{"IMAGE"},
						{"ID"},
						{"CREATED"},
						{"SIZE", .right = true},
						{"SHARED", .right = true},
						{"UNIQUE", .right = true},
						{"CONTAINERS", .right = true}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), true);
	char a[PRINT_SIZE];

	for (size_t i = 0; i < r->n_images; i++) {
		const Berth__DiskUsageImage *image = r->images[i];

		table_line(t);
		table_cell(t, "%s", image->n_names ? image->names[0] : "<none>");
		short_digest(t, image->image_id);
		table_cell(t, "%s", print_ago(image->image_created_at, now, a));
		table_cell(t, "%s", print_size(image->size_bytes, a));
		table_cell(t, "%s", print_size(image->shared_bytes, a));
		table_cell(t, "%s", print_size(image->size_bytes - image->shared_bytes, a));
		table_cell(t, "%llu", (unsigned long long)image->containers);
	}
	table_print(t);
	table_free(t);
}

static void containers_print(const Berth__DiskUsageReply *r)
{
	static const struct column columns[] = {{"CONTAINER"},
						{"NAME"},
						{"PROJECT"},
						{"IMAGE"},
						{"SIZE", .right = true},
						{"LOGS", .right = true},
						{"RUNS", .right = false}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), true);
	char a[PRINT_SIZE];

	for (size_t i = 0; i < r->n_containers; i++) {
		const Berth__DiskUsageContainer *c = r->containers[i];

		table_line(t);
		table_cell(t, "%s", print_short_id(c->meta->uuid, a));
		table_cell(t, "%s", c->meta->name);
		table_cell(t, "%s", c->meta->project);
		table_cell(t, "%s", c->image ? c->image : "");
		table_cell(t, "%s", print_size(c->size_bytes, a));
		table_cell(t, "%s", print_size(c->log_bytes, a));
		table_cell(t, "%s", c->running ? "yes" : "no");
	}
	table_print(t);
	table_free(t);
}

static void volumes_print(const Berth__DiskUsageReply *r)
{
	static const struct column columns[] = {
		{"VOLUME"}, {"PROJECT"}, {"CONTAINERS", .right = true}, {"SIZE", .right = true}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), true);
	char a[PRINT_SIZE];

	for (size_t i = 0; i < r->n_volumes; i++) {
		const Berth__DiskUsageVolume *v = r->volumes[i];

		table_line(t);
		table_cell(t, "%s", v->meta->name);
		table_cell(t, "%s", v->meta->project);
		table_cell(t, "%llu", (unsigned long long)v->containers);
		table_cell(t, "%s", print_size(v->size_bytes, a));
	}
	table_print(t);
	table_free(t);
}

static void partials_print(const Berth__DiskUsageReply *r, int64_t now)
{
	static const struct column columns[] = {{"PARTIAL PULL"}, {"SIZE", .right = true}, {"WRITTEN"}, {"UNDER WAY"}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), true);
	char a[PRINT_SIZE];

	for (size_t i = 0; i < r->n_partials; i++) {
		const Berth__DiskUsagePartial *p = r->partials[i];

		table_line(t);
		short_digest(t, p->digest);
		table_cell(t, "%s", print_size(p->size_bytes, a));
		table_cell(t, "%s", print_ago(p->updated_at, now, a));
		table_cell(t, "%s", p->active ? "yes" : "no");
	}
	table_print(t);
	table_free(t);
}

static void all_print(const Berth__DiskUsageReply *r)
{
	int64_t now = wall_ns();

	images_print(r, now);
	putchar('\n');
	containers_print(r);
	putchar('\n');
	volumes_print(r);
	putchar('\n');
	partials_print(r, now);
}

static int df_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct df_opts *o = opts;
	Berth__DiskUsageRequest request = BERTH__DISK_USAGE_REQUEST__INIT;
	struct err e = {0};
	struct ask a;
	int status;

	(void)operands;
	(void)n;
	if (format_check(&o->format, &berth__disk_usage_reply__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	ask_init(&a, BERTH__ENVELOPE__BODY_DISK_USAGE, &request);
	status = app_ask(app, &a, NULL);
	if (!status && !format_is_table(&o->format))
		format_print_one(&o->format, a.reply->disk_usage_reply);
	else if (!status && o->verbose)
		all_print(a.reply->disk_usage_reply);
	else if (!status)
		kinds_print(a.reply->disk_usage_reply);
	ask_fini(&a);
	return status;
}

const struct command cmd_system_df = {
	.flags = {{df_flags, 0}, {format_flags, offsetof(struct df_opts, format)}},
	.opts_size = sizeof(struct df_opts),
	.run = df_run,
};

/* ctl/cmd_ps.c - ps: one line for each container. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/print.h"
#include "ctl/status_text.h"

#include <stdio.h>
#include <stdlib.h>

struct ps_opts {
	struct format_opts format;
	bool all, latest;
	uint32_t last;
	struct strings filters;
};

static const struct flag ps_flags[] = {
	{'a', "all", NULL, "also those that do not run", flag_bool, offsetof(struct ps_opts, all)},
	{'f', "filter", "KEY=VALUE", "name, id, label, state, pod, image", flag_list,
	 offsetof(struct ps_opts, filters)},
	{'n', "last", "N", "the N created last, in any state", flag_u32, offsetof(struct ps_opts, last)},
	{'l', "latest", NULL, "the one created last, in any state", flag_bool, offsetof(struct ps_opts, latest)},
	{0},
};

struct summaries {
	Berth__ContainerSummary **v; /* owned by the replies */
	size_t n;
};

static void summaries_add(struct summaries *s, const Berth__ContainerListReply *page, size_t max)
{
	for (size_t i = 0; i < page->n_containers && (!max || s->n < max); i++) {
		s->v = mem_grow(s->v, s->n, sizeof *s->v);
		s->v[s->n++] = page->containers[i];
	}
}

static void ps_table(const struct format_opts *o, const struct summaries *s)
{
	static const struct column columns[] = {
		{"ID"},
		{"NAME"},
		{"IMAGE"},
		{"COMMAND", .shrink = true},
		{"STATE"},
		{"STATUS"},
		{"RESTARTS", .right = true},
	};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), o->no_trunc);
	int64_t now = wall_ns();

	for (size_t i = 0; i < s->n; i++) {
		const Berth__ContainerSummary *c = s->v[i];
		char id[PRINT_SIZE], command[COMMAND_TEXT_SIZE], status[STATUS_TEXT_SIZE];

		table_line(t);
		table_cell(t, "%s", o->no_trunc ? c->meta->uuid : print_short_id(c->meta->uuid, id));
		table_cell(t, "%s", c->meta->name);
		table_cell(t, "%s", c->image ? c->image : "");
		table_cell(t, "%s", o->no_trunc ? c->command ? c->command : "" : command_text(c->command, command));
		table_cell(t, "%s", state_text(c->state));
		table_cell(t, "%s", status_text(c, now, status));
		table_cell(t, "%u", c->restart_count);
	}
	table_print(t);
	table_free(t);
}

static void ps_print(const struct format_opts *o, const struct summaries *s)
{
	if (o->quiet)
		for (size_t i = 0; i < s->n; i++)
			puts(s->v[i]->meta->uuid);
	else if (format_is_table(o))
		ps_table(o, s);
	else
		format_print(o, (void *const *)s->v, s->n);
}

/* Page after page; the replies live until all is printed. */
static int ps_pages(struct app *app, const struct ps_opts *o, Berth__ContainerList *list, struct summaries *s)
{
	struct ask a;
	int status;

	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_LIST, list);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__ContainerListReply *page = a.reply->container_list_reply;

		summaries_add(s, page, o->last);
		list->has_after_id = true;
		list->after_id = page->next_after_id;
		if (page->next_after_id && (!o->last || s->n < o->last))
			status = ps_pages(app, o, list, s);
		else
			ps_print(&o->format, s);
	}
	ask_fini(&a);
	return status;
}

static int ps_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct ps_opts *o = opts;
	Berth__ContainerList list = BERTH__CONTAINER_LIST__INIT;
	struct summaries s = {0};
	struct err e;
	int status;

	(void)operands;
	(void)n;
	if (format_check(&o->format, &berth__container_summary__descriptor, &e) < 0)
		return app_fail(app, &e);
	if (o->latest)
		o->last = 1;
	list.has_all = true;
	list.all = o->all || o->last;
	if (o->last) {
		list.has_limit = true;
		list.limit = o->last;
	}
	status = app_filters(app, &o->filters, &list.filters, &list.n_filters);
	if (!status)
		status = ps_pages(app, o, &list, &s);
	free(s.v);
	return status;
}

const struct command cmd_ps = {
	.flags = {{ps_flags, 0}, {format_list_flags, offsetof(struct ps_opts, format)}},
	.opts_size = sizeof(struct ps_opts),
	.run = ps_run,
};

/* ctl/cmd_ps.c - ps: one line for each container. */
#include "base/own.h"
#include "ctl/listing.h"
#include "ctl/port_text.h"
#include "ctl/status_text.h"

#include <stdlib.h>

struct ps_opts {
	struct format_opts format;
	bool all, latest;
	uint32_t last;
	struct strings filters;
};

static const struct flag ps_flags[] = {
	{'a', "all", NULL, "also those that do not run", flag_bool, offsetof(struct ps_opts, all)},
	{'f', "filter", "KEY=VALUE",
	 "name, id, label, state, status, pod, image, exited, volume, network, before, since", flag_list,
	 offsetof(struct ps_opts, filters),
	 .complete = "name= id= label= state= status= pod= image= exited= volume= network= before= since="},
	{'n', "last", "N", "the N created last, in any state", flag_u32, offsetof(struct ps_opts, last)},
	{'l', "latest", NULL, "the one created last, in any state", flag_bool, offsetof(struct ps_opts, latest)},
	FLAG_ALL_PROJECTS(offsetof(struct ps_opts, format)),
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

static const struct column columns[] = {
	{"ID"},
	{"NAME"},
	{"IMAGE"},
	{"COMMAND", .shrink = true},
	{"STATE"},
	{"STATUS"},
	{"RESTARTS", .right = true},
	{"PORTS"},
	{"PROJECT"},
};

/* Of one that does not run nothing leads anywhere. */
static void ports_cell(struct table *t, const Berth__ContainerSummary *c)
{
	struct buf b;

	buf_init(&b, 0);
	if (c->state == BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING ||
	    c->state == BERTH__CONTAINER_STATE__CONTAINER_STATE_PAUSED)
		ports_text(&b, c->ports, c->n_ports, c->addresses, c->n_addresses);
	table_cell(t, "%s", b.len && !b.failed ? b.data : "");
	buf_fini(&b);
}

static void ps_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__ContainerSummary *c = object;
	char id[PRINT_SIZE], command[COMMAND_TEXT_SIZE], status[STATUS_TEXT_SIZE];

	table_line(t);
	table_cell(t, "%s", o->no_trunc ? c->meta->uuid : print_short_id(c->meta->uuid, id));
	table_cell(t, "%s", c->meta->name);
	table_cell(t, "%s", c->image ? c->image : "");
	table_cell(t, "%s", o->no_trunc ? c->command ? c->command : "" : command_text(c->command, command));
	table_cell(t, "%s", state_text(c->state));
	table_cell(t, "%s", status_text(c, now, status));
	table_cell(t, "%u", c->restart_count);
	ports_cell(t, c);
	if (o->all_projects)
		table_cell(t, "%s", c->meta->project);
}

static const char *ps_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__ContainerSummary *)object)->meta->uuid;
}

static const struct listing containers = {
	&berth__container_summary__descriptor, columns, ARRAY_SIZE(columns), ps_line, ps_id, .project_last = true};

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
			listing_print(&containers, &o->format, (void *const *)s->v, s->n);
	}
	ask_fini(&a);
	return status;
}

static int ps_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct ps_opts *o = opts;
	Berth__ContainerList list = BERTH__CONTAINER_LIST__INIT;
	struct summaries s = {0};
	int status = listing_check(app, &containers, &o->format);

	(void)operands;
	(void)n;
	if (status)
		return status;
	if (o->latest)
		o->last = 1;
	list.has_all = true;
	list.all = o->all || o->last;
	list.has_all_projects = list.all_projects = o->format.all_projects;
	if (o->last) {
		list.has_limit = true;
		list.limit = o->last;
	}
	status = app_filters(app, &o->filters, &list.base);
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

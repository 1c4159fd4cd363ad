/* ctl/cmd_top.c - top: the processes of a container, those of its execs too. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct top_opts {
	struct format_opts format;
};

/* "1:02.34": minutes and seconds, as top(1). */
static const char *cpu_text(uint64_t usec, char buf[PRINT_SIZE])
{
	uint64_t hundredths = usec / 10000;

	snprintf(buf, PRINT_SIZE, "%" PRIu64 ":%02u.%02u", hundredths / 6000, (unsigned)(hundredths / 100 % 60),
		 (unsigned)(hundredths % 100));
	return buf;
}

static void top_table(const struct format_opts *o, const Berth__TopReply *r)
{
	static const struct column columns[] = {
		{"PID", .right = true},
		{"PPID", .right = true},
		{"IN", .right = true},
		{"USER"},
		{"S"},
		{"CPU", .right = true},
		{"RSS", .right = true},
		{"STARTED"},
		{"GROUP"},
		{"COMMAND", .shrink = true},
	};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), o->no_trunc);

	for (size_t i = 0; i < r->n_processes; i++) {
		const Berth__Process *p = r->processes[i];
		char cpu[PRINT_SIZE], rss[PRINT_SIZE], when[PRINT_SIZE];

		table_line(t);
		table_cell(t, "%d", p->pid);
		table_cell(t, "%d", p->ppid);
		if (p->has_container_pid)
			table_cell(t, "%d", p->container_pid);
		else
			table_cell(t, "%s", "");
		if (p->user && *p->user)
			table_cell(t, "%s", p->user);
		else
			table_cell(t, "%u", p->uid);
		table_cell(t, "%s", p->state ? p->state : "?");
		table_cell(t, "%s", cpu_text(p->cpu_usec, cpu));
		table_cell(t, "%s", print_size(p->rss_bytes, rss));
		table_cell(t, "%s", print_when(p->started_at, when));
		table_cell(t, "%s", p->group ? p->group : "");
		table_cell(t, "%s", p->command ? p->command : "");
	}
	table_print(t);
	table_free(t);
}

static int top_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct top_opts *o = opts;
	Berth__ContainerTop top = BERTH__CONTAINER_TOP__INIT;
	struct err e;
	struct ask a;
	int status;

	(void)n;
	if (format_check(&o->format, &berth__process__descriptor, &e) < 0)
		return app_fail(app, &e);
	top.ref = operands[0];
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_TOP, &top);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__TopReply *r = a.reply->top_reply;

		if (o->format.quiet)
			for (size_t i = 0; i < r->n_processes; i++)
				printf("%d\n", r->processes[i]->pid);
		else if (format_is_table(&o->format))
			top_table(&o->format, r);
		else
			format_print(&o->format, (void *const *)r->processes, r->n_processes);
	}
	ask_fini(&a);
	return status;
}

const struct command cmd_top = {
	.flags = {{format_list_flags, offsetof(struct top_opts, format)}},
	.opts_size = sizeof(struct top_opts),
	.min = 1,
	.max = 1,
	.complete = "container",
	.run = top_run,
};

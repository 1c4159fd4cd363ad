/* ctl/cmd_top.c - top: the processes of a container, those of its execs too. */
#include "base/own.h"
#include "ctl/listing.h"

#include <inttypes.h>
#include <stdio.h>

/* "1:02.34": minutes and seconds, as top(1). */
static const char *cpu_text(uint64_t usec, char buf[PRINT_SIZE])
{
	uint64_t hundredths = usec / 10000;

	snprintf(buf, PRINT_SIZE, "%" PRIu64 ":%02u.%02u", hundredths / 6000, (unsigned)(hundredths / 100 % 60),
		 (unsigned)(hundredths % 100));
	return buf;
}

static void top_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__Process *p = object;
	char cpu[PRINT_SIZE], rss[PRINT_SIZE], when[PRINT_SIZE];

	(void)o;
	(void)now;
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

static const char *top_id(const void *object, char buf[PRINT_SIZE])
{
	snprintf(buf, PRINT_SIZE, "%d", ((const Berth__Process *)object)->pid);
	return buf;
}

static int top_run(struct app *app, void *opts, char **operands, unsigned n)
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
	static const struct listing processes = {&berth__process__descriptor, columns, ARRAY_SIZE(columns), top_line,
						 top_id};
	const struct format_opts *o = opts;
	Berth__ContainerTop top = BERTH__CONTAINER_TOP__INIT;
	int status = listing_check(app, &processes, o);
	struct ask a;

	(void)n;
	if (status)
		return status;
	top.ref = operands[0];
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_TOP, &top);
	status = app_ask(app, &a, NULL);
	if (!status)
		listing_print(&processes, o, (void *const *)a.reply->top_reply->processes,
			      a.reply->top_reply->n_processes);
	ask_fini(&a);
	return status;
}

const struct command cmd_top = {
	.flags = {{format_list_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = 1,
	.complete = "container",
	.run = top_run,
};

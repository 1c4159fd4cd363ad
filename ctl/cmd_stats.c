/* ctl/cmd_stats.c - stats: what the groups of containers use. The table shows rates, made from two samples a second apart; JSON is
 * the counters of one sample, from which programs make their own. */
#include "base/loop.h"
#include "base/own.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/print.h"
#include "ctl/stats_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATS_PERIOD_S 1

struct stats_opts {
	struct format_opts format;
	bool no_stream;
};

static const struct flag stats_flags[] = {
	{0, "no-stream", NULL, "once, not live", flag_bool, offsetof(struct stats_opts, no_stream)},
	{0},
};

static int stats_ask(struct app *app, char **refs, unsigned n, struct ask *ret)
{
	Berth__ContainerStats stats = BERTH__CONTAINER_STATS__INIT;
	int status;

	stats.refs = refs;
	stats.n_refs = n;
	ask_init(ret, BERTH__ENVELOPE__BODY_CONTAINER_STATS, &stats);
	status = app_ask(app, ret, NULL);
	if (status)
		ask_fini(ret);
	return status;
}

static char *stats_table(const struct format_opts *o, const Berth__StatsReply *before, const Berth__StatsReply *now)
{
	static const struct column columns[] = {
		{"ID"},
		{"NAME"},
		{"CPU %", .right = true},
		{"MEM", .right = true},
		{"LIMIT", .right = true},
		{"MEM %", .right = true},
		{"NET I/O", .right = true},
		{"READ", .right = true},
		{"WRITTEN", .right = true},
		{"PIDS", .right = true},
		{"OOM", .right = true},
	};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), o->no_trunc);
	char *text;

	for (size_t i = 0; i < now->n_stats; i++) {
		const Berth__Stats *s = now->stats[i];
		char id[PRINT_SIZE], cell[PRINT_SIZE], net[2 * PRINT_SIZE];

		table_line(t);
		table_cell(t, "%s", o->no_trunc ? s->uuid : print_short_id(s->uuid, id));
		table_cell(t, "%s", s->name ? s->name : "");
		table_cell(t, "%s", stats_cpu_text(stats_find(before, s->uuid), s, cell));
		table_cell(t, "%s", s->has_memory_bytes ? print_size(s->memory_bytes, cell) : "-");
		table_cell(t, "%s", s->has_memory_limit_bytes ? print_size(s->memory_limit_bytes, cell) : "-");
		table_cell(t, "%s", stats_memory_share_text(s, cell));
		table_cell(t, "%s", stats_net_text(s, net));
		table_cell(t, "%s", s->has_io_read_bytes ? print_size(s->io_read_bytes, cell) : "-");
		table_cell(t, "%s", s->has_io_write_bytes ? print_size(s->io_write_bytes, cell) : "-");
		table_cell(t, "%s", stats_count_text(s->has_pids, s->pids, cell));
		table_cell(t, "%s", stats_count_text(s->has_oom_kills, s->oom_kills, cell));
	}
	text = table_text(t);
	table_free(t);
	return text;
}

/* Controllers that the host lacks explain the dashes. */
static void missing_print(const Berth__StatsReply *r)
{
	if (!r->n_stats || !r->stats[0]->n_unavailable)
		return;
	fputs("not available on this host:", stdout);
	for (size_t i = 0; i < r->stats[0]->n_unavailable; i++)
		printf(" %s", r->stats[0]->unavailable[i]);
	putchar('\n');
}

static void pause_between(void)
{
	struct timespec t = {.tv_sec = STATS_PERIOD_S};

	nanosleep(&t, NULL);
}

static int stats_live(struct app *app, const struct stats_opts *o, char **refs, unsigned n)
{
	struct ask before, now;
	bool screen = !o->no_stream && isatty(1);
	int status = stats_ask(app, refs, n, &before);

	if (status)
		return status;
	do {
		AUTO_FREE char *text = NULL;

		pause_between();
		status = stats_ask(app, refs, n, &now);
		if (status)
			break;
		text = stats_table(&o->format, before.reply->stats_reply, now.reply->stats_reply);
		if (screen)
			fputs("\033[H\033[J", stdout);
		fputs(text, stdout);
		if (*text && text[strlen(text) - 1] != '\n')
			putchar('\n');
		missing_print(now.reply->stats_reply);
		fflush(stdout);
		ask_fini(&before);
		before = now;
	} while (!o->no_stream);
	ask_fini(&before);
	return status;
}

static int stats_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct stats_opts *o = opts;
	struct err e;
	struct ask a;
	int status;

	if (format_check(&o->format, &berth__stats__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	if (format_is_table(&o->format))
		return stats_live(app, o, operands, n);
	status = stats_ask(app, operands, n, &a);
	if (status)
		return status;
	if (o->format.quiet)
		for (size_t i = 0; i < a.reply->stats_reply->n_stats; i++)
			puts(a.reply->stats_reply->stats[i]->uuid);
	else
		format_print(&o->format, (void *const *)a.reply->stats_reply->stats, a.reply->stats_reply->n_stats);
	ask_fini(&a);
	return 0;
}

const struct command cmd_stats = {
	.flags = {{stats_flags, 0}, {format_list_flags, offsetof(struct stats_opts, format)}},
	.opts_size = sizeof(struct stats_opts),
	.max = MANY,
	.complete = "container",
	.run = stats_run,
};

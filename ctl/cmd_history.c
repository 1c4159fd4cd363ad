/* ctl/cmd_history.c - image history: a line for each step, the newest first. */
#include "base/own.h"
#include "base/str.h"
#include "ctl/listing.h"
#include "ctl/status_text.h"

#include <stdio.h>
#include <string.h>

/* Builders indent their scripts: one line here. */
static const char *words_text(const char *text, bool no_trunc, char cut[COMMAND_TEXT_SIZE])
{
	static char flat[4096];
	size_t n = 0;

	for (const char *p = text ? text : ""; *p && n < sizeof flat - 1; p++)
		if (!strchr(" \t\r\n", *p))
			flat[n++] = *p;
		else if (n && flat[n - 1] != ' ')
			flat[n++] = ' ';
	flat[n] = 0;
	if (no_trunc)
		return text ? text : "";
	return command_text(flat, cut);
}

static void history_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__HistoryEntry *h = object;
	char ago[PRINT_SIZE], size[PRINT_SIZE], blob[PRINT_SIZE], words[COMMAND_TEXT_SIZE], comment[COMMAND_TEXT_SIZE];
	const char *layer = h->layer && str_starts(h->layer, "sha256:") ? h->layer + 7 : "<none>";

	table_line(t);
	if (o->no_trunc)
		table_cell(t, "%s", h->layer ? h->layer : layer);
	else
		table_cell(t, "%.12s", layer);
	table_cell(t, "%s", print_ago(h->created_at, now, ago));
	table_cell(t, "%s", words_text(h->created_by, o->no_trunc, words));
	table_cell(t, "%s", h->has_size_bytes ? print_size(h->size_bytes, size) : "0B");
	table_cell(t, "%s", h->has_blob_bytes ? print_size(h->blob_bytes, blob) : "0B");
	table_cell(t, "%s", words_text(h->comment, o->no_trunc, comment));
}

static const char *history_id(const void *object, char buf[PRINT_SIZE])
{
	const Berth__HistoryEntry *h = object;

	(void)buf;
	return h->layer ? h->layer : "<none>";
}

static int history_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {
		{"LAYER"},  {"CREATED"}, {"CREATED BY"}, {"SIZE", .right = true}, {"PACKED", .right = true},
		{"COMMENT"}};
	static const struct listing history = {&berth__history_entry__descriptor, columns, ARRAY_SIZE(columns),
					       history_line, history_id};
	const struct format_opts *o = opts;
	Berth__ImageHistory request = BERTH__IMAGE_HISTORY__INIT;
	int status = listing_check(app, &history, o);
	struct ask a;

	(void)n;
	if (status)
		return status;
	request.ref = operands[0];
	ask_init(&a, BERTH__ENVELOPE__BODY_IMAGE_HISTORY, &request);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__HistoryReply *r = a.reply->history_reply;

		listing_print(&history, o, (void *const *)r->entries, r->n_entries);
	}
	ask_fini(&a);
	return status;
}

const struct command cmd_image_history = {
	.flags = {{format_list_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = 1,
	.complete = "image",
	.run = history_run,
};

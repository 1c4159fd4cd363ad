/* ctl/cmd_actions.c - actions: the audit log, the newest last. */
#include "base/own.h"
#include "ctl/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct actions_opts {
	struct format_opts format;
	uint32_t last;
};

static const struct flag actions_flags[] = {
	{'n', "last", "N", "only the last N", flag_u32, offsetof(struct actions_opts, last)},
	{0},
};

struct list {
	Berth__Action **v; /* owned by the replies */
	size_t n;
};

static const struct column columns[] = {
	{"WHEN"},
	{"WHO"},
	{"VERB"},
	{"KIND"},
	{"OBJECT"},
	{"RESULT"},
	{"TOOK", .right = true},
	{"REASON", .shrink = true},
};

static void action_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	const Berth__Action *x = object;
	char when[PRINT_SIZE], took[PRINT_SIZE];

	(void)o;
	(void)now;
	table_line(t);
	table_cell(t, "%s", print_when(x->started_at, when));
	table_cell(t, "%s", x->principal ? x->principal : "");
	table_cell(t, "%s", x->verb ? x->verb : "");
	table_cell(t, "%s", x->object_kind ? x->object_kind : "");
	table_cell(t, "%s", x->object_name && *x->object_name ? x->object_name : x->object_uuid ? x->object_uuid : "");
	table_cell(t, "%s", x->result && *x->result ? x->result : "under way");
	table_cell(t, "%s", x->finished_at ? print_duration(x->finished_at - x->started_at, took) : "");
	table_cell(t, "%s", x->reason ? x->reason : "");
}

static const char *action_id(const void *object, char buf[PRINT_SIZE])
{
	snprintf(buf, PRINT_SIZE, "%" PRIu64, ((const Berth__Action *)object)->id);
	return buf;
}

static const struct listing actions = {&berth__action__descriptor, columns, ARRAY_SIZE(columns), action_line,
				       action_id};

static void actions_print(const struct actions_opts *o, struct list *l)
{
	for (size_t i = 0; o->last && i < l->n / 2; i++) {
		Berth__Action *swapped = l->v[i];

		l->v[i] = l->v[l->n - 1 - i];
		l->v[l->n - 1 - i] = swapped;
	}
	listing_print(&actions, &o->format, (void *const *)l->v, l->n);
}

/* Page after page; the replies live until all is printed. */
static int actions_pages(struct app *app, const struct actions_opts *o, Berth__ActionsRequest *request, struct list *l)
{
	struct ask a;
	int status;

	ask_init(&a, BERTH__ENVELOPE__BODY_ACTIONS, request);
	status = app_ask(app, &a, NULL);
	if (!status) {
		const Berth__ActionsReply *page = a.reply->actions_reply;

		for (size_t i = 0; i < page->n_actions && (!o->last || l->n < o->last); i++) {
			l->v = mem_grow(l->v, l->n, sizeof *l->v);
			l->v[l->n++] = page->actions[i];
		}
		request->has_after_id = true;
		request->after_id = page->next_after_id;
		if (page->next_after_id && (!o->last || l->n < o->last))
			status = actions_pages(app, o, request, l);
		else
			actions_print(o, l);
	}
	ask_fini(&a);
	return status;
}

static int actions_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct actions_opts *o = opts;
	Berth__ActionsRequest request = BERTH__ACTIONS_REQUEST__INIT;
	struct list l = {0};
	int status = listing_check(app, &actions, &o->format);

	if (status)
		return status;
	request.ref = n ? operands[0] : NULL;
	if (o->last) { /* read from the end, shown in the same order as ever */
		request.has_limit = request.has_newest_first = request.newest_first = true;
		request.limit = o->last;
	}
	status = actions_pages(app, o, &request, &l);
	free(l.v);
	return status;
}

const struct command cmd_actions = {
	.flags = {{actions_flags, 0}, {format_list_flags, offsetof(struct actions_opts, format)}},
	.opts_size = sizeof(struct actions_opts),
	.max = 1,
	.complete = "container",
	.run = actions_run,
};

/* ctl/cmd_events.c - events: a line for each thing that happens. When berthd is restarted under us we go on after the last revision
 * that we saw, so nothing is missed and nothing told twice. */
#include "base/loop.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/print.h"
#include "proto/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct events_opts {
	struct format_opts format;
	const char *since, *until;
	struct strings filters;
};

static const struct flag events_flags[] = {
	{0, "since", "TIME", "a date, a unix time, or how long ago: 10m", flag_text,
	 offsetof(struct events_opts, since)},
	{0, "until", "TIME", "the same; it ends then", flag_text, offsetof(struct events_opts, until)},
	{'f', "filter", "KEY=VALUE", "container, type, event, kind, label, pod, image", flag_list,
	 offsetof(struct events_opts, filters), .complete = "container= type= event= kind= label= pod= image="},
	{0},
};

struct follow {
	const struct events_opts *opts;
	Berth__EventsRequest *request;
	bool began; /* berthd has accepted it once */
};

/* <time> <kind> <type> <name> (<uuid>): <reason> key=value … */
static void event_print(const Berth__Event *ev)
{
	char time[STR_TIME_SIZE], id[PRINT_SIZE];

	printf("%s %s %s %s", str_time(ev->at, time), ev->kind, ev->type, ev->name && *ev->name ? ev->name : "-");
	if (ev->uuid && *ev->uuid)
		printf(" (%s)", print_short_id(ev->uuid, id));
	for (size_t i = 0; i < ev->n_attributes; i++)
		printf(" %s=%s", ev->attributes[i]->key, ev->attributes[i]->value ? ev->attributes[i]->value : "");
	if (ev->reason && *ev->reason)
		printf(": %s", ev->reason);
	putchar('\n');
}

static void json_line_print(const Berth__Event *ev)
{
	struct buf b;

	buf_init(&b, 0);
	json_message(&b, &ev->base, false);
	puts(b.failed ? "null" : b.data);
	buf_fini(&b);
}

static void batch_print(const struct follow *f, const Berth__EventBatch *batch)
{
	if (batch->lagged)
		say("berthd had more events than this was reading: some are missing here");
	for (size_t i = 0; i < batch->n_events; i++) {
		const Berth__Event *ev = batch->events[i];

		if (format_is_table(&f->opts->format))
			event_print(ev);
		else if (format_is_json(&f->opts->format))
			json_line_print(ev);
		else
			format_print_one(&f->opts->format, ev);
		if (ev->revision > f->request->since_revision)
			f->request->since_revision = ev->revision;
	}
	fflush(stdout);
}

static void events_more(struct ask *a, const Berth__Envelope *reply)
{
	struct follow *f = a->arg;
	bool first = !f->request->has_since_revision;

	f->began = true;

	/* From here on only what is new, should we have to ask again. */
	if (reply->body_case == BERTH__ENVELOPE__BODY_DONE && first && !f->opts->since) {
		f->request->has_since_revision = true;
		f->request->since_revision = reply->done->revision;
	} else if (reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH) {
		batch_print(f, reply->event_batch);
		if (f->request->since_revision) {
			f->request->has_since_revision = true;
			f->request->has_since_at = false;
		}
	}
}

/* A berthd that was started anew has no events from before: that is said, and the rest goes on. */
static bool went_on_without(const struct follow *f, const struct ask *a)
{
	if (!f->began || !ask_error(a) || ask_error(a)->code != BERTH__ERROR__CODE__COMPACTED)
		return false;
	say("berthd was started anew; what happened before that is not shown");
	f->request->has_since_revision = f->request->has_since_at = false;
	f->request->since_revision = 0;
	return true;
}

static int events_follow(struct app *app, struct follow *f)
{
	struct err e;
	struct ask a;
	bool again;
	int status = app_connect(app);

	if (status)
		return status;
	do {
		ask_init(&a, BERTH__ENVELOPE__BODY_EVENTS, f->request);
		a.more = events_more;
		a.arg = f;
		again = false;
		if (client_ask(&app->client, &a, &e) < 0)
			status = app_fail(app, &e);
		else if (went_on_without(f, &a))
			again = true;
		else if (ask_error(&a))
			status = app_refused(app, ask_error(&a), NULL);
		else if (a.reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
			batch_print(f, a.reply->event_batch);
		ask_fini(&a);
	} while (again);
	return status;
}

static int events_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct events_opts *o = opts;
	Berth__EventsRequest request = BERTH__EVENTS_REQUEST__INIT;
	struct follow f = {.opts = o, .request = &request};
	struct err e;
	int status;

	(void)operands;
	(void)n;
	if (format_check(&o->format, &berth__event__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	status = app_time(app, "--since", o->since, &request.has_since_at, &request.since_at);
	if (!status)
		status = app_time(app, "--until", o->until, &request.has_until_at, &request.until_at);
	if (!status)
		status = app_filters(app, &o->filters, &request.base);
	if (status)
		return status;
	return events_follow(app, &f);
}

const struct command cmd_events = {
	.flags = {{events_flags, 0}, {format_flags, offsetof(struct events_opts, format)}},
	.opts_size = sizeof(struct events_opts),
	.run = events_run,
};

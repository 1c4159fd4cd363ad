/* ctl/cmd_commit.c - commit, diff and rebuild: what has become of a container's files. */
#include "base/own.h"
#include "base/str.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/progress.h"

#include <errno.h>
#include <stdio.h>

/* ---------------------------------------------------------------- commit */

struct commit_opts {
	const char *message, *author;
	struct strings changes;
	bool pause, quiet;
	struct format_opts format;
};

static const struct flag commit_flags[] = {
	{'m', "message", "TEXT", "a note in the image's history", flag_text, offsetof(struct commit_opts, message)},
	{'a', "author", "TEXT", "who made it, \"Jo <jo@example.org>\"", flag_text,
	 offsetof(struct commit_opts, author)},
	{'c', "change", "INSTRUCTION",
	 "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR of a Dockerfile",
	 flag_list, offsetof(struct commit_opts, changes),
	 .complete = "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR"},
	{'p', "pause", NULL, "freeze it while its files are read: the default; --pause=false: not", flag_bool,
	 offsetof(struct commit_opts, pause)},
	{'q', "quiet", NULL, "no progress", flag_bool, offsetof(struct commit_opts, quiet)},
	{0},
};

static void commit_init(void *opts)
{
	((struct commit_opts *)opts)->pause = true;
}

static void commit_fini(void *opts)
{
	strings_fini(&((struct commit_opts *)opts)->changes);
}

static void on_progress(struct ask *a, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
		progress_events(a->arg, reply->event_batch);
}

static void commit_print(const struct commit_opts *o, const Berth__ImageReply *r)
{
	for (size_t i = 0; i < r->n_images; i++) {
		if (format_is_json(&o->format))
			progress_json(&r->images[i]->base);
		else if (o->format.format)
			format_print_one(&o->format, r->images[i]);
		else
			puts(r->images[i]->image_id);
	}
}

static int commit_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct commit_opts *o = opts;
	Berth__ContainerCommit commit = BERTH__CONTAINER_COMMIT__INIT;
	struct progress progress;
	struct ask a;
	struct err e;
	int status;

	if (format_check(&o->format, &berth__image__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	commit.ref = operands[0];
	commit.name = n > 1 ? operands[1] : NULL;
	commit.message = (char *)(uintptr_t)o->message;
	commit.author = (char *)(uintptr_t)o->author;
	commit.changes = o->changes.v;
	commit.n_changes = o->changes.n;
	commit.has_pause = true;
	commit.pause = o->pause;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_COMMIT, &commit);
	a.more = on_progress;
	a.arg = &progress;
	progress_init(&progress, o->quiet, format_is_json(&o->format));
	status = app_ask_raw(app, &a);
	progress_end(&progress);
	if (!status && ask_error(&a))
		status = app_refused(app, ask_error(&a), NULL);
	if (!status)
		commit_print(o, a.reply->image_reply);
	ask_fini(&a);
	return status;
}

const struct command cmd_commit = {
	.flags = {{commit_flags, 0}, {format_flags, offsetof(struct commit_opts, format)}},
	.opts_size = sizeof(struct commit_opts),
	.init = commit_init,
	.fini = commit_fini,
	.min = 1,
	.max = 2,
	.complete = "container",
	.run = commit_run,
};

/* ---------------------------------------------------------------- diff */

struct diff_answer { /* in several records, of which each is printed as it comes */
	const struct format_opts *format;
	bool begun; /* the list of JSON */
};

static void changes_print(struct diff_answer *d, const Berth__DiffReply *r, bool last)
{
	static const char letters[] = "?ACD";
	bool json = format_is_json(d->format);

	for (size_t i = 0; i < r->n_changes; i++) {
		const Berth__FileChange *c = r->changes[i];

		if (json) {
			fputs(d->begun ? "," : "[", stdout);
			d->begun = true;
			progress_json(&c->base);
		} else if (d->format->format && !format_is_table(d->format)) {
			format_print_one(d->format, c);
		} else {
			printf("%c %s\n", c->kind < sizeof letters - 1 ? letters[c->kind] : '?', c->path);
		}
	}
	if (json && last)
		puts(d->begun ? "]" : "[]");
}

static void on_changes(struct ask *a, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_DIFF_REPLY)
		changes_print(a->arg, reply->diff_reply, false);
}

static int diff_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct diff_answer answer = {.format = opts};
	Berth__ContainerDiff diff = BERTH__CONTAINER_DIFF__INIT;
	struct ask a;
	struct err e;
	int status;

	(void)n;
	if (format_check(opts, &berth__file_change__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	diff.ref = operands[0];
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_DIFF, &diff);
	a.more = on_changes;
	a.arg = &answer;
	status = app_ask(app, &a, NULL);
	if (!status)
		changes_print(&answer, a.reply->diff_reply, true);
	ask_fini(&a);
	return status;
}

const struct command cmd_diff = {
	.flags = {{format_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = 1,
	.complete = "container",
	.run = diff_run,
};

/* ---------------------------------------------------------------- rebuild */

struct rebuild_opts {
	bool given;
	uint32_t timeout_s;
};

static int timeout_set(void *opts, const struct flag *f, const char *value, struct err *e)
{
	struct rebuild_opts *o = opts;

	(void)f;
	o->given = true;
	return str_to_u32(value, &o->timeout_s) ? err_set(e, EINVAL, "flag", "\"%s\" is not a number of seconds", value)
						: 0;
}

static const struct flag rebuild_flags[] = {
	{'t', "time", "SECONDS", "until it is killed; default: the container's", timeout_set},
	{0},
};

static int rebuild_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct rebuild_opts *o = opts;
	Berth__ContainerRebuild rebuild = BERTH__CONTAINER_REBUILD__INIT;
	struct ask a;
	int status;

	rebuild.ref = operands[0];
	rebuild.image = n > 1 ? operands[1] : NULL;
	rebuild.has_timeout_s = o->given;
	rebuild.timeout_s = o->timeout_s;
	ask_init(&a, BERTH__ENVELOPE__BODY_CONTAINER_REBUILD, &rebuild);
	status = app_ask(app, &a, NULL);
	if (!status)
		puts(operands[0]);
	ask_fini(&a);
	return status;
}

const struct command cmd_rebuild = {
	.flags = {{rebuild_flags, 0}},
	.opts_size = sizeof(struct rebuild_opts),
	.min = 1,
	.max = 2,
	.complete = "container",
	.run = rebuild_run,
};

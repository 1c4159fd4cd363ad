/* ctl/cmd_image.c - image import, ls, inspect, tag, rm. */
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/inspect.h"
#include "ctl/listing.h"
#include "ctl/mem.h"
#include "ctl/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- import */

struct import_opts {
	const char *name;
	const char *input; /* of load */
	bool quiet;
};

static const struct flag import_flags[] = {
	{'t', "name", "NAME", "call it so, instead of the names found in it", flag_text,
	 offsetof(struct import_opts, name)},
	{'q', "quiet", NULL, "no progress", flag_bool, offsetof(struct import_opts, quiet)},
	{0},
};

static const struct flag load_flags[] = {
	{'i', "input", "PATH", "where from; default: standard input", flag_text, offsetof(struct import_opts, input),
	 .complete = "file"},
	{0},
};

static void import_progress(struct ask *a, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
		progress_events(a->arg, reply->event_batch);
}

static int source_open(const struct app *app, const char *path, int *ret)
{
	struct err e;

	*ret = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(0);
	if (*ret >= 0 && !strcmp(path, "-") && isatty(*ret)) {
		say("standard input is a terminal: pipe an archive into it");
		return app->failure;
	}
	if (*ret >= 0)
		return 0;
	err_set(&e, errno, "open", "%s", path);
	return app_fail(app, &e);
}

static bool is_given(const Berth__ImageReply *r, const char *name)
{
	for (size_t i = 0; i < r->n_names; i++)
		if (!strcmp(r->names[i], name))
			return true;
	return false;
}

/* The names that it brought, not others that the image has as well; of one that came without a name the id. */
static void import_print(const Berth__ImageReply *r)
{
	for (size_t i = 0; i < r->n_images; i++) {
		const Berth__Image *image = r->images[i];
		bool named = false;

		for (size_t k = 0; k < image->n_names; k++) {
			if (!is_given(r, image->names[k]))
				continue;
			puts(image->names[k]);
			named = true;
		}
		if (!named)
			puts(image->image_id);
	}
}

static int import_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct import_opts *o = opts;
	Berth__ImageImport import = BERTH__IMAGE_IMPORT__INIT;
	struct progress progress;
	struct ask a;
	int fd, status;

	status = source_open(app, n ? operands[0] : o->input ? o->input : "-", &fd);
	AUTO_FD source = fd;
	if (status)
		return status;
	import.name = (char *)(uintptr_t)o->name;
	ask_init(&a, BERTH__ENVELOPE__BODY_IMAGE_IMPORT, &import);
	a.fds = &source;
	a.n_fds = 1;
	a.more = import_progress;
	a.arg = &progress;
	progress_init(&progress, o->quiet, false);
	status = app_ask_raw(app, &a);
	progress_end(&progress);
	if (!status && ask_error(&a))
		status = app_refused(app, ask_error(&a), NULL);
	if (!status)
		import_print(a.reply->image_reply);
	ask_fini(&a);
	return status;
}

/* ---------------------------------------------------------------- ls */

struct ls_opts {
	struct listing_opts listing;
	bool all, digests;
};

static const struct flag ls_flags[] = {
	{'a', "all", NULL, "also those without a name, which are listed anyway", flag_bool,
	 offsetof(struct ls_opts, all)},
	{0, "digests", NULL, "with the digests of the manifests", flag_bool, offsetof(struct ls_opts, digests)},
	{'f', "filter", "KEY=VALUE", "name, reference, id, label, dangling, before, since", flag_list,
	 offsetof(struct ls_opts, listing.filters), .complete = "name= reference= id= label= dangling= before= since="},
	{0},
};

/* "sha256:0123456789ab…" -> its first digits, which berthd takes as a reference. */
static const char *digest_text(const char *digest, bool no_trunc, char buf[PRINT_SIZE])
{
	if (!digest || no_trunc)
		return digest ? digest : "";
	snprintf(buf, PRINT_SIZE, "%.12s", str_starts(digest, "sha256:") ? digest + 7 : digest);
	return buf;
}

/* A line for each name, as Docker's users expect; one without name is shown too. */
static void image_lines(struct table *t, const struct format_opts *o, const Berth__Image *image, bool digests,
			int64_t now)
{
	char id[PRINT_SIZE], size[PRINT_SIZE], made[PRINT_SIZE], imported[PRINT_SIZE];

	for (size_t k = 0; k < (image->n_names ? image->n_names : 1); k++) {
		table_line(t);
		table_cell(t, "%s", image->n_names ? image->names[k] : "<none>");
		if (digests)
			table_cell(t, "%s",
				   image->manifest_digest && *image->manifest_digest ? image->manifest_digest
										     : "<none>");
		table_cell(t, "%s", digest_text(image->image_id, o->no_trunc, id));
		table_cell(t, "%zu", image->n_layers);
		table_cell(t, "%s", print_size(image->size_bytes, size));
		table_cell(t, "%s", print_ago(image->image_created_at, now, made));
		table_cell(t, "%s", print_ago(image->meta ? image->meta->created_at : 0, now, imported));
	}
}

static void ls_line(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	image_lines(t, o, object, false, now);
}

static void ls_line_digests(struct table *t, const struct format_opts *o, const void *object, int64_t now)
{
	image_lines(t, o, object, true, now);
}

static const char *ls_id(const void *object, char buf[PRINT_SIZE])
{
	(void)buf;
	return ((const Berth__Image *)object)->image_id;
}

static int ls_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct column columns[] = {
		{"NAME"}, {"ID"}, {"LAYERS", .right = true}, {"SIZE", .right = true}, {"CREATED"}, {"IMPORTED"}};
	static const struct column with_digests[] = {
		{"NAME"},    {"DIGEST"},  {"ID"}, {"LAYERS", .right = true}, {"SIZE", .right = true},
		{"CREATED"}, {"IMPORTED"}};
	static const struct listing images = {&berth__image__descriptor, columns, ARRAY_SIZE(columns), ls_line, ls_id};
	static const struct listing digests = {&berth__image__descriptor, with_digests, ARRAY_SIZE(with_digests),
					       ls_line_digests, ls_id};
	struct ls_opts *o = opts;

	if (n) {
		AUTO_FREE char *reference = mem_printf("reference=%s", operands[0]);

		strings_add(&o->listing.filters, reference);
	}
	return listing_run(app, o->digests ? &digests : &images, &o->listing, BERTH__ENVELOPE__BODY_IMAGE_LIST);
}

/* ---------------------------------------------------------------- inspect, tag, rm */

static int image_inspect_run(struct app *app, void *opts, char **operands, unsigned n)
{
	static const struct inspect_kind kind = {"image", BERTH__ENVELOPE__BODY_IMAGE_INSPECT,
						 &berth__image__descriptor};

	return inspect_run(app, opts, &kind, operands, n);
}

static int tag_run(struct app *app, void *opts, char **operands, unsigned n)
{
	Berth__ImageTag tag = BERTH__IMAGE_TAG__INIT;
	struct ask a;
	int status;

	(void)opts;
	(void)n;
	tag.ref = operands[0];
	tag.name = operands[1];
	ask_init(&a, BERTH__ENVELOPE__BODY_IMAGE_TAG, &tag);
	status = app_ask(app, &a, NULL);
	ask_fini(&a);
	return status;
}

struct rm_opts {
	bool force;
};

static const struct flag rm_flags[] = {
	{'f', "force", NULL, "also when containers were made from it, and all its names", flag_bool,
	 offsetof(struct rm_opts, force)},
	{0},
};

static void rm_fill(void *body, const void *opts)
{
	Berth__ImageRemove *m = body;

	m->has_force = true;
	m->force = ((const struct rm_opts *)opts)->force;
}

static int rm_run(struct app *app, void *opts, char **operands, unsigned n)
{
	return app_each(app, BERTH__ENVELOPE__BODY_IMAGE_REMOVE, rm_fill, opts, operands, n);
}

const struct command cmd_image_import = {
	.flags = {{import_flags, 0}},
	.opts_size = sizeof(struct import_opts),
	.min = 1,
	.max = 1,
	.complete = "file",
	.run = import_run,
};
const struct command cmd_load = {
	.flags = {{load_flags, 0}, {import_flags, 0}},
	.opts_size = sizeof(struct import_opts),
	.run = import_run,
};
const struct command cmd_image_ls = {
	.flags = {{ls_flags, 0}, {format_list_flags, offsetof(struct ls_opts, listing.format)}},
	.opts_size = sizeof(struct ls_opts),
	.max = 1,
	.complete = "image",
	.run = ls_run,
};
const struct command cmd_image_inspect = {
	.flags = {{format_inspect_flags, 0}},
	.opts_size = sizeof(struct format_opts),
	.min = 1,
	.max = MANY,
	.complete = "image",
	.run = image_inspect_run,
};
const struct command cmd_image_tag = {.min = 2, .max = 2, .complete = "image", .run = tag_run};
const struct command cmd_image_rm = {
	.flags = {{rm_flags, 0}},
	.opts_size = sizeof(struct rm_opts),
	.min = 1,
	.max = MANY,
	.complete = "image",
	.run = rm_run,
};

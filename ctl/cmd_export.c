/* ctl/cmd_export.c - image export, and save, which is the same with Docker's defaults. */
#include "base/own.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "ctl/progress.h"

#include <errno.h>
#include <string.h>

struct export_opts {
	const char *output, *form;
	bool quiet;
};

static const struct form {
	const char *name;
	Berth__ExportForm form;
} forms[] = {
	{"oci-archive", BERTH__EXPORT_FORM__EXPORT_FORM_OCI_ARCHIVE},
	{"oci-dir", BERTH__EXPORT_FORM__EXPORT_FORM_OCI_DIR},
	{"docker-archive", BERTH__EXPORT_FORM__EXPORT_FORM_DOCKER_ARCHIVE},
};

#define EXPORT_ROWS(default_form)                                                                                      \
	{                                                                                                              \
		{'o',                                                                                                  \
		 "output",                                                                                             \
		 "PATH",                                                                                               \
		 "where to; \"-\" or nothing: standard output",                                                        \
		 flag_text,                                                                                            \
		 offsetof(struct export_opts, output),                                                                 \
		 .complete = "file"},                                                                                  \
			{0,                                                                                            \
			 "format",                                                                                     \
			 "FORMAT",                                                                                     \
			 "oci-archive, oci-dir (a folder) or docker-archive; default: " default_form,                  \
			 flag_text,                                                                                    \
			 offsetof(struct export_opts, form),                                                           \
			 .complete = "oci-archive oci-dir docker-archive"},                                            \
			{'q', "quiet", NULL, "no progress", flag_bool, offsetof(struct export_opts, quiet)},           \
		{                                                                                                      \
			0                                                                                              \
		}                                                                                                      \
	}

static const struct flag export_flags[] = EXPORT_ROWS("oci-archive");
static const struct flag save_flags[] = EXPORT_ROWS("docker-archive");

static void export_init(void *opts)
{
	((struct export_opts *)opts)->form = "oci-archive";
}

static void save_init(void *opts)
{
	((struct export_opts *)opts)->form = "docker-archive";
}

static void on_more(struct ask *a, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
		progress_events(a->arg, reply->event_batch);
}

static int export_ask(struct app *app, const struct export_opts *o, const struct form *form, char **refs, unsigned n,
		      int fd)
{
	Berth__ImageExport export = BERTH__IMAGE_EXPORT__INIT;
	struct progress progress;
	struct ask a;
	int status;

	export.refs = refs;
	export.n_refs = n;
	export.has_form = true;
	export.form = form->form;
	ask_init(&a, BERTH__ENVELOPE__BODY_IMAGE_EXPORT, &export);
	a.fds = &fd;
	a.n_fds = 1;
	a.once = true; /* what was written already would be there twice */
	a.more = on_more;
	a.arg = &progress;
	progress_init(&progress, o->quiet, false);
	status = app_ask(app, &a, NULL);
	progress_end(&progress);
	if (a.lost)
		say("berthd went away in the middle of it");
	ask_fini(&a);
	return status;
}

static int export_run(struct app *app, void *opts, char **operands, unsigned n)
{
	const struct export_opts *o = opts;
	const struct form *form = NULL;
	struct output out;
	struct err e = {0};
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (!strcmp(forms[i].name, o->form))
			form = &forms[i];
	if (!form)
		return app_usage(app, "--format: \"%s\" is none of oci-archive, oci-dir and docker-archive", o->form);
	if (output_open(&out, o->output, form->form == BERTH__EXPORT_FORM__EXPORT_FORM_OCI_DIR, &e) < 0) {
		output_close(&out);
		if (e.code == EISDIR)
			return app_usage(app, "%s is a folder: --format oci-dir writes into one that is empty",
					 o->output);
		return app_fail(app, &e);
	}
	status = export_ask(app, o, form, operands, n, out.fd);
	if (!status && output_keep(&out, &e) < 0)
		status = app_fail(app, &e);
	if (status)
		output_drop(&out);
	output_close(&out);
	return status;
}

const struct command cmd_image_export = {
	.flags = {{export_flags, 0}},
	.opts_size = sizeof(struct export_opts),
	.init = export_init,
	.min = 1,
	.max = MANY,
	.complete = "image",
	.run = export_run,
};
const struct command cmd_save = {
	.flags = {{save_flags, 0}},
	.opts_size = sizeof(struct export_opts),
	.init = save_init,
	.min = 1,
	.max = MANY,
	.complete = "image",
	.run = export_run,
};

/* ctl/cmd_image_store.c - image prune, image verify: the store of images as a whole. */
#include "base/own.h"
#include "base/str.h"
#include "ctl/field.h"
#include "ctl/listing.h"
#include "ctl/progress.h"

#include <stdio.h>

/* ---------------------------------------------------------------- prune */

struct prune_opts {
	struct format_opts format;
	struct strings filters;
	bool all, force;
};

static const struct flag prune_flags[] = {
	{'a', "all", NULL, "also those with names, and what is left of pulls that broke", flag_bool,
	 offsetof(struct prune_opts, all)},
	{'f', "force", NULL, "asks nothing", flag_bool, offsetof(struct prune_opts, force)},
	{0, "filter", "KEY=VALUE", "until (made before that time, or longer ago than 24h), label, label!", flag_list,
	 offsetof(struct prune_opts, filters), .complete = "until= label= label!="},
	{0},
};

static void prune_print(const struct prune_opts *o, const Berth__PruneReply *r)
{
	char size[PRINT_SIZE];

	if (!format_is_table(&o->format)) {
		format_print_one(&o->format, r);
		return;
	}
	for (size_t i = 0; i < r->n_removed; i++)
		puts(r->removed[i]);
	if (r->has_freed_bytes)
		printf("Freed: %s\n", print_size(r->freed_bytes, size));
	else
		puts("The room is freed when the pulls, imports and verifications that run have ended.");
}

static int prune_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct prune_opts *o = opts;
	Berth__ImagePrune *prune = (Berth__ImagePrune *)message_new(&berth__image_prune__descriptor);
	struct err e = {0};
	struct ask a;
	int status = 0;

	(void)operands;
	(void)n;
	if (format_check(&o->format, &berth__prune_reply__descriptor, &e) < 0)
		status = app_usage(app, "%s", e.text);
	if (!status)
		status = app_filters(app, &o->filters, &prune->base);
	if (!status && !o->force)
		status = app_confirm(app, "This removes all images that no container was made from%s. Go on?",
				     o->all ? "" : " and that have no name");
	if (!status) {
		prune->has_all = true;
		prune->all = o->all;
		ask_init(&a, BERTH__ENVELOPE__BODY_IMAGE_PRUNE, prune);
		status = app_ask(app, &a, NULL);
		if (!status)
			prune_print(o, a.reply->prune_reply);
		ask_fini(&a);
	}
	protobuf_c_message_free_unpacked(&prune->base, NULL);
	return status;
}

/* ---------------------------------------------------------------- verify */

struct verify_opts {
	struct format_opts format;
	bool quick, quiet;
};

static const struct flag verify_flags[] = {
	{0, "quick", NULL, "unpacked layers are only looked for, not compared with what their blobs unpack to",
	 flag_bool, offsetof(struct verify_opts, quick)},
	{'q', "quiet", NULL, "no progress", flag_bool, offsetof(struct verify_opts, quiet)},
	{0},
};

static void verify_progress(struct ask *a, const Berth__Envelope *reply)
{
	if (reply->body_case == BERTH__ENVELOPE__BODY_EVENT_BATCH)
		progress_events(a->arg, reply->event_batch);
}

/* "layer sha256:0123… (of busybox, web): bin/sh: has mode 0644, should have 0755" */
static void fault_print(const Berth__VerifyFault *f)
{
	printf("%s %s", f->kind, f->object);
	for (size_t i = 0; i < f->n_images; i++)
		printf("%s%s", i ? ", " : " (of ", f->images[i]);
	printf("%s: ", f->n_images ? ")" : "");
	if (f->path)
		printf("%s: ", *f->path ? f->path : "its root");
	puts(f->text);
}

static void verify_print(const Berth__VerifyReply *r)
{
	char size[PRINT_SIZE];

	for (size_t i = 0; i < r->n_faults; i++)
		fault_print(r->faults[i]);
	if (r->total_faults > r->n_faults)
		printf("and %llu more\n", (unsigned long long)(r->total_faults - r->n_faults));
	printf("%s: %llu images, %llu blobs (%s), %llu layers, %llu of them compared with their blobs\n",
	       r->n_faults ? "NOT SOUND" : "sound", (unsigned long long)r->images, (unsigned long long)r->blobs,
	       print_size(r->blob_bytes, size), (unsigned long long)r->layers, (unsigned long long)r->layers_compared);
	if (r->n_faults) {
		fflush(stdout);
		say("to repair: pull or import each image that is named once more; what is damaged is brought anew");
	}
}

static int verify_run(struct app *app, void *opts, char **operands, unsigned n)
{
	struct verify_opts *o = opts;
	Berth__ImageVerify verify = BERTH__IMAGE_VERIFY__INIT;
	struct progress progress;
	struct err e = {0};
	struct ask a;
	int status;

	if (format_check(&o->format, &berth__verify_reply__descriptor, &e) < 0)
		return app_usage(app, "%s", e.text);
	verify.refs = operands;
	verify.n_refs = n;
	verify.has_quick = true;
	verify.quick = o->quick;
	ask_init(&a, BERTH__ENVELOPE__BODY_IMAGE_VERIFY, &verify);
	a.more = verify_progress;
	a.arg = &progress;
	progress_init(&progress, o->quiet || !format_is_table(&o->format), false);
	status = app_ask_raw(app, &a);
	progress_end(&progress);
	if (!status && ask_error(&a)) {
		status = app_refused(app, ask_error(&a), NULL);
	} else if (!status) {
		if (format_is_table(&o->format))
			verify_print(a.reply->verify_reply);
		else
			format_print_one(&o->format, a.reply->verify_reply);
		status = a.reply->verify_reply->n_faults ? app->failure : 0;
	}
	ask_fini(&a);
	return status;
}

const struct command cmd_image_prune = {
	.flags = {{prune_flags, 0}, {format_flags, offsetof(struct prune_opts, format)}},
	.opts_size = sizeof(struct prune_opts),
	.run = prune_run,
};
const struct command cmd_image_verify = {
	.flags = {{verify_flags, 0}, {format_flags, offsetof(struct verify_opts, format)}},
	.opts_size = sizeof(struct verify_opts),
	.max = MANY,
	.complete = "image",
	.run = verify_run,
};

/* job/verify.c - `verify STATE/images [quick] [all]`, fd 4 = sealed memfd with an Envelope{ImageReply}: the images. Result VerifyReply. */
#include "job/job.h"

#include "image/verify.h"
#include "job/list.h"

#include <string.h>

static void on_progress(void *arg, const struct image_progress *p)
{
	(void)arg;
	report_progress(p);
}

static int verify_report(struct image_store *store, const Berth__ImageReply *list, const struct verify_options *o,
			 struct err *e)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__VerifyReply *reply;
	int r = image_verify(store, (const Berth__Image *const *)list->images, list->n_images, o, &reply, e);

	if (r < 0)
		return r;
	env.body_case = BERTH__ENVELOPE__BODY_VERIFY_REPLY;
	env.verify_reply = reply;
	for (size_t i = 0; i < reply->n_faults; i++) { /* paths and names may be any bytes */
		if (reply->faults[i]->path)
			report_text_clean(reply->faults[i]->path);
		if (reply->faults[i]->object)
			report_text_clean(reply->faults[i]->object);
		if (reply->faults[i]->text)
			report_text_clean(reply->faults[i]->text);
	}
	r = report_send(&env, e);
	berth__verify_reply__free_unpacked(reply, NULL);
	return r;
}

int verb_verify(int argc, char **argv, struct err *e)
{
	struct verify_options o = {.progress = on_progress};
	struct image_store store;
	Berth__Envelope *list = list_read("verify", e);
	int r;

	if (!list)
		return -1;
	for (int i = 2; i < argc; i++) {
		o.all |= !strcmp(argv[i], "all");
		o.quick |= !strcmp(argv[i], "quick");
	}
	r = confine_enter(&(struct confine){.caps = JOB_CAPS_UNPACK, .write_dir = argv[1]}, e);
	if (r == 0)
		r = image_store_open(&store, argv[1], e);
	if (r == 0) {
		r = verify_report(&store, list->image_reply, &o, e);
		image_store_close(&store);
	}
	berth__envelope__free_unpacked(list, NULL);
	return r;
}

/* job/history.c - `history STATE/images`, fd 4 = sealed memfd with an Envelope{ImageReply} of one image. Result HistoryReply. */
#include "job/job.h"

#include "image/history.h"
#include "job/list.h"

#include <errno.h>

static int history_report(struct image_store *store, const Berth__Image *image, struct err *e)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__HistoryReply *reply;
	int r = image_history(store, image, &reply, e);

	if (r < 0)
		return r;
	/* Only packed. */
	reply->image_id = image->image_id;
	reply->names = image->names;
	reply->n_names = image->n_names;
	env.body_case = BERTH__ENVELOPE__BODY_HISTORY_REPLY;
	env.history_reply = reply;
	r = report_send(&env, e);
	reply->image_id = NULL;
	reply->names = NULL;
	reply->n_names = 0;
	berth__history_reply__free_unpacked(reply, NULL);
	return r;
}

int verb_history(int argc, char **argv, struct err *e)
{
	struct image_store store;
	Berth__Envelope *list;
	int r;

	(void)argc;
	list = list_read("history", e);
	if (!list)
		return -EBADMSG;
	r = image_store_open(&store, argv[1], e);
	if (r == 0) {
		r = confine_enter(&(struct confine){.caps = JOB_CAPS_READ, .read_fd = store.dir_fd}, e);
		if (r == 0 && list->image_reply->n_images != 1)
			r = err_set(e, EBADMSG, "history", "not one image");
		if (r == 0)
			r = history_report(&store, list->image_reply->images[0], e);
		image_store_close(&store);
	}
	berth__envelope__free_unpacked(list, NULL);
	return r;
}

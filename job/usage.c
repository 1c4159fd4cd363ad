/* job/usage.c - `usage STATE`, fd 4 = sealed memfd with an Envelope{DiskUsageReply}: what there is, without figures. Result the same with them. */
#include "job/job.h"

#include "base/own.h"
#include "image/usage.h"
#include "job/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int verb_usage(int argc, char **argv, struct err *e)
{
	Berth__Envelope *list = list_read_of("usage", BERTH__ENVELOPE__BODY_DISK_USAGE_REPLY, e);
	struct image_store store = {.dir_fd = -1, .lock_fd = -1};
	char images[512];
	int r;

	(void)argc;
	if (!list)
		return -EBADMSG;
	AUTO_FD state = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0) {
		r = err_set(e, errno, "usage", "%s", argv[1]);
	} else {
		snprintf(images, sizeof images, "%s/images", argv[1]);
		r = image_store_open(&store, images, e);
	}
	if (r == 0)
		r = confine_enter(&(struct confine){.caps = JOB_CAPS_READ, .read_fd = state}, e);
	if (r == 0)
		r = usage_measure(&store, state, list->disk_usage_reply, e);
	if (r == 0)
		r = report_send(list, e);
	image_store_close(&store);
	berth__envelope__free_unpacked(list, NULL);
	return r;
}

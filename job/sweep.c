/* job/sweep.c - `sweep STATE/images`, fd 4 = sealed memfd with an Envelope{ImageReply}: the images to keep. Result Done. */
#include "job/job.h"

#include "base/file.h"
#include "base/loop.h"
#include "image/store.h"
#include "job/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int verb_sweep(int argc, char **argv, struct err *e)
{
	struct image_store store;
	Berth__Envelope *env;
	uint64_t freed = 0;
	struct stat st;
	char text[64];
	int r;

	(void)argc;
	/* What is newer than the list stays: an import may have ended since. */
	if (fstat(LIST_FD, &st) < 0)
		return err_set(e, errno, "sweep", "list of images");
	env = list_read("sweep", e);
	if (!env)
		return -EBADMSG;
	r = dir_make(AT_FDCWD, argv[1], 0700);
	if (r < 0)
		r = err_set(e, r, "sweep", "%s", argv[1]);
	if (r == 0)
		r = confine_enter(&(struct confine){.caps = JOB_CAPS_REMOVE, .write_dir = argv[1]}, e);
	if (r == 0)
		r = image_store_open(&store, argv[1], e);
	if (r == 0) {
		r = image_sweep(&store, (const Berth__Image *const *)env->image_reply->images,
				env->image_reply->n_images,
				(int64_t)st.st_mtim.tv_sec * (int64_t)NS_PER_S + st.st_mtim.tv_nsec, &freed, e);
		image_store_close(&store);
	}
	berth__envelope__free_unpacked(env, NULL);
	if (r < 0)
		return r;
	snprintf(text, sizeof text, "%.1f MB freed", (double)freed / 1e6);
	return report_done(text, e);
}

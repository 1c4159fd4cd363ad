/* job/sweep.c - `sweep STATE/images [partials]`, fd 4 = sealed memfd with an Envelope{ImageReply}: the images to keep. With `partials` also
 * what pulls have left that nobody goes on with just now. Result PruneReply. */
#include "job/job.h"

#include "base/file.h"
#include "base/loop.h"
#include "image/partial.h"
#include "image/store.h"
#include "job/list.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static int freed_report(uint64_t bytes, struct err *e)
{
	Berth__PruneReply freed = BERTH__PRUNE_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	freed.has_freed_bytes = true;
	freed.freed_bytes = bytes;
	env.body_case = BERTH__ENVELOPE__BODY_PRUNE_REPLY;
	env.prune_reply = &freed;
	return report_send(&env, e);
}

int verb_sweep(int argc, char **argv, struct err *e)
{
	struct image_store store;
	Berth__Envelope *env;
	uint64_t freed = 0;
	struct stat st;
	int r;

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
				(int64_t)st.st_mtim.tv_sec * (int64_t)NS_PER_S + st.st_mtim.tv_nsec,
				argc > 2 ? 0 : PARTIAL_KEPT_NS, &freed, e);
		image_store_close(&store);
	}
	berth__envelope__free_unpacked(env, NULL);
	if (r < 0)
		return r;
	return freed_report(freed, e);
}

/* job/export.c - `export STATE/images FORM UID GID`, fd 4 = sealed memfd with an Envelope{ImageReply}: of each image its manifest's digest
 * and the names that it is to have; fd 5 = where it goes to; result Done. FORM is a number of berth.proto's.
 *
 * It has the store's blobs open before it becomes the user who asked, so what may be written in a folder is what that user may. */
#include "job/job.h"
#include "job/list.h"

#include "base/own.h"
#include "base/str.h"
#include "image/export.h"
#include "image/intake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OUT_FD 5

#define CAPS_BECOME  (CAP_BIT(6) /* SETGID */ | CAP_BIT(7) /* SETUID */)
#define CAPS_OF_ROOT CAP_BIT(1) /* DAC_OVERRIDE: what root may write */

struct telling {
	char part[DIGEST_SIZE];
	uint64_t told_at;
};

#define TELL_BYTES (4u << 20)

static void on_progress(void *arg, const struct image_progress *p)
{
	struct telling *t = arg;

	if (!strcmp(t->part, p->part) && p->at < t->told_at + TELL_BYTES && p->at > t->told_at &&
	    strcmp(p->state, "complete"))
		return;
	snprintf(t->part, sizeof t->part, "%s", p->part);
	t->told_at = p->at;
	report_progress(p);
}

static int arguments_read(char **argv, uint32_t *form, uint32_t *uid, uint32_t *gid, struct err *e)
{
	if (str_to_u32(argv[2], form) || str_to_u32(argv[3], uid) || str_to_u32(argv[4], gid) || !*form ||
	    *form >= EXPORT_FORM_N_)
		return err_set(e, EINVAL, "export", "FORM UID GID");
	return 0;
}

static int images_write(struct image_export *x, struct image_store *store, char **argv, const Berth__ImageReply *list,
			struct err *e)
{
	struct confine confine = {.caps = CAPS_BECOME | CAPS_OF_ROOT};
	struct stat st;
	uint32_t form, uid, gid;
	AUTO_FD blobs = -1;
	int r;

	if ((r = arguments_read(argv, &form, &uid, &gid, e)) < 0 ||
	    (r = content_store_open(store, argv[1], &blobs, e)) < 0)
		return r;
	confine.read_fd = blobs;
	if (fstat(OUT_FD, &st) == 0 && S_ISDIR(st.st_mode)) /* a file or a pipe is open already */
		confine.write_fd = OUT_FD;
	if ((r = confine_enter(&confine, e)) < 0 ||
	    (r = export_open(x, store, (const Berth__Image *const *)list->images, (unsigned)list->n_images, e)) < 0 ||
	    (r = confine_become(uid, gid, uid ? 0 : CAPS_OF_ROOT, e)) < 0)
		return r;
	return export_write(x, (enum export_form)form, OUT_FD, e);
}

int verb_export(int argc, char **argv, struct err *e)
{
	struct telling telling = {0};
	struct image_export x = {.progress = on_progress, .arg = &telling};
	struct image_store store = {.dir_fd = -1, .lock_fd = -1};
	Berth__Envelope *list = list_read("export", e);
	char text[64], size[32];
	int r = list ? images_write(&x, &store, argv, list->image_reply, e) : -EBADMSG;

	if (r == 0) {
		snprintf(text, sizeof text, "%u image%s, %s", x.n, x.n == 1 ? "" : "s", size_text(x.bytes, size));
		r = report_done(text, e);
	}
	export_close(&x);
	image_store_close(&store);
	if (list)
		berth__envelope__free_unpacked(list, NULL);
	return r;
}

/* job/commit.c - `commit STATE UUID MANIFEST [NAME]`: the upper layer of container UUID on top of the image with that manifest becomes an
 * image. fd 4 = sealed memfd with an Envelope{ContainerReply}, its image_config being that of the new image; fd 5 = one with the
 * Envelope{ContainerCommit} that was asked; fd 6 = a pipe. Result ImageReply.
 *
 * When all is ready but the upper layer unread, the step "ready" is reported and a byte awaited on fd 6: then berthd has frozen the
 * container, or knows why not. "packed" says that nothing is read any more. */
#include "job/job.h"

#include "base/buf.h"
#include "base/own.h"
#include "image/commit.h"
#include "job/list.h"
#include "job/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTAINER_FD 4
#define ASK_FD	     5
#define GO_FD	     6

static void on_progress(void *arg, const struct image_progress *p)
{
	(void)arg;
	report_progress(p);
}

static void on_note(void *arg, const char *path, const char *what)
{
	char text[400];

	(void)arg;
	snprintf(text, sizeof text, "left out: %.300s (%s)", path, what);
	report_progress(&(struct image_progress){.text = text});
}

static int on_begin(void *arg, struct err *e)
{
	char byte;
	ssize_t n;
	int r = report_step("ready", e);

	(void)arg;
	if (r < 0)
		return r;
	while ((n = read(GO_FD, &byte, 1)) < 0 && errno == EINTR)
		;
	return n == 1 ? 0 : err_set(e, ECANCELED, "commit", "berthd gave no word to begin");
}

static void on_end(void *arg)
{
	(void)arg;
	(void)report_step("packed", NULL); /* the result tells whether berthd is there */
}

/* What the container runs, as `history` shows it. */
static char *words_join(char *const *word, size_t n)
{
	struct buf text;

	buf_init(&text, 64 << 10);
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%s%s", i ? " " : "", word[i]);
	return buf_take(&text);
}

static bool is_made(void *arg, const char *path)
{
	return made_has(arg, path);
}

static int commit(const char *state, const char *uuid, const Berth__Container *c, struct commit_how *how, struct err *e)
{
	AUTO_FREE char *images = NULL, *upper_path = NULL;
	struct image_store store;
	struct made made = {0}; /* goes with the job */
	Berth__Image **image;
	size_t n;
	int r;

	how->skip = is_made;
	how->arg = &made;
	if (asprintf(&images, "%s/images", state) < 0 ||
	    asprintf(&upper_path, c->rootfs ? "%s/containers/%s/upper.%u" : "%s/containers/%s/upper", state, uuid,
		     c->rootfs) < 0)
		return err_set(e, ENOMEM, "commit", "no memory");
	AUTO_FD upper = open(upper_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0 && errno != ENOENT) /* it never ran */
		return err_set(e, errno, "commit", "%s", upper_path);
	if (upper >= 0) {
		r = stack_open_below(state, c, e);
		if (r < 0)
			return r;
		AUTO_FD lower = r;
		r = made_find(&made, c, upper, lower, e);
		if (r < 0)
			return r;
	}
	r = confine_enter(&(struct confine){.caps = JOB_CAPS_UNPACK, .write_dir = images, .read_fd = upper}, e);
	if (r < 0 || (r = image_store_open(&store, images, e)) < 0)
		return r;
	r = image_commit(&store, upper, how, on_progress, NULL, &image, &n, e);
	if (r == 0) {
		r = report_images(image, n, e);
		for (size_t i = 0; i < n; i++)
			berth__image__free_unpacked(image[i], NULL);
		free(image);
	}
	image_store_close(&store);
	return r;
}

int verb_commit(int argc, char **argv, struct err *e)
{
	Berth__Envelope *container = envelope_read(CONTAINER_FD, BERTH__ENVELOPE__BODY_CONTAINER_REPLY, "commit", e);
	Berth__Envelope *ask =
		container ? envelope_read(ASK_FD, BERTH__ENVELOPE__BODY_CONTAINER_COMMIT, "commit", e) : NULL;
	const Berth__Container *c = container ? container->container_reply->container : NULL;
	AUTO_FREE char *created_by = c && c->spec ? words_join(c->spec->command, c->spec->n_command) : NULL;
	int r = -EBADMSG;

	if (ask && (!c || !c->spec || !c->image_config || !created_by))
		r = err_set(e, EBADMSG, "commit", "what berthd handed over");
	else if (ask)
		r = commit(argv[1], argv[2], c,
			   &(struct commit_how){.manifest_digest = argv[3],
						.name = argc > 4 ? argv[4] : "",
						.config = c->image_config,
						.author = ask->container_commit->author,
						.message = ask->container_commit->message,
						.created_by = created_by,
						.first_id = c->userns_first_id,
						.note = on_note,
						.begin = on_begin,
						.end = on_end},
			   e);
	if (container)
		berth__envelope__free_unpacked(container, NULL);
	if (ask)
		berth__envelope__free_unpacked(ask, NULL);
	return r;
}

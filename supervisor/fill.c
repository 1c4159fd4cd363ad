/* supervisor/fill.c - see supervisor/fill.h. One volume of a container after the other, and one job for a volume at a time: two
 * containers that are started together with one new volume must not both find it empty. */
#include "supervisor/fill.h"

#include "base/log.h"
#include "base/own.h"
#include "proto/envelope.h"
#include "supervisor/container.h"
#include "supervisor/image.h"
#include "supervisor/job.h"
#include "supervisor/launch.h"
#include "supervisor/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fill {
	struct supervisor *sv;
	struct container *c; /* NULL: it wants it no more */
	struct job *job;
	char volume[UUID_SIZE];
	bool done;
	struct err failure;
};

/* ---------------------------------------------------------------- what the job says */

static void on_fill_record(void *arg, const Berth__Envelope *env)
{
	struct fill *f = arg;

	f->done = env->body_case == BERTH__ENVELOPE__BODY_DONE;
	if (f->done && env->done->text)
		log_debug("volume %s: %s", f->volume, env->done->text);
	if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		err_set(&f->failure, 0, "volume", "%s", env->error->text ? env->error->text : "");
}

static void on_fill_done(void *arg, int status)
{
	struct fill *f = arg;
	struct supervisor *sv = f->sv;
	struct table_node *n = table_find(&sv->volumes, f->volume);
	struct container *c = f->c;

	if (n)
		volume_filled(sv, container_of(n, struct volume, node));
	if (!f->done && !f->failure.text[0])
		err_set(&f->failure, 0, "volume", "the job that fills it ended with status %d", status);
	if (c) {
		c->fill = NULL;
		if (f->done) {
			c->fill_next++;
			container_post(c, EV_FILLED);
		} else {
			c->failure = f->failure;
			err_wrap(&c->failure, "fill volume %s from the image",
				 n ? container_of(n, struct volume, node)->obj->meta->name : f->volume);
			container_post(c, EV_FAILED);
		}
	} else if (!f->done) {
		log_warn("volume %s: %s", f->volume, f->failure.text);
	}
	volume_wake(sv, NULL, NULL);
	free(f);
}

/* ---------------------------------------------------------------- starting it */

/* The folders of the container's layers, as job/list.h has it. */
static int layers_pack(struct container *c, int *ret_fd, struct err *e)
{
	size_t n = c->obj->n_layers;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__ImageReply reply = BERTH__IMAGE_REPLY__INIT;
	Berth__Image image = BERTH__IMAGE__INIT, *list = &image;
	AUTO_FREE char(*paths)[512] = calloc(n + 1, sizeof *paths);
	AUTO_FREE char **layers = calloc(n + 1, sizeof *layers);

	if (!paths || !layers)
		return err_set(e, ENOMEM, "volume", "no memory");
	for (size_t i = 0; i < n; i++) {
		image_layer_path(c->sv, c->obj->layers[i], paths[i], sizeof paths[i]);
		layers[i] = paths[i];
	}
	image.layers = layers;
	image.n_layers = n;
	reply.images = &list;
	reply.n_images = 1;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &reply;
	return launch_pack(&env.base, "berth-layers", ret_fd, e);
}

/* target NULL, layers_fd -1: only what was begun is finished. */
static int fill_start(struct volume *v, const char *target, int layers_fd, struct fill **ret, struct err *e)
{
	static const struct job_ops ops = {.record = on_fill_record, .done = on_fill_done};
	struct supervisor *sv = v->sv;
	struct fill *f = calloc(1, sizeof *f);
	bool own = volume_is_mountable(v); /* then its folder lies in its own file system */
	char dir[sizeof sv->cfg.state_dir + 16];
	const char *argv[] = {"fill", dir, own ? "data" : v->node.uuid, target, NULL};
	int fds[2], r;
	unsigned n = 0;

	if (!f)
		return err_set(e, ENOMEM, "volume", "no memory");
	f->sv = sv;
	snprintf(f->volume, sizeof f->volume, "%s", v->node.uuid);
	if (own)
		snprintf(dir, sizeof dir, "/%s", v->node.uuid);
	else
		snprintf(dir, sizeof dir, "%s/volumes", sv->cfg.state_dir);
	if (layers_fd >= 0)
		fds[n++] = layers_fd;
	if (own)
		fds[n++] = sv->volume_ns_fd;
	r = job_start(sv, argv, fds, n, 0, &ops, f, &f->job, e);
	if (r < 0)
		free(f);
	else if (ret)
		*ret = f;
	return r;
}

static int fill_one(struct container *c, const Berth__Mount *m, struct err *e)
{
	AUTO_FD layers = -1;
	struct volume *v;
	int r = volume_get(c->sv, c->obj->meta->project, m->source, &v, e);

	if (r < 0)
		return r;
	if (v->filling) {
		c->fill_waits = true;
		return 0;
	}
	if (v->obj->driver == BERTH__VOLUME__DRIVER__TMPFS)
		return 1; /* as --tmpfs: it begins empty */
	r = layers_pack(c, &layers, e);
	if (!r)
		r = fill_start(v, m->target, layers, &c->fill, e);
	if (r < 0)
		return r;
	c->fill->c = c;
	v->filling = true;
	return 0;
}

bool fill_pending(const struct container *c)
{
	return c->fill || c->fill_waits;
}

/* Those that are file systems are mounted. */
static int mount_volumes(struct container *c, struct err *e)
{
	const Berth__ContainerSpec *spec = c->obj->spec;
	struct volume *v;
	int r = 1;

	for (size_t i = 0; i < spec->n_mounts && r > 0; i++) {
		if (spec->mounts[i]->type != BERTH__MOUNT__TYPE__VOLUME)
			continue;
		r = volume_get(c->sv, c->obj->meta->project, spec->mounts[i]->source, &v, e);
		if (!r)
			r = volume_want(v);
		c->fill_waits |= !r;
	}
	return r;
}

int fill_volumes(struct container *c, struct err *e)
{
	const Berth__ContainerSpec *spec = c->obj->spec;
	int r = fill_pending(c) ? 0 : mount_volumes(c, e);

	if (r <= 0 || c->obj->status->incarnation)
		return r;
	for (; c->fill_next < spec->n_mounts; c->fill_next++) {
		const Berth__Mount *m = spec->mounts[c->fill_next];

		if (m->type != BERTH__MOUNT__TYPE__VOLUME || m->no_copy)
			continue;
		r = fill_one(c, m, e);
		if (r <= 0)
			return r;
	}
	return 1;
}

void fill_forget(struct container *c)
{
	if (c->fill) {
		c->fill->c = NULL;
		if (c->sv->jobs) /* at berthd's own end the jobs are first */
			job_cancel(c->fill->job);
	}
	c->fill = NULL;
	c->fill_waits = false;
}

void fill_finish(struct supervisor *sv, const char *volume_uuid)
{
	struct table_node *n = table_find(&sv->volumes, volume_uuid);
	struct volume *v = n ? container_of(n, struct volume, node) : NULL;
	struct err e;

	if (!v || v->filling)
		return;
	if (fill_start(v, NULL, -1, NULL, &e) < 0)
		log_err(&e, "finish the content of volume %s", v->obj->meta->name);
	else
		v->filling = true;
}

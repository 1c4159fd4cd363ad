/* supervisor/image_sweep.c - the sweep: a job removes the layers that no image and no container needs. */
#include "supervisor/image_own.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "supervisor/container.h"
#include "supervisor/job.h"
#include "supervisor/spare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_AT_START_NS (2 * NS_PER_S)
#define SWEEP_RETRY_NS	  (5 * NS_PER_S)
#define SWEEP_DEADLINE_NS (3600 * NS_PER_S)

static void on_sweep_record(void *arg, const Berth__Envelope *env)
{
	struct imports *im = arg;

	if (env->body_case == BERTH__ENVELOPE__BODY_PRUNE_REPLY) {
		im->swept = true;
		im->swept_bytes = env->prune_reply->freed_bytes;
		if (im->swept_bytes)
			log_info("images: %.1f MB freed", (double)im->swept_bytes / 1e6);
	} else if (env->body_case == BERTH__ENVELOPE__BODY_ERROR) {
		im->sweep_kept_out = env->error->code == BERTH__ERROR__CODE__CONFLICT;
		log_warn("sweeping images failed: %s", env->error->text ? env->error->text : "");
	}
}

static void on_sweep_soon(struct timer *t)
{
	struct imports *im = container_of(t, struct imports, sweep_soon);

	im->sweep_again = true;
	imports_go_on(im);
}

static void on_sweep_done(void *arg, int status)
{
	struct imports *im = arg;

	im->sweeping = false;
	if (status != 0)
		log_warn("the sweep of unused image layers ended with status %d", status);
	/* Of a job of an earlier berthd, which is being killed, or of one that sends an image. */
	if (im->sweep_kept_out && !timer_armed(&im->sweep_soon))
		(void)timer_in(&im->sv->loop, &im->sweep_soon, SWEEP_RETRY_NS, on_sweep_soon);
	image_prunes_end(im, im->swept ? &im->swept_bytes : NULL);
	imports_go_on(im);
}

int image_list_memfd(Berth__Image **images, size_t n)
{
	Berth__ImageReply body = BERTH__IMAGE_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	AUTO_FREE uint8_t *data = NULL;
	size_t len;

	body.images = images;
	body.n_images = n;
	env.body_case = BERTH__ENVELOPE__BODY_IMAGE_REPLY;
	env.image_reply = &body;
	len = berth__envelope__get_packed_size(&env);
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	berth__envelope__pack(&env, data);
	return memfd_sealed("berth-images", data, len);
}

static bool has_layer(char *const *layers, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(layers[i], id))
			return true;
	return false;
}

bool image_layer_is_needed(struct supervisor *sv, const char *id)
{
	struct table_node *node;

	list_each (node, &sv->images.all, link) {
		const Berth__Image *obj = image_of(node)->obj;

		if (has_layer(obj->layers, obj->n_layers, id))
			return true;
	}
	list_each (node, &sv->containers.all, link) {
		const Berth__Container *obj = container_of(node, struct container, node)->obj;

		if (has_layer(obj->layers, obj->n_layers, id) ||
		    (obj->rebuild && has_layer(obj->rebuild->layers, obj->rebuild->n_layers, id)))
			return true;
	}
	return false;
}

struct keep {
	Berth__Image **all; /* owned */
	size_t n;
	Berth__Image *own; /* owned: what stands for the containers */
	size_t n_own;
};

static bool keeps_manifest(const struct keep *k, const char *digest)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->all[i]->manifest_digest && !strcmp(k->all[i]->manifest_digest, digest))
			return true;
	return false;
}

/* A container's image counts by itself, as it is or as it is to be: it may have been removed, and commit builds on its blobs. */
static void keep_of(struct keep *k, char *image_id, char *manifest, char **layers, size_t n_layers)
{
	Berth__Image *image = &k->own[k->n_own++];

	berth__image__init(image);
	image->layers = layers;
	image->n_layers = n_layers;
	if (manifest && *manifest && !keeps_manifest(k, manifest)) {
		image->manifest_digest = manifest;
		image->image_id = image_id;
	}
	k->all[k->n++] = image;
}

/* Everything that an image or a container needs. */
int image_keep_memfd(struct supervisor *sv)
{
	struct keep k = {
		.all = calloc(sv->images.n + 2ul * sv->containers.n + 1, sizeof(*k.all)),
		.own = calloc(2ul * sv->containers.n + 1, sizeof(*k.own)),
	};
	struct table_node *node;
	int fd = -ENOMEM;

	if (k.all && k.own) {
		list_each (node, &sv->images.all, link)
			k.all[k.n++] = image_of(node)->obj;
		list_each (node, &sv->containers.all, link) {
			const Berth__Container *c = container_of(node, struct container, node)->obj;
			const Berth__Rebuild *rb = c->rebuild;

			keep_of(&k, c->image_id, c->image_manifest, c->layers, c->n_layers);
			if (rb)
				keep_of(&k, rb->image_id, rb->image_manifest, rb->layers, rb->n_layers);
		}
		fd = image_list_memfd(k.all, k.n);
	}
	free(k.all);
	free(k.own);
	return fd;
}

void imports_sweep(struct imports *im)
{
	static const struct job_ops ops = {.record = on_sweep_record, .done = on_sweep_done};
	struct supervisor *sv = im->sv;
	char dir[sizeof sv->cfg.state_dir + 16];
	const char *argv[] = {"sweep", dir, im->sweep_partials ? "partials" : NULL, NULL};
	AUTO_FD keep_fd = image_keep_memfd(sv);
	struct err e = {0};

	im->sweep_again = im->sweep_partials = im->sweep_kept_out = im->swept = false;
	image_prunes_begin(im);
	spares_let_layers_go(sv);
	if (keep_fd < 0) {
		log_error("unused image layers are not swept now: %s", strerror(-keep_fd));
		image_prunes_end(im, NULL);
		return;
	}
	snprintf(dir, sizeof dir, "%s/images", sv->cfg.state_dir);
	if (job_start(sv, argv, &keep_fd, 1, SWEEP_DEADLINE_NS, &ops, im, NULL, &e) < 0) {
		log_err(&e, "unused image layers are not swept now");
		image_prunes_end(im, NULL);
	} else {
		im->sweeping = true;
	}
}

/* What is a second old may be of an import that the sweep's list does not know yet, and stays: the later sweep takes it. */
void imports_sweep_wanted(struct imports *im)
{
	im->sweep_again = true;
	if (!timer_armed(&im->sweep_soon) && imports_sweep_soon(im) < 0)
		log_warn("no memory for a timer: some of the unused image layers stay until the next sweep");
}

int imports_sweep_soon(struct imports *im)
{
	return timer_in(&im->sv->loop, &im->sweep_soon, SWEEP_AT_START_NS, on_sweep_soon);
}

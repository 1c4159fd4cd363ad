/* supervisor/usage.c - disk usage: what there is is listed here, a job looks how much it takes. */
#include "supervisor/image_own.h"

#include "base/file.h"
#include "base/own.h"
#include "supervisor/container.h"
#include "supervisor/request.h"
#include "supervisor/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USAGE_DEADLINE_NS (590 * NS_PER_S)

/* All pointers in it are those of the objects: only packed. */
struct usage {
	Berth__DiskUsageImage *images, **image;
	Berth__DiskUsageContainer *containers, **container;
	Berth__DiskUsageVolume *volumes, **volume;
};

static uint64_t made_from(struct supervisor *sv, const char *image_id)
{
	struct table_node *n;
	uint64_t count = 0;

	list_each (n, &sv->containers.all, link) {
		const Berth__Container *c = container_of(n, struct container, node)->obj;

		count += c->image_id && !strcmp(c->image_id, image_id);
	}
	return count;
}

static uint64_t made_with(struct supervisor *sv, const struct volume *v)
{
	struct table_node *n;
	uint64_t count = 0;

	list_each (n, &sv->containers.all, link)
		count += volume_is_used_by(v, container_of(n, struct container, node));
	return count;
}

static void images_list(struct supervisor *sv, struct usage *u, Berth__DiskUsageReply *body)
{
	struct table_node *n;

	list_each (n, &sv->images.all, link) {
		const Berth__Image *obj = image_of(n)->obj;
		Berth__DiskUsageImage *image = &u->images[body->n_images];

		berth__disk_usage_image__init(image);
		image->image_id = obj->image_id;
		image->names = obj->names;
		image->n_names = obj->n_names;
		image->layers = obj->layers;
		image->n_layers = obj->n_layers;
		image->manifest_digest = obj->manifest_digest;
		image->has_image_created_at = image->has_containers = true;
		image->image_created_at = obj->image_created_at;
		image->containers = made_from(sv, obj->image_id);
		u->image[body->n_images++] = image;
	}
	body->images = u->image;
}

static void containers_list(struct supervisor *sv, struct usage *u, Berth__DiskUsageReply *body)
{
	struct table_node *n;

	list_each (n, &sv->containers.all, link) {
		const struct container *c = container_of(n, struct container, node);
		Berth__DiskUsageContainer *view = &u->containers[body->n_containers];

		berth__disk_usage_container__init(view);
		view->meta = c->obj->meta;
		view->image = c->obj->spec->image;
		view->layers = c->obj->layers;
		view->n_layers = c->obj->n_layers;
		view->has_running = true;
		view->running = container_has_process(c);
		u->container[body->n_containers++] = view;
	}
	body->containers = u->container;
}

static void volumes_list(struct supervisor *sv, struct usage *u, Berth__DiskUsageReply *body)
{
	struct table_node *n;

	list_each (n, &sv->volumes.all, link) {
		Berth__DiskUsageVolume *view = &u->volumes[body->n_volumes];

		berth__disk_usage_volume__init(view);
		view->meta = volume_of(n)->obj->meta;
		view->has_containers = true;
		view->containers = made_with(sv, volume_of(n));
		u->volume[body->n_volumes++] = view;
	}
	body->volumes = u->volume;
}

/* A sealed memfd for the job. */
static int usage_list(struct supervisor *sv)
{
	Berth__DiskUsageReply body = BERTH__DISK_USAGE_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	AUTO_FREE Berth__DiskUsageImage *images = calloc(sv->images.n + 1, sizeof *images);
	AUTO_FREE Berth__DiskUsageImage **image = calloc(sv->images.n + 1, sizeof *image);
	AUTO_FREE Berth__DiskUsageContainer *containers = calloc(sv->containers.n + 1, sizeof *containers);
	AUTO_FREE Berth__DiskUsageContainer **container = calloc(sv->containers.n + 1, sizeof *container);
	AUTO_FREE Berth__DiskUsageVolume *volumes = calloc(sv->volumes.n + 1, sizeof *volumes);
	AUTO_FREE Berth__DiskUsageVolume **volume = calloc(sv->volumes.n + 1, sizeof *volume);
	struct usage u = {images, image, containers, container, volumes, volume};
	AUTO_FREE uint8_t *data = NULL;
	size_t len;

	if (!images || !image || !containers || !container || !volumes || !volume)
		return -ENOMEM;
	images_list(sv, &u, &body);
	containers_list(sv, &u, &body);
	volumes_list(sv, &u, &body);
	env.body_case = BERTH__ENVELOPE__BODY_DISK_USAGE_REPLY;
	env.disk_usage_reply = &body;
	len = berth__envelope__get_packed_size(&env);
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	berth__envelope__pack(&env, data);
	return memfd_sealed("berth-usage", data, len);
}

void on_disk_usage(struct request *rq)
{
	const char *argv[] = {"usage", rq->sv->cfg.state_dir, NULL};
	AUTO_FD list = usage_list(rq->sv);

	image_look_start(rq, argv, list, USAGE_DEADLINE_NS, BERTH__ENVELOPE__BODY_DISK_USAGE_REPLY);
}

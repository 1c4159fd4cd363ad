/* image/commit.c - see image/commit.h. Nothing of it is an image until its manifest and config are blobs and its layer is unpacked, which
 * is done from the blob as an import does it: what could not be read back would fail here. */
#include "image/commit.h"

#include "base/buf.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "image/behind.h"
#include "image/blob.h"
#include "image/digest.h"
#include "image/gzip.h"
#include "image/intake.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define TICK_NS (100 * NS_PER_MS)

struct commit {
	struct image_store *store;
	const struct commit_how *how;
	struct intake in;
	struct origin origin;
	struct oci_manifest manifest; /* of the image below, then with our layer */
	json_t *config;		      /* the same */
	char diff_id[DIGEST_SIZE];

	/* while it is packed: the first three are the thread's until behind_end */
	struct gzip *gzip;
	struct blob_out blob;
	struct digest *sum;
	struct behind *behind;
	uint64_t packed, told_ns;
};

/* ---------------------------------------------------------------- the layer */

static int on_gzip(void *arg, const void *data, size_t len, struct err *e)
{
	struct commit *c = arg;

	return blob_out_add(&c->blob, data, len, e);
}

/* In the thread: to hash and compress is half of the work, to walk and read the other. */
static int on_piece(void *arg, const void *data, size_t len, struct err *e)
{
	struct commit *c = arg;

	digest_add(c->sum, data, len);
	return gzip_add(c->gzip, data, len, e);
}

static int on_tar(void *arg, const void *data, size_t len, struct err *e)
{
	struct commit *c = arg;
	uint64_t now = now_ns();

	c->packed += len;
	if (now - c->told_ns >= TICK_NS && c->in.progress) {
		c->told_ns = now;
		c->in.progress(c->in.arg, &(struct image_progress){"layer", "packing", c->packed, 0, NULL});
	}
	return behind_add(c->behind, data, len, e);
}

static bool on_skip(void *arg, const char *path)
{
	const struct commit_how *how = ((struct commit *)arg)->how;

	return how->skip && how->skip(how->arg, path);
}

static void on_note(void *arg, const char *path, const char *what)
{
	const struct commit_how *how = ((struct commit *)arg)->how;

	if (how->note)
		how->note(how->arg, path, what);
}

static int upper_pack(struct commit *c, int upper_fd, struct err *e)
{
	const struct commit_how *how = c->how;
	/* Ids in the upper layer are the container's own: it is mounted through the user namespace. */
	struct pack_how pack = {
		.write = on_tar, .skip = on_skip, .note = on_note, .arg = c, .upper = true, .first_id = how->first_id};
	static const char nothing[1024];
	int r = how->begin ? how->begin(how->arg, e) : 0;

	if (r < 0)
		return r;
	/* A tar of nothing is two blocks of zeros. */
	r = upper_fd < 0 ? on_tar(c, nothing, sizeof nothing, e) : tree_pack(&pack, upper_fd, ".", "", NULL, e);
	if (how->end)
		how->end(how->arg);
	if (!r)
		r = behind_end(c->behind, e);
	return r ? r : gzip_end(c->gzip, e);
}

static int layer_add(struct commit *c, int upper_fd, struct err *e)
{
	struct oci_manifest *m = &c->manifest;
	struct oci_descriptor *more = realloc(m->layer, (m->n_layers + 1) * sizeof *more), *d;
	int r;

	if (!more)
		return err_set(e, ENOMEM, "commit", "layers");
	m->layer = more;
	if ((r = blob_out_begin(&c->blob, c->store, e)) < 0)
		return r;
	c->gzip = gzip_new(on_gzip, c);
	c->sum = digest_new();
	if (!c->gzip || !c->sum)
		return err_set(e, ENOMEM, "commit", "layer");
	c->behind = behind_open(on_piece, c, e);
	if (!c->behind)
		return -EINVAL;
	if ((r = upper_pack(c, upper_fd, e)) < 0)
		return r;
	digest_end(take_ptr(c->sum), c->diff_id);
	d = &m->layer[m->n_layers++];
	*d = (struct oci_descriptor){.media_type = "application/vnd.oci.image.layer.v1.tar+gzip",
				     .size = c->blob.bytes};
	return blob_out_end(&c->blob, d->digest, e);
}

/* ---------------------------------------------------------------- the config */

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "commit", "config");
}

static void text_set(json_t *object, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(object, key, json_string(text));
	else
		json_object_del(object, key);
}

static void list_set(json_t *object, const char *key, char *const *item, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(item[i]));
	json_object_set_new(object, key, list);
	if (!n)
		json_object_del(object, key);
}

/* A set, as JSON has it: {"80/tcp": {}} */
static void set_set(json_t *object, const char *key, char *const *item, size_t n)
{
	json_t *set = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(set, item[i], json_object());
	json_object_set_new(object, key, set);
	if (!n)
		json_object_del(object, key);
}

static void labels_set(json_t *object, const Berth__ImageConfig *config)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < config->n_labels; i++)
		json_object_set_new(labels, config->labels[i]->key,
				    json_string(config->labels[i]->value ? config->labels[i]->value : ""));
	json_object_set_new(object, "Labels", labels);
	if (!config->n_labels)
		json_object_del(object, "Labels");
}

/* The child of that kind, a new one if there is none. */
static json_t *child(json_t *object, const char *key, json_t *fresh)
{
	json_t *found = json_object_get(object, key);

	if (found && json_typeof(found) == json_typeof(fresh)) {
		json_decref(fresh);
		return found;
	}
	json_object_set_new(object, key, fresh);
	return json_object_get(object, key);
}

/* Those of the image below stay. */
static void on_build_add(json_t *object, const Berth__ImageConfig *config)
{
	for (size_t i = 0; i < config->n_on_build; i++)
		json_array_append_new(child(object, "OnBuild", json_array()), json_string(config->on_build[i]));
}

/* Where there is none, that of the image below stays, with whatever somebody has put into it. */
static void healthcheck_set(json_t *object, const Berth__ImageHealthcheck *h)
{
	json_t *health;

	if (!h)
		return;
	health = json_object();
	list_set(health, "Test", h->test, h->n_test);
	if (h->has_interval_ns)
		json_object_set_new(health, "Interval", json_integer((json_int_t)h->interval_ns));
	if (h->has_timeout_ns)
		json_object_set_new(health, "Timeout", json_integer((json_int_t)h->timeout_ns));
	if (h->has_start_period_ns)
		json_object_set_new(health, "StartPeriod", json_integer((json_int_t)h->start_period_ns));
	if (h->has_retries)
		json_object_set_new(health, "Retries", json_integer((json_int_t)h->retries));
	json_object_set_new(object, "Healthcheck", health);
}

static void run_config_set(json_t *root, const Berth__ImageConfig *config)
{
	/* Of the container that a build or a commit before this one used. */
	static const char *const stale[] = {"Image", "Hostname", "Domainname"};
	json_t *run = child(root, "config", json_object());

	list_set(run, "Entrypoint", config->entrypoint, config->n_entrypoint);
	list_set(run, "Cmd", config->command, config->n_command);
	list_set(run, "Env", config->env, config->n_env);
	text_set(run, "WorkingDir", config->workdir);
	text_set(run, "User", config->user);
	text_set(run, "StopSignal", config->stop_signal);
	set_set(run, "Volumes", config->volumes, config->n_volumes);
	set_set(run, "ExposedPorts", config->exposed_ports, config->n_exposed_ports);
	labels_set(run, config);
	on_build_add(run, config);
	healthcheck_set(run, config->healthcheck);
	for (size_t i = 0; i < ARRAY_SIZE(stale); i++)
		json_object_del(run, stale[i]);
}

/* One entry for each layer: tools that convert between formats count them. n: layers below, of which the lowest are those that no step tells
 * of (image/history.c). */
static void history_add(json_t *root, const struct commit_how *how, unsigned n, const char *created)
{
	json_t *history = child(root, "history", json_array()), *entry;
	unsigned told = 0;
	size_t i;

	json_array_foreach(history, i, entry) told += !json_is_true(json_object_get(entry, "empty_layer"));
	for (; told < n; told++)
		json_array_insert_new(history, 0, json_object());
	entry = json_object();
	text_set(entry, "created", created);
	text_set(entry, "created_by", how->created_by);
	text_set(entry, "author", how->author);
	text_set(entry, "comment", how->message);
	json_array_append_new(history, entry);
}

static int config_make(struct commit *c, struct err *e)
{
	static const char *const stale[] = {"container", "container_config", "docker_version", "id", "parent"};
	json_t *diff_ids = child(child(c->config, "rootfs", json_object()), "diff_ids", json_array());
	char created[STR_TIME_SIZE], architecture[32], variant[32];
	char *text;
	int r;

	str_time(wall_ns(), created);
	oci_host_platform(architecture, variant);
	json_array_append_new(diff_ids, json_string(c->diff_id));
	run_config_set(c->config, c->how->config);
	history_add(c->config, c->how, c->manifest.n_layers - 1, created);
	text_set(c->config, "created", created);
	text_set(c->config, "author", c->how->author);
	if (!json_object_get(c->config, "architecture"))
		text_set(c->config, "architecture", architecture);
	if (!json_object_get(c->config, "os"))
		text_set(c->config, "os", "linux");
	for (size_t i = 0; i < ARRAY_SIZE(stale); i++)
		json_object_del(c->config, stale[i]);
	text = json_dumps(c->config, JSON_COMPACT);
	if (!text)
		return no_memory(e);
	c->manifest.config = (struct oci_descriptor){.size = strlen(text)};
	r = c->manifest.config.size > OCI_JSON_MAX
		    ? err_set(e, 0, "commit", "the config is larger than %u bytes", OCI_JSON_MAX)
		    : blob_put_bytes(c->store, text, strlen(text), c->manifest.config.digest, e);
	free(text);
	return r;
}

/* ---------------------------------------------------------------- the image */

static int below_read(struct commit *c, struct err *e)
{
	AUTO_FREE char *manifest = NULL;
	AUTO_FREE char *config = NULL;
	size_t manifest_len, config_len;
	struct oci_image image;
	int r;

	if ((r = blob_read(c->store, c->how->manifest_digest, &manifest, &manifest_len, e)) < 0 ||
	    (r = oci_manifest_parse(manifest, manifest_len, &c->manifest, e)) < 0 ||
	    (r = blob_read(c->store, c->manifest.config.digest, &config, &config_len, e)) < 0 ||
	    (r = oci_image_parse(config, config_len, &image, e)) < 0)
		return err_wrap(e, "the image below");
	if (image.n_diff_ids != c->manifest.n_layers)
		r = err_set(e, 0, "commit", "the image below has %u layers, its config names %u", c->manifest.n_layers,
			    image.n_diff_ids);
	oci_image_fini(&image);
	if (!r && c->manifest.n_layers >= OCI_LAYERS_MAX)
		r = err_set(e, 0, "commit", "the image below has %u layers, and no more can be stacked",
			    c->manifest.n_layers);
	/* Checked by the parser above, which is stricter than this. */
	c->config = json_loadb(config, config_len, 0, NULL);
	return r ? r : c->config ? 0 : no_memory(e);
}

/* Everything is in the store. */
static int blob_origin_open(struct origin *o, const struct oci_descriptor *d, struct source_part *ret, struct err *e)
{
	return blob_part(container_of(o, struct commit, origin)->store, d->digest, ret, e);
}

static int commit_make(struct commit *c, int upper_fd, struct err *e)
{
	char digest[DIGEST_SIZE];
	struct buf json;
	int r;

	if ((r = below_read(c, e)) < 0 || (r = layer_add(c, upper_fd, e)) < 0 || (r = config_make(c, e)) < 0)
		return r;
	buf_init(&json, OCI_JSON_MAX);
	r = oci_manifest_make(&c->manifest, &json) < 0 ? err_set(e, ENOMEM, "commit", "manifest")
						       : blob_put_bytes(c->store, json.data, json.len, digest, e);
	buf_fini(&json);
	return r < 0 ? r : intake_image(&c->in, &c->manifest, digest, NULL, e);
}

int image_commit(struct image_store *s, int upper_fd, const struct commit_how *how, image_progress_fn *progress,
		 void *arg, Berth__Image ***ret, size_t *ret_n, struct err *e)
{
	struct commit c = {.store = s, .how = how, .blob.fd = -1, .origin.open = blob_origin_open};
	int r;

	intake_init(&c.in, s, &c.origin, progress, arg);
	snprintf(c.in.name, sizeof c.in.name, "%s", how->name);
	r = image_store_share(s, e);
	if (!r)
		r = commit_make(&c, upper_fd, e);
	flock(s->lock_fd, LOCK_UN);
	behind_close(c.behind); /* first: its thread uses the others */
	gzip_free(c.gzip);
	digest_free(c.sum);
	blob_out_close(&c.blob);
	oci_manifest_fini(&c.manifest);
	json_decref(c.config);
	intake_end(&c.in, r < 0 ? NULL : ret, ret_n);
	return r;
}

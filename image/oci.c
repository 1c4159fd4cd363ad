/* image/oci.c - see image/oci.h. jansson with duplicate keys refused; it refuses bad UTF-8, NULs in strings, NaN and numbers
 * that do not fit by itself. Its nesting limit (2048) is more than any image needs, so ours is checked on the text first, as is how many values it has:
 * a few bytes of text are some hundred of memory. */
#include "image/oci.h"

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"
#include "image/digest.h"
#include "image/reference.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static void json_free_(json_t **j)
{
	json_decref(*j);
}

#define AUTO_JSON __attribute__((cleanup(json_free_))) json_t

static int shape_check(const char *json, size_t len, struct err *e)
{
	unsigned depth = 0, values = 0;
	bool string = false;

	for (size_t i = 0; i < len; i++) {
		bool open = json[i] == '{' || json[i] == '[';

		if (string && json[i] == '\\')
			i++;
		else if (json[i] == '"')
			string = !string;
		else if (string)
			continue;
		else if (open && ++depth > OCI_JSON_DEPTH)
			return err_set(e, 0, "json", "nested deeper than %d", OCI_JSON_DEPTH);
		else if ((open || json[i] == ',') && ++values > OCI_JSON_VALUES)
			return err_set(e, 0, "json", "more than %d values", OCI_JSON_VALUES);
		else if ((json[i] == '}' || json[i] == ']') && depth)
			depth--;
	}
	return 0;
}

/* NULL: e is filled. what names the document in messages. */
static json_t *document_load(const char *what, const char *json, size_t len, struct err *e)
{
	json_error_t error;
	json_t *root;

	if (len > OCI_JSON_MAX) {
		err_set(e, EFBIG, "json", "%s: larger than %u bytes", what, OCI_JSON_MAX);
		return NULL;
	}
	if (shape_check(json, len, e) < 0) {
		err_wrap(e, "%s", what);
		return NULL;
	}
	root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		err_set(e, 0, "json", "%s: line %d, column %d: %s", what, error.line, error.column, error.text);
	return root;
}

static json_t *object_load(const char *what, const char *json, size_t len, struct err *e)
{
	json_t *root = document_load(what, json, len, e);

	if (root && !json_is_object(root)) {
		err_set(e, 0, "json", "%s: not an object", what);
		json_decref(root);
		return NULL;
	}
	return root;
}

/* A member, absent and null alike: *ret NULL. -EINVAL if it has another type. */
static int member(const json_t *object, const char *key, json_type type, json_t **ret, struct err *e)
{
	json_t *value = json_object_get(object, key);

	*ret = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (json_typeof(value) != type)
		return err_set(e, 0, "json", "'%s' has the wrong type", key);
	*ret = value;
	return 0;
}

/* Text into a buffer of fixed size, "" when absent. */
static int member_text(const json_t *object, const char *key, char *buf, size_t size, struct err *e)
{
	json_t *value;
	int r = member(object, key, JSON_STRING, &value, e);

	buf[0] = 0;
	if (r < 0 || !value)
		return r;
	if (json_string_length(value) >= size)
		return err_set(e, 0, "json", "'%s' is longer than %zu characters", key, size - 1);
	memcpy(buf, json_string_value(value), json_string_length(value) + 1);
	return 0;
}

static char *member_copy(const json_t *object, const char *key, struct err *e, int *r)
{
	json_t *value;
	char *copy;

	if (*r < 0 || (*r = member(object, key, JSON_STRING, &value, e)) < 0 || !value || !json_string_length(value))
		return NULL;
	copy = strdup(json_string_value(value));
	if (!copy)
		*r = err_set(e, ENOMEM, "json", "%s", key);
	return copy;
}

/* ---------------------------------------------------------------- descriptors */

bool oci_digest_is_valid(const char *digest)
{
	if (strncmp(digest, "sha256:", 7) || strlen(digest) != DIGEST_SIZE - 1)
		return false;
	return strspn(digest + 7, "0123456789abcdef") == 64;
}

bool oci_is_index(const char *media_type)
{
	return !strcmp(media_type, "application/vnd.oci.image.index.v1+json") ||
	       !strcmp(media_type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

bool oci_is_manifest(const char *media_type)
{
	return !strcmp(media_type, OCI_MANIFEST) ||
	       !strcmp(media_type, "application/vnd.docker.distribution.manifest.v2+json");
}

bool oci_is_layer(const char *media_type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(media_type, types[i]))
			return true;
	return false;
}

bool oci_is_foreign(const char *media_type)
{
	return str_starts(media_type, "application/vnd.oci.image.layer.nondistributable.") ||
	       str_starts(media_type, "application/vnd.docker.image.rootfs.foreign.");
}

static int descriptor_platform(const json_t *object, struct oci_descriptor *d, struct err *e)
{
	json_t *platform;
	int r = member(object, "platform", JSON_OBJECT, &platform, e);

	if (r < 0 || !platform)
		return r;
	if ((r = member_text(platform, "os", d->os, sizeof d->os, e)) < 0 ||
	    (r = member_text(platform, "architecture", d->architecture, sizeof d->architecture, e)) < 0)
		return r;
	return member_text(platform, "variant", d->variant, sizeof d->variant, e);
}

/* Docker and containerd write the whole name in an annotation of their own, and only the tag in the standard one. */
static int descriptor_name(const json_t *object, struct oci_descriptor *d, struct err *e)
{
	json_t *annotations;
	int r = member(object, "annotations", JSON_OBJECT, &annotations, e);

	if (r < 0 || !annotations)
		return r;
	r = member_text(annotations, "io.containerd.image.name", d->name, sizeof d->name, e);
	if (r < 0 || d->name[0])
		return r;
	return member_text(annotations, "org.opencontainers.image.ref.name", d->name, sizeof d->name, e);
}

static int descriptor_parse(const json_t *object, struct oci_descriptor *d, struct err *e)
{
	json_t *size;
	int r;

	*d = (struct oci_descriptor){0};
	if (!json_is_object(object))
		return err_set(e, 0, "json", "a descriptor is not an object");
	if ((r = member_text(object, "mediaType", d->media_type, sizeof d->media_type, e)) < 0 ||
	    (r = member_text(object, "digest", d->digest, sizeof d->digest, e)) < 0 ||
	    (r = member(object, "size", JSON_INTEGER, &size, e)) < 0)
		return r;
	if (!oci_digest_is_valid(d->digest))
		return err_set(e, 0, "json", "'%s' is not a sha256 digest", d->digest);
	if (!size || json_integer_value(size) < 0)
		return err_set(e, 0, "json", "the size of %s is missing or negative", d->digest);
	d->size = (uint64_t)json_integer_value(size);
	d->elsewhere = json_array_size(json_object_get(object, "urls")) > 0;
	if ((r = descriptor_platform(object, d, e)) < 0)
		return r;
	return descriptor_name(object, d, e);
}

/* Two readers could take one document, of one digest, for two images (CVE-2021-41190). */
static int one_kind_check(const json_t *root, struct err *e)
{
	if (json_object_get(root, "manifests") && (json_object_get(root, "layers") || json_object_get(root, "config")))
		return err_set(e, 0, "json", "it is both a manifest and an index: refused");
	return 0;
}

static int schema_check(const json_t *root, struct err *e)
{
	json_t *version;
	int r = member(root, "schemaVersion", JSON_INTEGER, &version, e);

	if (r < 0)
		return r;
	if (!version || json_integer_value(version) != 2)
		return err_set(e, 0, "json", "schemaVersion is not 2");
	return 0;
}

int oci_document_type(const char *json, size_t len, char ret[128], struct err *e)
{
	AUTO_JSON *root = object_load("manifest", json, len, e);
	json_t *version;

	if (!root || member_text(root, "mediaType", ret, 128, e) < 0)
		return -EINVAL;
	if (one_kind_check(root, e) < 0)
		return -EINVAL;
	version = json_object_get(root, "schemaVersion");
	if (json_is_integer(version) && json_integer_value(version) == 1)
		return err_set(e, 0, "json",
			       "a manifest of schema 1, which nobody should use any more: push the image anew");
	if (!ret[0]) /* OCI does not ask for it */
		snprintf(ret, 128, "%s",
			 json_object_get(root, "manifests") ? "application/vnd.oci.image.index.v1+json"
			 : json_object_get(root, "layers")  ? OCI_MANIFEST
							    : "");
	if (!oci_is_index(ret) && !oci_is_manifest(ret))
		return err_set(e, 0, "json", "neither the manifest nor the index of an image (%.80s)",
			       ret[0] ? ret : "no mediaType");
	return 0;
}

int oci_layout_parse(const char *json, size_t len, struct err *e)
{
	AUTO_JSON *root = object_load("oci-layout", json, len, e);
	char version[32];

	if (!root || member_text(root, "imageLayoutVersion", version, sizeof version, e) < 0)
		return -EINVAL;
	if (!str_starts(version, "1."))
		return err_set(e, 0, "json", "oci-layout: version '%s' is not known here (1.x is)", version);
	return 0;
}

static int index_read(const json_t *root, struct oci_descriptor **ret, unsigned *ret_n, struct err *e)
{
	char type[128];
	AUTO_FREE struct oci_descriptor *list = NULL;
	json_t *manifests;
	size_t n;
	int r;

	if ((r = schema_check(root, e)) < 0 || (r = member_text(root, "mediaType", type, sizeof type, e)) < 0 ||
	    (r = one_kind_check(root, e)) < 0 || (r = member(root, "manifests", JSON_ARRAY, &manifests, e)) < 0)
		return r;
	if (type[0] && !oci_is_index(type))
		return err_set(e, 0, "json", "'%s' is not an index", type);
	n = json_array_size(manifests);
	if (!n)
		return err_set(e, 0, "json", "names no manifest");
	if (n > OCI_INDEX_MAX)
		return err_set(e, 0, "json", "%zu manifests; at most %d are taken", n, OCI_INDEX_MAX);
	list = calloc(n, sizeof *list);
	if (!list)
		return err_set(e, ENOMEM, "json", "manifests");
	for (size_t i = 0; i < n; i++) {
		r = descriptor_parse(json_array_get(manifests, i), &list[i], e);
		if (r < 0)
			return err_wrap(e, "manifest %zu", i);
	}
	*ret = take_ptr(list);
	*ret_n = (unsigned)n;
	return 0;
}

int oci_index_parse(const char *json, size_t len, struct oci_descriptor **ret, unsigned *ret_n, struct err *e)
{
	AUTO_JSON *root = object_load("index", json, len, e);

	if (!root)
		return -EINVAL;
	return index_read(root, ret, ret_n, e) < 0 ? err_wrap(e, "index") : 0;
}

/* ---------------------------------------------------------------- manifest */

static int manifest_read(const json_t *root, struct oci_manifest *m, struct err *e)
{
	char type[128];
	json_t *config, *layers;
	size_t n;
	int r;

	if ((r = schema_check(root, e)) < 0 || (r = member_text(root, "mediaType", type, sizeof type, e)) < 0 ||
	    (r = one_kind_check(root, e)) < 0 || (r = member(root, "config", JSON_OBJECT, &config, e)) < 0 ||
	    (r = member(root, "layers", JSON_ARRAY, &layers, e)) < 0)
		return r;
	if (type[0] && !oci_is_manifest(type))
		return err_set(e, 0, "json", "'%s' is not the manifest of an image", type);
	if (!config || !layers)
		return err_set(e, 0, "json", "%s is missing", config ? "'layers'" : "'config'");
	if ((r = descriptor_parse(config, &m->config, e)) < 0)
		return err_wrap(e, "config");
	n = json_array_size(layers);
	if (n > OCI_LAYERS_MAX)
		return err_set(e, 0, "json", "%zu layers; at most %d can be stacked", n, OCI_LAYERS_MAX);
	m->layer = calloc(n ? n : 1, sizeof *m->layer);
	if (!m->layer)
		return err_set(e, ENOMEM, "json", "layers");
	for (m->n_layers = 0; m->n_layers < n; m->n_layers++) {
		struct oci_descriptor *d = &m->layer[m->n_layers];

		r = descriptor_parse(json_array_get(layers, m->n_layers), d, e);
		if (r == 0 && !oci_is_layer(d->media_type))
			r = err_set(e, 0, "json", "'%s' is no kind of layer that can be unpacked", d->media_type);
		if (r < 0)
			return err_wrap(e, "layer %u", m->n_layers);
	}
	return 0;
}

int oci_manifest_parse(const char *json, size_t len, struct oci_manifest *ret, struct err *e)
{
	AUTO_JSON *root = object_load("manifest", json, len, e);
	struct oci_manifest m = {0};

	if (!root)
		return -EINVAL;
	if (manifest_read(root, &m, e) < 0) {
		oci_manifest_fini(&m);
		return err_wrap(e, "manifest");
	}
	*ret = m;
	return 0;
}

void oci_manifest_fini(struct oci_manifest *m)
{
	free(m->layer);
	*m = (struct oci_manifest){0};
}

/* ---------------------------------------------------------------- config */

static int list_check(const char *key, size_t n, struct err *e)
{
	if (n > OCI_LIST_MAX)
		return err_set(e, 0, "json", "'%s' has %zu entries; at most %d are taken", key, n, OCI_LIST_MAX);
	return 0;
}

/* An array of strings. */
static int strings_copy(const json_t *object, const char *key, char ***ret, size_t *ret_n, struct err *e)
{
	json_t *array;
	size_t n;
	int r = member(object, key, JSON_ARRAY, &array, e);

	if (r < 0 || !array)
		return r;
	n = json_array_size(array);
	if ((r = list_check(key, n, e)) < 0)
		return r;
	*ret = calloc(n ? n : 1, sizeof **ret);
	if (!*ret)
		return err_set(e, ENOMEM, "json", "%s", key);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (!text)
			return err_set(e, 0, "json", "entry %zu of '%s' is not a string", i, key);
		(*ret)[i] = strdup(text);
		if (!(*ret)[i])
			return err_set(e, ENOMEM, "json", "%s", key);
		(*ret_n)++;
	}
	return 0;
}

/* The keys of an object: how a config lists volumes and ports. */
static int keys_copy(const json_t *object, const char *key, char ***ret, size_t *ret_n, struct err *e)
{
	json_t *set, *value;
	const char *name;
	int r = member(object, key, JSON_OBJECT, &set, e);

	if (r < 0 || !set)
		return r;
	if ((r = list_check(key, json_object_size(set), e)) < 0)
		return r;
	*ret = calloc(json_object_size(set) + 1, sizeof **ret);
	if (!*ret)
		return err_set(e, ENOMEM, "json", "%s", key);
	json_object_foreach(set, name, value)
	{
		(*ret)[*ret_n] = strdup(name);
		if (!(*ret)[*ret_n])
			return err_set(e, ENOMEM, "json", "%s", key);
		(*ret_n)++;
	}
	return 0;
}

static int labels_copy(const json_t *object, Berth__ImageConfig *config, struct err *e)
{
	json_t *labels, *value;
	const char *key;
	int r = member(object, "Labels", JSON_OBJECT, &labels, e);

	if (r < 0 || !labels)
		return r;
	if ((r = list_check("Labels", json_object_size(labels), e)) < 0)
		return r;
	config->labels = calloc(json_object_size(labels) + 1, sizeof *config->labels);
	if (!config->labels)
		return err_set(e, ENOMEM, "json", "Labels");
	json_object_foreach(labels, key, value)
	{
		Berth__KeyValue *kv;

		if (!json_is_string(value))
			return err_set(e, 0, "json", "label '%s' is not a string", key);
		kv = malloc(sizeof *kv);
		if (!kv)
			return err_set(e, ENOMEM, "json", "Labels");
		berth__key_value__init(kv);
		config->labels[config->n_labels++] = kv;
		kv->key = strdup(key);
		kv->value = strdup(json_string_value(value));
		if (!kv->key || !kv->value)
			return err_set(e, ENOMEM, "json", "Labels");
	}
	return 0;
}

static int env_check(const Berth__ImageConfig *config, struct err *e)
{
	for (size_t i = 0; i < config->n_env; i++)
		if (config->env[i][0] == '=' || !strchr(config->env[i], '='))
			return err_set(e, 0, "json", "Env '%.100s' is not NAME=VALUE", config->env[i]);
	return 0;
}

static int number_copy(const json_t *object, const char *key, protobuf_c_boolean *has, uint64_t *ret, struct err *e)
{
	json_t *value;
	int r = member(object, key, JSON_INTEGER, &value, e);

	if (r < 0 || !value)
		return r;
	if (json_integer_value(value) < 0)
		return err_set(e, 0, "json", "'%s' is negative", key);
	*has = true;
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

/* Docker's: the image spec does not know it. */
static int healthcheck_read(const json_t *run, Berth__ImageConfig *config, struct err *e)
{
	Berth__ImageHealthcheck *h;
	json_t *json;
	int r = member(run, "Healthcheck", JSON_OBJECT, &json, e);

	if (r < 0 || !json)
		return r;
	h = malloc(sizeof *h);
	if (!h)
		return err_set(e, ENOMEM, "json", "Healthcheck");
	berth__image_healthcheck__init(h);
	config->healthcheck = h;
	if ((r = strings_copy(json, "Test", &h->test, &h->n_test, e)) < 0 ||
	    (r = number_copy(json, "Interval", &h->has_interval_ns, &h->interval_ns, e)) < 0 ||
	    (r = number_copy(json, "Timeout", &h->has_timeout_ns, &h->timeout_ns, e)) < 0 ||
	    (r = number_copy(json, "StartPeriod", &h->has_start_period_ns, &h->start_period_ns, e)) < 0)
		return err_wrap(e, "Healthcheck");
	r = number_copy(json, "Retries", &h->has_retries, &h->retries, e);
	return r < 0 ? err_wrap(e, "Healthcheck") : 0;
}

static int run_config_read(const json_t *root, Berth__ImageConfig *config, struct err *e)
{
	json_t *run;
	int r = member(root, "config", JSON_OBJECT, &run, e);

	if (r < 0 || !run)
		return r;
	if ((r = strings_copy(run, "Entrypoint", &config->entrypoint, &config->n_entrypoint, e)) < 0 ||
	    (r = strings_copy(run, "Cmd", &config->command, &config->n_command, e)) < 0 ||
	    (r = strings_copy(run, "Env", &config->env, &config->n_env, e)) < 0 ||
	    (r = strings_copy(run, "OnBuild", &config->on_build, &config->n_on_build, e)) < 0 ||
	    (r = keys_copy(run, "Volumes", &config->volumes, &config->n_volumes, e)) < 0 ||
	    (r = keys_copy(run, "ExposedPorts", &config->exposed_ports, &config->n_exposed_ports, e)) < 0 ||
	    (r = labels_copy(run, config, e)) < 0 || (r = env_check(config, e)) < 0 ||
	    (r = healthcheck_read(run, config, e)) < 0)
		return r;
	config->workdir = member_copy(run, "WorkingDir", e, &r);
	config->user = member_copy(run, "User", e, &r);
	config->stop_signal = member_copy(run, "StopSignal", e, &r);
	return r;
}

static int diff_ids_read(const json_t *root, struct oci_image *image, struct err *e)
{
	json_t *rootfs, *list;
	char type[32];
	size_t n;
	int r;

	if ((r = member(root, "rootfs", JSON_OBJECT, &rootfs, e)) < 0)
		return r;
	if (!rootfs)
		return err_set(e, 0, "json", "'rootfs' is missing: not the config of an image");
	if ((r = member_text(rootfs, "type", type, sizeof type, e)) < 0 ||
	    (r = member(rootfs, "diff_ids", JSON_ARRAY, &list, e)) < 0)
		return r;
	if (strcmp(type, "layers"))
		return err_set(e, 0, "json", "rootfs of type '%s' is not known here", type);
	n = json_array_size(list);
	if (n > OCI_LAYERS_MAX)
		return err_set(e, 0, "json", "%zu layers; at most %d can be stacked", n, OCI_LAYERS_MAX);
	image->diff_id = calloc(n ? n : 1, sizeof *image->diff_id);
	if (!image->diff_id)
		return err_set(e, ENOMEM, "json", "diff_ids");
	for (size_t i = 0; i < n; i++) {
		const char *id = json_string_value(json_array_get(list, i));

		if (!id || !oci_digest_is_valid(id))
			return err_set(e, 0, "json", "diff id %zu is not a sha256 digest", i);
		memcpy(image->diff_id[i], id, DIGEST_SIZE);
		image->n_diff_ids++;
	}
	return 0;
}

/* RFC 3339 or nothing. Builders that have no time write year 1, which nanoseconds since 1970 cannot hold: not known, 0. */
static int created_read(const json_t *root, int64_t *ret, struct err *e)
{
	char text[64];
	int r = member_text(root, "created", text, sizeof text, e);

	*ret = 0;
	if (r < 0)
		return r;
	if (strlen(text) >= 20 && text[4] == '-' && text[10] == 'T' && str_to_time(text, 0, ret) < 0)
		*ret = 0;
	return 0;
}

static int image_read(const json_t *root, struct oci_image *image, struct err *e)
{
	int r;

	image->config = malloc(sizeof *image->config);
	if (!image->config)
		return err_set(e, ENOMEM, "json", "config");
	berth__image_config__init(image->config);
	if ((r = run_config_read(root, image->config, e)) < 0 || (r = diff_ids_read(root, image, e)) < 0 ||
	    (r = created_read(root, &image->created_at, e)) < 0)
		return r;
	image->config->architecture = member_copy(root, "architecture", e, &r);
	image->config->os = member_copy(root, "os", e, &r);
	if (r == 0 && berth__image_config__get_packed_size(image->config) > OCI_CONFIG_TEXT_MAX)
		r = err_set(e, 0, "json", "Labels, Env, Cmd and the like have more than %u bytes", OCI_CONFIG_TEXT_MAX);
	return r;
}

int oci_image_parse(const char *json, size_t len, struct oci_image *ret, struct err *e)
{
	AUTO_JSON *root = object_load("config", json, len, e);
	struct oci_image image = {0};

	if (!root)
		return -EINVAL;
	if (image_read(root, &image, e) < 0) {
		oci_image_fini(&image);
		return err_wrap(e, "config");
	}
	*ret = image;
	return 0;
}

void oci_image_fini(struct oci_image *i)
{
	if (i->config)
		berth__image_config__free_unpacked(i->config, NULL);
	free(i->diff_id);
	*i = (struct oci_image){0};
}

/* ---------------------------------------------------------------- history */

static int history_entry_read(const json_t *from, Berth__HistoryEntry *entry, struct err *e)
{
	json_t *empty = json_is_object(from) ? json_object_get(from, "empty_layer") : NULL;
	int r;

	if (!json_is_object(from) || (empty && !json_is_boolean(empty) && !json_is_null(empty)))
		return err_set(e, 0, "json", "an entry of 'history' has the wrong type");
	if ((r = created_read(from, &entry->created_at, e)) < 0)
		return r;
	entry->has_created_at = entry->created_at != 0;
	entry->has_empty_layer = entry->empty_layer = json_is_true(empty);
	entry->created_by = member_copy(from, "created_by", e, &r);
	entry->author = member_copy(from, "author", e, &r);
	entry->comment = member_copy(from, "comment", e, &r);
	return r;
}

int oci_history_parse(const char *json, size_t len, Berth__HistoryEntry ***ret, size_t *ret_n, struct err *e)
{
	AUTO_JSON *root = object_load("config", json, len, e);
	Berth__HistoryEntry **list;
	json_t *history;
	size_t n = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	if (!root)
		return -EINVAL;
	if ((r = member(root, "history", JSON_ARRAY, &history, e)) < 0 ||
	    (r = list_check("history", history ? json_array_size(history) : 0, e)) < 0)
		return err_wrap(e, "config");
	list = calloc(json_array_size(history) + 1, sizeof(Berth__HistoryEntry *));
	if (!list)
		return err_set(e, ENOMEM, "json", "history");
	for (size_t i = 0; r == 0 && i < json_array_size(history); i++) {
		list[n] = malloc(sizeof *list[n]);
		if (!list[n]) {
			r = err_set(e, ENOMEM, "json", "history");
			break;
		}
		berth__history_entry__init(list[n++]);
		r = history_entry_read(json_array_get(history, i), list[n - 1], e);
	}
	if (r < 0) {
		oci_history_free(list, n);
		return err_wrap(e, "config");
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

void oci_history_free(Berth__HistoryEntry **list, size_t n)
{
	for (size_t i = 0; list && i < n; i++)
		berth__history_entry__free_unpacked(list[i], NULL);
	free(list);
}

/* What Docker calls a layer has a name of OCI's too. */
static const char *oci_layer_type(const char *media_type)
{
	static const char *const types[][2] = {
		{"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", "application/vnd.oci.image.layer.v1.tar+zstd"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(media_type, types[i][0]))
			return types[i][1];
	return media_type;
}

int oci_manifest_make(const struct oci_manifest *m, struct buf *json)
{
	buf_printf(json,
		   "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\",\"config\":{\"mediaType\":"
		   "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%llu},\"layers\":[",
		   m->config.digest, (unsigned long long)m->config.size);
	for (unsigned i = 0; i < m->n_layers; i++)
		buf_printf(json, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", i ? "," : "",
			   oci_layer_type(m->layer[i].media_type), m->layer[i].digest,
			   (unsigned long long)m->layer[i].size);
	buf_adds(json, "]}");
	return json->failed ? -ENOMEM : 0;
}

/* ---------------------------------------------------------------- docker-archive */

static int docker_read(const json_t *entry, struct oci_docker *d, struct err *e)
{
	size_t n_layers = 0, n_names = 0;
	int r;

	if (!json_is_object(entry))
		return err_set(e, 0, "json", "not an object");
	r = 0;
	d->config = member_copy(entry, "Config", e, &r);
	if (r < 0)
		return r;
	if (!d->config)
		return err_set(e, 0, "json", "'Config' is missing");
	r = strings_copy(entry, "Layers", &d->layer, &n_layers, e);
	d->n_layers = (unsigned)n_layers;
	if (r < 0)
		return r;
	r = strings_copy(entry, "RepoTags", &d->name, &n_names, e);
	d->n_names = (unsigned)n_names;
	if (r == 0 && n_names > REFERENCES_MAX)
		r = err_set(e, 0, "json", "%zu names; at most %d are taken", n_names, REFERENCES_MAX);
	if (r == 0 && n_layers > OCI_LAYERS_MAX)
		r = err_set(e, 0, "json", "%zu layers; at most %d can be stacked", n_layers, OCI_LAYERS_MAX);
	return r;
}

int oci_docker_parse(const char *json, size_t len, struct oci_docker **ret, unsigned *ret_n, struct err *e)
{
	AUTO_JSON *root = document_load("manifest.json", json, len, e);
	struct oci_docker *list;
	size_t n;

	if (!root)
		return -EINVAL;
	if (json_is_object(root) && json_object_get(root, "layers"))
		return err_set(
			e, 0, "json",
			"manifest.json: a manifest as in dir: of skopeo: copy the image to oci: or docker-archive:");
	n = json_array_size(root); /* 0 of anything but an array */
	if (!n || n > OCI_INDEX_MAX)
		return err_set(e, 0, "json", "manifest.json: %s", n ? "too many images" : "not a list of images");
	list = calloc(n, sizeof *list);
	if (!list)
		return err_set(e, ENOMEM, "json", "manifest.json");
	for (size_t i = 0; i < n; i++) {
		if (docker_read(json_array_get(root, i), &list[i], e) < 0) {
			oci_docker_free(list, (unsigned)n);
			return err_wrap(e, "manifest.json: image %zu", i);
		}
	}
	*ret = list;
	*ret_n = (unsigned)n;
	return 0;
}

void oci_docker_free(struct oci_docker *list, unsigned n)
{
	for (unsigned i = 0; list && i < n; i++) {
		free(list[i].config);
		for (unsigned l = 0; l < list[i].n_layers; l++)
			free(list[i].layer[l]);
		for (unsigned t = 0; t < list[i].n_names; t++)
			free(list[i].name[t]);
		free(list[i].layer);
		free(list[i].name);
	}
	free(list);
}

/* ---------------------------------------------------------------- chain ids, platforms */

void oci_chain_id(const char *parent_chain, const char *diff_id, char ret[DIGEST_SIZE])
{
	char text[2 * DIGEST_SIZE + 2];

	if (!parent_chain) {
		snprintf(ret, DIGEST_SIZE, "%s", diff_id);
		return;
	}
	snprintf(text, sizeof text, "%s %s", parent_chain, diff_id);
	digest_of(text, strlen(text), ret);
}

void oci_host_platform(char architecture[32], char variant[32])
{
	static const struct {
		const char *machine, *architecture, *variant;
	} rows[] = {
		{"x86_64", "amd64", ""},    {"aarch64", "arm64", "v8"},
		{"armv7l", "arm", "v7"},    {"armv6l", "arm", "v6"},
		{"i686", "386", ""},	    {"i586", "386", ""},
		{"ppc64le", "ppc64le", ""}, {"loongarch64", "loong64", ""},
	};
	struct utsname name;

	uname(&name);
	snprintf(architecture, 32, "%.31s", name.machine);
	variant[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!strcmp(name.machine, rows[i].machine)) {
			snprintf(architecture, 32, "%s", rows[i].architecture);
			snprintf(variant, 32, "%s", rows[i].variant);
		}
	}
}

/* 0 = cannot run here. */
static unsigned platform_rank(const struct oci_descriptor *d, const char *architecture, const char *variant)
{
	if (!d->os[0] && !d->architecture[0])
		return 1;
	if (strcmp(d->os, "linux") || strcmp(d->architecture, architecture))
		return 0;
	if (!strcmp(d->variant, variant))
		return 4;
	if (!d->variant[0])
		return 3;
	/* The baseline of amd64 may be written down; later levels may need instructions that this processor lacks. */
	if (!strcmp(architecture, "amd64"))
		return strcmp(d->variant, "v1") ? 0 : 3;
	/* 32-bit arm: v5, v6 and v7 processors run what is older than they are. */
	if (!strcmp(architecture, "arm") && d->variant[0] == 'v' && d->variant[1] >= '5' &&
	    d->variant[1] < variant[1] && !d->variant[2])
		return 2;
	return 0;
}

int oci_platform_pick(const struct oci_descriptor *d, unsigned n, const char *architecture, const char *variant)
{
	unsigned best = 0;
	int pick = -1;

	for (unsigned i = 0; i < n; i++) {
		unsigned rank = platform_rank(&d[i], architecture, variant);

		if (rank > best) {
			best = rank;
			pick = (int)i;
		}
	}
	return pick;
}

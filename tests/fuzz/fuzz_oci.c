/* tests/fuzz/fuzz_oci.c - any bytes as the JSON of an image; the first byte chooses which. What is taken keeps to the limits. */
#include "image/oci.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void descriptor(const struct oci_descriptor *d)
{
	require(oci_digest_is_valid(d->digest));
	require(str_is_utf8(d->name, strlen(d->name)) && str_is_utf8(d->media_type, strlen(d->media_type)));
}

static void index_try(const char *json, size_t len, struct err *e)
{
	struct oci_descriptor *list;
	unsigned n;

	if (oci_index_parse(json, len, &list, &n, e) < 0)
		return;
	require(n >= 1 && n <= OCI_INDEX_MAX && oci_platform_pick(list, n, "amd64", "") < (int)n);
	for (unsigned i = 0; i < n; i++)
		descriptor(&list[i]);
	free(list);
}

static void manifest_try(const char *json, size_t len, struct err *e)
{
	struct oci_manifest m;
	char type[128];

	if (oci_document_type(json, len, type, e) == 0)
		require(oci_is_index(type) || oci_is_manifest(type));
	if (oci_manifest_parse(json, len, &m, e) < 0)
		return;
	require(m.n_layers <= OCI_LAYERS_MAX);
	descriptor(&m.config);
	for (unsigned i = 0; i < m.n_layers; i++) {
		descriptor(&m.layer[i]);
		require(oci_is_layer(m.layer[i].media_type));
	}
	oci_manifest_fini(&m);
}

static void config_try(const char *json, size_t len, struct err *e)
{
	char chain[DIGEST_SIZE];
	Berth__HistoryEntry **history;
	struct oci_image i;
	size_t n;

	if (oci_history_parse(json, len, &history, &n, e) == 0)
		oci_history_free(history, n);
	if (oci_image_parse(json, len, &i, e) < 0)
		return;
	for (unsigned k = 0; k < i.n_diff_ids; k++) {
		oci_chain_id(k ? chain : NULL, i.diff_id[k], chain);
		require(oci_digest_is_valid(chain));
	}
	for (size_t k = 0; k < i.config->n_env; k++)
		require(strchr(i.config->env[k], '=') > i.config->env[k]);
	free(malloc(berth__image_config__get_packed_size(i.config)));
	oci_image_fini(&i);
}

static void docker_try(const char *json, size_t len, struct err *e)
{
	struct oci_docker *list;
	unsigned n;

	if (oci_docker_parse(json, len, &list, &n, e) < 0)
		return;
	for (unsigned i = 0; i < n; i++)
		require(list[i].config && list[i].n_layers <= OCI_LAYERS_MAX);
	oci_docker_free(list, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const tries[])(const char *, size_t, struct err *) = {index_try, manifest_try, config_try,
									    docker_try};
	struct err e = {0};

	if (len)
		tries[data[0] % 4]((const char *)data + 1, len - 1, &e);
	return 0;
}

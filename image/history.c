/* image/history.c - see image/history.h */
#include "image/history.h"

#include "base/own.h"
#include "image/blob.h"
#include "image/layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int entry_layer_set(Berth__HistoryEntry *entry, const struct oci_manifest *m, const struct oci_image *config,
			   unsigned i, const char *chain, uint64_t bytes, struct err *e)
{
	entry->layer = strdup(chain);
	entry->diff_id = strdup(config->diff_id[i]);
	entry->digest = strdup(m->layer[i].digest);
	entry->has_size_bytes = entry->has_blob_bytes = true;
	entry->size_bytes = bytes;
	entry->blob_bytes = m->layer[i].size;
	return entry->layer && entry->diff_id && entry->digest ? 0 : err_set(e, ENOMEM, "history", "entry");
}

static void entries_turn(Berth__HistoryEntry **list, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		Berth__HistoryEntry *x = list[i];

		list[i] = list[n - 1 - i];
		list[n - 1 - i] = x;
	}
}

/* Layers that no step tells of are the lowest: who builds upon an image without a history tells of his own steps alone. There is room. */
static int base_fill(Berth__HistoryReply *reply, unsigned n_layers, struct err *e)
{
	size_t told = 0;

	for (size_t i = 0; i < reply->n_entries; i++)
		told += !reply->entries[i]->empty_layer;
	for (; told < n_layers; told++) {
		Berth__HistoryEntry *entry = malloc(sizeof *entry);

		if (!entry)
			return err_set(e, ENOMEM, "history", "entry");
		berth__history_entry__init(entry);
		memmove(reply->entries + 1, reply->entries, reply->n_entries++ * sizeof(Berth__HistoryEntry *));
		reply->entries[0] = entry;
	}
	return 0;
}

int history_join(Berth__HistoryEntry **entries, size_t n, const struct oci_manifest *m, const struct oci_image *config,
		 const uint64_t *bytes, Berth__HistoryReply **ret, struct err *e)
{
	Berth__HistoryReply *reply = malloc(sizeof *reply);
	char chain[DIGEST_SIZE], parent[DIGEST_SIZE];
	size_t at = 0;
	int r = reply ? 0 : err_set(e, ENOMEM, "history", "answer");

	if (!reply) {
		oci_history_free(entries, n);
		return r;
	}
	berth__history_reply__init(reply);
	reply->entries = realloc(entries, (n + m->n_layers + 1) * sizeof *entries);
	if (!reply->entries) {
		oci_history_free(entries, n);
		free(reply);
		return err_set(e, ENOMEM, "history", "answer");
	}
	reply->n_entries = n;
	r = base_fill(reply, m->n_layers, e);
	for (unsigned i = 0; r == 0 && i < m->n_layers; i++, at++) {
		while (reply->entries[at]->empty_layer)
			at++;
		oci_chain_id(i ? parent : NULL, config->diff_id[i], chain);
		memcpy(parent, chain, sizeof parent);
		r = entry_layer_set(reply->entries[at], m, config, i, chain, bytes[i], e);
	}
	if (r < 0) {
		berth__history_reply__free_unpacked(reply, NULL);
		return r;
	}
	entries_turn(reply->entries, reply->n_entries);
	*ret = reply;
	return 0;
}

/* A layer that is not there weighs nothing: `verify` is who complains of it. */
static int layers_weigh(struct image_store *s, const struct oci_image *config, uint64_t *bytes, struct err *e)
{
	char chain[DIGEST_SIZE], parent[DIGEST_SIZE];

	for (unsigned i = 0; i < config->n_diff_ids; i++) {
		uint64_t blocks;
		AUTO_FD fd = -1;
		int r;

		oci_chain_id(i ? parent : NULL, config->diff_id[i], chain);
		memcpy(parent, chain, sizeof parent);
		bytes[i] = 0;
		fd = layer_look(s, chain);
		r = fd < 0 ? 0 : layer_size(fd, &bytes[i], &blocks);
		if (r < 0)
			return err_set(e, r, "history", "size of layer %u", i + 1);
	}
	return 0;
}

int image_history(struct image_store *s, const Berth__Image *image, Berth__HistoryReply **ret, struct err *e)
{
	struct oci_manifest m = {0};
	struct oci_image config = {0};
	AUTO_FREE char *manifest_json = NULL, *config_json = NULL;
	AUTO_FREE uint64_t *bytes = NULL;
	Berth__HistoryEntry **entries;
	size_t len, n;
	int r;

	if ((r = blob_read(s, image->manifest_digest, &manifest_json, &len, e)) < 0 ||
	    (r = oci_manifest_parse(manifest_json, len, &m, e)) < 0)
		return r;
	r = blob_read(s, m.config.digest, &config_json, &len, e);
	if (r == 0)
		r = oci_image_parse(config_json, len, &config, e);
	if (r == 0 && config.n_diff_ids != m.n_layers)
		r = err_set(e, 0, "history", "the manifest has %u layers, the config %u", m.n_layers,
			    config.n_diff_ids);
	if (r == 0) {
		bytes = calloc(m.n_layers + 1, sizeof *bytes);
		r = bytes ? layers_weigh(s, &config, bytes, e) : err_set(e, ENOMEM, "history", "layers");
	}
	if (r == 0)
		r = oci_history_parse(config_json, len, &entries, &n, e);
	if (r == 0)
		r = history_join(entries, n, &m, &config, bytes, ret, e);
	oci_manifest_fini(&m);
	oci_image_fini(&config);
	return r;
}

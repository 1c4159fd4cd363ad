/* image/oci.h - the JSON of an image (index, manifest, config) read into our own structs. Foreign bytes: every limit is here. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCI_LAYERS_MAX	    127
#define OCI_JSON_MAX	    (4u << 20)
#define OCI_CONFIG_TEXT_MAX (256u << 10) /* of a config, what each container made from it carries along */
#define OCI_INDEX_MAX	    1024	 /* entries */
#define OCI_LIST_MAX	    8192	 /* strings in one list of a config */
#define OCI_JSON_VALUES	    200000	 /* each takes some 100 bytes of memory or more */
#define OCI_JSON_DEPTH	    32
#define OCI_MANIFEST	    "application/vnd.oci.image.manifest.v1+json"
#define DIGEST_SIZE	    72 /* "sha256:" + 64 hex digits + NUL */

struct oci_descriptor {
	char media_type[128];
	char digest[DIGEST_SIZE];
	uint64_t size;
	char name[256]; /* annotation org.opencontainers.image.ref.name, "" */
	char os[32], architecture[32], variant[32];
	bool elsewhere; /* it has `urls`: to be fetched from others than the registry */
};

struct oci_manifest {
	struct oci_descriptor config;
	struct oci_descriptor *layer; /* owned */
	unsigned n_layers;
};

struct oci_image {		      /* the config */
	Berth__ImageConfig *config;   /* owned */
	char (*diff_id)[DIGEST_SIZE]; /* owned, lowest first */
	unsigned n_diff_ids;
	int64_t created_at;
};

struct oci_docker {   /* one image of a docker-archive's manifest.json */
	char *config; /* owned: paths in the archive */
	char **layer; /* owned, lowest first */
	unsigned n_layers;
	char **name; /* owned */
	unsigned n_names;
};

bool oci_digest_is_valid(const char *digest); /* sha256 alone: nothing else is in use */
bool oci_is_index(const char *media_type);
bool oci_is_manifest(const char *media_type);
bool oci_is_foreign(const char *media_type); /* a layer that may not be pushed: registries need not have it */
bool oci_is_layer(const char *media_type);   /* a tar, compressed or not */

/* What a document of a registry is by its own words (mediaType, else what it holds): an index's or a manifest's media type. */
int oci_document_type(const char *json, size_t len, char ret[128], struct err *e);
int oci_layout_parse(const char *json, size_t len, struct err *e); /* the file oci-layout: a version we know */
int oci_index_parse(const char *json, size_t len, struct oci_descriptor **ret, unsigned *ret_n, struct err *e);
int oci_manifest_parse(const char *json, size_t len, struct oci_manifest *ret, struct err *e);
int oci_image_parse(const char *json, size_t len, struct oci_image *ret, struct err *e);
/* The config's history, oldest first, of empty_layer and the words alone. None is no error. */
int oci_history_parse(const char *json, size_t len, Berth__HistoryEntry ***ret, size_t *ret_n, struct err *e);
void oci_history_free(Berth__HistoryEntry **list, size_t n);
/* An OCI manifest that names the same blobs, whatever it was that named them before. -ENOMEM. */
struct buf;
int oci_manifest_make(const struct oci_manifest *m, struct buf *json);
int oci_docker_parse(const char *json, size_t len, struct oci_docker **ret, unsigned *ret_n, struct err *e);
void oci_docker_free(struct oci_docker *list, unsigned n);
void oci_manifest_fini(struct oci_manifest *m);
void oci_image_fini(struct oci_image *i);
/* chain id of layers 0..n-1 (image spec): n = 1 the diff id itself, then sha256("<chain> <diff>"). */
void oci_chain_id(const char *parent_chain, const char *diff_id,
		  char ret[DIGEST_SIZE]); /* parent_chain NULL: the lowest */
/* What `uname -m` is called in images: "amd64", "arm64" …, and the variant that a descriptor may name ("" when none). */
void oci_host_platform(char architecture[32], char variant[32]);
/* Of n descriptors the best for that platform, or -1. One without a platform fits any, but worse than one that says so. */
int oci_platform_pick(const struct oci_descriptor *d, unsigned n, const char *architecture, const char *variant);

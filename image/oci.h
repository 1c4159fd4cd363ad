/* image/oci.h - the JSON of an image (index, manifest, config) read into our own structs. Foreign bytes: every limit is here. */
#pragma once

#include "base/err.h"
#include "proto/berth.pb-c.h"

#include <stddef.h>
#include <stdint.h>

#define OCI_LAYERS_MAX 127
#define OCI_JSON_MAX   (4u << 20)
#define DIGEST_SIZE    72	/* "sha256:" + 64 hex digits + NUL */

struct oci_descriptor {
	char media_type[128];
	char digest[DIGEST_SIZE];
	uint64_t size;
	char name[256];		/* annotation org.opencontainers.image.ref.name, "" */
	char os[32], architecture[32], variant[32];
};

struct oci_manifest {
	struct oci_descriptor config;
	struct oci_descriptor *layer;	/* owned */
	unsigned n_layers;
};

struct oci_image {			/* the config */
	Berth__ImageConfig *config;	/* owned */
	char (*diff_id)[DIGEST_SIZE];	/* owned, lowest first */
	unsigned n_diff_ids;
	int64_t created_at;
};

int oci_index_parse(const char *json, size_t len, struct oci_descriptor **ret, unsigned *ret_n, struct err *e);
int oci_manifest_parse(const char *json, size_t len, struct oci_manifest *ret, struct err *e);
int oci_image_parse(const char *json, size_t len, struct oci_image *ret, struct err *e);
void oci_manifest_fini(struct oci_manifest *m);
void oci_image_fini(struct oci_image *i);
/* chain id of layers 0..n-1 (image spec): n = 1 the diff id itself, then sha256("<chain> <diff>"). */
void oci_chain_id(const char *parent_chain, const char *diff_id, char ret[DIGEST_SIZE]);

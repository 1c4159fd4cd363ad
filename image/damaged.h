/* image/damaged.h - damaged/blob-<hex>, damaged/layer-<chain hex>: what a verify has found not to be what its digest says.
 *
 * It stays where it is, for what runs on it, but no pull and no import takes it for what it should be: they bring it anew, which takes
 * its place and the mark away. So does a verify that finds it sound. What looked at it less closely (its size; all of a small blob) needs
 * no mark. A layer that was replaced lies in damaged/old-<chain hex>.<n> as long as a container has it, whose overlay it may be in. */
#pragma once

#include "image/store.h"

#include <stdbool.h>

enum damaged_kind { DAMAGED_BLOB, DAMAGED_LAYER };

/* digest: of the blob, or chain id. */
int damaged_note(struct image_store *s, enum damaged_kind kind, const char *digest, struct err *e);
void damaged_forget(struct image_store *s, enum damaged_kind kind, const char *digest);
bool damaged_is(struct image_store *s, enum damaged_kind kind, const char *digest);
/* The folder at path, on the disk, becomes the layer in place of the one that is marked; the mark is the caller's to take away, when `layers`
 * is on the disk too. Where the old one went is for damaged_sweep to know. */
int damaged_replace(struct image_store *s, const char *path, const char *chain_id, struct err *e);
/* Marks of what is not there any more, and replaced layers that are not used. */
int damaged_sweep(struct image_store *s, bool (*used)(void *arg, const char *chain_hex), void *arg, struct err *e);

/* image/history.h - how an image was made, by its config, with what each step weighs. */
#pragma once

#include "image/oci.h"
#include "image/store.h"

/* The caller frees it (berth__history_reply__free_unpacked). */
int image_history(struct image_store *s, const Berth__Image *image, Berth__HistoryReply **ret, struct err *e);
/* The layers of m laid over the entries that are not empty, in order. A layer without a step of its own gets one: configs need not tell
 * the truth. bytes: of each layer, unpacked. Takes entries (n of them, oldest first), also on failure. */
int history_join(Berth__HistoryEntry **entries, size_t n, const struct oci_manifest *m, const struct oci_image *config,
		 const uint64_t *bytes, Berth__HistoryReply **ret, struct err *e);

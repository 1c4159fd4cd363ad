/* ctl/json_path.h - one value out of JSON text that proto/json.c wrote (it is well formed and compact: not for foreign text). */
#pragma once

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* path: ".a.b[0]", ".labels[\"k\"]", "." for all. Appends the value: a string's content (raw: as JSON), "" for null and for what
 * is absent. False when there is nothing there. */
bool json_path(const char *json, const char *path, bool raw, struct buf *out);

/* Whether the type can have such a path; if not, *ret_len is the length of its good beginning and *ret_in the type there. */
bool json_path_check(const ProtobufCMessageDescriptor *type, const char *path, size_t *ret_len,
		     const ProtobufCMessageDescriptor **ret_in);

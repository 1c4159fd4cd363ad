/* ctl/field.h - fields of protobuf messages by name, through their descriptors: how flags become requests and how
 * `--format {{.status.pid}}` becomes text. All memory as protobuf-c's free_unpacked expects it (malloc). */
#pragma once

#include "base/err.h"
#include "ctl/mem.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/* "resources.memory_bytes" = "512m": missing messages on the way are made; repeated fields get one more element. The text
 * is read as the field's type and unit say: *_bytes as a size, *_ms and *_s as a number. Negative errno with e->text. */
int field_set(ProtobufCMessage *m, const char *path, const char *value, struct err *e);

/* Appends an empty message to a repeated field, or makes the message of an optional one if it is missing. */
ProtobufCMessage *field_add(ProtobufCMessage *m, const char *path);
/* How many elements a repeated field has. */
size_t field_count(const ProtobufCMessage *m, const char *path);

/* An empty message of the type on the heap. protobuf_c_message_free_unpacked(m, NULL). */
ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *type);

/* proto/json.h - a message as JSON text, by reflection, so that a field has one name everywhere.
 *
 * Rules: field names as in the .proto; what is absent is left out, an empty list is []; `at` and `*_at` are RFC 3339 or null when 0;
 * enums lower case without their prefix; bytes are base64; 64-bit integers are numbers; a list of KeyValue is an object (of
 * equal keys the last one counts). Text that is not UTF-8 is shown with U+FFFD in its place. */
#pragma once

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

/* `pretty` indents by two spaces. No newline at the end. Memory that runs out marks b as failed. */
void json_message(struct buf *b, const ProtobufCMessage *m, bool pretty);
void json_messages(struct buf *b, const ProtobufCMessage *const *list, size_t n, bool pretty); /* an array */

void json_quote(struct buf *b, const char *s); /* quoted and escaped; NULL is null */
void json_quote_bytes(struct buf *b, const char *s, size_t len);
/* The printed name of a value: "running"; NULL when it has none. The text is kept in buf. */
const char *json_enum_name(const ProtobufCEnumDescriptor *d, int value, char *buf, size_t size);

/* proto/json.c - see proto/json.h
 *
 * One walk over protobuf-c's descriptors. The rules for names are those at the head of berth.proto; nothing here knows a
 * single message but KeyValue. */
#include "proto/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "proto/berth.pb-c.h"

struct writer {
	struct buf *b;
	bool pretty;
	unsigned depth;
};

static void newline(struct writer *w)
{
	if (!w->pretty)
		return;
	buf_addc(w->b, '\n');
	for (unsigned i = 0; i < w->depth; i++)
		buf_adds(w->b, "  ");
}

static void open_level(struct writer *w, char bracket)
{
	buf_addc(w->b, bracket);
	w->depth++;
}

static void next_item(struct writer *w, bool *first)
{
	if (!*first)
		buf_addc(w->b, ',');
	*first = false;
	newline(w);
}

static void close_level(struct writer *w, char bracket, bool was_empty)
{
	w->depth--;
	if (!was_empty)
		newline(w);
	buf_addc(w->b, bracket);
}

static void name(struct writer *w, const char *s)
{
	json_quote(w->b, s);
	buf_adds(w->b, w->pretty ? ": " : ":");
}

/* ---------------------------------------------------------------- values */

static void escaped(struct buf *b, unsigned char c)
{
	static const char short_form[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i + 1 < sizeof short_form; i += 2)
		if ((unsigned char)short_form[i] == c) {
			buf_addc(b, '\\');
			buf_addc(b, short_form[i + 1]);
			return;
		}
	buf_printf(b, "\\u%04x", c);
}

/* How many bytes from here stand for themselves: nearly all of nearly every text, so they are copied at once. */
static size_t plain_length(const char *s, size_t left)
{
	size_t n = 0;

	while (n < left && (signed char)s[n] >= 0x20 && s[n] != '"' && s[n] != '\\' && s[n] != 0x7f)
		n++;
	return n;
}

void json_quote(struct buf *b, const char *s)
{
	if (s)
		json_quote_bytes(b, s, strlen(s));
	else
		buf_adds(b, "null");
}

void json_quote_bytes(struct buf *b, const char *s, size_t len)
{
	buf_addc(b, '"');
	for (size_t left = len; left;) {
		size_t n = plain_length(s, left);

		if (n) {
			buf_add(b, s, n);
			s += n;
			left -= n;
			continue;
		}
		n = str_utf8_length(s, left);

		if (n == 0)
			buf_adds(b, "\xef\xbf\xbd");
		else if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7f)
			escaped(b, (unsigned char)*s);
		else
			buf_add(b, s, n);
		n = n ? n : 1;
		s += n;
		left -= n;
	}
	buf_addc(b, '"');
}

static void bytes(struct buf *b, const ProtobufCBinaryData *d)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	buf_addc(b, '"');
	for (size_t i = 0; i < d->len; i += 3) {
		size_t n = d->len - i < 3 ? d->len - i : 3;
		uint32_t v = (uint32_t)d->data[i] << 16;
		char out[4];

		if (n > 1)
			v |= (uint32_t)d->data[i + 1] << 8;
		if (n > 2)
			v |= d->data[i + 2];
		out[0] = digits[v >> 18];
		out[1] = digits[v >> 12 & 63];
		out[2] = n > 1 ? digits[v >> 6 & 63] : '=';
		out[3] = n > 2 ? digits[v & 63] : '=';
		buf_add(b, out, sizeof out);
	}
	buf_addc(b, '"');
}

/* The shortest of the usual forms that reads back as the same number. */
static void real(struct buf *b, double v, bool single)
{
	int digits = single ? 6 : 15, enough = single ? 9 : 17;
	char text[40];
	double back;

	if (!isfinite(v)) {
		buf_adds(b, "null");
		return;
	}
	do {
		snprintf(text, sizeof text, "%.*g", digits, v);
		back = single ? (double)strtof(text, NULL) : strtod(text, NULL);
	} while (digits++ < enough && back != v);
	buf_adds(b, text);
}

/* "ContainerState" and "CONTAINER_STATE_RUNNING" -> where "RUNNING" begins. */
static const char *without_prefix(const char *enum_name, const char *value)
{
	const char *v = value;

	for (const char *e = enum_name; *e; e++) {
		if (isupper((unsigned char)*e) && e != enum_name && *v++ != '_')
			return value;
		if (*v++ != (char)toupper((unsigned char)*e))
			return value;
	}
	return *v == '_' && v[1] ? v + 1 : value;
}

const char *json_enum_name(const ProtobufCEnumDescriptor *d, int value, char *buf, size_t size)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);

	if (!v)
		return NULL;
	snprintf(buf, size, "%s", without_prefix(d->short_name, v->name));
	for (char *c = buf; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return buf;
}

static void enum_value(struct buf *b, const ProtobufCEnumDescriptor *d, int value)
{
	char text[64];

	if (json_enum_name(d, value, text, sizeof text))
		json_quote(b, text);
	else /* of a newer version */
		buf_printf(b, "%d", value);
}

static bool is_time(const ProtobufCFieldDescriptor *f)
{
	size_t len = strlen(f->name);

	return f->type == PROTOBUF_C_TYPE_INT64 &&
	       (!strcmp(f->name, "at") || (len > 3 && !strcmp(f->name + len - 3, "_at")));
}

static void integer64(struct buf *b, const ProtobufCFieldDescriptor *f, int64_t v)
{
	char text[STR_TIME_SIZE];

	if (!is_time(f))
		buf_printf(b, "%" PRId64, v);
	else
		json_quote(b, v ? str_time(v, text) : NULL);
}

static void message(struct writer *w, const ProtobufCMessage *m);

static void value(struct writer *w, const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		buf_printf(w->b, "%" PRId32, *(const int32_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		buf_printf(w->b, "%" PRIu32, *(const uint32_t *)at);
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		integer64(w->b, f, *(const int64_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		buf_printf(w->b, "%" PRIu64, *(const uint64_t *)at);
		return;
	case PROTOBUF_C_TYPE_FLOAT:
		real(w->b, (double)*(const float *)at, true);
		return;
	case PROTOBUF_C_TYPE_DOUBLE:
		real(w->b, *(const double *)at, false);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		buf_adds(w->b, *(const protobuf_c_boolean *)at ? "true" : "false");
		return;
	case PROTOBUF_C_TYPE_ENUM:
		enum_value(w->b, f->descriptor, *(const int *)at);
		return;
	case PROTOBUF_C_TYPE_STRING:
		json_quote(w->b, *(const char *const *)at);
		return;
	case PROTOBUF_C_TYPE_BYTES:
		bytes(w->b, at);
		return;
	case PROTOBUF_C_TYPE_MESSAGE:
		message(w, *(const ProtobufCMessage *const *)at);
		return;
	}
}

static size_t value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

/* ---------------------------------------------------------------- lists and messages */

static bool key_comes_again(Berth__KeyValue *const *list, size_t n, size_t i)
{
	for (size_t k = i + 1; k < n; k++)
		if (!strcmp(list[k]->key ? list[k]->key : "", list[i]->key ? list[i]->key : ""))
			return true;
	return false;
}

static void key_values(struct writer *w, Berth__KeyValue *const *list, size_t n)
{
	bool first = true;

	open_level(w, '{');
	for (size_t i = 0; i < n; i++) {
		if (key_comes_again(list, n, i))
			continue;
		next_item(w, &first);
		name(w, list[i]->key ? list[i]->key : "");
		json_quote(w->b, list[i]->value ? list[i]->value : "");
	}
	close_level(w, '}', first);
}

static void repeated(struct writer *w, const ProtobufCFieldDescriptor *f, const void *list, size_t n)
{
	size_t size = value_size(f);
	bool first = true;

	if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->descriptor == &berth__key_value__descriptor) {
		key_values(w, list, n);
		return;
	}
	open_level(w, '[');
	for (size_t i = 0; i < n; i++) {
		next_item(w, &first);
		value(w, f, (const char *)list + i * size);
	}
	close_level(w, ']', first);
}

static bool is_present(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *at = (const char *)m;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(const void *)(at + f->quantifier_offset) == f->id;
	if (f->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(const void *const *)(const void *)(at + f->offset) != f->default_value;
	return *(const protobuf_c_boolean *)(const void *)(at + f->quantifier_offset);
}

static void message(struct writer *w, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	bool first = true;

	open_level(w, '{');
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const char *at = (const char *)m + f->offset;

		if (f->label != PROTOBUF_C_LABEL_REPEATED && !is_present(m, f))
			continue;
		next_item(w, &first);
		name(w, f->name);
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			repeated(w, f, *(const void *const *)(const void *)at,
				 *(const size_t *)(const void *)((const char *)m + f->quantifier_offset));
		else
			value(w, f, at);
	}
	close_level(w, '}', first);
}

void json_message(struct buf *b, const ProtobufCMessage *m, bool pretty)
{
	message(&(struct writer){.b = b, .pretty = pretty}, m);
}

void json_messages(struct buf *b, const ProtobufCMessage *const *list, size_t n, bool pretty)
{
	struct writer w = {.b = b, .pretty = pretty};
	bool first = true;

	open_level(&w, '[');
	for (size_t i = 0; i < n; i++) {
		next_item(&w, &first);
		message(&w, list[i]);
	}
	close_level(&w, ']', first);
}

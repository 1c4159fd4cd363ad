/* ctl/field.c - see ctl/field.h */
#include "ctl/field.h"

#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = mem_zero(type->sizeof_message);

	type->message_init(m);
	return m;
}

static void *member(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (char *)(uintptr_t)m + f->offset;
}

static void *quantifier(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (char *)(uintptr_t)m + f->quantifier_offset;
}

/* The last part's field and the message that has it; messages on the way are made. Paths come from our own tables: a wrong
 * one is a fault of the program. */
static ProtobufCMessage *field_walk(ProtobufCMessage *m, const char *path, bool make,
				    const ProtobufCFieldDescriptor **ret)
{
	for (;;) {
		size_t len = strcspn(path, ".");
		char name[64];

		assert(len < sizeof name);
		memcpy(name, path, len);
		name[len] = 0;
		*ret = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
		assert(*ret);
		if (!path[len])
			return m;
		assert((*ret)->type == PROTOBUF_C_TYPE_MESSAGE && (*ret)->label == PROTOBUF_C_LABEL_OPTIONAL);
		ProtobufCMessage **sub = member(m, *ret);
		if (!*sub && !make)
			return NULL;
		if (!*sub)
			*sub = message_new((*ret)->descriptor);
		m = *sub;
		path += len + 1;
	}
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

static int number_parse(const ProtobufCFieldDescriptor *f, const char *value, int64_t min, uint64_t max, uint64_t *ret,
			struct err *e)
{
	bool size = ends_with(f->name, "_bytes");
	int64_t negative;
	int r;

	if (value[0] == '-') {
		r = str_to_i64(value, &negative);
		if (r || negative < min)
			return err_set(e, EINVAL, "flag", "\"%s\" is %s", value, r ? "not a number" : "too small");
		*ret = (uint64_t)negative;
		return 0;
	}
	r = size ? str_to_bytes(value, ret) : str_to_u64(value, ret);
	if (r == -ERANGE || (!r && *ret > max))
		return err_set(e, EINVAL, "flag", "\"%s\" is too large", value);
	if (r)
		return err_set(e, EINVAL, "flag", "\"%s\" is not a %s", value,
			       size ? "size (such as 512m or 1.5g)" : "number");
	return 0;
}

static int scalar_set(const ProtobufCFieldDescriptor *f, void *at, const char *value, struct err *e)
{
	uint64_t n = 0;
	int r;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (f->label != PROTOBUF_C_LABEL_REPEATED)
			free(*(char **)at);
		*(char **)at = mem_text(value);
		return 0;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = !strcmp(value, "true") || !strcmp(value, "1");
		if (*(protobuf_c_boolean *)at || !strcmp(value, "false") || !strcmp(value, "0"))
			return 0;
		return err_set(e, EINVAL, "flag", "\"%s\" is neither true nor false", value);
	case PROTOBUF_C_TYPE_UINT32:
		r = number_parse(f, value, 0, UINT32_MAX, &n, e);
		*(uint32_t *)at = (uint32_t)n;
		return r;
	case PROTOBUF_C_TYPE_INT32:
		r = number_parse(f, value, INT32_MIN, INT32_MAX, &n, e);
		*(int32_t *)at = (int32_t)n;
		return r;
	case PROTOBUF_C_TYPE_UINT64:
		r = number_parse(f, value, 0, UINT64_MAX, &n, e);
		*(uint64_t *)at = n;
		return r;
	case PROTOBUF_C_TYPE_INT64:
		r = number_parse(f, value, INT64_MIN, INT64_MAX, &n, e);
		*(int64_t *)at = (int64_t)n;
		return r;
	default:
		assert(!"a flag for a field of another type");
		return -EINVAL;
	}
}

static size_t scalar_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_INT32:
		return 4;
	default:
		return 8;
	}
}

/* One more element of a repeated field, zeroed. */
static void *element_add(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t *n = quantifier(m, f), size = scalar_size(f);
	char **array = member(m, f);

	*array = mem_grow(*array, *n, size);
	return *array + (*n)++ * size;
}

int field_set(ProtobufCMessage *m, const char *path, const char *value, struct err *e)
{
	const ProtobufCFieldDescriptor *f;
	int r;

	m = field_walk(m, path, true, &f);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return scalar_set(f, element_add(m, f), value, e);
	r = scalar_set(f, member(m, f), value, e);
	if (!r && f->type != PROTOBUF_C_TYPE_STRING)
		*(protobuf_c_boolean *)quantifier(m, f) = true;
	return r;
}

ProtobufCMessage *field_add(ProtobufCMessage *m, const char *path)
{
	const ProtobufCFieldDescriptor *f;
	ProtobufCMessage **at;

	m = field_walk(m, path, true, &f);
	assert(f->type == PROTOBUF_C_TYPE_MESSAGE);
	at = f->label == PROTOBUF_C_LABEL_REPEATED ? element_add(m, f) : member(m, f);
	if (!*at)
		*at = message_new(f->descriptor);
	return *at;
}

size_t field_count(const ProtobufCMessage *m, const char *path)
{
	const ProtobufCFieldDescriptor *f;

	m = field_walk((ProtobufCMessage *)(uintptr_t)m, path, false, &f);
	if (!m)
		return 0;
	assert(f->label == PROTOBUF_C_LABEL_REPEATED);
	return *(const size_t *)quantifier(m, f);
}

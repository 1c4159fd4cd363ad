/* proto/envelope.c - see proto/envelope.h
 *
 * protobuf-c takes strings that are not UTF-8, cuts them at an embedded NUL without a word, and has no bound for what a record
 * makes it allocate (a two-byte empty message becomes a structure of hundreds). So the packed bytes are walked first, by the
 * same descriptors, and the unpacking draws on an allowance. */
#include "proto/envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#define DEPTH_MAX 16 /* our messages do not nest themselves; berth.proto needs 6 */

/* ---------------------------------------------------------------- strings of packed bytes */

struct reader {
	const uint8_t *at, *end;
};

static bool varint(struct reader *r, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
		uint8_t b = *r->at++;

		*ret |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

static bool skip(struct reader *r, uint64_t len)
{
	if (len > (uint64_t)(r->end - r->at))
		return false;
	r->at += len;
	return true;
}

static bool is_clean(const uint8_t *s, size_t len)
{
	return !memchr(s, 0, len) && str_is_utf8((const char *)s, len);
}

static bool packed_check(const ProtobufCMessageDescriptor *d, struct reader r, int depth)
{
	uint64_t key, len;

	while (r.at < r.end) {
		if (!varint(&r, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
			return false;
		switch (key & 7) {
		case PROTOBUF_C_WIRE_TYPE_VARINT:
			if (!varint(&r, &len))
				return false;
			continue;
		case PROTOBUF_C_WIRE_TYPE_64BIT:
			if (!skip(&r, 8))
				return false;
			continue;
		case PROTOBUF_C_WIRE_TYPE_32BIT:
			if (!skip(&r, 4))
				return false;
			continue;
		case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
			break;
		default: /* groups: nobody sends them */
			return false;
		}
		struct reader in = {0};
		const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, (unsigned)(key >> 3));

		if (!varint(&r, &len))
			return false;
		in.at = r.at;
		if (!skip(&r, len))
			return false;
		in.end = r.at;
		if (f && f->type == PROTOBUF_C_TYPE_STRING && !is_clean(in.at, len))
			return false;
		if (f && f->type == PROTOBUF_C_TYPE_MESSAGE &&
		    (depth == DEPTH_MAX || !packed_check(f->descriptor, in, depth + 1)))
			return false;
	}
	return true;
}

bool message_check_packed(const ProtobufCMessageDescriptor *d, const void *data, size_t len)
{
	return packed_check(d, (struct reader){data, (const uint8_t *)data + len}, 0);
}

/* ---------------------------------------------------------------- strings of a message */

static const void *member(const ProtobufCMessage *m, unsigned offset)
{
	return (const char *)m + offset;
}

/* Of a repeated field, of one that is set, or 0 of one that is not. *ret points at the first value. */
static size_t field_values(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const void *const **ret)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		*ret = *(const void *const *const *)member(m, f->offset);
		return *(const size_t *)member(m, f->quantifier_offset);
	}
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(const uint32_t *)member(m, f->quantifier_offset) != f->id)
		return 0;
	*ret = member(m, f->offset);
	return 1;
}

int message_check_strings(const ProtobufCMessage *m)
{
	const void *const *values = NULL;

	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];

		if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		size_t n = field_values(m, f, &values);

		for (size_t k = 0; k < n; k++) {
			int r = 0;

			if (!values[k])
				continue;
			if (f->type == PROTOBUF_C_TYPE_MESSAGE)
				r = message_check_strings(values[k]);
			else if (!str_is_utf8(values[k], strlen(values[k])))
				r = -EILSEQ;
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---------------------------------------------------------------- unpacking within an allowance */

#define ALLOWANCE_MIN	  (256u << 10)
#define ALLOWANCE_MAX	  (64u << 20)
#define ALLOWANCE_PER_LEN 64 /* the worst honest case, one-letter strings in a list, needs about 30 */

static void *allowance_alloc(void *data, size_t size)
{
	size_t *left = data;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

static void allowance_free(void *data, void *p)
{
	free(p);
}

void *message_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t len)
{
	size_t left = ALLOWANCE_MAX;
	ProtobufCAllocator allocator = {allowance_alloc, allowance_free, &left};

	if (len < ALLOWANCE_MAX / ALLOWANCE_PER_LEN)
		left = ALLOWANCE_MIN + len * ALLOWANCE_PER_LEN;
	if (!message_check_packed(d, data, len))
		return NULL;
	return protobuf_c_message_unpack(d, &allocator, len, data);
}

void *message_copy(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	AUTO_FREE uint8_t *data = malloc(len ? len : 1);

	if (!data)
		return NULL;
	protobuf_c_message_pack(m, data);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, data);
}

/* ---------------------------------------------------------------- envelopes */

int envelope_spill(void *data, size_t *len, int *ret_memfd)
{
	Berth__Envelope note = BERTH__ENVELOPE__INIT;

	*ret_memfd = -1;
	if (*len <= WIRE_MAX)
		return 0;
	*ret_memfd = memfd_sealed("berth-envelope", data, *len);
	if (*ret_memfd < 0)
		return *ret_memfd;
	note.has_spill = note.spill = true;
	*len = berth__envelope__pack(&note, data);
	return 0;
}

int envelope_pack(const Berth__Envelope *env, void **ret_data, size_t *ret_len, int *ret_memfd)
{
	size_t len = berth__envelope__get_packed_size(env);
	AUTO_FREE void *data = NULL;
	int r;

	if (len > ENVELOPE_MAX)
		return -E2BIG;
	/* An empty record would read as the end; an Envelope with nothing in it says nothing either. */
	if (!len)
		return -EINVAL;
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	berth__envelope__pack(env, data);
	r = envelope_spill(data, &len, ret_memfd);
	if (r < 0)
		return r;
	*ret_data = take_ptr(data);
	*ret_len = len;
	return 0;
}

int envelope_send(int sock, const Berth__Envelope *env, const int *fds, unsigned n_fds)
{
	int all[WIRE_FDS_MAX];
	AUTO_FREE void *data = NULL;
	AUTO_FD memfd = -1;
	size_t len;
	int r = envelope_pack(env, &data, &len, &memfd);

	if (r < 0)
		return r;
	if (memfd < 0)
		return wire_send(sock, data, len, fds, n_fds);
	if (n_fds >= WIRE_FDS_MAX)
		return -EINVAL;
	if (n_fds)
		memcpy(all, fds, n_fds * sizeof *fds);
	all[n_fds] = memfd;
	return wire_send(sock, data, len, all, n_fds + 1);
}

/* The Envelope that a note announces. Its memfd is the last descriptor and is closed here. */
static Berth__Envelope *spill_unpack(struct wire_fds *fds)
{
	Berth__Envelope *env = NULL;
	const void *data;
	size_t len;

	if (!fds->n)
		return NULL;
	AUTO_FD memfd = fds->fd[--fds->n];

	if (memfd_map(memfd, ENVELOPE_MAX, &data, &len) < 0)
		return NULL;
	env = message_unpack(&berth__envelope__descriptor, data, len);
	munmap((void *)data, len);
	if (env && env->spill) {
		berth__envelope__free_unpacked(env, NULL);
		env = NULL;
	}
	return env;
}

/* Nothing else may stand beside `spill`: which of the two would count? */
static bool is_pure_note(const Berth__Envelope *env)
{
	Berth__Envelope note = BERTH__ENVELOPE__INIT;

	note.has_spill = note.spill = true;
	return berth__envelope__get_packed_size(env) == berth__envelope__get_packed_size(&note);
}

Berth__Envelope *envelope_unpack(const void *data, size_t len, struct wire_fds *fds)
{
	Berth__Envelope *env = message_unpack(&berth__envelope__descriptor, data, len);
	bool pure;

	if (!env || !env->spill)
		return env;
	pure = is_pure_note(env);
	berth__envelope__free_unpacked(env, NULL);
	return pure ? spill_unpack(fds) : NULL;
}

const char *envelope_body_name(const Berth__Envelope *env)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field(&berth__envelope__descriptor, (unsigned)env->body_case);

	return f ? f->name : "none";
}

/* ctl/json_path.c - see ctl/json_path.h */
#include "ctl/json_path.h"

#include "base/str.h"
#include "proto/berth.pb-c.h"
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- steps of a path */

struct step {
	bool is_index;
	size_t index;
	char name[128];
};

/* 1 and the step, 0 at the end, -1 when it is not a path. */
static int step_next(const char **p, struct step *ret)
{
	const char *s = *p, *end;
	size_t len;

	if (!*s)
		return 0;
	*ret = (struct step){0};
	if (*s == '.') {
		s++;
		len = strcspn(s, ".[");
		if (!len && (*s == '[' || !*s)) { /* ".[0]" and a last "." */
			*p = s;
			return step_next(p, ret);
		}
		end = s + len;
	} else if (s[0] == '[' && s[1] == '"') {
		s += 2;
		end = strstr(s, "\"]");
		if (!end)
			return -1;
		len = (size_t)(end - s);
		end += 2;
	} else if (s[0] == '[') {
		char *after;

		ret->is_index = true;
		ret->index = strtoul(s + 1, &after, 10);
		*p = after + 1;
		return after > s + 1 && *after == ']' ? 1 : -1;
	} else {
		return -1;
	}
	if (!len || len >= sizeof ret->name)
		return -1;
	memcpy(ret->name, s, len);
	*p = end;
	return 1;
}

static bool is_map(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_MESSAGE && f->descriptor == &berth__key_value__descriptor &&
	       f->label == PROTOBUF_C_LABEL_REPEATED;
}

bool json_path_check(const ProtobufCMessageDescriptor *type, const char *path, size_t *ret_len,
		     const ProtobufCMessageDescriptor **ret_in)
{
	const char *p = path;
	const ProtobufCFieldDescriptor *f = NULL; /* the field we are at, NULL in a message */
	bool in_list = false;
	struct step step;
	int r;

	*ret_in = type;
	for (;;) {
		*ret_len = (size_t)(p - path);
		r = step_next(&p, &step);
		if (r <= 0)
			return r == 0;
		if (f && is_map(f) && !step.is_index) {
			f = NULL;
			type = *ret_in = NULL; /* a text: nothing comes behind it */
			continue;
		}
		if (in_list != step.is_index || (!in_list && (!type || f)))
			return false;
		if (!step.is_index) {
			f = protobuf_c_message_descriptor_get_field_by_name(type, step.name);
			if (!f)
				return false;
			in_list = f->label == PROTOBUF_C_LABEL_REPEATED && !is_map(f);
		} else {
			in_list = false;
		}
		if (f && !in_list && !is_map(f)) {
			type = f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
			f = NULL;
		}
		*ret_in = type;
	}
}

/* ---------------------------------------------------------------- compact JSON text */

/* Behind the string that begins at s. */
static const char *string_end(const char *s)
{
	for (s++; *s != '"'; s++)
		if (*s == '\\')
			s++;
	return s + 1;
}

static const char *value_end(const char *s)
{
	unsigned depth = 0;

	do {
		if (*s == '"') {
			s = string_end(s);
			continue;
		}
		if (*s == '{' || *s == '[')
			depth++;
		else if (*s == '}' || *s == ']')
			depth--;
		s++;
	} while (depth || (*s && !strchr(",}]", *s)));
	return s;
}

static const char *member_find(const char *s, const char *name)
{
	struct buf quoted;
	const char *found = NULL;

	buf_init(&quoted, 0);
	json_quote(&quoted, name);
	for (s++; *s == '"' && !quoted.failed; s = *s == ',' ? s + 1 : s) {
		const char *key = s, *value = string_end(s) + 1;

		if ((size_t)(value - 1 - key) == quoted.len && !memcmp(key, quoted.data, quoted.len)) {
			found = value;
			break;
		}
		s = value_end(value);
	}
	buf_fini(&quoted);
	return found;
}

static const char *element_find(const char *s, size_t index)
{
	for (s++; *s != ']'; index--) {
		if (!index)
			return s;
		s = value_end(s);
		if (*s == ',')
			s++;
	}
	return NULL;
}

static void utf8_add(struct buf *out, unsigned c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

static void string_add(struct buf *out, const char *s)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	for (s++; *s != '"'; s++) {
		const char *at;

		if (*s != '\\') {
			buf_addc(out, *s);
			continue;
		}
		s++;
		at = strchr(from, *s);
		if (*s == 'u') {
			char hex[5] = {s[1], s[2], s[3], s[4], 0};

			utf8_add(out, (unsigned)strtoul(hex, NULL, 16));
			s += 4;
		} else {
			buf_addc(out, at ? to[at - from] : *s);
		}
	}
}

bool json_path(const char *json, const char *path, bool raw, struct buf *out)
{
	const char *s = json;
	struct step step;
	int r;

	while ((r = step_next(&path, &step)) > 0) {
		if (step.is_index)
			s = *s == '[' ? element_find(s, step.index) : NULL;
		else
			s = *s == '{' ? member_find(s, step.name) : NULL;
		if (!s)
			return false;
	}
	if (r < 0)
		return false;
	if (raw)
		buf_add(out, s, (size_t)(value_end(s) - s));
	else if (*s == '"')
		string_add(out, s);
	else if (strncmp(s, "null", 4) != 0)
		buf_add(out, s, (size_t)(value_end(s) - s));
	return true;
}

/* gateway/params.c - see gateway/params.h
 *
 * One walk for query and body: where a value came from decides only whether numbers and booleans are text. What the walk makes is new
 * (the arguments); what came in is left as it was. */
#include "gateway/params.h"

#include "base/own.h"
#include "base/str.h"
#include "gateway/memory.h"
#include "gateway/percent.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX     16
#define JSON_TREE_MAX (16u << 20) /* of a body of 1 MiB: "[[],[],…" would become sixty */

struct walk {
	struct fault *f;
	unsigned version;
	bool in_query;
	unsigned depth;
	char path[sizeof((struct fault *)0)->field];
};

/* ---------------------------------------------------------------- refusals */

static void value_show(json_t *value, char *out, size_t size)
{
	if (json_is_string(value)) {
		snprintf(out, size, "%s", json_string_value(value));
	} else {
		memset(out, 0, size);
		(void)json_dumpb(value, out, size - 1, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
	}
	/* Cut between characters. */
	while (*out && !str_is_utf8(out, strlen(out)))
		out[strlen(out) - 1] = 0;
}

#define REFUSE(w, kind, value, ...)                                                                                    \
	({                                                                                                             \
		fault_set((w)->f, kind, (w)->path, __VA_ARGS__);                                                       \
		(w)->f->in_query = (w)->in_query;                                                                      \
		value_show(value, (w)->f->value, sizeof(w)->f->value);                                                 \
		(json_t *)NULL;                                                                                        \
	})

static json_t *no_memory(struct walk *w)
{
	fault_set(w->f, FAULT_BUSY, NULL, "no memory for the arguments");
	return NULL;
}

/* ---------------------------------------------------------------- scalars: each gives a new reference or NULL */

static bool word_in(const char *words, const char *text)
{
	const char *word;
	size_t len, text_len = strlen(text);

	while ((word = str_word(&words, " ", &len)))
		if (len == text_len && !memcmp(word, text, len))
			return true;
	return false;
}

static json_t *read_string(struct walk *w, const struct param *p, json_t *value)
{
	char text[64];
	size_t len;

	if (p->flags & P_STRINGIFY && !json_is_string(value)) {
		if (json_is_integer(value))
			snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
		else if (json_is_real(value))
			snprintf(text, sizeof text, "%.15g", json_real_value(value));
		else if (json_is_boolean(value))
			snprintf(text, sizeof text, "%s", json_is_true(value) ? "true" : "false");
		else
			return REFUSE(w, FAULT_ARG_VALUE, value, "must be a string");
		return json_string(text) ?: no_memory(w);
	}
	if (!json_is_string(value))
		return REFUSE(w, FAULT_ARG_VALUE, value, "must be a string");
	len = json_string_length(value);
	if (p->min && (double)len < p->min)
		return REFUSE(w, FAULT_ARG_VALUE, value, "is too short: at least %.0f bytes", p->min);
	if (p->max && (double)len > p->max)
		return REFUSE(w, FAULT_ARG_VALUE, value, "is too long: at most %.0f bytes", p->max);
	if (p->words && !word_in(p->words, json_string_value(value)))
		return REFUSE(w, FAULT_ARG_VALUE, value, "is not one of: %s", p->words);
	if (p->fits && !p->fits(json_string_value(value)))
		return REFUSE(w, FAULT_ARG_VALUE, value, "%s", p->shape ? p->shape : "has not the right form");
	return json_incref(value);
}

/* Text in a query, and with P_TEXT in a body. */
static const char *as_text(const struct walk *w, const struct param *p, json_t *value)
{
	return json_is_string(value) && (w->in_query || p->flags & P_TEXT) ? json_string_value(value) : NULL;
}

static bool in_range(const struct param *p, double n)
{
	return (p->min == 0 && p->max == 0) || (n >= p->min && n <= p->max);
}

static json_t *refuse_range(struct walk *w, const struct param *p, json_t *value, double n)
{
	if (n < p->min)
		return REFUSE(w, FAULT_ARG_VALUE, value, "%.15g is less than the minimum of %.15g", n, p->min);
	return REFUSE(w, FAULT_ARG_VALUE, value, "%.15g is greater than the maximum of %.15g", n, p->max);
}

static json_t *read_int(struct walk *w, const struct param *p, json_t *value)
{
	const char *text = as_text(w, p, value);
	int64_t n = 0;
	int r = text ? str_to_i64(text, &n) : json_is_integer(value) ? 0 : -EINVAL;

	if (r == -ERANGE)
		return REFUSE(w, FAULT_ARG_VALUE, value, "is too large a number");
	if (r < 0)
		return REFUSE(w, FAULT_ARG_VALUE, value, "must be an integer");
	if (!text)
		n = json_integer_value(value);
	if (!in_range(p, (double)n))
		return refuse_range(w, p, value, (double)n);
	return json_integer(n) ?: no_memory(w);
}

/* Digits, one point, digits: no exponents, signs but "-", hexadecimals or "inf" of strtod's. */
static bool text_to_real(const char *text, double *ret)
{
	size_t len = strlen(text), digits = 0, points = 0;

	for (size_t i = text[0] == '-'; i < len; i++) {
		digits += isdigit((unsigned char)text[i]) != 0;
		points += text[i] == '.';
		if (!isdigit((unsigned char)text[i]) && text[i] != '.')
			return false;
	}
	*ret = strtod(text, NULL);
	return digits && points <= 1 && len < 64 && isfinite(*ret);
}

static json_t *read_number(struct walk *w, const struct param *p, json_t *value)
{
	const char *text = as_text(w, p, value);
	double n = json_is_number(value) ? json_number_value(value) : 0;

	if (text ? !text_to_real(text, &n) : !json_is_number(value))
		return REFUSE(w, FAULT_ARG_VALUE, value, "must be a number");
	if (!in_range(p, n))
		return refuse_range(w, p, value, n);
	return json_real(n) ?: no_memory(w);
}

static json_t *read_bool(struct walk *w, const struct param *p, json_t *value)
{
	const char *text = as_text(w, p, value);

	if (json_is_boolean(value))
		return json_incref(value);
	if (text && word_in(p->yes ? p->yes : "true True", text))
		return json_true();
	if (text && word_in(p->no ? p->no : "false False", text))
		return json_false();
	return REFUSE(w, FAULT_ARG_VALUE, value, "must be true or false");
}

/* ---------------------------------------------------------------- structures */

static json_t *read_value(struct walk *w, const struct param *p, json_t *value);
static bool read_object(struct walk *w, const struct schema *s, json_t *from, json_t *into);

/* Appends to w->path; the length before, to cut it there again. */
static size_t path_enter(struct walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static size_t path_enter(struct walk *w, const char *fmt, ...)
{
	size_t len = strlen(w->path);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->path + len, sizeof w->path - len, fmt, ap);
	va_end(ap);
	return len;
}

static bool count_fits(struct walk *w, const struct param *p, json_t *value, size_t n, const char *what)
{
	if (p->min && (double)n < p->min)
		REFUSE(w, FAULT_ARG_VALUE, value, "has %zu %s, must have at least %.0f", n, what, p->min);
	else if (p->max && (double)n > p->max)
		REFUSE(w, FAULT_ARG_VALUE, value, "has %zu %s, may have at most %.0f", n, what, p->max);
	else
		return true;
	return false;
}

static json_t *read_array(struct walk *w, const struct param *p, json_t *value)
{
	json_t *out, *item;
	size_t i;

	if (w->in_query) { /* a query has no arrays: that one item */
		out = json_array();
		item = p->item ? read_value(w, p->item, value) : json_incref(value);
		if (item && out && json_array_append_new(out, item) == 0)
			return out;
		json_decref(out);
		return item ? no_memory(w) : NULL;
	}
	if (!json_is_array(value))
		return REFUSE(w, FAULT_ARG_VALUE, value, "must be an array");
	if (!count_fits(w, p, value, json_array_size(value), "items"))
		return NULL;
	if (!p->item)
		return json_incref(value);
	out = json_array();
	if (!out)
		return no_memory(w);
	json_array_foreach(value, i, item)
	{
		size_t before = path_enter(w, "[%zu]", i);
		json_t *made = read_value(w, p->item, item);

		if (!made || json_array_append_new(out, made) < 0) {
			json_decref(out);
			return made ? no_memory(w) : NULL;
		}
		w->path[before] = 0;
	}
	return out;
}

static json_t *read_map(struct walk *w, const struct param *p, json_t *value)
{
	const char *key;
	json_t *out, *item;

	if (!json_is_object(value))
		return REFUSE(w, FAULT_ARG_VALUE, value, "must be an object");
	if (!count_fits(w, p, value, json_object_size(value), "keys"))
		return NULL;
	if (!p->item)
		return json_incref(value);
	out = json_object();
	if (!out)
		return no_memory(w);
	json_object_foreach(value, key, item)
	{
		size_t before = path_enter(w, ".%.64s", key);
		json_t *made = read_value(w, p->item, item);

		if (!made || json_object_set_new(out, key, made) < 0) {
			json_decref(out);
			return made ? no_memory(w) : NULL;
		}
		w->path[before] = 0;
	}
	return out;
}

static json_t *read_inner(struct walk *w, const struct param *p, json_t *value)
{
	json_t *out;

	if (!json_is_object(value))
		return REFUSE(w, FAULT_ARG_VALUE, value, "must be an object");
	out = json_object();
	if (!out)
		return no_memory(w);
	if (read_object(w, p->inner, value, out))
		return out;
	json_decref(out);
	return NULL;
}

static json_t *read_typed(struct walk *w, const struct param *p, json_t *value)
{
	switch (p->type) {
	case P_STRING:
		return read_string(w, p, value);
	case P_INT:
		return read_int(w, p, value);
	case P_NUMBER:
		return read_number(w, p, value);
	case P_BOOL:
		return read_bool(w, p, value);
	case P_ARRAY:
		return read_array(w, p, value);
	case P_MAP:
		return read_map(w, p, value);
	case P_OBJECT:
		return read_inner(w, p, value);
	case P_ANY:
		break;
	}
	return json_incref(value);
}

static json_t *read_value(struct walk *w, const struct param *p, json_t *value)
{
	json_t *out;

	if (w->depth == DEPTH_MAX)
		return REFUSE(w, FAULT_ARG_VALUE, value, "is nested too deeply");
	w->depth++;
	out = read_typed(w, p, value);
	w->depth--;
	if (!out || !p->check)
		return out;
	REFUSE(w, FAULT_ARG_VALUE, value, "has a bad value");
	if (p->check(p, &out, w->f)) {
		*w->f = (struct fault){0};
		return out;
	}
	json_decref(out);
	return NULL;
}

static const struct param *param_find(const struct schema *s, const char *name)
{
	for (const struct param *p = s->params; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

static bool version_has(const struct param *p, unsigned version)
{
	return (!p->since || version >= p->since) && (!p->until || version <= p->until);
}

static bool read_member(struct walk *w, const struct schema *s, const char *name, json_t *value, json_t *into)
{
	const struct param *p = param_find(s, name);
	unsigned wrong_place = w->in_query ? P_BODY : P_QUERY;
	json_t *made;

	if (!p || p->flags & wrong_place) {
		if (!s->open)
			REFUSE(w, FAULT_ARG_UNKNOWN, value, "is not known here");
		return s->open;
	}
	if (!version_has(p, w->version)) {
		REFUSE(w, FAULT_ARG_VERSION, value, "is not in the version that was asked for");
		return false;
	}
	if (p->flags & P_IGNORE || (json_is_null(value) && p->flags & P_NULL))
		return true;
	made = read_value(w, p, value);
	if (!made)
		return false;
	if (json_object_set_new(into, name, made) < 0)
		no_memory(w);
	else
		return true;
	return false;
}

/* Adds what `from` has to `into`. */
static bool read_members(struct walk *w, const struct schema *s, json_t *from, json_t *into)
{
	const char *name;
	json_t *value;

	json_object_foreach(from, name, value)
	{
		size_t before = path_enter(w, "%s%.64s", *w->path ? "." : "", name);

		if (json_object_get(into, name)) {
			REFUSE(w, FAULT_ARG_VALUE, value, "is given twice, in the query and in the body");
			return false;
		}
		if (!read_member(w, s, name, value, into))
			return false;
		w->path[before] = 0;
	}
	return true;
}

static bool required_are_there(struct walk *w, const struct schema *s, json_t *into)
{
	for (const struct param *p = s->params; p->name; p++)
		if (p->flags & P_REQUIRED && version_has(p, w->version) && !json_object_get(into, p->name)) {
			path_enter(w, "%s%.64s", *w->path ? "." : "", p->name);
			fault_set(w->f, FAULT_ARG_MISSING, w->path, "is required");
			return false;
		}
	return true;
}

static bool read_object(struct walk *w, const struct schema *s, json_t *from, json_t *into)
{
	return read_members(w, s, from, into) && required_are_there(w, s, into);
}

json_t *params_read(const struct schema *s, unsigned version, json_t *query, json_t *body, struct fault *f)
{
	struct walk w = {.f = f, .version = version, .in_query = true};
	json_t *out = json_object();

	if (!out)
		return no_memory(&w);
	if (!read_members(&w, s, query, out))
		goto refused;
	w.in_query = false;
	if (!read_members(&w, s, body, out) || !required_are_there(&w, s, out))
		goto refused;
	return out;
refused:
	json_decref(out);
	return NULL;
}

/* ---------------------------------------------------------------- texts */

/* "name=value" or "name", len bytes at pair, which is ours to change. */
static bool query_add(json_t *query, char *pair, size_t len, struct fault *f)
{
	char *equals = memchr(pair, '=', len), *value = equals ? equals + 1 : pair + len;
	size_t name_len = (size_t)((equals ? equals : value) - pair);
	ssize_t v = percent_decode(value, value, (size_t)(pair + len - value), true),
		n = percent_decode(pair, pair, name_len, true);

	f->in_query = true;
	if (n < 0 || v < 0)
		return fault_set(f, FAULT_SYNTAX, NULL,
				 "the query has a %% without two hexadecimal digits, a NUL, or no UTF-8");
	if (json_object_get(query, pair))
		return fault_set(f, FAULT_ARG_VALUE, pair, "is given twice");
	if (json_object_set_new(query, pair, json_string(value)) < 0)
		return fault_set(f, FAULT_BUSY, NULL, "no memory for the query");
	f->in_query = false;
	return true;
}

json_t *params_query(const char *text, struct fault *f)
{
	AUTO_FREE char *copy = strdup(text ? text : "");
	json_t *query = json_object();
	char *pair = copy;

	if (!copy || !query) {
		json_decref(query);
		fault_set(f, FAULT_BUSY, NULL, "no memory for the query");
		return NULL;
	}
	while (*pair) {
		size_t len = strcspn(pair, "&");
		char *next = pair + len + (pair[len] != 0);

		pair[len] = 0;
		if (len && !query_add(query, pair, len, f)) {
			json_decref(query);
			return NULL;
		}
		pair = next;
	}
	return query;
}

json_t *params_json(const char *text, size_t len, struct fault *f)
{
	json_error_t error;
	json_t *value;

	memory_tree_begin(JSON_TREE_MAX);
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (memory_tree_end() && !value)
		fault_set(f, FAULT_BODY_SIZE, NULL, "the body has too many values");
	else if (!value)
		fault_set(f, FAULT_SYNTAX, NULL, "the body is no JSON: line %d, column %d: %s", error.line,
			  error.column, error.text);
	return value;
}

/* ---------------------------------------------------------------- arguments */

char *arg_str(const json_t *args, const char *name)
{
	return (char *)(uintptr_t)json_string_value(json_object_get(args, name));
}

int64_t arg_int(const json_t *args, const char *name, int64_t fallback)
{
	json_t *value = json_object_get(args, name);

	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double arg_real(const json_t *args, const char *name, double fallback)
{
	json_t *value = json_object_get(args, name);

	return json_is_number(value) ? json_number_value(value) : fallback;
}

bool arg_bool(const json_t *args, const char *name, bool fallback)
{
	json_t *value = json_object_get(args, name);

	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

json_t *arg_any(const json_t *args, const char *name)
{
	return json_object_get(args, name);
}

/* supervisor/filter.c - see supervisor/filter.h */
#include "supervisor/filter.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FILTERS_MAX 32u

static const struct filter_row *row_of(const struct filter_row *rows, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (key && !strcmp(key, rows[i].key))
			return &rows[i];
	return NULL;
}

bool filter_word(const char *words, const char *value)
{
	const char *p = words, *word;
	size_t len;

	while ((word = str_word(&p, " ", &len)))
		if (strlen(value) == len && !strncasecmp(word, value, len))
			return true;
	return false;
}

static void keys_text(const struct filter_row *rows, size_t n, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (size_t i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", rows[i].key);
}

static bool filter_check(struct request *rq, const struct filter_row *rows, size_t n_rows, const Berth__Filter *f)
{
	const struct filter_row *row = row_of(rows, n_rows, f->key);
	char keys[200];

	if (!row || !f->value) {
		keys_text(rows, n_rows, keys, sizeof keys);
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "filters",
			    "unknown filter '%.80s': there are %s", f->key ? f->key : "", keys);
		return false;
	}
	if (row->can ? row->can(f->value) : !row->values || filter_word(row->values, f->value))
		return true;
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "filters", "%s='%.80s' fits nothing: it is %s%s",
		    row->key, f->value, row->can ? "" : "one of ", row->values);
	return false;
}

bool filters_check(struct request *rq, const struct filter_row *rows, size_t n_rows, Berth__Filter *const *filters,
		   size_t n)
{
	if (n > FILTERS_MAX) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, "filters", "more than %u", FILTERS_MAX);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (!filter_check(rq, rows, n_rows, filters[i]))
			return false;
	return true;
}

bool filters_fit(const struct filter_row *rows, size_t n_rows, Berth__Filter *const *filters, size_t n,
		 const void *listing, const void *object)
{
	for (size_t i = 0; i < n; i++) {
		const struct filter_row *row = row_of(rows, n_rows, filters[i]->key);
		bool fits = row->fits(listing, object, filters[i]->value);

		for (size_t k = 0; k < n && !fits && !row->all; k++)
			fits = !strcmp(filters[k]->key, row->key) && row->fits(listing, object, filters[k]->value);
		if (!fits)
			return false;
	}
	return true;
}

bool filter_label_fits(Berth__KeyValue *const *labels, size_t n, const char *want)
{
	const char *eq = strchr(want, '=');
	size_t len = eq ? (size_t)(eq - want) : strlen(want);

	for (size_t i = 0; i < n; i++) {
		const Berth__KeyValue *kv = labels[i];

		if (kv->key && strlen(kv->key) == len && !strncmp(kv->key, want, len) &&
		    (!eq || (kv->value && !strcmp(kv->value, eq + 1))))
			return true;
	}
	return false;
}

bool filter_switch(const char *value)
{
	return value[0] == 't' || value[0] == 'T' || value[0] == '1';
}

bool filter_can_be_id(const char *value)
{
	return *value && strspn(value, "0123456789abcdef-") == strlen(value);
}

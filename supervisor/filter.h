/* supervisor/filter.h - the filters of lists and of events: a table of keys for each kind of object. As Docker: of several with one key
 * one must fit, of different keys all, of labels all. A key that is not there, or a value that no object can have, is refused: a list
 * that is silently empty misleads. */
#pragma once

#include "supervisor/request.h"

struct filter_row {
	const char *key;
	/* listing: whatever the list's owner needs to judge. */
	bool (*fits)(const void *listing, const void *object, const char *value);
	const char *values; /* the words that it may be, separated by blanks; NULL: any text */
	bool (*can)(const char
			    /* instead of that: whether it can be at all; `values` then says in words what can */
			    *value);
	bool all; /* several of this key must all fit */
};

#define FILTER_SWITCH "true false 1 0"

/* False: one of them is wrong, which was answered. */
bool filters_check(struct request *rq, const struct filter_row *rows, size_t n_rows, Berth__Filter *const *filters,
		   size_t n);
/* Of filters that were checked. */
bool filters_fit(const struct filter_row *rows, size_t n_rows, Berth__Filter *const *filters, size_t n,
		 const void *listing, const void *object);

bool filter_label_fits(Berth__KeyValue *const *labels, size_t n, const char *want); /* "key" or "key=value" */
bool filter_word(const char *words, const char *value); /* one of the words, whatever its case */
bool filter_switch(const char *value);
bool filter_can_be_id(const char *value);

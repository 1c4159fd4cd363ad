/* gateway/zun/page.h - one page of a list: the first `limit` rows after a marker, by a column. Rows come in any order and in any
 * number; no more than a page is ever kept. Pure. */
#pragma once

#include "gateway/json.h"
#include "proto/berth.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

#define PAGE_MAX 1000

struct column;					    /* by which a list can be sorted */
const struct column *column_find(const char *name); /* "created_at"; NULL: there is none */
bool column_is_id(const struct column *col);	    /* the order in which berthd lists */

struct row;
struct page {
	const struct column *column;
	bool descending;
	unsigned limit, n;
	struct row *rows;  /* owned: n, in order */
	struct row *after; /* owned: the marker; NULL: from the beginning */
};

/* -ENOMEM. page_fini also then. */
int page_init(struct page *p, const struct column *column, bool descending, unsigned limit);
void page_fini(struct page *p);
int page_after(struct page *p, const Berth__Container *marker); /* only what comes after it */

/* Takes the row in if it belongs to the page so far, as `view` shows it. -ENOMEM. */
int page_offer(struct page *p, const Berth__Container *obj,
	       void (*view)(struct jw *j, const Berth__Container *obj, void *arg), void *arg);
static inline bool page_is_full(const struct page *p)
{
	return p->n == p->limit;
}
void page_write(struct jw *j, const char *key, const struct page *p);
const char *page_last_uuid(const struct page *p); /* NULL: it is empty */

/* gateway/zun/page.c - see gateway/zun/page.h */
#include "gateway/zun/page.h"

#include "base/own.h"
#include "base/str.h"
#include "gateway/zun/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const char *text_fn(const Berth__Container *obj);
typedef int64_t number_fn(const Berth__Container *obj);

struct column {
	const char *name;
	text_fn *text; /* or: */
	number_fn *number;
};

struct row {
	uint64_t id; /* equal ones stand in the order of their making */
	int64_t number;
	char *text; /* owned, as is: */
	char *json;
	size_t json_len;
	char uuid[UUID_SIZE];
};

/* ---------------------------------------------------------------- columns */

#define TEXT(name, expression)                                                                                         \
	static const char *name(const Berth__Container *obj)                                                           \
	{                                                                                                              \
		return expression;                                                                                     \
	}
#define NUMBER(name, expression)                                                                                       \
	static int64_t name(const Berth__Container *obj)                                                               \
	{                                                                                                              \
		return (int64_t)(expression);                                                                          \
	}

NUMBER(of_id, obj->meta->id)
NUMBER(of_created_at, obj->meta->created_at)
NUMBER(of_updated_at, obj->meta->updated_at)
NUMBER(of_memory, obj->spec->resources ? obj->spec->resources->memory_bytes : 0)
NUMBER(of_cpu, obj->spec->resources ? obj->spec->resources->cpus_milli : 0)
NUMBER(of_interactive, obj->spec->stdin_open)
NUMBER(of_tty, obj->spec->tty)
NUMBER(of_auto_remove, obj->spec->auto_remove)
TEXT(of_uuid, obj->meta->uuid)
TEXT(of_name, obj->meta->name)
TEXT(of_project_id, obj->meta->project)
TEXT(of_user_id, obj->meta->owner)
TEXT(of_image, obj->spec->image)
TEXT(of_hostname, obj->spec->hostname)
TEXT(of_workdir, obj->spec->workdir)
TEXT(of_status, zun_status_name(zun_status_of(obj->status)))
TEXT(of_status_reason, zun_status_reason(obj->status))
TEXT(of_task_state, zun_task_state_of(obj->status))

static const struct column columns[] = {
	{"id", .number = of_id},
	{"uuid", of_uuid},
	{"name", of_name},
	{"project_id", of_project_id},
	{"user_id", of_user_id},
	{"image", of_image},
	{"hostname", of_hostname},
	{"workdir", of_workdir},
	{"status", of_status},
	{"status_reason", of_status_reason},
	{"task_state", of_task_state},
	{"memory", .number = of_memory},
	{"cpu", .number = of_cpu},
	{"interactive", .number = of_interactive},
	{"tty", .number = of_tty},
	{"auto_remove", .number = of_auto_remove},
	{"created_at", .number = of_created_at},
	{"updated_at", .number = of_updated_at},
};

const struct column *column_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (!strcmp(columns[i].name, name))
			return &columns[i];
	return NULL;
}

bool column_is_id(const struct column *col)
{
	return col->number == of_id;
}

/* ---------------------------------------------------------------- rows */

static void row_fini(struct row *r)
{
	free(r->text);
	free(r->json);
	*r = (struct row){0};
}

/* Its place only; json is made when it gets one. */
static int row_make(struct row *r, const struct column *col, const Berth__Container *obj)
{
	const char *text = col->text ? col->text(obj) : NULL;

	*r = (struct row){.id = obj->meta->id, .number = col->number ? col->number(obj) : 0};
	snprintf(r->uuid, sizeof r->uuid, "%s", obj->meta->uuid);
	r->text = text ? strdup(text) : NULL;
	return text && !r->text ? -ENOMEM : 0;
}

/* What is not there comes first, as NULL does in most databases. */
static int row_compare(const struct page *p, const struct row *a, const struct row *b)
{
	int order = a->text && b->text ? strcmp(a->text, b->text) : (a->text != NULL) - (b->text != NULL);

	if (!order)
		order = (a->number > b->number) - (a->number < b->number);
	if (!order)
		order = (a->id > b->id) - (a->id < b->id);
	return p->descending ? -order : order;
}

/* ---------------------------------------------------------------- the page */

int page_init(struct page *p, const struct column *column, bool descending, unsigned limit)
{
	*p = (struct page){.column = column, .descending = descending, .limit = limit};
	p->rows = calloc(limit + 1, sizeof *p->rows);
	return p->rows ? 0 : -ENOMEM;
}

void page_fini(struct page *p)
{
	for (unsigned i = 0; i < p->n; i++)
		row_fini(&p->rows[i]);
	free(p->rows);
	if (p->after)
		row_fini(p->after);
	free(p->after);
	*p = (struct page){0};
}

int page_after(struct page *p, const Berth__Container *marker)
{
	p->after = calloc(1, sizeof *p->after);
	return p->after ? row_make(p->after, p->column, marker) : -ENOMEM;
}

/* Where it belongs among those that are there. */
static unsigned place_of(const struct page *p, const struct row *r)
{
	unsigned low = 0, high = p->n;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (row_compare(p, &p->rows[middle], r) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int page_offer(struct page *p, const Berth__Container *obj,
	       void (*view)(struct jw *j, const Berth__Container *obj, void *arg), void *arg)
{
	struct row r;
	unsigned at = 0;
	struct jw j;
	int res = row_make(&r, p->column, obj);

	if (res == 0)
		at = place_of(p, &r);
	if (res < 0 || at == p->limit || (p->after && row_compare(p, &r, p->after) <= 0)) {
		row_fini(&r);
		return res;
	}
	jw_init(&j, 0);
	view(&j, obj, arg);
	r.json_len = j.buf.len;
	r.json = buf_take(&j.buf);
	if (!r.json) {
		row_fini(&r);
		return -ENOMEM;
	}
	if (page_is_full(p))
		row_fini(&p->rows[--p->n]);
	memmove(&p->rows[at + 1], &p->rows[at], (p->n - at) * sizeof *p->rows);
	p->rows[at] = r;
	p->n++;
	return 0;
}

void page_write(struct jw *j, const char *key, const struct page *p)
{
	jw_array(j, key);
	for (unsigned i = 0; i < p->n; i++)
		jw_raw(j, NULL, p->rows[i].json, p->rows[i].json_len);
	jw_end(j);
}

const char *page_last_uuid(const struct page *p)
{
	return p->n ? p->rows[p->n - 1].uuid : NULL;
}

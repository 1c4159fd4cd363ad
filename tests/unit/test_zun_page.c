/* tests/unit/test_zun_page.c - a page of a list holds the first rows after the marker, in order, in whatever order they come. */
#include "unit.h"

#include "gateway/zun/page.h"

#define ROWS 200

struct thing {
	Berth__Container obj;
	Berth__Meta meta;
	Berth__ContainerSpec spec;
	Berth__ContainerStatus status;
	char name[8], uuid[40];
};

static void thing_make(struct thing *t, unsigned id, const char *name)
{
	berth__container__init(&t->obj);
	berth__meta__init(&t->meta);
	berth__container_spec__init(&t->spec);
	berth__container_status__init(&t->status);
	snprintf(t->name, sizeof t->name, "%s", name);
	snprintf(t->uuid, sizeof t->uuid, "%u", id);
	t->meta.id = id;
	t->meta.name = *name ? t->name : NULL;
	t->meta.uuid = t->uuid;
	t->obj.meta = &t->meta;
	t->obj.spec = &t->spec;
	t->obj.status = &t->status;
}

static void view(struct jw *j, const Berth__Container *obj, void *arg)
{
	unsigned *views = arg;

	++*views;
	jw_str(j, NULL, obj->meta->uuid);
}

/* The page of these things (in this order), as text; marker 0: none. */
static void page_text(struct thing *things, const unsigned *order, unsigned n, const char *column, bool descending,
		      unsigned limit, unsigned marker, char *text, size_t size, unsigned *views)
{
	struct page p;
	struct jw j;

	*views = 0;
	assert_int_equal(page_init(&p, column_find(column), descending, limit), 0);
	for (unsigned i = 0; marker && i < n; i++)
		if (things[i].meta.id == marker)
			assert_int_equal(page_after(&p, &things[i].obj), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(page_offer(&p, &things[order[i]].obj, view, views), 0);
	jw_init(&j, 0);
	page_write(&j, NULL, &p);
	snprintf(text, size, "%s", j.buf.data);
	jw_fini(&j);
	page_fini(&p);
}

static void rows_stand_in_order_however_they_come(void **state)
{
	static const char *const names[] = {"b", "a", "c", "a", "", "b"}; /* ids 1 to 6 */
	static const struct {
		const char *column;
		bool descending;
		unsigned limit, marker;
		const char *page;
	} rows[] = {
		{"id", false, 10, 0, "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]"},
		{"id", true, 2, 0, "[\"6\",\"5\"]"},
		{"id", false, 2, 3, "[\"4\",\"5\"]"},
		{"id", true, 2, 3, "[\"2\",\"1\"]"},
		{"id", true, 2, 1, "[]"},
		{"name", false, 10, 0, "[\"5\",\"2\",\"4\",\"1\",\"6\",\"3\"]"}, /* no name first; equal ones by id */
		{"name", true, 3, 0, "[\"3\",\"6\",\"1\"]"},
		{"name", false, 2, 2, "[\"4\",\"1\"]"},
		{"name", false, 2, 5, "[\"2\",\"4\"]"},
		{"name", true, 10, 2, "[\"5\"]"},
		{"status", false, 2, 0, "[\"1\",\"2\"]"},
	};
	static const unsigned orders[][6] = {{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {2, 5, 0, 4, 1, 3}};
	struct thing things[6];
	char text[128];
	unsigned views;

	for (unsigned i = 0; i < 6; i++)
		thing_make(&things[i], i + 1, names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t o = 0; o < ARRAY_SIZE(orders); o++) {
			page_text(things, orders[o], 6, rows[i].column, rows[i].descending, rows[i].limit,
				  rows[i].marker, text, sizeof text, &views);
			assert_row(!strcmp(text, rows[i].page), i);
		}
}

static void only_a_page_is_ever_made(void **state)
{
	static struct thing things[ROWS];
	unsigned order[ROWS], views;
	char text[128], name[8];

	for (unsigned i = 0; i < ROWS; i++) {
		snprintf(name, sizeof name, "%03u", i);
		thing_make(&things[i], i + 1, name);
		order[i] = i;
	}
	page_text(things, order, ROWS, "name", false, 3, 0, text, sizeof text, &views);
	assert_string_equal(text, "[\"1\",\"2\",\"3\"]");
	assert_int_equal(views, 3);
}

static void pages_one_after_the_other_are_the_whole(void **state)
{
	static struct thing things[ROWS];
	unsigned order[ROWS], seen = 0, marker = 0, views;
	bool was[ROWS + 1] = {false};
	char text[256], name[8];

	for (unsigned i = 0; i < ROWS; i++) {
		snprintf(name, sizeof name, "%u", i * 7 % 13); /* many are equal */
		thing_make(&things[i], i + 1, name);
		order[i] = i;
	}
	for (;;) {
		char *at = text;

		page_text(things, order, ROWS, "name", true, 7, marker, text, sizeof text, &views);
		if (!strcmp(text, "[]"))
			break;
		while ((at = strchr(at, '"'))) {
			marker = (unsigned)strtoul(at + 1, &at, 10);
			assert_false(was[marker]);
			was[marker] = true;
			seen++;
			at++;
		}
	}
	assert_int_equal(seen, ROWS);
}

static void columns_have_zuns_names(void **state)
{
	static const char *const there[] = {"id",     "uuid", "name",	    "image",	  "status",	"task_state",
					    "memory", "cpu",  "created_at", "updated_at", "project_id", "user_id"};

	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		assert_row(column_find(there[i]), i);
	assert_null(column_find("wrong"));
	assert_null(column_find(""));
	assert_true(column_is_id(column_find("id")));
	assert_false(column_is_id(column_find("uuid")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_stand_in_order_however_they_come),
		cmocka_unit_test(only_a_page_is_ever_made),
		cmocka_unit_test(pages_one_after_the_other_are_the_whole),
		cmocka_unit_test(columns_have_zuns_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_table.c - objects by uuid: order, capacity, prefixes. */
#include "tests/unit/unit.h"

#include "supervisor/table.h"

static struct table_node *node(const char *uuid)
{
	struct table_node *n = calloc(1, sizeof *n);

	list_init(&n->link);
	snprintf(n->uuid, sizeof n->uuid, "%s", uuid);
	return n;
}

static void empty(struct table *t)
{
	struct table_node *n;

	while ((n = list_first(&t->all, struct table_node, link))) {
		table_del(t, n);
		free(n);
	}
	table_fini(t);
}

static void keeps_the_order_of_creation_and_finds_all(void **state)
{
	struct table t;
	struct table_node *n;
	char uuid[500][UUID_SIZE];
	unsigned i = 0;

	assert_int_equal(table_init(&t, 500), 0);
	for (unsigned k = 0; k < 500; k++) {
		uuid_make(uuid[k]);
		assert_int_equal(table_add(&t, node(uuid[k])), 0);
	}
	list_each (n, &t.all, link)
		assert_string_equal(n->uuid, uuid[i++]);
	assert_int_equal(i, 500);
	for (unsigned k = 0; k < 500; k++)
		assert_string_equal(table_find(&t, uuid[k])->uuid, uuid[k]);
	empty(&t);
}

static void refuses_a_second_of_one_uuid_and_one_beyond_the_capacity(void **state)
{
	struct table t;
	struct table_node *a = node("11111111-0000-4000-8000-000000000000"), *b = node(a->uuid), *c = node("2");

	assert_int_equal(table_init(&t, 1), 0);
	assert_int_equal(table_add(&t, a), 0);
	assert_int_equal(table_add(&t, b), -EEXIST);
	assert_int_equal(table_add(&t, c), -ENOSPC);
	assert_int_equal(t.n, 1);
	free(b);
	free(c);
	empty(&t);
}

static void a_deleted_one_is_gone_and_deleting_it_again_does_nothing(void **state)
{
	struct table t;
	struct table_node *a = node("11111111-0000-4000-8000-000000000000");

	assert_int_equal(table_init(&t, 4), 0);
	assert_int_equal(table_add(&t, a), 0);
	table_del(&t, a);
	assert_null(table_find(&t, a->uuid));
	table_del(&t, a);
	assert_int_equal(t.n, 0);
	assert_int_equal(table_add(&t, a), 0);
	empty(&t);
}

static void a_prefix_is_unambiguous_or_nothing(void **state)
{
	static const struct {
		const char *prefix;
		int found; /* 0, 1 or 2 for many */
	} rows[] = {
		{"", 0},
		{"a", 2},
		{"aaaaaaaa-b", 1},
		{"aaaaaaaab", 1},
		{"aaaaaaaac", 1},
		{"aaaaaaaa", 2},
		{"f", 0},
		{"-", 0},
		{"aaaaaaaa-b--", 0},
		{"aaaaaaaa-bbbb-4000-8000-000000000000", 1},
		{"aaaaaaaabbbb40008000000000000000", 1},
		{"aaaaaaaabbbb400080000000000000001", 0},
		{"AAAAAAAAB", 0},
	};
	struct table t;
	bool many;

	assert_int_equal(table_init(&t, 4), 0);
	assert_int_equal(table_add(&t, node("aaaaaaaa-bbbb-4000-8000-000000000000")), 0);
	assert_int_equal(table_add(&t, node("aaaaaaaa-cccc-4000-8000-000000000000")), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct table_node *n = table_find_prefix(&t, rows[i].prefix, NULL, NULL, &many);

		assert_row((n != NULL) == (rows[i].found == 1), i);
		assert_row(many == (rows[i].found == 2), i);
	}
	empty(&t);
}

static bool is_second(const void *arg, const struct table_node *n)
{
	return n->uuid[9] == *(const char *)arg;
}

static void what_one_may_not_see_makes_no_prefix_ambiguous(void **state)
{
	struct table t;
	bool many;

	assert_int_equal(table_init(&t, 4), 0);
	assert_int_equal(table_add(&t, node("aaaaaaaa-bbbb-4000-8000-000000000000")), 0);
	assert_int_equal(table_add(&t, node("aaaaaaaa-cccc-4000-8000-000000000000")), 0);
	assert_non_null(table_find_prefix(&t, "aaaa", is_second, "c", &many));
	assert_false(many);
	assert_null(table_find_prefix(&t, "aaaaaaaa-b", is_second, "c", &many));
	assert_false(many);
	empty(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_order_of_creation_and_finds_all),
		cmocka_unit_test(refuses_a_second_of_one_uuid_and_one_beyond_the_capacity),
		cmocka_unit_test(a_deleted_one_is_gone_and_deleting_it_again_does_nothing),
		cmocka_unit_test(a_prefix_is_unambiguous_or_nothing),
		cmocka_unit_test(what_one_may_not_see_makes_no_prefix_ambiguous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

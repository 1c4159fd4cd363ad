/* tests/unit/test_list.c - links enter and leave a list at both ends and in a walk. */
#include "tests/unit/unit.h"

#include "base/list.h"

struct item {
	int n;
	struct list link;
};

static int digits(struct list *l)
{
	struct item *it;
	int sum = 0;

	list_each (it, l, link)
		sum = sum * 10 + it->n;
	return sum;
}

static void links_keep_their_order(void **state)
{
	struct item a = {1}, b = {2}, c = {3};
	struct list l = LIST_INIT(l);

	assert_true(list_empty(&l));
	assert_null(list_first(&l, struct item, link));
	assert_null(list_pop(&l, struct item, link));
	list_push(&l, &b.link);
	list_push(&l, &c.link);
	list_push_front(&l, &a.link);
	assert_int_equal(digits(&l), 123);
	assert_ptr_equal(list_first(&l, struct item, link), &a);
	assert_ptr_equal(list_pop(&l, struct item, link), &a);
	assert_int_equal(digits(&l), 23);
}

static void deleting_twice_is_harmless(void **state)
{
	struct item a = {1}, b = {2};
	struct list l;

	list_init(&l);
	list_push(&l, &a.link);
	list_push(&l, &b.link);
	list_del(&a.link);
	list_del(&a.link);
	assert_int_equal(digits(&l), 2);
	list_push(&l, &a.link);
	assert_int_equal(digits(&l), 21);
}

static void a_walk_may_delete_where_it_stands(void **state)
{
	struct item items[9];
	struct list l = LIST_INIT(l);
	struct item *it;

	for (int i = 0; i < 9; i++) {
		items[i].n = i + 1;
		list_push(&l, &items[i].link);
	}
	list_each (it, &l, link) {
		if (it->n % 2)
			list_del(&it->link);
	}
	assert_int_equal(digits(&l), 2468);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_keep_their_order),
		cmocka_unit_test(deleting_twice_is_harmless),
		cmocka_unit_test(a_walk_may_delete_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

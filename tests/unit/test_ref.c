/* tests/unit/test_ref.c - what is meant by a name or a uuid, where projects may share what they have. */
#include "tests/unit/unit.h"

#include "supervisor/ref.h"

struct thing {
	struct table_node node;
	Berth__Meta meta;
	bool shared, gone;
};

static const Berth__Meta *seen(const struct principal *who, const struct table_node *n)
{
	const struct thing *t = container_of(n, struct thing, node);

	return !t->gone && (t->shared || !strcmp(t->meta.project, who->project)) ? &t->meta : NULL;
}

static const struct ref_kind kind = {"thing", "thing", "things", seen};

static void thing_add(struct table *t, struct thing *x, const char *uuid, const char *project, const char *name)
{
	berth__meta__init(&x->meta);
	snprintf(x->node.uuid, sizeof x->node.uuid, "%s", uuid);
	x->meta.uuid = x->node.uuid;
	x->meta.project = (char *)(uintptr_t)project;
	x->meta.name = (char *)(uintptr_t)name;
	assert_int_equal(table_add(t, &x->node), 0);
}

static void his_own_comes_before_what_others_share_and_a_uuid_says_which(void **state)
{
	struct thing theirs = {.shared = true}, mine = {0}, hidden = {0}, second = {.shared = true};
	struct principal who = {.project = "mine"}, third = {.project = "third"};
	struct table t;
	struct err e;

	assert_int_equal(table_init(&t, 8), 0);
	thing_add(&t, &theirs, "11111111-0000-4000-8000-000000000000", "theirs", "web");
	thing_add(&t, &mine, "22222222-0000-4000-8000-000000000000", "mine", "web");
	thing_add(&t, &hidden, "33333333-0000-4000-8000-000000000000", "theirs", "secret");
	assert_ptr_equal(ref_find(&t, &kind, &who, "web", &e), &mine.node);
	assert_ptr_equal(ref_find(&t, &kind, &third, "web", &e), &theirs.node);
	assert_ptr_equal(ref_find(&t, &kind, &who, theirs.node.uuid, &e), &theirs.node);

	assert_null(ref_find(&t, &kind, &who, "secret", &e));
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.text, "there is no thing 'secret'");
	assert_null(ref_find(&t, &kind, &who, hidden.node.uuid, &e));

	thing_add(&t, &second, "44444444-0000-4000-8000-000000000000", "fourth", "web");
	assert_ptr_equal(ref_find(&t, &kind, &who, "web", &e), &mine.node);
	assert_null(ref_find(&t, &kind, &third, "web", &e));
	assert_int_equal(e.code, ENOTUNIQ);
	assert_string_equal(e.step, "thing");
	assert_string_equal(e.text, "several things are called 'web': name one by its uuid");
	second.gone = true;
	assert_ptr_equal(ref_find(&t, &kind, &third, "web", &e), &theirs.node);
	table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(his_own_comes_before_what_others_share_and_a_uuid_says_which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_net_gone.c - namespaces of those that have ended are let go a few at a time, and what is left of an interface is removed. The links, and the
 * time, are the test's (--wrap). */
#include "base/loop.h"
#include "net/gone.h"
#include "net/link.h"
#include "tests/unit/unit.h"

#define MANY 60

static bool there[MANY];
static unsigned removed;
static uint64_t now = NS_PER_S;

static unsigned number(const char *name)
{
	return (unsigned)atoi(name + 2);
}

int __wrap_link_index(struct nl *nl, const char *name);
int __wrap_link_index(struct nl *nl, const char *name)
{
	return there[number(name)] ? 7 : -ENODEV;
}

int __wrap_link_del(struct nl *nl, const char *name, struct err *e);
int __wrap_link_del(struct nl *nl, const char *name, struct err *e)
{
	there[number(name)] = false;
	removed++;
	return 0;
}

uint64_t __wrap_now_ns(void);
uint64_t __wrap_now_ns(void)
{
	return now;
}

static int fds[MANY];

static const char *name_of(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof name, "bt%u", i);
	return name;
}

static struct gone *with_many(void)
{
	struct gone *g;
	struct err e;

	removed = 0;
	assert_int_equal(gone_open(&g, NULL, &e), 0);
	for (unsigned i = 0; i < MANY; i++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		fds[i] = fd;
		there[i] = true;
		gone_hold(g, name_of(i), &fd);
		assert_int_equal(fd, -1);
	}
	return g;
}

static unsigned held(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += fcntl(fds[i], F_GETFD) >= 0;
	return n;
}

/* All that is left is let go, so that the next test counts its own. */
static void end(struct gone *g)
{
	gone_keep(g, NULL, 0);
	for (unsigned i = 0; i < MANY; i++)
		gone_forget(g, name_of(i));
	assert_int_equal(held(), 0);
	free(g);
}

static void those_in_use_are_held_and_few_of_those_that_end_are_let_go_at_once(void **state)
{
	struct gone *g = with_many();

	assert_int_equal(held(), MANY);
	assert_int_equal(gone_due(g), 0);
	gone_add(g, name_of(0));
	assert_int_equal(held(), MANY - 1); /* one that ends alone does not wait */
	for (unsigned i = 1; i < 50; i++)
		gone_add(g, name_of(i));
	assert_int_equal(held(), MANY - 16);
	for (unsigned i = 0; i < 10; i++)
		there[i] = false;
	gone_go_on(g);
	assert_int_equal(held(), MANY - 16); /* not looked for all the time */
	now = gone_due(g);
	gone_go_on(g);
	assert_int_equal(held(), MANY - 26);
	while (gone_due(g)) {
		now = gone_due(g);
		for (unsigned i = 0; i < MANY; i++)
			there[i] = there[i] && fcntl(fds[i], F_GETFD) >= 0;
		gone_go_on(g);
	}
	assert_int_equal(held(), 10); /* they have not ended */
	assert_int_equal(removed, 0);
	end(g);
}

static void what_keeps_its_namespace_is_in_nobodys_way_and_its_link_is_removed_after_a_second(void **state)
{
	struct gone *g = with_many();
	uint64_t begun = now;

	for (unsigned i = 0; i < 20; i++)
		gone_add(g, name_of(i));
	assert_int_equal(held(), MANY - 16);
	while (held() > MANY - 20) {
		now = gone_due(g);
		gone_go_on(g);
	}
	assert_in_range(now - begun, NS_PER_MS, NS_PER_S / 2);
	assert_int_equal(removed, 0);
	now = begun + NS_PER_S;
	gone_go_on(g);
	assert_int_equal(removed, 16);
	while (gone_due(g)) {
		now = gone_due(g);
		gone_go_on(g);
	}
	assert_int_equal(removed, 20);
	end(g);
}

static void whoever_has_it_again_or_is_not_known_any_more_is_not_waited_for(void **state)
{
	struct gone *g = with_many();
	Net__Port port = NET__PORT__INIT, *ports[] = {&port};

	for (unsigned i = 0; i < 30; i++)
		gone_add(g, name_of(i));
	assert_true(gone_has(g, "bt29") && gone_has(g, "bt0"));
	assert_false(gone_has(g, "bt30"));
	gone_forget(g, "bt29");
	gone_forget(g, "bt0");
	assert_false(gone_has(g, "bt29") || gone_has(g, "bt0"));
	assert_int_equal(held(), MANY - 17);
	port.host_link = (char *)(uintptr_t) "bt40";
	gone_keep(g, ports, 1);
	assert_int_equal(held(), 13 + 1); /* those that wait, and the one in use */
	assert_true(fcntl(fds[40], F_GETFD) >= 0);
	end(g);
}

static void while_somebody_attaches_fewer_are_let_go_but_none_waits_for_long(void **state)
{
	struct gone *g = with_many();

	gone_yield(g);
	for (unsigned i = 0; i < 50; i++)
		gone_add(g, name_of(i));
	assert_int_equal(held(), MANY - 4);
	for (unsigned i = 0; i < 4; i++)
		there[i] = false;
	now = gone_due(g);
	gone_go_on(g);
	assert_int_equal(held(), MANY - 8);
	now += 100 * NS_PER_MS;
	gone_go_on(g);
	assert_int_equal(held(), MANY - 4 - 16); /* nobody asks any more */
	for (unsigned i = 4; i < 20; i++)
		there[i] = false;
	gone_yield(g);
	now = gone_due(g);
	gone_go_on(g);
	assert_int_equal(held(), MANY - 20 - 4);
	for (unsigned i = 20; i < 24; i++)
		there[i] = false;
	now += 2 * NS_PER_S;
	gone_yield(g);
	gone_go_on(g);
	assert_int_equal(held(), MANY - 24 - 16); /* … or asks all the time */
	end(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_in_use_are_held_and_few_of_those_that_end_are_let_go_at_once),
		cmocka_unit_test(what_keeps_its_namespace_is_in_nobodys_way_and_its_link_is_removed_after_a_second),
		cmocka_unit_test(while_somebody_attaches_fewer_are_let_go_but_none_waits_for_long),
		cmocka_unit_test(whoever_has_it_again_or_is_not_known_any_more_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/test_net_remover.c - who removes a link waits until it is gone, and for nothing else. The kernel is the test's (--wrap). */
#include "net/link.h"
#include "net/remover.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define REFUSED 7 /* the number of a link that cannot be removed */

static atomic_int there, looked, waits, acknowledged;
static atomic_bool late; /* acknowledgements come when the test says so */

int __wrap_nl_open(struct nl *nl, struct err *e);
int __wrap_nl_open(struct nl *nl, struct err *e)
{
	return 0;
}

int __wrap_link_del_at(struct nl *nl, int index);
int __wrap_link_del_at(struct nl *nl, int index)
{
	if (index == REFUSED)
		return -EBUSY;
	there = 0;
	while (late)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	acknowledged++;
	return 0;
}

bool __wrap_link_is_there(struct nl *nl, int index);
bool __wrap_link_is_there(struct nl *nl, int index)
{
	looked++;
	return there == index;
}

void __wrap_link_lock_wait(struct nl *nl);
void __wrap_link_lock_wait(struct nl *nl)
{
	assert_int_equal(there, 0);
	waits++;
}

static struct remover *x;

static int open_it(void **state)
{
	struct err e;

	return remover_open(&x, &e);
}

static void who_removes_waits_until_it_is_gone_and_not_for_the_acknowledgement(void **state)
{
	late = true;
	for (int i = 100; i < 108; i++) { /* a thread each */
		there = i;
		assert_int_equal(remover_remove(x, NULL, i), 0);
		assert_int_equal(there, 0);
	}
	assert_int_equal(acknowledged, 0);
	assert_int_equal(waits, 8);
	late = false;
}

static void what_cannot_be_removed_is_said(void **state)
{
	int before = waits;

	there = REFUSED;
	assert_int_equal(remover_remove(x, NULL, REFUSED), -EBUSY);
	assert_int_equal(waits, before);
}

/* More answers than a pipe has room for. */
static void answers_that_nobody_has_waited_for_are_in_nobodys_way(void **state)
{
	for (int i = 1000; i < 21000; i++) {
		there = i;
		assert_int_equal(remover_remove(x, NULL, i), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_removes_waits_until_it_is_gone_and_not_for_the_acknowledgement),
		cmocka_unit_test(what_cannot_be_removed_is_said),
		cmocka_unit_test(answers_that_nobody_has_waited_for_are_in_nobodys_way),
	};

	return cmocka_run_group_tests(tests, open_it, NULL);
}

/* tests/unit/test_upgrade.c - the old berthd again: nothing of the one that did not come up hangs over it. */
#include "tests/unit/unit.h"

#include "supervisor/upgrade.h"

static void go_back(void)
{
	char takeover[64];
	char *argv[] = {(char *)(uintptr_t) "berthd", NULL};
	uint32_t generation = 0;
	int listen_fd = -1, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err e = {0};

	snprintf(takeover, sizeof takeover, "%d:-1:3", fd);
	assert_int_equal(upgrade_takeover(argv, takeover, &listen_fd, &generation, &e), 0);
	assert_int_equal(listen_fd, fd);
	assert_int_equal(generation, 3);
	close(fd);
}

/* It goes over an exec, and ends who has no handler for it. */
static void its_deadline_is_lifted(void **state)
{
	alarm(UPGRADE_READY_S);
	go_back();
	assert_int_equal(alarm(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_deadline_is_lifted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

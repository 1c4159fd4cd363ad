/* tests/unit/test_reaper.c - all children that have ended are reaped, and whoever waits for one hears how it ended. */
#include "tests/unit/unit.h"

#include "supervisor/reaper.h"

#include <sys/wait.h>

struct told {
	struct child child;
	unsigned times;
	int code, status;
};

static void on_ended(struct child *c, const siginfo_t *how)
{
	struct told *t = container_of(c, struct told, child);

	t->times++;
	t->code = how->si_code;
	t->status = how->si_status;
}

/* One that has ended, and is not reaped yet. */
static pid_t dead(int status)
{
	pid_t pid = fork();

	if (!pid)
		_exit(status);
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	return pid;
}

static void all_are_reaped_and_who_waits_hears_how_it_ended(void **state)
{
	struct supervisor sv = {0};
	struct told heard = {0}, forgot = {0}, lives = {0};
	pid_t stranger = dead(1), own = dead(3), left = dead(4), living = fork();

	if (!living) {
		pause();
		_exit(0);
	}
	list_init(&sv.children);
	reaper_watch(&sv, &heard.child, own, on_ended);
	reaper_watch(&sv, &forgot.child, left, on_ended);
	reaper_watch(&sv, &lives.child, living, on_ended);
	reaper_forget(&forgot.child);
	reaper_forget(&forgot.child);
	reaper_reap(&sv);
	assert_int_equal(heard.times, 1);
	assert_int_equal(heard.code, CLD_EXITED);
	assert_int_equal(heard.status, 3);
	assert_int_equal(heard.child.pid, 0);
	assert_int_equal(forgot.times + lives.times, 0);
	assert_int_equal(lives.child.pid, living);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(waitpid((pid_t[]){stranger, own, left}[i], NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
	}
	kill(living, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)living, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	reaper_reap(&sv);
	assert_int_equal(lives.times, 1);
	assert_int_equal(lives.code, CLD_KILLED);
	assert_int_equal(lives.status, SIGKILL);
	assert_true(list_empty(&sv.children));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_reaped_and_who_waits_hears_how_it_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

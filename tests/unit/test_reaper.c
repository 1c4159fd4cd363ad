/* tests/unit/test_reaper.c - all children that have ended are reaped, and whoever waits for one hears how it ended. */
#include "tests/unit/unit.h"

#include "supervisor/reaper.h"

#include <sys/syscall.h>
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
	reaper_watch(&sv, &heard.child, own, -1, on_ended);
	reaper_watch(&sv, &forgot.child, left, -1, on_ended);
	reaper_watch(&sv, &lives.child, living, -1, on_ended);
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

static struct told *by_pidfd;

static void on_turn(struct loop *l)
{
	if (by_pidfd->times)
		loop_stop(l, 0);
}

/* Nobody heard of a signal, and nobody looked. */
static void a_known_one_is_heard_of_by_its_pidfd_and_a_stranger_is_not_looked_for(void **state)
{
	struct supervisor sv = {0};
	struct told heard = {0};
	pid_t stranger = dead(1), own = dead(5);
	int pidfd = (int)syscall(SYS_pidfd_open, own, 0), taken = (int)syscall(SYS_pidfd_open, stranger, 0);

	list_init(&sv.children);
	assert_int_equal(loop_init(&sv.loop), 0);
	by_pidfd = &heard;
	sv.loop.turn_end = on_turn;
	reaper_watch(&sv, &heard.child, own, pidfd, on_ended);
	assert_int_equal(loop_run(&sv.loop), 0);
	assert_int_equal(heard.times, 1);
	assert_int_equal(heard.status, 5);
	assert_int_equal(waitpid(stranger, NULL, WNOHANG), stranger);
	/* One of whom nobody asks how; once more, and of nobody. */
	pid_t third = dead(0);

	close(taken);
	taken = (int)syscall(SYS_pidfd_open, third, 0);
	reaper_take(taken);
	assert_int_equal(waitpid(third, NULL, WNOHANG), -1);
	reaper_take(taken);
	reaper_take(-1);
	loop_fini(&sv.loop);
	close(pidfd);
	close(taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_reaped_and_who_waits_hears_how_it_ended),
		cmocka_unit_test(a_known_one_is_heard_of_by_its_pidfd_and_a_stranger_is_not_looked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

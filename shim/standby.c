/* shim/standby.c - see shim/standby.h */
#include "shim/standby.h"

#include "base/own.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <signal.h>

static void forget(struct standby *b)
{
	close_fd(&b->pidfd);
	close_fd(&b->sync_fd);
	progress_free(take_ptr(b->progress));
	*b = STANDBY_NULL;
}

bool standby_take(struct shim *s, int plan_fd, const int io[3])
{
	struct standby *b = &s->standby;
	struct run *run = &s->run;

	if (!b->pid || sync_send_plan(b->sync_fd, plan_fd, io) < 0)
		return false;
	run->pid = b->pid;
	run->pidfd = take_fd(&b->pidfd);
	run->sync_fd = take_fd(&b->sync_fd);
	run->progress = take_ptr(b->progress);
	*b = STANDBY_NULL;
	return true;
}

void standby_drop(struct shim *s)
{
	if (s->standby.pidfd >= 0)
		(void)sys_pidfd_send_signal(s->standby.pidfd, SIGKILL); /* or it has ended */
	forget(&s->standby);
}

void standby_reaped(struct shim *s, int pid)
{
	if (pid == s->standby.pid)
		forget(&s->standby);
}

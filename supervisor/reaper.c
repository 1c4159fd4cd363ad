/* supervisor/reaper.c - see supervisor/reaper.h */
#include "supervisor/reaper.h"

#include <poll.h>
#include <sys/wait.h>

#define WAIT_MS 1000

void reaper_watch(struct supervisor *sv, struct child *c, pid_t pid, void (*ended)(struct child *, const siginfo_t *))
{
	c->pid = pid;
	c->ended = ended;
	list_push(&sv->children, &c->link);
}

void reaper_forget(struct child *c)
{
	if (c->pid)
		list_del(&c->link);
	c->pid = 0;
}

static struct child *child_of(struct supervisor *sv, pid_t pid)
{
	struct child *c;

	list_each (c, &sv->children, link)
		if (c->pid == pid)
			return c;
	return NULL;
}

void reaper_reap(struct supervisor *sv)
{
	siginfo_t how;

	for (;;) {
		struct child *c;

		how.si_pid = 0;
		if (waitid(P_ALL, 0, &how, WEXITED | WNOHANG) < 0 || !how.si_pid)
			return;
		c = child_of(sv, how.si_pid);
		if (!c)
			continue;
		reaper_forget(c);
		c->ended(c, &how);
	}
}

void reaper_wait(int pidfd)
{
	if (pidfd >= 0)
		(void)poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, WAIT_MS);
}

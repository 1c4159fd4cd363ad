/* supervisor/reaper.c - see supervisor/reaper.h */
#include "supervisor/reaper.h"

#include <poll.h>
#include <sys/wait.h>

#define WAIT_MS 1000
#define SOON_NS NS_PER_S

static void child_ended(struct child *c, const siginfo_t *how)
{
	reaper_forget(c);
	c->ended(c, how);
}

static void on_child(struct source *s, uint32_t events)
{
	struct child *c = container_of(s, struct child, source);
	siginfo_t how = {0};

	/* What cannot be waited for here is left to reaper_reap. */
	if (waitid(P_PIDFD, (id_t)c->pidfd, &how, WEXITED | WNOHANG) == 0 && how.si_pid)
		child_ended(c, &how);
	else
		source_del(s);
}

void reaper_watch(struct supervisor *sv, struct child *c, pid_t pid, int pidfd,
		  void (*ended)(struct child *, const siginfo_t *))
{
	c->pid = pid;
	c->pidfd = pidfd;
	c->ended = ended;
	list_push(&sv->children, &c->link);
	(void)source_add(&sv->loop, &c->source, pidfd, EPOLLIN, on_child); /* without memory reaper_reap finds it */
}

void reaper_forget(struct child *c)
{
	if (c->pid)
		list_del(&c->link);
	c->pid = 0;
	source_del(&c->source);
}

void reaper_take(int pidfd)
{
	siginfo_t how;

	(void)waitid(P_PIDFD, (id_t)pidfd, &how, WEXITED | WNOHANG);
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
		if (c)
			child_ended(c, &how);
	}
}

static void on_soon(struct timer *t)
{
	reaper_reap(container_of(t, struct supervisor, reap));
}

void reaper_soon(struct supervisor *sv)
{
	if (!timer_armed(&sv->reap) && timer_in(&sv->loop, &sv->reap, SOON_NS, on_soon) < 0)
		reaper_reap(sv);
}

void reaper_wait(int pidfd)
{
	if (pidfd >= 0)
		(void)poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, WAIT_MS);
}

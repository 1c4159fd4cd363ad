/* shim/standby.c - see shim/standby.h */
#include "shim/standby.h"

#include "base/own.h"
#include "proto/wire.h"
#include "shim/child.h"
#include "shim/launch.h"
#include "shim/shim.h"
#include "shim/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define END_WAIT_MS 100

static void forget(struct standby *b)
{
	source_del(&b->sync);
	close_fd(&b->pidfd);
	close_fd(&b->sync_fd);
	progress_free(take_ptr(b->progress));
	*b = STANDBY_NULL;
}

int standby_clone(struct shim *s, const Shim__LaunchPlan *l, int group_fd, struct child *c, struct err *e)
{
	struct standby *b = &s->standby;
	AUTO_FD group = openat(group_fd, "main", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int sync[2], r;

	if (group < 0)
		return err_set(e, errno, "cgroup", "open the group `main`");
	b->progress = c->progress = progress_new();
	if (!b->progress)
		return err_set(e, errno, "setup", "memory for the launch");
	r = sync_open(sync);
	if (r < 0) {
		forget(b);
		return err_set(e, r, "setup", "make the sync socket");
	}
	b->sync_fd = sync[0];
	c->sync_fd = sync[1];
	c->process = l->process;
	c->uuid = s->uuid;
	r = shim_clone(s, launch_clone_flags(l, c), group, -1, &b->pidfd);
	if (r == 0)
		child_stand_by(c);
	close(sync[1]);
	b->pid = r < 0 ? 0 : r;
	if (r > 0)
		return 0;
	forget(b);
	return err_set(e, r, "clone", "make a process");
}

/* Up to now. False: it died, or something is missing that a launch will do without and say so. */
static bool hear(struct shim *s)
{
	struct sync_record rec;
	bool good = true;
	int fds[2], r;

	while ((r = sync_receive(s->standby.sync_fd, &rec, fds)) == 0) {
		if (rec.kind == SYNC_ROOT)
			launch_take_root(s, &rec, fds);
		good &= rec.kind == SYNC_ROOT || rec.kind == SYNC_READY;
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	}
	return good && r == WIRE_AGAIN;
}

static void on_sync(struct source *src, uint32_t events)
{
	struct shim *s = container_of(src, struct shim, standby.sync);

	if (!hear(s))
		standby_drop(s);
}

int standby_watch(struct shim *s, struct err *e)
{
	int r = source_add(&s->loop, &s->standby.sync, s->standby.sync_fd, EPOLLIN, on_sync);

	return r < 0 ? err_set(e, r, "setup", "watch the process that stands by") : 0;
}

bool standby_take(struct shim *s, int plan_fd, const int io[3])
{
	struct standby *b = &s->standby;
	struct run *run = &s->run;

	if (b->pid && b->sync.loop && !hear(s))
		standby_drop(s);
	if (!b->pid || sync_send_plan(b->sync_fd, plan_fd, io) < 0)
		return false;
	source_del(&b->sync);
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

void standby_end(struct shim *s)
{
	struct pollfd p = {.fd = s->standby.pidfd, .events = POLLIN};

	if (p.fd < 0)
		return;
	(void)sys_pidfd_send_signal(p.fd, SIGKILL); /* or it has ended */
	if (poll(&p, 1, END_WAIT_MS) == 1)
		(void)waitid(P_PIDFD, (id_t)p.fd, &(siginfo_t){0}, WEXITED | WNOHANG);
	forget(&s->standby);
}

void standby_reaped(struct shim *s, int pid)
{
	if (pid == s->standby.pid)
		forget(&s->standby);
}

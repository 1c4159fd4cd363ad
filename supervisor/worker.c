/* supervisor/worker.c - see supervisor/worker.h */
#include "supervisor/worker.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "base/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#define AGAIN_NS (100 * NS_PER_MS)
/* One that has lived so long is started again at once. */
#define LIVED_NS      (2 * NS_PER_S)
#define RECOVERING_NS (10 * NS_PER_MS)

/* ---------------------------------------------------------------- its end */

void worker_bury(struct supervisor *sv, const char *group)
{
	char path[80];

	snprintf(path, sizeof path, "jobs/%s", group);
	cg_bury(&sv->graveyard, sv->cg.root_fd, path);
}

static void worker_down(struct worker *w)
{
	w->runs = w->told = false;
	timer_del(&w->timer);
	peer_fini(&w->peer);
	if (w->child.pid)
		syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	if (w->group_fd >= 0) {
		close_fd(&w->group_fd);
		worker_bury(w->sv, w->group);
	}
}

static void on_again(struct timer *t)
{
	worker_go_on(container_of(t, struct worker, timer));
}

void worker_fail(struct worker *w, const struct err *e)
{
	bool lived = now_ns() - w->started_at > LIVED_NS;

	log_err(e, "%s", w->kind->name);
	worker_down(w);
	if (w->kind->failed)
		w->kind->failed(w, e);
	timer_in(&w->sv->loop, &w->timer, lived ? 0 : AGAIN_NS, on_again);
}

static void worker_died(struct worker *w, const char *how)
{
	struct err e;

	err_set(&e, 0, w->kind->step, "it %s", how);
	worker_fail(w, &e);
}

static void on_ended(struct child *c, const siginfo_t *how)
{
	struct worker *w = container_of(c, struct worker, child);

	close_fd(&w->pidfd);
	/* While it runs it is the end of its socket that counts: what it said before comes first, and says what it did not die of. */
	if (!w->runs && !timer_armed(&w->timer)) /* its successor could not begin before */
		worker_go_on(w);
}

static int on_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct worker *w = container_of(p, struct worker, peer);

	return w->kind->record(w, data, len);
}

static void on_gone(struct peer *p, int reason)
{
	worker_died(container_of(p, struct worker, peer), reason == -EPROTO ? "speaks nonsense" : "hung up");
}

static const struct peer_ops ops = {.record = on_record, .gone = on_gone};

/* ---------------------------------------------------------------- its beginning */

static int worker_spawn(struct worker *w, struct err *e)
{
	const struct worker_kind *k = w->kind;
	struct supervisor *sv = w->sv;
	char *argv[] = {(char *)(uintptr_t)k->name, NULL};
	int pair[2], fds[4] = {-1, -1, STDERR_FILENO, -1}, r;
	struct spawn how = {.exec_fd = -1, .path = w->path, .argv = argv, .fds = fds, .n_fds = 4};
	pid_t pid;

	w->started_at = now_ns();
	snprintf(w->group, sizeof w->group, "%s%llu", k->group, (unsigned long long)wall_ns() / NS_PER_MS);
	r = cg_tree_make(&sv->cg, sv->cg.jobs_fd, w->group, &w->group_fd, e);
	if (r < 0)
		return r;
	r = wire_pair(pair);
	if (r < 0)
		return err_set(e, -r, k->step, "a socket for %s", k->name);
	AUTO_FD child_end = pair[1];
	r = peer_init(&w->peer, &sv->loop, pair[0], &ops, k->queue_bytes, k->queue_records);
	if (r < 0)
		return err_set(e, -r, k->step, "watch the socket of %s", k->name);
	fds[3] = child_end;
	how.cgroup_fd = w->group_fd;
	r = spawn(&how, &w->pidfd, &pid, e);
	if (r == 0)
		reaper_watch(sv, &w->child, pid, w->pidfd, on_ended);
	return r;
}

void worker_go_on(struct worker *w)
{
	struct err e;
	int r = 0;

	timer_del(&w->timer);
	if (w->sv->recover) { /* what lives is not all known yet, and it would be told that the rest is gone */
		timer_in(&w->sv->loop, &w->timer, RECOVERING_NS, on_again);
		return;
	}
	if (!w->runs) {
		if (w->child.pid || !w->kind->wanted(w)) /* the last one has not died yet: the kernel has hold of it */
			return;
		r = worker_spawn(w, &e);
		w->runs = true;
	}
	if (r == 0 && !w->told) {
		w->told = true;
		r = w->kind->tell_all(w, &e);
	}
	if (r < 0)
		worker_fail(w, &e);
}

void worker_wake(struct worker *w)
{
	if (!w->told && !timer_armed(&w->timer))
		timer_in(&w->sv->loop, &w->timer, 0, on_again);
}

int worker_send(struct worker *w, const void *data, size_t len, int fd)
{
	AUTO_FD big = len > WIRE_MAX ? memfd_sealed(w->kind->name, data, len) : -1;

	if (len <= WIRE_MAX)
		return peer_send(&w->peer, data, len, &fd, fd >= 0);
	return big < 0 ? big : peer_send(&w->peer, "!", 1, &big, 1);
}

/* ---------------------------------------------------------------- with berthd */

void worker_init(struct worker *w, const struct worker_kind *kind, struct supervisor *sv, const char *path)
{
	*w = (struct worker){.kind = kind, .sv = sv, .path = path, .peer = PEER_NULL, .pidfd = -1, .group_fd = -1};
}

void worker_leave(struct worker *w)
{
	timer_del(&w->timer);
	peer_fini(&w->peer);
	reaper_forget(&w->child);
	close_fd(&w->pidfd);
	close_fd(&w->group_fd);
}

/* So that the next berthd's has nobody beside it. */
void worker_end(struct worker *w)
{
	worker_down(w);
	reaper_wait(w->pidfd);
	worker_leave(w);
}

/* supervisor/limiter.c - see supervisor/limiter.h */
#include "supervisor/limiter.h"

#include "base/own.h"
#include "cgroup/limits.h"
#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct change {
	struct source source; /* of wake_fd */
	struct supervisor *sv;
	pthread_t thread;
	int wake_fd, group_fd; /* owned */
	struct cg_limits limits;
	bool show;
	uint32_t controllers;
	struct err e;
	int result;
	void (*done)(void *arg, const struct err *e);
	void *arg;
};

static void *change_run(void *arg)
{
	struct change *ch = arg;

	ch->result = cg_limits_apply(ch->group_fd, &ch->limits, &ch->e);
	if (!ch->result && ch->show)
		ch->result = launch_limits_show(ch->controllers, ch->group_fd, &ch->limits, &ch->e);
	eventfd_write(ch->wake_fd, 1);
	return NULL;
}

static void change_free(struct change *ch)
{
	source_del(&ch->source);
	close_fd(&ch->wake_fd);
	close_fd(&ch->group_fd);
	free(ch);
}

static void on_changed(struct source *s, uint32_t events)
{
	struct change *ch = container_of(s, struct change, source);

	/* It has only to return. */
	pthread_join(ch->thread, NULL);
	ch->sv->limiters--;
	ch->done(ch->arg, ch->result < 0 ? &ch->e : NULL);
	change_free(ch);
}

int limiter_start(struct supervisor *sv, const Berth__Resources *res, int group_fd,
		  void (*done)(void *arg, const struct err *e), void *arg, struct err *e)
{
	struct change *ch;
	int r;

	if (sv->limiters >= LIMITER_MAX)
		return err_set(e, EAGAIN, "cgroup", "%u changes of limits are waiting for the kernel already",
			       sv->limiters);
	ch = calloc(1, sizeof *ch);
	if (!ch)
		return err_set(e, ENOMEM, "cgroup", "no memory");
	ch->sv = sv;
	ch->controllers = sv->cg.controllers;
	ch->done = done;
	ch->arg = arg;
	ch->show = launch_limits_any(res);
	ch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ch->group_fd = fcntl(group_fd, F_DUPFD_CLOEXEC, 0);
	r = cg_limits_make(res, sv->cg.controllers, true, &ch->limits, e);
	if (!r && (ch->wake_fd < 0 || ch->group_fd < 0))
		r = err_set(e, EMFILE, "cgroup", "no descriptors left");
	if (!r && (r = source_add(&sv->loop, &ch->source, ch->wake_fd, EPOLLIN, on_changed)) < 0)
		err_set(e, -r, "cgroup", "watch for the end of the change");
	if (!r && (r = -pthread_create(&ch->thread, NULL, change_run, ch)) < 0)
		err_set(e, -r, "cgroup", "a thread for the change");
	if (r < 0) {
		change_free(ch);
		return r;
	}
	sv->limiters++;
	return 0;
}

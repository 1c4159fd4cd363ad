/* supervisor/logs.c - see supervisor/logs.h. berthd makes the pipe and the job, and is out of the way. A follower's second pipe
 * carries nothing: its end says that nothing more will be written. It is closed when the container has ended for good and its
 * shim, which may still be writing what the container said last, is gone; and by itself when berthd dies. */
#include "supervisor/logs.h"

#include "base/log.h"
#include "supervisor/container.h"
#include "supervisor/job.h"
#include "supervisor/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct follower {
	struct list link; /* followers.all */
	struct followers *followers;
	char uuid[UUID_SIZE];
	int stop_fd; /* owned: closed to say that no more will come; -1 = said, or it does not follow */
};

struct followers {
	struct supervisor *sv;
	struct list all;
};

int logs_open(struct supervisor *sv)
{
	struct followers *fs = calloc(1, sizeof *fs);

	if (!fs)
		return -ENOMEM;
	fs->sv = sv;
	list_init(&fs->all);
	sv->followers = fs;
	return 0;
}

static void follower_free(struct follower *f)
{
	close_fd(&f->stop_fd);
	list_del(&f->link);
	free(f);
}

void logs_close(struct supervisor *sv)
{
	struct follower *f;

	if (!sv->followers)
		return;
	while ((f = list_first(&sv->followers->all, struct follower, link)))
		follower_free(f);
	free(sv->followers);
	sv->followers = NULL;
}

/* Nothing more will be written, unless somebody starts it again. */
static bool container_is_silent(const struct container *c)
{
	switch (container_state(c)) {
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPED:
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR:
		return !c->shim;
	default:
		return false;
	}
}

void logs_container_changed(struct supervisor *sv, const char *uuid)
{
	struct table_node *n;
	struct follower *f;

	if (!sv->followers || list_empty(&sv->followers->all))
		return;
	n = table_find(&sv->containers, uuid);
	if (n && !container_is_silent(container_of(n, struct container, node)))
		return;
	list_each (f, &sv->followers->all, link)
		if (!strcmp(f->uuid, uuid))
			close_fd(&f->stop_fd);
}

static void on_logs_record(void *arg, const Berth__Envelope *env)
{
	struct follower *f = arg;

	if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		log_warn("reading the logs of %s failed: %s", f->uuid, env->error->text ? env->error->text : "");
}

static void on_logs_done(void *arg, int status)
{
	follower_free(arg);
}

/* ---------------------------------------------------------------- on_container_logs */

struct logs_args {
	const char *argv[12];
	char dir[300], tail[40], since[40], until[40];
};

static void logs_args_make(struct supervisor *sv, const struct container *c, const Berth__ContainerLogs *a,
			   struct logs_args *args)
{
	bool both = !a->want_stdout && !a->want_stderr;
	unsigned n = 0;

	snprintf(args->dir, sizeof args->dir, "%s/containers/%s/logs", sv->cfg.state_dir, c->node.uuid);
	args->argv[n++] = "logs";
	args->argv[n++] = args->dir;
	args->argv[n++] = a->follow ? "follow=1" : "follow=0";
	args->argv[n++] = both || a->want_stdout ? "stdout=1" : "stdout=0";
	args->argv[n++] = both || a->want_stderr ? "stderr=1" : "stderr=0";
	if (a->has_tail_lines && a->tail_lines >= 0) {
		snprintf(args->tail, sizeof args->tail, "tail=%lld", (long long)a->tail_lines);
		args->argv[n++] = args->tail;
	}
	if (a->since_at) {
		snprintf(args->since, sizeof args->since, "since=%lld", (long long)a->since_at);
		args->argv[n++] = args->since;
	}
	if (a->until_at) {
		snprintf(args->until, sizeof args->until, "until=%lld", (long long)a->until_at);
		args->argv[n++] = args->until;
	}
	args->argv[n] = NULL;
}

static int pipe_make(int *ret_read, int *ret_write, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, errno, "logs", "make a pipe");
	*ret_read = fds[0];
	*ret_write = fds[1];
	return 0;
}

/* The read end of the pipe with the lines in *ret_fd. */
static int logs_start(struct supervisor *sv, const struct container *c, const Berth__ContainerLogs *a, int *ret_fd,
		      struct err *e)
{
	static const struct job_ops ops = {.record = on_logs_record, .done = on_logs_done};
	AUTO_FD read_fd = -1;
	AUTO_FD write_fd = -1;
	AUTO_FD stop_read_fd = -1;
	struct follower *f = calloc(1, sizeof *f);
	struct logs_args args;
	int r;

	if (!f)
		return err_set(e, ENOMEM, "logs", "read the logs");
	f->followers = sv->followers;
	f->stop_fd = -1;
	snprintf(f->uuid, sizeof f->uuid, "%s", c->node.uuid);
	list_push(&sv->followers->all, &f->link);
	logs_args_make(sv, c, a, &args);
	r = pipe_make(&read_fd, &write_fd, e);
	if (r == 0 && a->follow)
		r = pipe_make(&stop_read_fd, &f->stop_fd, e);
	if (r == 0) {
		int fds[] = {write_fd, stop_read_fd};

		r = job_start(sv, args.argv, fds, a->follow ? 2 : 1, 0, &ops, f, NULL, e);
	}
	if (r < 0) {
		follower_free(f);
		return r;
	}
	*ret_fd = take_fd(&read_fd);
	return 0;
}

void on_container_logs(struct request *rq)
{
	const Berth__ContainerLogs *a = rq->env->container_logs;
	struct supervisor *sv = rq->sv;
	struct err e = {0};
	struct container *c = container_find(sv, &rq->who, a->ref ? a->ref : "", &e);
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	Berth__Done done = BERTH__DONE__INIT;
	AUTO_FD fd = -1;

	if (!c) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	if (logs_start(sv, c, a, &fd, &e) < 0) {
		reply_err(sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	logs_container_changed(sv, c->node.uuid); /* one that has ended already ends the follower when all is read */
	done.uuid = c->node.uuid;
	env.body_case = BERTH__ENVELOPE__BODY_DONE;
	env.done = &done;
	reply(sv, rq->parked, &env, (int[]){fd}, 1);
}

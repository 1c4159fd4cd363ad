/* supervisor/job.c - see supervisor/job.h. A job has ended when its process is reaped and its report socket is at its end: then
 * every record has been seen. Its group is killed at the process's end, so that nothing keeps the socket open. */
#include "supervisor/job.h"

#include "base/log.h"
#include "base/spawn.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "proto/envelope.h"
#include "proto/peer.h"
#include "supervisor/dnsd.h"
#include "supervisor/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOB_ARGS 24u
#define JOB_FDS	 4u

struct job {
	struct list link; /* jobs.running or jobs.waiting */
	struct jobs *jobs;
	const struct job_ops *ops;
	void *arg;
	char *argv[JOB_ARGS + 2]; /* owned; [0] is the program's name, [1] the verb */
	int fds[JOB_FDS];	  /* owned until it is started */
	unsigned n_fds;
	uint64_t deadline_ns;
	bool for_client; /* logs, copy */
	bool running;
	bool cancelled;

	char group[24];
	int group_fd;
	int pidfd;
	struct child child;
	struct peer report;
	struct timer timer; /* deadline; before the start: calls done() of one that could not be started */
	bool reaped, closed;
	int status;
};

struct jobs {
	struct supervisor *sv;
	struct list running, waiting;
	unsigned n_running, n_for_client, n_waiting;
	uint64_t serial;
	struct job *sweep; /* of the trash; NULL while none runs */
	struct timer sweep_soon;
	bool sweep_again;
};

/* What is removed within this time goes with one job: starting one costs more than a container's whole end. */
#define SWEEP_PAUSE_NS (1 * NS_PER_S)

static void jobs_start_waiting(struct jobs *js);

/* ---------------------------------------------------------------- the end of a job */

static void job_free(struct job *j)
{
	reaper_forget(&j->child);
	timer_del(&j->timer);
	peer_fini(&j->report);
	close_fd(&j->pidfd);
	if (j->group_fd >= 0) {
		struct supervisor *sv = j->jobs->sv;
		char path[64];

		snprintf(path, sizeof path, "jobs/%s", j->group);
		close_fd(&j->group_fd);
		cg_bury(&sv->graveyard, sv->cg.root_fd, path);
	}
	for (unsigned i = 0; i < j->n_fds; i++)
		close_fd(&j->fds[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(j->argv); i++)
		free(j->argv[i]);
	list_del(&j->link);
	free(j);
}

static void job_count(struct job *j, int by)
{
	struct jobs *js = j->jobs;

	if (j->for_client)
		js->n_for_client += (unsigned)by;
	else if (j->running)
		js->n_running += (unsigned)by;
	else
		js->n_waiting += (unsigned)by;
}

static void job_done(struct job *j)
{
	struct jobs *js = j->jobs;
	const struct job_ops *ops = j->ops;
	void *arg = j->arg;
	int status = j->status;

	job_count(j, -1);
	job_free(j);
	if (ops->done)
		ops->done(arg, status);
	jobs_start_waiting(js);
}

static void job_kill(struct job *j)
{
	if (j->group_fd >= 0)
		(void)cg_kill(j->group_fd); /* the pidfd below hits the process itself if the group is out of order */
	if (j->pidfd >= 0 && !j->reaped)
		(void)syscall(SYS_pidfd_send_signal, j->pidfd, SIGKILL, NULL, 0);
}

static void on_job_exit(struct child *c, const siginfo_t *how)
{
	struct job *j = container_of(c, struct job, child);

	j->reaped = true;
	j->status = how->si_code == CLD_EXITED ? W_EXITCODE(how->si_status, 0) : W_EXITCODE(0, how->si_status);
	job_kill(j);
	if (j->closed)
		job_done(j);
}

static int on_job_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct job *j = container_of(p, struct job, report);
	Berth__Envelope *env = envelope_unpack(data, len, fds);

	if (!env) {
		log_warn("job %s %s sent a record that is no message: killed", j->group, j->argv[1]);
		return -EPROTO;
	}
	if (j->ops->fd && fds->n)
		j->ops->fd(j->arg, wire_fds_take(fds, 0));
	if (j->ops->record)
		j->ops->record(j->arg, env);
	berth__envelope__free_unpacked(env, NULL);
	return 0;
}

static void on_job_closed(struct peer *p, int reason)
{
	struct job *j = container_of(p, struct job, report);

	peer_fini(p);
	j->closed = true;
	if (reason == -EPROTO)
		job_kill(j); /* it does not speak our language: nothing that it does can be trusted */
	if (j->reaped)
		job_done(j);
}

static const struct peer_ops job_peer_ops = {.record = on_job_record, .gone = on_job_closed};

static void on_job_deadline(struct timer *t)
{
	struct job *j = container_of(t, struct job, timer);

	log_warn("job %s %s took longer than %llu s: killed", j->group, j->argv[1],
		 (unsigned long long)(j->deadline_ns / NS_PER_S));
	job_kill(j);
}

static void on_job_never(struct timer *t)
{
	job_done(container_of(t, struct job, timer));
}

/* ---------------------------------------------------------------- start */

static int job_spawn(struct job *j, struct err *e)
{
	struct jobs *js = j->jobs;
	struct supervisor *sv = js->sv;
	int pair[2], fds[4 + JOB_FDS] = {-1, -1, STDERR_FILENO}, r;
	struct spawn sp = {.exec_fd = -1, .path = sv->cfg.job_path, .argv = j->argv, .fds = fds, .cgroup_fd = -1};
	pid_t pid;

	snprintf(j->group, sizeof j->group, "%llu", (unsigned long long)++js->serial);
	r = cg_tree_make(&sv->cg, sv->cg.jobs_fd, j->group, &j->group_fd, e);
	if (r < 0)
		return r;
	r = wire_pair(pair);
	if (r < 0)
		return err_set(e, -r, "job", "make a socket for job %s", j->argv[1]);
	AUTO_FD child_end = pair[1];
	r = peer_init(&j->report, &sv->loop, pair[0], &job_peer_ops, WIRE_MAX, 1);
	if (r < 0)
		return err_set(e, -r, "job", "watch the socket of job %s", j->argv[1]);
	fds[3] = child_end;
	for (unsigned i = 0; i < j->n_fds; i++)
		fds[4 + i] = j->fds[i];
	sp.n_fds = 4 + j->n_fds;
	sp.cgroup_fd = j->group_fd;
	r = spawn(&sp, &j->pidfd, &pid, e);
	if (r < 0)
		return r;
	reaper_watch(sv, &j->child, pid, j->pidfd, on_job_exit);
	r = j->deadline_ns ? timer_in(&sv->loop, &j->timer, j->deadline_ns, on_job_deadline) : 0;
	if (r < 0) {
		job_kill(j);
		return err_set(e, -r, "job", "watch job %s", j->argv[1]);
	}
	for (unsigned i = 0; i < j->n_fds; i++)
		close_fd(&j->fds[i]);
	j->n_fds = 0;
	return 0;
}

/* One that waited and then could not be started ends as if it had exited with 127, from the loop. */
static void job_start_late(struct job *j)
{
	struct err e = {0};

	if (!j->cancelled && job_spawn(j, &e) == 0)
		return;
	if (!j->cancelled)
		log_err(&e, "job %s", j->argv[1]);
	j->status = j->cancelled ? W_EXITCODE(0, SIGKILL) : W_EXITCODE(127, 0);
	timer_del(&j->timer);
	if (timer_in(&j->jobs->sv->loop, &j->timer, 0, on_job_never) < 0)
		job_done(j);
}

static void jobs_start_waiting(struct jobs *js)
{
	struct job *j;

	while (js->n_running < JOBS_RUNNING && (j = list_first(&js->waiting, struct job, link))) {
		job_count(j, -1);
		list_del(&j->link);
		list_push(&js->running, &j->link);
		j->running = true;
		job_count(j, 1);
		job_start_late(j);
	}
}

static int job_new(struct jobs *js, const char *const *argv, const int *fds, unsigned n_fds, struct job **ret)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return -ENOMEM;
	*j = (struct job){.jobs = js, .group_fd = -1, .pidfd = -1, .report = PEER_NULL};
	list_init(&j->link);
	j->argv[0] = strdup("berth-job");
	if (!j->argv[0])
		goto undo;
	for (unsigned i = 0; argv[i]; i++) {
		if (i >= JOB_ARGS || !(j->argv[i + 1] = strdup(argv[i])))
			goto undo;
	}
	for (; j->n_fds < n_fds && j->n_fds < JOB_FDS; j->n_fds++) {
		j->fds[j->n_fds] = fcntl(fds[j->n_fds], F_DUPFD_CLOEXEC, 3);
		if (j->fds[j->n_fds] < 0)
			goto undo;
	}
	*ret = j;
	return 0;
undo:
	job_free(j);
	return -ENOMEM;
}

int job_start(struct supervisor *sv, const char *const *argv, const int *fds, unsigned n_fds, uint64_t deadline_ns,
	      const struct job_ops *ops, void *arg, struct job **ret, struct err *e)
{
	struct jobs *js = sv->jobs;
	bool for_client = !strcmp(argv[0], "logs") || !strcmp(argv[0], "copy"),
	     now = for_client || js->n_running < JOBS_RUNNING;
	struct job *j;
	int r;

	if (for_client ? js->n_for_client >= JOBS_FOR_CLIENTS : !now && js->n_waiting >= JOBS_WAITING)
		return err_set(e, ENOBUFS, "job",
			       for_client ? "%u readers of logs and copies are running: that is the limit"
					  : "%u jobs are waiting: that is the limit",
			       for_client ? JOBS_FOR_CLIENTS : JOBS_WAITING);
	r = job_new(js, argv, fds, n_fds, &j);
	if (r < 0)
		return err_set(e, -r, "job", "prepare job %s", argv[0]);
	j->ops = ops;
	j->arg = arg;
	j->deadline_ns = deadline_ns;
	j->for_client = for_client;
	j->running = now;
	r = now ? job_spawn(j, e) : 0;
	if (r < 0) {
		job_free(j);
		return r;
	}
	list_push(now ? &js->running : &js->waiting, &j->link);
	job_count(j, 1);
	if (ret)
		*ret = j;
	return 0;
}

void job_cancel(struct job *j)
{
	j->cancelled = true;
	if (j->running)
		job_kill(j);
	else /* its turn comes with the next free place; done() is called then, and nothing is started */
		jobs_start_waiting(j->jobs);
}

/* ---------------------------------------------------------------- all of them */

static int job_bury_old(const char *name, void *arg)
{
	struct supervisor *sv = arg;
	char path[300];

	if (str_starts(name, DNSD_GROUP))
		return 0;
	snprintf(path, sizeof path, "jobs/%s", name);
	cg_bury(&sv->graveyard, sv->cg.root_fd, path);
	return 0;
}

int jobs_open(struct supervisor *sv, struct err *e)
{
	struct jobs *js = calloc(1, sizeof *js);
	int r;

	if (!js)
		return err_set(e, ENOMEM, "job", "prepare jobs");
	js->sv = sv;
	/* Numbers go on from the clock: a group of an earlier berthd that cannot be removed yet must not be in the way. */
	js->serial = (uint64_t)wall_ns() / NS_PER_MS;
	list_init(&js->running);
	list_init(&js->waiting);
	r = cg_each_child(sv->cg.jobs_fd, job_bury_old, sv);
	if (r < 0) {
		free(js);
		return err_set(e, -r, "cgroup", "look for jobs of an earlier berthd");
	}
	sv->jobs = js;
	return 0;
}

void jobs_close(struct supervisor *sv)
{
	struct jobs *js = sv->jobs;
	struct job *j;

	if (!js)
		return;
	while ((j = list_first(&js->running, struct job, link)) || (j = list_first(&js->waiting, struct job, link))) {
		job_kill(j);
		reaper_wait(j->pidfd);
		job_free(j);
	}
	timer_del(&js->sweep_soon);
	sv->jobs = NULL;
	free(js);
}

uint32_t jobs_running(const struct supervisor *sv)
{
	return sv->jobs ? sv->jobs->n_running + sv->jobs->n_for_client : 0;
}

/* ---------------------------------------------------------------- the trash */

static void on_sweep_done(void *arg, int status)
{
	struct jobs *js = arg;

	js->sweep = NULL;
	if (status != 0)
		log_warn("emptying the trash failed (status %d): tried again with the next removal", status);
	if (js->sweep_again)
		job_sweep_trash(js->sv);
}

static void sweep_start(struct timer *t)
{
	static const struct job_ops ops = {.done = on_sweep_done};
	struct jobs *js = container_of(t, struct jobs, sweep_soon);
	char path[sizeof js->sv->cfg.state_dir + 16];
	const char *argv[] = {"rmtree", path, NULL};
	struct err e = {0};

	js->sweep_again = false;
	snprintf(path, sizeof path, "%s/trash", js->sv->cfg.state_dir);
	if (job_start(js->sv, argv, NULL, 0, 0, &ops, js, &js->sweep, &e) < 0)
		log_err(&e, "empty %s", path);
}

void job_sweep_trash(struct supervisor *sv)
{
	struct jobs *js = sv->jobs;

	if (!js) /* berthd ends, and its store has just committed a removal: for the next start */
		return;
	if (js->sweep)
		js->sweep_again = true;
	else if (!timer_armed(&js->sweep_soon) && timer_in(&sv->loop, &js->sweep_soon, SWEEP_PAUSE_NS, sweep_start))
		sweep_start(&js->sweep_soon);
}

/* supervisor/copy.c - see supervisor/copy.h
 *
 * A container that runs is looked at through its first process. One that does not run has its overlay mounted by the job, for
 * itself. Two overlays on one upper layer do not see what is written through the other one, so what is written to is mounted once: a
 * copy into a container waits until the shim of its last run, which keeps the overlay, is gone (one that waits to retry is told
 * to go), and a launch waits for the copies into it, for a time. Volumes that are file systems are mounted for a copy as for a launch
 * (volume_mount.c), and stay so until the last copy has ended. */
#include "supervisor/copy.h"

#include "base/own.h"
#include "supervisor/caps.h"
#include "supervisor/container_act.h"
#include "supervisor/container_request.h"
#include "supervisor/job.h"
#include "supervisor/launch.h"
#include "supervisor/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PATIENCE_NS (10 * NS_PER_S) /* that a launch has with copies */

struct copy {
	struct list link; /* container.copies */
	struct supervisor *sv;
	struct container *c; /* NULL: it goes, or is gone */
	struct parked parked;
	struct job *job; /* NULL: it waits for the shim to be gone, or for a volume */
	int request_fd;	 /* owned until the job has it */
	int stream_fd;	 /* the same; -1: it only looks */
	bool writes;
	struct timer patience; /* of a launch */
	char why[80];	       /* berthd ended it */
};

/* ---------------------------------------------------------------- the end */

static void copy_free(struct copy *k)
{
	struct container *c = k->c;

	timer_del(&k->patience);
	close_fd(&k->request_fd);
	close_fd(&k->stream_fd);
	list_del(&k->link);
	if (k->sv->jobs) /* else berthd ends */
		volume_tidy_soon(k->sv);
	free(k);
	if (!c || !c->launch_after_copies || copies_hold(c))
		return;
	c->launch_after_copies = false;
	if (c->waiting)
		container_post(c, EV_LAUNCH);
}

/* Called off first: an answer that cannot be sent ends its client, who then leaves us. */
static void copy_answer(struct copy *k, Berth__Envelope *env)
{
	struct parked parked = k->parked;

	(void)parked_on_gone(k->sv, parked, NULL, NULL);
	k->parked = (struct parked){0};
	reply(k->sv, parked, env, NULL, 0);
}

static void copy_refuse(struct copy *k, Berth__Error__Code code, const char *text)
{
	struct parked parked = k->parked;

	(void)parked_on_gone(k->sv, parked, NULL, NULL);
	k->parked = (struct parked){0};
	reply_error(k->sv, parked, code, NULL, "%s", text);
}

/* It may be gone when this returns. */
static void copy_end(struct copy *k, const char *why)
{
	snprintf(k->why, sizeof k->why, "%s", why);
	if (k->job) {
		job_cancel(k->job);
		return;
	}
	copy_refuse(k, BERTH__ERROR__CODE__CONFLICT, why);
	copy_free(k);
}

static void on_client_gone(void *arg, bool cancelled)
{
	struct copy *k = arg;

	k->parked.client = 0; /* its action still wants an end */
	copy_end(k, cancelled ? "cancelled" : "whoever asked for it has gone");
}

/* ---------------------------------------------------------------- what the job says */

static void on_copy_record(void *arg, const Berth__Envelope *env)
{
	struct copy *k = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	view.body_case = env->body_case;
	if (env->body_case == BERTH__ENVELOPE__BODY_COPY_REPLY)
		view.copy_reply = env->copy_reply;
	else if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		view.error = env->error;
	else
		return;
	if (!env->more)
		copy_answer(k, &view);
	else if (reply_more(k->sv, k->parked, &view) < 0)
		copy_end(k, "its client does not read");
}

static void on_copy_done(void *arg, int status)
{
	struct copy *k = arg;
	char text[160];

	if (k->why[0])
		snprintf(text, sizeof text, "%s%s", k->why, k->writes ? "; what was copied until then stays" : "");
	else
		snprintf(text, sizeof text, "the job that copies ended with status %d", status);
	/* Nobody waits if it was answered. */
	copy_refuse(k, k->why[0] ? BERTH__ERROR__CODE__CONFLICT : BERTH__ERROR__CODE__INTERNAL, text);
	copy_free(k);
}

/* ---------------------------------------------------------------- starting it */

static bool is_alive(const struct container *c)
{
	state s = container_state(c);

	return s == S(RUNNING) || s == S(PAUSED) || s == S(STOPPING) || (s == S(CREATED) && c->held);
}

static bool has_ended(const struct container *c)
{
	state s = container_state(c);

	return s == S(EXITED) || s == S(STOPPED) || s == S(ERROR) || s == S(BACKOFF) || s == S(CREATED);
}

/* view_fd -1: it looks through a process. */
static int job_run(struct copy *k, const char *const *argv, int view_fd, struct err *e)
{
	static const struct job_ops ops = {.record = on_copy_record, .done = on_copy_done};
	int fds[4] = {k->request_fd}, r;
	unsigned n = 1;

	if (k->stream_fd >= 0)
		fds[n++] = k->stream_fd;
	if (view_fd >= 0)
		fds[n++] = view_fd;
	if (view_fd >= 0 && k->sv->volume_ns_fd >= 0)
		fds[n++] = k->sv->volume_ns_fd;
	r = job_start(k->sv, argv, fds, n, 0, &ops, k, &k->job, e);
	if (r < 0)
		return r;
	close_fd(&k->request_fd);
	close_fd(&k->stream_fd);
	return 0;
}

/* 1: those that lie on a disk of their own are mounted; 0: one is on its way. */
static int volumes_ready(struct container *c, struct err *e)
{
	const Berth__ContainerSpec *spec = c->obj->spec;
	struct volume *v;
	int r = 1;

	for (size_t i = 0; r > 0 && i < spec->n_mounts; i++) {
		if (spec->mounts[i]->type != BERTH__MOUNT__TYPE__VOLUME)
			continue;
		r = volume_get(c->sv, c->obj->meta->project, spec->mounts[i]->source, &v, e);
		if (r == 0)
			r = v->obj->driver == BERTH__VOLUME__DRIVER__SIZED ? volume_want(v) : 1;
	}
	return r;
}

/* What the job may make is what the container's root could: device nodes only if it has the capability. */
static int copy_start(struct copy *k, struct err *e)
{
	struct container *c = k->c;
	bool mknod = caps_of(c->obj->spec->security) >> CAP_MKNOD & 1;
	char pid[24], group[160], path[200];
	const char *argv[] = {"copy", mknod ? "mknod=1" : "mknod=0", NULL, NULL, NULL, NULL};
	AUTO_FD plan_fd = -1;
	int r;

	if (is_alive(c)) {
		snprintf(pid, sizeof pid, "pid=%d", c->obj->status->pid);
		container_group_path(c, group, sizeof group);
		snprintf(path, sizeof path, "group=%s", group);
		argv[2] = pid;
		argv[3] = path;
		argv[4] = c->obj->userns_first_id ? "userns=1" : "userns=0";
		return job_run(k, argv, -1, e);
	}
	if (!has_ended(c) || !c->obj->n_layers) { /* without layers: its image is still to come */
		err_set(e, EBUSY, "state", "cannot copy: container is %s", container_state_name(container_state(c)));
		return -EBUSY;
	}
	if (c->shim && (k->writes || c->bye_sent)) {
		container_bye(c);
		return 0; /* copies_go_on */
	}
	r = volumes_ready(c, e);
	if (r <= 0)
		return r; /* the same */
	r = launch_view(c, &plan_fd, e);
	return r < 0 ? r : job_run(k, argv, plan_fd, e);
}

static void copy_fail(struct copy *k, const struct err *e)
{
	struct parked parked = k->parked;

	(void)parked_on_gone(k->sv, parked, NULL, NULL);
	reply_err(k->sv, parked, error_code_of(e), e);
	copy_free(k);
}

static void copy_begin(struct copy *k)
{
	struct err e = {0};

	if (copy_start(k, &e) < 0)
		copy_fail(k, &e);
}

/* ---------------------------------------------------------------- the container's side */

static void on_patience(struct timer *t)
{
	copy_end(container_of(t, struct copy, patience), "the container starts");
}

bool copies_hold(struct container *c)
{
	struct copy *k;
	bool hold = false;

	list_each (k, &c->copies, link) {
		if (!k->writes)
			continue;
		hold = true;
		/* Without memory for a timer it has the time that it takes. */
		if (!timer_armed(&k->patience))
			(void)timer_in(&c->sv->loop, &k->patience, PATIENCE_NS, on_patience);
	}
	return hold;
}

void copies_go_on(struct container *c, const struct err *failure)
{
	struct list waiting;
	struct copy *k;

	list_init(&waiting);
	list_each (k, &c->copies, link)
		if (!k->job) {
			list_del(&k->link);
			list_push(&waiting, &k->link);
		}
	/* One that fails may take others along. */
	while ((k = list_pop(&waiting, struct copy, link))) {
		list_push(&c->copies, &k->link);
		if (failure)
			copy_fail(k, failure);
		else
			copy_begin(k);
	}
}

void copies_forget(struct container *c, const char *why)
{
	struct copy *k;

	while ((k = list_pop(&c->copies, struct copy, link))) {
		k->c = NULL;
		if (!c->sv->jobs) /* berthd ends, and has ended them all */
			k->job = NULL;
		copy_end(k, why);
	}
}

/* ---------------------------------------------------------------- the request */

static bool is_entry_name(const char *name)
{
	return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && strcmp(name, "..") != 0;
}

static bool refuse(struct request *rq, const char *field, const char *text)
{
	reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INVALID, field, "%s", text);
	return false;
}

/* A pipe or a stream socket: whatever else a client might hand over, a job of root's must not read or write for it. */
static bool stream_check(struct request *rq, bool wanted)
{
	int type = 0, fd = rq->fds->n ? rq->fds->fd[0] : -1;
	socklen_t len = sizeof type;
	struct stat st;

	if (!wanted && fd < 0)
		return true;
	if (!wanted || fd < 0)
		return refuse(rq, NULL, wanted ? "the archive's descriptor is missing" : "it takes no descriptor");
	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM)
		return true;
	return refuse(rq, NULL, "the archive's descriptor is no pipe and no stream socket");
}

static bool copy_check(struct request *rq, const Berth__ContainerCopy *ask)
{
	bool looks = ask->direction == BERTH__CONTAINER_COPY__DIRECTION__STAT;

	if (!ask->has_direction || ask->direction < BERTH__CONTAINER_COPY__DIRECTION__STAT ||
	    ask->direction > BERTH__CONTAINER_COPY__DIRECTION__TO)
		return refuse(rq, "direction", "must be STAT, FROM or TO");
	if (!ask->path || !*ask->path)
		return refuse(rq, "path", "is empty");
	if (strlen(ask->path) >= PATH_MAX)
		return refuse(rq, "path", "is longer than any path");
	if (ask->name && !is_entry_name(ask->name))
		return refuse(rq, "name", "must be one part of a path");
	return stream_check(rq, !looks);
}

static int copy_new(struct request *rq, struct container *c, struct copy **ret, struct err *e)
{
	const Berth__ContainerCopy *ask = rq->env->container_copy;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	struct copy *k = calloc(1, sizeof *k);
	int r;

	if (!k)
		return err_set(e, ENOBUFS, "copy", "no memory");
	*k = (struct copy){.sv = rq->sv, .c = c, .parked = rq->parked, .request_fd = -1, .stream_fd = -1};
	list_init(&k->link);
	k->writes = ask->direction == BERTH__CONTAINER_COPY__DIRECTION__TO;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_COPY;
	env.container_copy = rq->env->container_copy;
	r = launch_pack(&env.base, "berth-copy", &k->request_fd, e);
	if (r < 0) {
		free(k);
		return r;
	}
	k->stream_fd = wire_fds_take(rq->fds, 0);
	list_push(&c->copies, &k->link);
	*ret = k;
	return 0;
}

void on_container_copy(struct request *rq)
{
	const Berth__ContainerCopy *ask = rq->env->container_copy;
	struct container *c = request_container(rq, ask->ref);
	struct copy *k = NULL;
	struct err e;

	if (!c || !request_may_enter(rq, c) || !copy_check(rq, ask))
		return;
	if (ask->direction == BERTH__CONTAINER_COPY__DIRECTION__TO) {
		request_audit(rq, "container", c->obj->meta);
		if (c->waiting && c->launch_after_copies) {
			reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
				    "cannot copy: the container starts as soon as others have copied into it");
			return;
		}
	}
	if (copy_new(rq, c, &k, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	(void)parked_on_gone(rq->sv, rq->parked, on_client_gone, k); /* it is here: this is its request */
	copy_begin(k);
}

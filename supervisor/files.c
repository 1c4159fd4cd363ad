/* supervisor/files.c - see supervisor/files.h
 *
 * One job for a container, because what it has mounted there may hang; a few at a time, the others wait here. A change while its job runs
 * makes one more: the last one writes what is so then. */
#include "supervisor/files.h"

#include "base/log.h"
#include "base/own.h"
#include "supervisor/container_act.h"
#include "supervisor/job.h"
#include "supervisor/launch.h"
#include "supervisor/pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE	    4u
#define DEADLINE_NS (10 * NS_PER_S)
#define AGAIN_NS    (50 * NS_PER_MS)

static void files_go_on(struct supervisor *sv);

/* A job under way. */
struct refresh {
	struct supervisor *sv;
	struct container *c; /* NULL: it is gone */
	struct job *job;
};

static void on_record(void *arg, const Berth__Envelope *env)
{
	const struct refresh *x = arg;

	if (x->c && env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		log_debug("files of container %s: %s", x->c->node.uuid, env->error->text);
}

static void on_done(void *arg, int status)
{
	struct refresh *x = arg;
	struct supervisor *sv = x->sv;

	/* It has ended meanwhile, mostly: the next launch makes them anew. */
	if (x->c && status)
		log_debug("/etc/hosts and resolv.conf of container %s were not written again", x->c->node.uuid);
	if (x->c)
		x->c->refresh = NULL;
	free(x);
	sv->files_running--;
	files_go_on(sv);
}

static int refresh_start(struct container *c, struct err *e)
{
	static const struct job_ops ops = {.record = on_record, .done = on_done};
	char pid[24], group[160], path[200];
	const char *argv[] = {"files", pid, path, c->obj->userns_first_id ? "userns=1" : "userns=0", NULL};
	struct refresh *x = calloc(1, sizeof *x);
	AUTO_FD fd = -1;
	int r = x ? launch_files(c, &fd, e) : err_set(e, ENOMEM, "files", "no memory");

	if (r == 0) {
		*x = (struct refresh){.sv = c->sv, .c = c};
		snprintf(pid, sizeof pid, "pid=%d", c->obj->status->pid);
		container_group_path(c, group, sizeof group);
		snprintf(path, sizeof path, "group=%s", group);
		r = job_start(c->sv, argv, &fd, 1, DEADLINE_NS, &ops, x, &x->job, e);
	}
	if (r < 0) {
		free(x);
		return r;
	}
	c->refresh = x;
	c->sv->files_running++;
	return 0;
}

static bool is_alive(const struct container *c)
{
	state s = container_state(c);

	return (s == S(RUNNING) || s == S(PAUSED) || s == S(STOPPING)) && c->obj->status->pid > 0;
}

static void on_again(struct timer *t)
{
	files_go_on(container_of(t, struct supervisor, files_again));
}

static void files_go_on(struct supervisor *sv)
{
	struct container *c;
	struct err e;

	list_each (c, &sv->files_stale, files_stale) {
		if (sv->files_running >= AT_ONCE || !sv->jobs)
			return;
		if (c->refresh)
			continue;
		if (container_state(c) == S(STARTING)) { /* its plan is made, and it has no pid yet */
			timer_in(&sv->loop, &sv->files_again, AGAIN_NS, on_again);
			continue;
		}
		list_del(&c->files_stale);
		if (!is_alive(c))
			continue;
		if (refresh_start(c, &e) < 0)
			log_err(&e, "files of container %s", c->node.uuid);
	}
}

static void stale(struct container *c)
{
	list_del(&c->files_stale);
	list_push(&c->sv->files_stale, &c->files_stale);
}

void files_changed(struct net_holder *h)
{
	struct table_node *node;

	if (h->kind == &container_net_kind) { /* most; not each change a walk over all containers */
		stale(container_of(h, struct container, net));
		files_go_on(h->sv);
		return;
	}
	list_each (node, &h->sv->containers.all, link) {
		struct container *c = container_of(node, struct container, node);

		if (container_net(c) == h)
			stale(c);
	}
	files_go_on(h->sv);
}

void files_forget(struct container *c)
{
	struct refresh *x = c->refresh;

	list_del(&c->files_stale);
	c->refresh = NULL;
	if (!x)
		return;
	x->c = NULL;
	if (c->sv->jobs)
		job_cancel(x->job);
	else /* berthd ends, and has ended them all */
		free(x);
}

/* supervisor/diff.c - ContainerDiff: what a container has changed of its files. A job compares (job/diff.c), for as long as it takes. */
#include "base/own.h"
#include "supervisor/container_request.h"
#include "supervisor/job.h"
#include "supervisor/launch.h"

#include <errno.h>
#include <stdlib.h>

struct diff {
	struct supervisor *sv;
	struct parked parked;
	struct job *job;
	bool answered;
};

static void on_diff_record(void *arg, const Berth__Envelope *env)
{
	struct diff *d = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	view.body_case = env->body_case;
	if (env->body_case == BERTH__ENVELOPE__BODY_DIFF_REPLY)
		view.diff_reply = env->diff_reply;
	else if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		view.error = env->error;
	else
		return;
	if (d->answered)
		return;
	if (env->more) {
		if (reply_more(d->sv, d->parked, &view) < 0)
			job_cancel(d->job);
		return;
	}
	d->answered = true;
	(void)parked_on_gone(d->sv, d->parked, NULL, NULL);
	reply(d->sv, d->parked, &view, NULL, 0);
}

static void on_diff_done(void *arg, int status)
{
	struct diff *d = arg;

	if (!d->answered) {
		(void)parked_on_gone(d->sv, d->parked, NULL, NULL);
		reply_error(d->sv, d->parked, BERTH__ERROR__CODE__INTERNAL, NULL,
			    "the job that compares ended with status %d", status);
	}
	free(d);
}

static void on_asker_gone(void *arg, bool cancelled)
{
	struct diff *d = arg;

	d->answered = true;
	if (cancelled)
		reply_error(d->sv, d->parked, BERTH__ERROR__CODE__CONFLICT, NULL, "cancelled");
	job_cancel(d->job);
}

static int diff_start(struct diff *d, struct container *c, struct err *e)
{
	static const struct job_ops ops = {.record = on_diff_record, .done = on_diff_done};
	const char *argv[] = {"diff", c->sv->cfg.state_dir, c->node.uuid, NULL};
	Berth__ContainerReply body = BERTH__CONTAINER_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	AUTO_FD fd = -1;
	int r;

	body.container = c->obj;
	env.body_case = BERTH__ENVELOPE__BODY_CONTAINER_REPLY;
	env.container_reply = &body;
	r = launch_pack(&env.base, "berth-diff", &fd, e);
	return r ? r : job_start(c->sv, argv, &fd, 1, 0, &ops, d, &d->job, e);
}

void on_container_diff(struct request *rq)
{
	struct container *c = request_container(rq, rq->env->container_diff->ref);
	struct diff *d = c ? calloc(1, sizeof *d) : NULL;
	struct err e = {0};

	if (!c)
		return;
	if (!d) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__EXHAUSTED, NULL, "out of memory");
		return;
	}
	d->sv = rq->sv;
	d->parked = rq->parked;
	if (diff_start(d, c, &e) < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		free(d);
		return;
	}
	(void)parked_on_gone(rq->sv, rq->parked, on_asker_gone, d); /* it is here: this is its request */
}

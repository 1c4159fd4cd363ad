/* supervisor/top.c - ContainerTop: the processes of a container. Reading the command line of a process that hangs in the kernel
 * hangs too, so a job does it, with a deadline. */
#include "supervisor/container.h"
#include "supervisor/job.h"
#include "supervisor/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOP_DEADLINE_NS (10 * NS_PER_S)

struct top {
	struct supervisor *sv;
	struct parked parked;
	bool answered;
};

static void on_top_record(void *arg, const Berth__Envelope *env)
{
	struct top *t = arg;
	Berth__Envelope view = BERTH__ENVELOPE__INIT;

	view.body_case = env->body_case;
	if (env->body_case == BERTH__ENVELOPE__BODY_TOP_REPLY)
		view.top_reply = env->top_reply;
	else if (env->body_case == BERTH__ENVELOPE__BODY_ERROR)
		view.error = env->error;
	else
		return;
	t->answered = true;
	reply(t->sv, t->parked, &view, NULL, 0);
}

static void on_top_done(void *arg, int status)
{
	struct top *t = arg;

	if (!t->answered)
		reply_error(t->sv, t->parked, BERTH__ERROR__CODE__TIMEOUT, NULL,
			    "the processes could not be read within %llu s: one of them hangs in the kernel (state D)",
			    (unsigned long long)(TOP_DEADLINE_NS / NS_PER_S));
	free(t);
}

void on_container_top(struct request *rq)
{
	static const struct job_ops ops = {.record = on_top_record, .done = on_top_done};
	const char *ref = rq->env->container_top->ref;
	const char *argv[] = {"top", NULL};
	struct err e = {0};
	struct container *c = container_find(rq->sv, &rq->who, ref ? ref : "", &e);
	AUTO_FD group_fd = -1;
	struct top *t;
	int r;

	if (!c) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		return;
	}
	if (!container_has_process(c) || container_group_open(c, &group_fd) < 0) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__CONFLICT, NULL,
			    "cannot show processes: container is %s", container_state_name(container_state(c)));
		return;
	}
	t = calloc(1, sizeof *t);
	if (!t) {
		reply_error(rq->sv, rq->parked, BERTH__ERROR__CODE__INTERNAL, NULL, "out of memory");
		return;
	}
	t->sv = rq->sv;
	t->parked = rq->parked;
	r = job_start(rq->sv, argv, &group_fd, 1, TOP_DEADLINE_NS, &ops, t, NULL, &e);
	if (r < 0) {
		reply_err(rq->sv, rq->parked, error_code_of(&e), &e);
		free(t);
	}
}
